"""What statistics say, printed for a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from ..stats.comparison import Comparison
from ..stats.comparison_words import comparison_findings, difference_text, short_verdict, units, verdict_title
from ..stats.comparisons import Comparisons
from ..stats.ensemble_size import EnsembleCurve, enough_sentence, gain_sentence
from ..stats.study_statistics import StudyStatistics
from ..stats.verdict import findings, number, percent
from .terminal import out


def print_statistics(found: StudyStatistics, by_structure: bool = False) -> None:
    """Comparisons first where there are any; then each recipe's seeds, by the mean over structures."""
    if found.comparisons is not None:
        print_comparisons(found.comparisons, by_structure)
    curves: dict[str, EnsembleCurve] = {}
    for curve in found.ensemble_curves:
        curves.setdefault(curve.configuration, curve)
    shown = set()
    for study in found.studies.studies:
        if study.configuration not in shown:
            shown.add(study.configuration)
            out.print(f"\n{study.configuration}, {study.structure}", style="bold", markup=False)
            sentences = [*findings(study), *_of_ensembles(curves.get(study.configuration))]
            for sentence in sentences:
                out.print(f"  - {sentence}", markup=False)
    for sentence in dict.fromkeys(found.studies.not_studied):
        out.print(f"  Not studied: {sentence}", markup=False, style="dim")


def _of_ensembles(curve: EnsembleCurve | None) -> tuple[str, ...]:
    return () if curve is None else (gain_sentence(curve, curve.seeds), enough_sentence(curve))


def print_comparisons(found: Comparisons, by_structure: bool) -> None:
    if found.ranking is not None:
        _print_ranking(found)
    for comparison in found.primary:
        _print_comparison(comparison)
        if by_structure:
            pair, metric = (comparison.a.name, comparison.b.name), comparison.metric
            others = [c for c in found.by_structure if (c.a.name, c.b.name) == pair and c.metric == metric]
            _print_structures(comparison, others)
    for sentence in found.not_compared:
        out.print(f"\n{sentence}", markup=False)


def _print_comparison(c: Comparison) -> None:
    folds = {0: "", 1: ", hold-out"}.get(c.folds, f", {c.folds}-fold cross-validation")
    images = f" ({c.images} images)" if c.images != len(c.cases) else ""
    out.print(f"\n{verdict_title(c)}", style="bold", markup=False)
    out.print(
        f"{c.metric.title}, {c.structure}: {c.a.name} {number(c.a.mean, c.metric, 1)} ({len(c.a.seeds)} {units(c.a)}), {c.b.name} "
        f"{number(c.b.mean, c.metric, 1)} ({len(c.b.seeds)} {units(c.b)}), {len(c.cases)} cases{images}{folds}",
        style="dim",
        markup=False,
    )
    for sentence in comparison_findings(c):
        out.print(f"  - {sentence}", markup=False)
    holm = "" if c.p_holm is None else f", {_p(c.p_holm)} after Holm's correction for {c.family} pairs"
    out.print(
        f"  Two-way t: {difference_text(c)}, p {_p(c.p)}{holm}. Exact permutation of seed means: p "
        f"{'not computed' if c.permutation_p is None else _p(c.permutation_p)}.",
        markup=False,
    )
    out.print(f"  Spread of single scores: {_spread(c)}.", markup=False)
    _print_usual(c)
    for sentence in _left_out(c):
        out.print(f"  {sentence}", markup=False)


def _print_usual(c: Comparison) -> None:
    table = Table(box=None, pad_edge=False, title="The usual tests, p < 0.05", title_justify="left", title_style="dim")
    for column in (
        *("", f"calls {c.a.name} better", f"calls {c.b.name} better", "equal trainings called different"),
        *("p of all averaged", "equal halves called different"),
    ):
        table.add_column(escape(column), header_style="dim", overflow="fold")
    for test in c.usual:
        halves = "too few" if test.averaged_false_alarms is None else percent(test.averaged_false_alarms)
        shares = map(percent, (test.first_better, test.second_better, test.false_alarms))
        table.add_row(test.name, *shares, _p(test.averaged_p), halves)
    out.print(table)


def _print_structures(primary: Comparison, others: Sequence[Comparison]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("Structure", primary.a.name, primary.b.name, "Difference (95 %)", "p", "Holm p", "Verdict"):
        table.add_column(escape(column), header_style="dim")
    for c in (primary, *others):
        means = (number(side.mean, c.metric, 1) for side in (c.a, c.b))
        corrected = "" if c is primary or c.p_holm is None else _p(c.p_holm)
        table.add_row(escape(c.structure), *means, difference_text(c), _p(c.p), corrected, escape(short_verdict(c)))
    out.print(table)


def _print_ranking(found: Comparisons) -> None:
    assert found.ranking is not None  # noqa: S101 (for the type checker)
    metric = found.ranking.metric
    table = Table(box=None, pad_edge=False)
    for column in ("Recipe", f"Mean {metric.title}", "Rank", "95 % of redrawn studies", "First in"):
        table.add_column(column, header_style="dim")
    for rank in found.ranking.ranks:
        span = f"{rank.rank.low:.0f} to {rank.rank.high:.0f}"
        table.add_row(
            escape(rank.configuration),
            number(rank.mean, metric, 1),
            f"{rank.rank.value:.0f}",
            span,
            percent(rank.first_share),
        )
    out.print(table)
    out.print(
        f"Kendall's tau between this order and a redrawn one: {found.ranking.agreement:.2f} on average.", style="dim"
    )


def _spread(c: Comparison) -> str:
    return (
        ", ".join(
            f"{part.name} {percent(part.share.value)} ({percent(part.share.low)} to {percent(part.share.high)})"
            for part in c.variance
        )
        or "none"
    )


def _left_out(c: Comparison) -> list[str]:
    """Notes, missing runs, and every exclusion, those of one reason on one line."""
    sentences = [
        f"Left out of {side.name}: seed{'s' * (len(side.left_out_seeds) > 1)} {', '.join(map(str, side.left_out_seeds))}, whose runs are not complete."
        for side in (c.a, c.b)
        if side.left_out_seeds
    ]
    by_reason: dict[str, list[str]] = {}
    for exclusion in c.exclusions:
        by_reason.setdefault(exclusion.reason, []).append(f"{exclusion.case} {exclusion.structure}")
    excluded = [f"Left out ({len(which)}; {reason}): {', '.join(which)}." for reason, which in by_reason.items()]
    return [*c.notes, *sentences, *excluded]


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.3f}"
