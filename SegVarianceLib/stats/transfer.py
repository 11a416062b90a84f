"""What sources are worth: each cell of a transfer study against both trainings from scratch on as many target cases."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..core.errors import SegVarianceError
from ..evaluation.score_table import ScoreTable
from ..plan.study_plan import StudyPlan
from ..plan.transfer import SCRATCH, SCRATCH_TARGET, SCRATCH_TOTAL, cell_name, cells_of, weights_of
from .comparison import Comparison, corrected
from .comparisons import Comparisons, compare_recipes
from .intervals import Estimate
from .score_cube import ScoreCube, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, matched
from .study_statistics import StudyStatistics, study_statistics
from .two_way import mean_interval

DETECTION = ("lesion_f1", "lesion_sensitivity", "lesion_false_positives")
"""Lesion by lesion: what a prediction found of the reference's components, and what it made up."""


@dataclass(frozen=True)
class TransferRow:
    """One cell: mean over structures of ``score`` and of ``others`` (by metric, those that are scored), each with its 95 % interval
    for other seeds and cases. The comparisons are None for trainings from scratch and where none could be made;
    with ``cost_known`` False, that at equal total budget because nobody here knows what the weights have cost."""

    source: str
    cases: int
    seeds: int
    score: Estimate
    others: dict[str, Estimate]
    against_target: Comparison | None
    against_total: Comparison | None
    cost_known: bool = True


def transfer_statistics(
    table: ScoreTable, plan: StudyPlan, metric: str, smallest_difference: float | None = None
) -> StudyStatistics:
    """The statistics of a study whose questions are known: each source against each training from scratch, at each number of
    target cases, corrected by Holm over all of them; no other pairs. Weights from elsewhere are compared at equal target budget
    alone: what they have cost is not known.

    Raises:
        SegVarianceError: the table has no ``metric``.
    """
    cells, elsewhere = cells_of(plan), weights_of(plan)
    found = study_statistics(table, metric, smallest_difference, recipes=[cells[0].configuration])
    asked = table.where(metric=metric)
    primary: list[Comparison] = []
    by_structure: list[Comparison] = []
    sentences: dict[str, None] = {}
    for cell in cells:
        measures = (SCRATCH_TARGET,) if cell.source in elsewhere else SCRATCH
        for scratch in measures if cell.source not in SCRATCH else ():
            pair = (cell.configuration, cell_name(scratch, cell.cases))
            made = compare_recipes(asked, pair, metric, smallest_difference)
            primary += made.primary
            by_structure += made.by_structure
            sentences |= dict.fromkeys(made.not_compared)
    comparisons = Comparisons(
        tuple(corrected(primary)) if primary else (),
        tuple(corrected(by_structure)) if by_structure else (),
        None,
        tuple(sentences),
    )
    return replace(found, comparisons=comparisons)


def transfer_rows(
    table: ScoreTable, plan: StudyPlan, metric: str, comparisons: Comparisons | None
) -> tuple[TransferRow, ...]:
    """A row for each cell that is scored, in the order of the plan."""
    made = {(c.a.name, c.b.name): c for c in (comparisons.primary if comparisons else ())}
    elsewhere = weights_of(plan)
    rows = []
    for cell in cells_of(plan):
        score = _mean(table, cell.configuration, metric)
        if score is None:
            continue
        against = [
            made.get((cell.configuration, cell_name(scratch, cell.cases)))
            for scratch in (SCRATCH_TARGET, SCRATCH_TOTAL)
        ]
        others = {name: _mean(table, cell.configuration, name) for name in ("iou", *DETECTION)}
        rows.append(
            TransferRow(
                source=cell.source,
                cases=cell.cases,
                seeds=len(plan.seeds),
                score=score,
                others={name: mean for name, mean in others.items() if mean is not None},
                against_target=against[0],
                against_total=against[1],
                cost_known=cell.source not in elsewhere,
            )
        )
    return tuple(rows)


def _mean(table: ScoreTable, configuration: str, metric: str) -> Estimate | None:
    """None where too few seeds or cases are scored for an interval."""
    try:
        cube = ScoreCube.of(table, configuration, metric_of_column(metric))
        structure = FOREGROUND_MEAN if len(cube.structures) > 1 else cube.structures[0]
        (matrix,) = matched([cube], structure, min_seeds=1)
    except SegVarianceError:
        return None
    return mean_interval(matrix.values)
