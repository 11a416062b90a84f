"""Everything that can be said about a table of scores: each recipe's seeds, its ensembles, and recipes against each other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import SegVarianceError
from ..core.stepwise import result_of, within
from ..evaluation.score_table import ScoreTable
from .comparisons import Comparisons, comparison_steps, recipes_of
from .ensemble_size import EnsembleCurve, ensemble_curves
from .seed_study import SeedStudies, seed_study_steps

_SHARE_OF_PAIRS = 0.9
"""Of the time that all takes, where recipes are compared: measured on 2 recipes x 24 structures x 4 metrics."""


@dataclass(frozen=True)
class StudyStatistics:
    """``comparisons`` is None with a single recipe; ``studies.not_studied`` says in sentences whatever could not be made."""

    studies: SeedStudies
    ensemble_curves: tuple[EnsembleCurve, ...]
    comparisons: Comparisons | None

    def to_json(self) -> dict[str, Any]:
        return self.studies.to_json() | {
            "ensemble_sizes": [curve.to_json() for curve in self.ensemble_curves],
            "comparisons": None if self.comparisons is None else self.comparisons.to_json(),
        }


def study_statistics(
    table: ScoreTable,
    primary_metric: str,
    smallest_difference: float | None = None,
    recipes: Sequence[str] = (),
) -> StudyStatistics:
    """All statistics of ``table``; comparisons of ``recipes`` (default: all that the table holds) by ``primary_metric`` first, then by every other metric it holds.

    Raises:
        SegVarianceError: the table has no ``primary_metric``.
    """
    return result_of(statistics_steps(table, primary_metric, smallest_difference, recipes))


def statistics_steps(
    table: ScoreTable,
    primary_metric: str,
    smallest_difference: float | None = None,
    recipes: Sequence[str] = (),
) -> Generator[float, None, StudyStatistics]:
    """``study_statistics`` in small steps: yields the share that is done, so that a window can stay awake or stop it."""
    metrics = table.unique("metric")
    if primary_metric not in metrics:
        raise SegVarianceError(f"The scores hold no {primary_metric!r}. They hold: {', '.join(metrics)}.")
    curves, not_made = ensemble_curves(table, primary_metric, smallest_difference)
    recipes, comparisons = recipes or recipes_of(table), None
    of_pairs = _SHARE_OF_PAIRS if len(recipes) > 1 else 0.0
    if len(recipes) > 1:
        pairs = comparison_steps(table, recipes, primary_metric, smallest_difference, further_metrics=metrics)
        try:
            comparisons = yield from within(pairs, 0.0, of_pairs)
        except SegVarianceError as error:  # one training each, for example; the seeds' figures still stand
            not_made = (*not_made, str(error))
    studies = yield from within(seed_study_steps(table), of_pairs, 1.0)
    studies = replace(studies, not_studied=(*studies.not_studied, *not_made))
    return StudyStatistics(studies, curves, comparisons)
