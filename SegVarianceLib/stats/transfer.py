"""What sources are worth: each cell of a transfer study against both trainings from scratch on as many target cases."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from ..core.errors import SegVarianceError
from ..core.stepwise import result_of
from ..evaluation.score_table import ScoreTable
from ..plan.study_plan import StudyPlan
from ..plan.transfer import SCRATCH, SCRATCH_TARGET, SCRATCH_TOTAL, cell_name, cells_of, weights_of
from .comparison import Comparison, Verdict, corrected
from .comparisons import Comparisons, compare_recipes
from .intervals import Estimate
from .score_cube import ScoreCube, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, matched
from .study_statistics import StudyStatistics, study_statistics
from .two_way import mean_interval

DETECTION = ("lesion_f1", "lesion_sensitivity", "lesion_false_positives")
"""Lesion by lesion: what a prediction found of the reference's components, and what it made up."""

FROM_SCRATCH = "training from scratch"


@dataclass(frozen=True)
class TransferRow:
    """One cell: mean over structures of ``score`` and of ``others`` (by metric, those that are scored), each with its 95 % interval
    for other seeds and cases. The comparisons, in which the source and ``FROM_SCRATCH`` stand by these names, are None for trainings from scratch and where none could be made;
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
    found = study_statistics(table, metric, smallest_difference, recipes=[cells_of(plan)[0].configuration])
    return replace(found, comparisons=result_of(transfer_comparison_steps(table, plan, metric, smallest_difference)))


def transfer_comparison_steps(
    table: ScoreTable, plan: StudyPlan, metric: str, smallest_difference: float | None = None
) -> Generator[float, None, Comparisons]:
    """The comparisons of ``transfer_statistics`` in steps: yields the share that is done."""
    elsewhere = weights_of(plan)
    pairs = [
        (cell.configuration, cell_name(scratch, cell.cases))
        for cell in cells_of(plan)
        for scratch in ((SCRATCH_TARGET,) if cell.source in elsewhere else SCRATCH)
        if cell.source not in SCRATCH
    ]
    asked = table.where(metric=metric)
    primary: list[Comparison] = []
    by_structure: list[Comparison] = []
    sentences: dict[str, None] = {}
    for done, pair in enumerate(pairs):
        yield done / len(pairs)
        made = compare_recipes(asked, pair, metric, smallest_difference)
        primary += made.primary
        by_structure += made.by_structure
        sentences |= dict.fromkeys(made.not_compared)
    return Comparisons(
        tuple(corrected(primary)) if primary else (),
        tuple(corrected(by_structure)) if by_structure else (),
        None,
        tuple(sentences),
    )


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
            _in_plain_names(made.get((cell.configuration, cell_name(scratch, cell.cases))), cell.source)
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


def worth_in_words(rows: Sequence[TransferRow]) -> tuple[str, ...]:
    """What one source is worth by its rows: a sentence for each training from scratch that it was compared with."""
    said = []
    for words, comparisons in (
        ("same target budget", [(row.cases, row.against_target) for row in rows]),
        ("same total budget", [(row.cases, row.against_total) for row in rows]),
    ):
        by_verdict: dict[str, list[int]] = {}
        for cases, comparison in comparisons:
            if comparison is not None:
                by_verdict.setdefault(_verdict_on_a(comparison), []).append(cases)
        if by_verdict:
            found = (f"{verdict} with {_listed(cases)} cases" for verdict, cases in by_verdict.items())
            said.append(f"Against {FROM_SCRATCH}, {words}: {'; '.join(found)}.")
    if not all(row.cost_known for row in rows):
        said.append("What these weights have cost is not known here: there is no comparison at the same total budget.")
    return tuple(said)


def _verdict_on_a(comparison: Comparison) -> str:
    ahead = "better" if comparison.lead.value >= 0 else "worse"
    return {
        Verdict.BETTER: ahead,
        Verdict.MAYBE_TOO_LITTLE: f"{ahead}, maybe by too little to matter",
        Verdict.EQUIVALENT: "equivalent",
        Verdict.NOT_SETTLED: "not settled",
    }[comparison.verdict]


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _in_plain_names(comparison: Comparison | None, source: str) -> Comparison | None:
    """The same comparison, of the source against training from scratch."""
    if comparison is None:
        return None
    a, b = replace(comparison.a, name=source), replace(comparison.b, name=FROM_SCRATCH)
    return replace(comparison, a=a, b=b)


def _mean(table: ScoreTable, configuration: str, metric: str) -> Estimate | None:
    """None where too few seeds or cases are scored for an interval."""
    try:
        cube = ScoreCube.of(table, configuration, metric_of_column(metric))
        structure = FOREGROUND_MEAN if len(cube.structures) > 1 else cube.structures[0]
        (matrix,) = matched([cube], structure, min_seeds=1)
    except SegVarianceError:
        return None
    return mean_interval(matrix.values)
