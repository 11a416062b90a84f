"""The cells of a transfer study: for each number of target cases the sources, and two trainings from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from .fine_tuning import FineTuning
from .study_plan import Configuration, StudyPlan

SCRATCH_TARGET = "scratch_target"
"""From scratch with the target budget alone: what the source adds if somebody else has paid for it."""

SCRATCH_TOTAL = "scratch_total"
"""From scratch with the target's and the whole source's budget: what the source adds if it is paid for this one training."""

SCRATCH = (SCRATCH_TARGET, SCRATCH_TOTAL)


@dataclass(frozen=True)
class Cell:
    """``source`` is the name of a pretraining, of weights from elsewhere, or one of ``SCRATCH``; ``cases`` of each fold are trained on."""

    configuration: str
    source: str
    cases: int


def cell_name(source: str, cases: int) -> str:
    return f"{source}_{cases}"


def cells_of(plan: StudyPlan) -> tuple[Cell, ...]:
    """All cells in the order of the plan; none where it is no transfer study."""
    found, has_source = [], False
    for each in plan.configurations:
        if isinstance(each, Configuration) and each.training_cases is not None:
            source = each.name.removesuffix(cell_name("", each.training_cases))
            if each.name == cell_name(source, each.training_cases):
                found.append(Cell(each.name, source, each.training_cases))
                has_source |= each.fine_tuning is not None
    return tuple(found) if has_source else ()


def weights_of(plan: StudyPlan) -> dict[str, FineTuning]:
    """The sources of a transfer study that are weights from elsewhere."""
    rules = {cell.source: plan.configuration(cell.configuration) for cell in cells_of(plan)}
    return {
        source: each.fine_tuning
        for source, each in rules.items()
        if isinstance(each, Configuration) and each.fine_tuning and each.fine_tuning.weights
    }
