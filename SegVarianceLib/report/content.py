"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..core.labels import LabelSet
from ..evaluation.score_table import ScoreTable
from ..stats.comparisons import Comparisons
from ..stats.ensemble_size import EnsembleCurve
from ..stats.failure_prediction import FailurePrediction
from ..stats.score_cube import higher_is_better, metric_of_column
from ..stats.seed_study import SeedStudies
from .adaptation_section import Adaptation
from .transfer_section import Transfer


@dataclass(frozen=True)
class CaseFiles:
    """A case to be pictured: channel ``channel`` of the file ``image``, its reference, and predictions by member label."""

    case: str
    image: Path
    channel: int
    reference: Path | None
    predictions: Mapping[str, Path]


@dataclass(frozen=True)
class ReportContent:
    """``what_was_done`` are (label, text) pairs; ``primary_metric`` is a metric column of the scores.

    ``comparisons`` of recipes come first on the page; ``ensemble_curves`` are those of the primary metric.
    ``pictures`` need ``labels``, which say what the values in the label maps mean.
    """

    title: str
    what_was_done: tuple[tuple[str, str], ...]
    scores: ScoreTable
    studies: SeedStudies
    primary_metric: str
    pictures: tuple[CaseFiles, ...] = ()
    labels: LabelSet | None = None
    comparisons: Comparisons | None = None
    ensemble_curves: tuple[EnsembleCurve, ...] = ()
    failure_predictions: tuple[FailurePrediction, ...] = ()
    transfer: Transfer | None = None
    adaptation: Adaptation | None = None


def worst_cases(scores: ScoreTable, metric: str, count: int) -> tuple[str, ...]:
    """The ``count`` cases with the worst mean of all their values of ``metric``, worst first: those worth a picture."""
    values: dict[str, list[float]] = {}
    for score in scores.scores:
        if score.metric == metric and score.value is not None:
            values.setdefault(score.case, []).append(score.value)
    sign = 1 if higher_is_better(metric_of_column(metric)) else -1
    return tuple(sorted(values, key=lambda case: (sign * sum(values[case]) / len(values[case]), case))[:count])
