"""The parts of the page that speak: findings first, then each plot with how to read it and how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..stats.score_cube import higher_is_better
from ..stats.seed_matrix import FOREGROUND_MEAN
from ..stats.seed_study import SeedStudy
from ..stats.verdict import (
    amount,
    best_seed_sentence,
    ensemble_sentences,
    findings,
    number,
    percent,
    random_pair_sentence,
    range_sentence,
)
from .heat_map import heat_map
from .markup import Markup, element, joined
from .plots import best_share_beside_selection, caterpillar, ensembles_beside_seeds, variance_bars
from .style import STRUCTURE_COLOURS

ColourOf = Callable[[str], str]

_OPEN_HEAT_MAPS = 4


def colours(structures: Sequence[str]) -> ColourOf:
    """The class of a structure's colour, the same in every plot and picture."""
    classes = {name: f"s{i % STRUCTURE_COLOURS}" for i, name in enumerate(structures)}
    classes[FOREGROUND_MEAN] = "mean"
    return lambda structure: classes.get(structure, "mean")


def headline(studies: Sequence[SeedStudy]) -> Markup:
    """What matters, with its number, from the first study of a configuration (the foreground mean where there is one)."""
    study = studies[0]
    best = percent(study.paired_t.best_beats)
    cards = [
        _card(
            percent(study.paired_t.random_pairs),
            "of pairs of equal trainings called different",
            random_pair_sentence(study),
        ),
        _card(
            f"{best} vs {percent(study.selection_alone.mean)}",
            "of siblings beaten by the best seed; by picking alone",
            best_seed_sentence(study),
        ),
        _card(
            f"{number(study.lowest, study.metric)}–{amount(study.highest, study.metric)}",
            f"{study.metric.title} depending on the seed alone",
            range_sentence(study),
        ),
    ]
    if study.ensembles:
        # The first one, declared beforehand by the order of rules: showing the best of several would be picking again.
        gain = study.ensembles[0]
        better = gain.difference > 0 if higher_is_better(study.metric) else gain.difference < 0
        cards.append(
            _card(
                f"{'+' if gain.difference >= 0 else '−'}{amount(abs(gain.difference), study.metric, 1)}",
                f"{'gain' if better else 'no gain'} of the ensemble over a single training",
                ensemble_sentences(study)[0],
            )
        )
    return joined(element("div", *cards, class_="cards"), _left_out(study))


def _left_out(study: SeedStudy) -> Markup:
    """Nothing where every seed has a value for everything."""
    sentences = []
    if study.left_out_seeds:
        sentences.append(
            f"Seeds left out, because they lack cases and keeping them would cost more: "
            f"{', '.join(map(str, study.left_out_seeds))}."
        )
    if study.incomplete_seeds:
        sentences.append(f"Seeds that lack cases: {', '.join(map(str, study.incomplete_seeds))}.")
    if study.exclusions:
        what = "1 structure of a case" if len(study.exclusions) == 1 else f"{len(study.exclusions)} structures of cases"
        sentences.append(
            f"Left out for all seeds, because not every seed has a value: {what}; {len(study.cases)} cases count. "
            "Each is named in the table 'What was left out'."
        )
    return element("p", " ".join(sentences), class_="warning") if sentences else Markup()


def _card(figure: str, what: str, sentence: str) -> Markup:
    return element(
        "div",
        element("div", figure, class_="number"),
        element("div", what, class_="what"),
        element("p", sentence),
        class_="card",
    )


def plot_sections(studies: Sequence[SeedStudy], colour_of: ColourOf) -> Markup:
    """All plots of one configuration's primary metric."""
    k, n = len(studies[0].seeds), len(studies[0].cases)
    found = [
        element(
            "div", element("h4", s.structure, class_=colour_of(s.structure)), *(element("p", f) for f in findings(s))
        )
        for s in studies
    ]
    sections = [
        element("details", element("summary", "Every finding in words, for each structure"), *found),
        _section(
            "Each seed's mean",
            "Each dot is one training; only its seed differs. Thin line: where the mean could lie had other patients been "
            "tested. Thick line: what is left when the same patients are compared. Shaded: where the best of "
            f"{k} would land by luck alone if seeds made no difference.",
            "Mean over cases; thin line: 95 % t interval over cases. Thick line: 95 % interval from the residual of a two-way "
            "analysis of variance (seed, case). Band: 5 to 95 % range of the largest of k normal numbers times the residual's "
            "standard error of a mean; dashed: its expectation m_k.",
            _grid(studies, colour_of, caterpillar),
        ),
        _section(
            "Is the best seed really better?",
            "Coloured: the share of other seeds that the best one beats with p < 0.05. Grey: what picking the best would give "
            "even if all seeds were equally good. A coloured bar inside the whisker is no evidence for a better seed.",
            f"Paired t-test over {n} cases, the best seed by its mean against each other seed, not corrected (with Holm's "
            "correction and Wilcoxon's test in the tables). Grey: 10 000 simulated studies with as many seeds and cases, "
            "normal residuals and no seed effect; the whisker holds 90 % of them. Design: Åkesson, Töger, Heiberg 2024.",
            element("figure", best_share_beside_selection(studies, colour_of)),
        ),
        _section(
            "Which cases are hard, and for which seed",
            "Each column is a case, hardest on the left, each row a seed, best on top. Vertical stripes: the case matters more "
            "than the seed. A single dark cell: one training failed where others did not. Point at a cell to read it.",
            "The colours span the 2nd to 98th percentile of the scores of that structure.",
            _heat_maps(studies, colour_of),
        ),
    ]
    if any(study.ensembles for study in studies):
        sections.append(
            _section(
                "Ensembles beside single trainings",
                "Dots: single trainings. Diamonds: what they give together. The number is the gain over the average single training.",
                "Means on the cases that the ensemble and every seed have. The gain has no interval here: it is a point estimate.",
                _grid([study for study in studies if study.ensembles], colour_of, ensembles_beside_seeds),
            )
        )
    if any(study.variance for study in studies):
        sections.append(
            _section(
                "Where the differences come from",
                "How much of the spread of single scores is the patient, the seed's general effect, and the rest "
                "(chance that concerns one seed on one patient).",
                "Two-way random-effects analysis of variance with one score a cell; point estimates by the method of moments.",
                element("figure", variance_bars(studies)),
            )
        )
    return joined(*sections)


def _grid(studies: Sequence[SeedStudy], colour_of: ColourOf, plot: Callable[[SeedStudy, str], Markup]) -> Markup:
    return element(
        "div",
        *(
            element(
                "figure",
                element("h4", study.structure, class_=colour_of(study.structure)),
                plot(study, colour_of(study.structure)),
            )
            for study in studies
        ),
        class_="grid",
    )


def _heat_maps(studies: Sequence[SeedStudy], colour_of: ColourOf) -> Markup:
    maps = [heat_map(study, colour_of(study.structure)) for study in studies]
    rest = maps[_OPEN_HEAT_MAPS:]
    folded = element("details", element("summary", f"{len(rest)} more structures"), *rest) if rest else Markup()
    return element("figure", *maps[:_OPEN_HEAT_MAPS], folded)


def _section(title: str, how_to_read: str, method: str, content: Markup) -> Markup:
    return element(
        "section",
        element("h3", title),
        element("p", how_to_read, class_="read"),
        content,
        element("details", element("summary", "How was this computed?"), element("p", method)),
    )
