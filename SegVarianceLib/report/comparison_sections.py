"""What recipes are worth against each other: the verdict first, then its sentences, then the plots."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.catalog import Facts
from ..stats.comparison import Comparison, Recipe, Verdict
from ..stats.comparison_words import (
    amount_of_d0,
    cases_sentence,
    difference_text,
    equal_trainings_sentence,
    error_sentences,
    failure_sentences,
    new_data_sentences,
    once_more_sentence,
    short_verdict,
    units,
    verdict_sentence,
    verdict_title,
)
from ..stats.comparisons import Comparisons
from ..stats.ranking import Ranking
from ..stats.verdict import number, p_value, percent
from . import methods
from .comparison_plots import case_differences, structure_forest
from .false_alarm_plot import false_alarm_map
from .layout import ColourOf, fold, folded_grid, grid, how_was_this_computed, panel, section
from .markup import Markup, element, joined
from .power_section import power_of_comparison
from .variance_plot import variance_bars

_OPEN_PAIRS = 3
_PICTURED_PAIRS = 10
"""Ten recipes are 45 pairs, and each pair's pictures are a tenth of a megabyte and half a second."""

_CLASSES = {
    Verdict.BETTER: "better",
    Verdict.MAYBE_TOO_LITTLE: "maybe",
    Verdict.EQUIVALENT: "equivalent",
    Verdict.NOT_SETTLED: "open",
}


def comparison_findings(found: Comparisons, colour_of: ColourOf) -> Markup:
    """The verdict of every pair; with three or more recipes their ranks and all pairs in one table before."""
    verdicts = [_verdict(pair, _of_pair(found, pair), colour_of) for pair in found.primary]
    more = verdicts[_OPEN_PAIRS:]
    reasons = element("ul", *(element("li", sentence) for sentence in found.not_compared))
    if not found.primary:
        answers = (element("div", element("p", sentence), class_="verdict open") for sentence in found.not_compared)
        return joined(*answers)
    return joined(
        _overview(found) if len(found.primary) > 1 else Markup(),
        *verdicts[:_OPEN_PAIRS],
        fold(f"{len(more)} more pairs", *more) if more else Markup(),
        fold(f"Not compared ({len(found.not_compared)})", reasons) if found.not_compared else Markup(),
    )


def comparison_plots(found: Comparisons, colour_of: ColourOf) -> Markup:
    """The plots of the first pairs, those after the first folded."""
    if not found.primary:
        return Markup()
    pictured = found.primary[:_PICTURED_PAIRS]
    titles = [f"{pair.a.name} against {pair.b.name}, in pictures" for pair in pictured]
    plots = [_plots(pair, _of_pair(found, pair), colour_of) for pair in pictured]
    rest = len(found.primary) - len(pictured)
    note = f"{rest} more pairs stand in the tables; a report of two recipes (--a, --b) has their pictures."
    return joined(
        element("h2", titles[0]),
        plots[0],
        *map(fold, titles[1:], plots[1:]),
        element("p", note, class_="note") if rest else Markup(),
    )


def _of_pair(found: Comparisons, pair: Comparison) -> list[Comparison]:
    """The pair, then the same pair in further structures and metrics."""
    names = pair.a.name, pair.b.name
    return [pair, *(c for c in found.by_structure if (c.a.name, c.b.name) == names)]


def _verdict(c: Comparison, of_pair: Sequence[Comparison], colour_of: ColourOf) -> Markup:
    said = [
        (verdict_sentence(c), methods.of_verdict(c)),
        *((sentence, methods.of_failures(c)) for sentence in failure_sentences(c)),
        (once_more_sentence(c), methods.of_once_more(c)),
        (cases_sentence(c), methods.of_cases(c)),
        *((sentence, methods.ERROR_RATIO) for sentence in error_sentences(c)),
        (equal_trainings_sentence(c), methods.of_equal_trainings(c)),
        *((sentence, methods.of_new_data(c)) for sentence in new_data_sentences(c)),
    ]
    value, interval = difference_text(c).split(" ", 1)
    unit = c.metric.unit or c.metric.title
    p = p_value(c.p) if c.p_holm is None else f"{p_value(c.p_holm)} (Holm)"
    words = element(
        "div",
        element("div", f"{c.a.name} against {c.b.name} · {c.metric.title} · {c.structure}", class_="what"),
        element("h3", verdict_title(c)),
        element("div", f"{value} {unit}", class_="number"),
        element(
            "div",
            f"{c.a.name} {number(c.a.mean, c.metric, 1)}, {c.b.name} {number(c.b.mean, c.metric, 1)}; difference's 95 % interval "
            f"{interval.strip('()')}, {p}",
            class_="what",
        ),
        *(
            element("div", element("p", text), how_was_this_computed(paragraphs), class_="said")
            for text, paragraphs in said
        ),
        element("p", sample_words(c), class_="note"),
    )
    return element("div", words, _forest(of_pair, colour_of), class_=f"verdict {_CLASSES[c.verdict]}")


def _forest(of_pair: Sequence[Comparison], colour_of: ColourOf) -> Markup:
    same_metric = [c for c in of_pair if c.metric.id == of_pair[0].metric.id]
    how = f"Line: 95 % interval. Shaded: differences up to {amount_of_d0(of_pair[0])}, too small to matter. Numbers: {of_pair[0].a.name} minus {of_pair[0].b.name}."
    return element(
        "figure",
        element("h4", _forest_title(of_pair[0])),
        structure_forest(same_metric, colour_of),
        element("p", how, class_="note"),
        how_was_this_computed(methods.STRUCTURE_FOREST),
    )


