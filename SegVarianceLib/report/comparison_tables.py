"""The rows of the tables on comparisons and on ensembles of some of the seeds."""

from __future__ import annotations

from collections.abc import Sequence

from ..stats.comparison import Comparison
from ..stats.comparison_words import difference
from ..stats.comparisons import Comparisons
from ..stats.ensemble_size import EnsembleCurve
from .tables import Cell, Table, columns

_PAIR = ("A", "B", "Metric", "Structure")


def comparison_tables(found: Comparisons | None, curves: Sequence[EnsembleCurve]) -> tuple[Table, ...]:
    """All tables on comparisons and ensembles of some of the seeds; some may have no rows."""
    pairs = () if found is None else (*found.primary, *found.by_structure)
    return (_comparisons(pairs), _usual_tests(pairs), _ranks(found), _ensemble_sizes(curves), _left_out(pairs, curves))


def _key(c: Comparison) -> tuple[Cell, ...]:
    unit = f" ({c.metric.unit})" if c.metric.unit else ""
    return c.a.name, c.b.name, c.metric.title + unit, c.structure


def _comparisons(pairs: Sequence[Comparison]) -> Table:
    return Table(
        "comparisons",
        "Comparisons",
        columns(
            *(
                *_PAIR,
                "Seeds A",
                "Seeds B",
                "Cases",
                "Images",
                "Mean A",
                "Mean B",
                "A minus B",
                "95 % low",
                "95 % high",
            ),
            *("p", "p Holm", "Smallest that matters", "Verdict", "Equivalence p", "90 % low", "90 % high"),
            *(
                "A better, once more %",
                "Low %",
                "High %",
                "Cases better %",
                "Cases worse %",
                "Failures A %",
                "Failures B %",
            ),
            *("Permutation p", "Bootstrap low", "Bootstrap high", "New data low", "New data high"),
        ),
        tuple(_comparison_row(c) for c in pairs),
        "A minus B in the metric's own unit, by the two-way t. Holm: the primary question over pairs, all others together. Cases "
        "better: A by more than the smallest difference that matters, one training of each. New data: Nadeau and Bengio.",
    )


def _comparison_row(c: Comparison) -> tuple[Cell, ...]:
    found, narrow, redrawn = difference(c), difference(c, c.equivalence), difference(c, c.redrawn)
    new = None if c.new_training_data is None else difference(c, c.new_training_data.difference)
    wins = c.probability_better
    return (
        *(*_key(c), len(c.a.seeds), len(c.b.seeds), len(c.cases), c.images, c.a.mean, c.b.mean),
        *(found.value, found.low, found.high, c.p, c.p_holm, c.smallest_difference, str(c.verdict)),
        *(c.equivalence_p, narrow.low, narrow.high, wins.value, wins.low, wins.high),
        *(c.cases_better.value, c.cases_worse.value, c.a.failures.value, c.b.failures.value),
        *(c.permutation_p, redrawn.low, redrawn.high, *((new.low, new.high) if new else (None, None))),
    )


def _usual_tests(pairs: Sequence[Comparison]) -> Table:
    return Table(
        "usual_tests",
        "Usual tests over cases, with their false alarms",
        columns(
            *(*_PAIR, "Test", "One training each: A better %", "B better %", "False alarms %"),
            *("Means of all trainings: p", "False alarms of means %"),
        ),
        tuple(
            (
                *(*_key(c), test.name, test.first_better, test.second_better, test.false_alarms),
                *(test.averaged_p, test.averaged_false_alarms),
            )
            for c in pairs
            for test in c.usual
        ),
        "False alarms: share of pairs of equal trainings (of means: of random halves of one recipe's trainings) with p < 0.05.",
    )


def _ranks(found: Comparisons | None) -> Table:
    ranks = found.ranking.ranks if found and found.ranking else ()
    return Table(
        "ranks",
        "Ranks of recipes",
        columns("Recipe", "Mean", "Rank", "95 % low", "95 % high", "First %"),
        tuple((r.configuration, r.mean, r.rank.value, r.rank.low, r.rank.high, r.first_share) for r in ranks),
        "Intervals and the share of first ranks from redrawn studies.",
    )


def _ensemble_sizes(curves: Sequence[EnsembleCurve]) -> Table:
    return Table(
        "ensemble_sizes",
        "Ensembles by size",
        columns(
            *("Configuration", "Metric", "Structure", "Rule", "Members", "Groups", "Cases", "Mean"),
            *("Gain", "95 % low", "95 % high", "Behind all", "90 % low", "90 % high", "Enough"),
        ),
        tuple(
            (
                *(curve.configuration, curve.metric.title, curve.structure, curve.rule),
                *(size.members, size.groups, len(curve.cases), size.mean.value),
                *(size.gain.value, size.gain.low, size.gain.high),
                *(size.behind.value, size.behind.low, size.behind.high, curve.enough),
            )
            for curve in curves
            for size in curve.sizes
        ),
        "Gain over a single training, and what is lost against the ensemble of all; both positive in the direction of better.",
    )


def _left_out(pairs: Sequence[Comparison], curves: Sequence[EnsembleCurve]) -> Table:
    rows = [
        (f"{c.a.name} against {c.b.name}", c.metric.title, e.case, e.structure, e.reason)
        for c in pairs
        for e in c.exclusions
    ]
    rows += [
        (f"ensembles of {curve.configuration}", curve.metric.title, e.case, e.structure, e.reason)
        for curve in curves
        for e in curve.exclusions
    ]
    return Table(
        "left_out_of_comparisons",
        "What was left out of comparisons",
        columns("Comparison", "Metric", "Case", "Structure", "Why"),
        tuple(dict.fromkeys(rows)),
        "A structure of a case counts only if everything that is compared has a value for it.",
    )