def _forest_title(c: Comparison) -> str:
    unit = f" ({c.metric.unit})" if c.metric.unit else ""
    return f"{c.metric.title}{unit}, {c.a.name} against {c.b.name}"


def sample_words(c: Comparison) -> str:
    """What was counted and what was not."""
    cases = f"{len(c.cases)} cases" if c.images == len(c.cases) else f"{len(c.cases)} patients ({c.images} images)"
    counted = [
        f"Counted: {_trainings(c.a)} and {_trainings(c.b)}, all on the same {cases}.",
        f"Each training is a whole pass of {c.folds} folds." if c.folds > 1 else "",
        *(
            f"Left out of {side.name}, because their runs are missing: {_seeds(side.left_out_seeds)}."
            for side in (c.a, c.b)
            if side.left_out_seeds
        ),
        f"Left out for both, because not every training has a value: {len(c.exclusions)} structure(s) of cases, each named in "
        "the table 'What was left out of comparisons'."
        if c.exclusions
        else "No case was left out.",
        *c.notes,
    ]
    return " ".join(filter(None, counted))


def _trainings(side: Recipe) -> str:
    if side.ensemble_of > 1:
        return f"{len(side.seeds)} {units(side)} trainings each, {side.name}"
    return f"{len(side.seeds)} trainings of {side.name} ({_seeds(side.seeds)})"


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    in_a_row = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"seeds {seeds[0]} to {seeds[-1]}" if in_a_row else f"seeds {', '.join(map(str, seeds))}"


def _overview(found: Comparisons) -> Markup:
    """Ranks, and all pairs at a glance."""
    parts = [_ranks(found.ranking, found.primary[0].metric)] if found.ranking else []
    rows = [
        (
            f"{c.a.name} minus {c.b.name}",
            short_verdict(c),
            difference_text(c),
            p_value(c.p if c.p_holm is None else c.p_holm),
        )
        for c in found.primary
    ]
    heads = ("Pair", "Verdict", f"{found.primary[0].metric.title}, 95 % interval", "By Holm")
    return joined(*parts, _small_table(heads, rows))


def _ranks(ranking: Ranking, metric: Facts) -> Markup:
    rows = [
        (
            f"{rank.rank.value:.0f} ({rank.rank.low:.0f} to {rank.rank.high:.0f})",
            rank.configuration,
            number(rank.mean, metric, 1),
            percent(rank.first_share),
        )
        for rank in ranking.ranks
    ]
    first = ranking.ranks[0]
    return joined(
        element(
            "p",
            f"{first.configuration} ranks first, and stays first in {percent(first.first_share)} of redrawn studies. Their order "
            f"agrees with this one at Kendall's tau {ranking.agreement:.2f} (1: always the same order).",
        ),
        _small_table(("Rank, 95 %", "Recipe", f"Mean {metric.title}", "First in"), rows),
        how_was_this_computed(methods.RANKING),
    )


def _small_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
            element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows)),
        ),
        class_="scroll fitting",
    )


def _plots(c: Comparison, of_pair: Sequence[Comparison], colour_of: ColourOf) -> Markup:
    same_metric = [each for each in of_pair if each.metric.id == c.metric.id]
    further = {each.metric.id: [o for o in of_pair if o.metric.id == each.metric.id] for each in of_pair[1:]}
    further.pop(c.metric.id, None)
    return joined(
        _further_metrics(list(further.values()), colour_of),
        section(
            "Which cases it helps",
            f"A dot a case, worst for {c.a.name} on the left; its whisker is what single trainings would have shown. Shaded: too "
            "small to matter. A few dots far out: the mean hangs on a few cases. Point at a case to read it.",
            methods.CASE_DIFFERENCES,
            folded_grid([_cases(each, colour_of(each.structure)) for each in same_metric]),
        ),
        section(
            "What the usual tests make of it",
            "Grey: pairs of equal trainings; it should run along the dashed line, with 5 % of pairs in the shaded part. Coloured: "
            "pairs with one training of each recipe. Where the two run close, a 'significant' p says little about the recipes.",
            methods.FALSE_ALARM_MAP,
            grid([element("figure", false_alarm_map(t.name, t.within_p, t.between_p)) for t in c.usual]),
        ),
        section(
            "Where the differences come from",
            "How much of the spread of single scores is the patient, the recipe on that patient, the training's luck, and the rest.",
            methods.VARIANCE_PARTS,
            folded_grid([_variance(each, colour_of(each.structure)) for each in same_metric if each.variance]),
        ),
        power_of_comparison(c, colour_of(c.structure)),
    )


def _further_metrics(metrics: Sequence[Sequence[Comparison]], colour_of: ColourOf) -> Markup:
    if not metrics:
        return Markup()
    panels = [
        element("figure", element("h4", _forest_title(of_metric[0])), structure_forest(of_metric, colour_of))
        for of_metric in metrics
    ]
    return section(
        "The same in further metrics",
        "Right is better for the first recipe, also for distances. Shaded: too small to matter.",
        methods.STRUCTURE_FOREST,
        grid(panels),
    )


def _cases(c: Comparison, colour: str) -> Markup:
    return panel(c.structure, colour, case_differences(c, colour))


def _variance(c: Comparison, colour: str) -> Markup:
    return panel(c.structure, colour, variance_bars(c.variance, c.structure))
