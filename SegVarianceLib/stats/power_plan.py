"""A comparison that is still to be made, planned from a pilot of one recipe or of two; and what it says in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from .intervals import CONFIDENCE
from .power import (
    MAX_SEEDS,
    WANTED_POWER,
    Contour,
    ToSettle,
    contour,
    cost,
    detectable_difference,
    equivalence_power,
    pilot_of_one,
    to_settle,
)
from .seed_matrix import Exclusion, SeedMatrix
from .variance_components import PilotVariances, pilot_variances
from .verdict import number, percent


@dataclass(frozen=True)
class PowerPlan:
    """What it takes to settle ``difference``, and what the pilot could settle as it is.

    ``recipes``: the pilot's, one or two; ``seeds``: of both, those of a second recipe that is not there yet being as many.
    ``different``: to find a true difference, ``equivalent``: to show that there is none beyond it.
    """

    recipes: tuple[str, ...]
    metric: Facts
    structure: str
    seeds: tuple[int, int]
    cases: int
    folds: int
    difference: float
    hours_per_training: float | None
    pilot: PilotVariances
    different: ToSettle
    equivalent: ToSettle
    detectable: float
    contour: Contour
    exclusions: tuple[Exclusion, ...]
    left_out_seeds: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        content["metric"] = {"id": self.metric.id, "title": self.metric.title, "unit": self.metric.unit}
        return content


def power_plan(matrices: Sequence[SeedMatrix], difference: float, hours_per_training: float | None = None) -> PowerPlan:
    """Plan from the matrices (at least 2 seeds each) of one recipe, or of two on the same cases.

    Args:
        difference: the smallest that matters, in the metric's unit.

    Raises:
        SegVarianceError: ``difference`` or ``hours_per_training`` is not above 0.
    """
    for name, value in (("smallest difference that matters", difference), ("hours of a training", hours_per_training)):
        if value is not None and not 0 < value < np.inf:
            raise SegVarianceError(f"The {name}: {value:g} was given. Give a number above 0.")
    first = matrices[0]
    pilot = pilot_of_one(first.values) if len(matrices) == 1 else pilot_variances(*(m.values for m in matrices))
    at_hand = (len(first.seeds), len(matrices[-1].seeds))
    cases = len(first.cases)
    return PowerPlan(
        recipes=tuple(matrix.configuration for matrix in matrices),
        metric=first.metric,
        structure=first.structure,
        seeds=at_hand,
        cases=cases,
        folds=len(set(first.folds)),
        difference=difference,
        hours_per_training=hours_per_training,
        pilot=pilot,
        different=to_settle(pilot, *at_hand, cases, difference),
        equivalent=to_settle(pilot, *at_hand, cases, difference, equivalence_power),
        detectable=detectable_difference(pilot, at_hand, cases),
        contour=contour(pilot, difference),
        exclusions=first.exclusions,
        left_out_seeds=tuple(matrix.left_out_seeds for matrix in matrices),
    )


def plan_findings(plan: PowerPlan) -> tuple[str, ...]:
    """The sentences of a plan, most important first."""
    least = (least_sentence(),) if len(plan.recipes) == 1 else ()
    return (
        settle_sentence(plan),
        detectable_sentence(plan),
        *least,
        equivalence_sentence(plan),
        error_sentence(plan),
        pilot_sentence(plan),
    )


def settle_sentence(plan: PowerPlan) -> str:
    need, what = plan.different, f"a difference of {_amount(plan, f'{plan.difference:g}')}"
    wanted = f"with {percent(WANTED_POWER)} power"
    more_cases = f"{need.cases} cases with {_passes(plan, plan.seeds)}"
    if need.seeds is not None:
        other = f" Or {more_cases}." if need.seeds > max(plan.seeds) and need.cases is not None else ""
        return f"To settle {what} {wanted} on these {plan.cases} cases: {_at_least(plan)}{_passes(plan, need.seeds)}.{other}"
    limit = f"On these {plan.cases} cases, not even {MAX_SEEDS} {_trainings(plan)} of each recipe settle {what} {wanted}: the cases are the limit."
    if need.cases is not None:
        return f"{limit} It takes {more_cases}."
    if need.both is not None:
        return f"{limit} It takes both, as {need.both[1]} cases and {_passes(plan, need.both[0])}."
    return f"{limit} Nothing within reach does: ask for a larger difference."


def detectable_sentence(plan: PowerPlan) -> str:
    second = " and as many of a second recipe" if len(plan.recipes) == 1 else ""
    trainings = plan.seeds[0] if second else sum(plan.seeds)
    smallest = _amount(plan, number(plan.detectable, plan.metric, 1))
    return f"With the {trainings} {_trainings(plan)} at hand{second}, the smallest difference that could be settled on these cases is {smallest}."


def least_sentence() -> str:
    return (
        "The pilot has one recipe, so nobody knows yet how much two recipes differ from case to case. It is counted as nothing: "
        "every number here is the least that is needed, and the true one is higher where cases differ."
    )


def equivalence_sentence(plan: PowerPlan) -> str:
    """To show that there is no difference that matters."""
    need, bound = plan.equivalent, _amount(plan, f"{plan.difference:g}")
    what = f"To show that two recipes which do not differ are equivalent within {bound}, with {percent(WANTED_POWER)} power"
    if need.seeds is not None:
        return f"{what}: {_at_least(plan)}{_passes(plan, need.seeds)}."
    if need.cases is not None:
        return f"{what}: {need.cases} cases with {_passes(plan, plan.seeds)}; on these cases alone it cannot be shown."
    if need.both is not None:
        return (
            f"{what}: {need.both[1]} cases and {_passes(plan, need.both[0])}; on these cases alone it cannot be shown."
        )
    return f"{what}: nothing within reach; ask for a wider bound."


def error_sentence(plan: PowerPlan) -> str:
    """The components of variance as standard deviations, and what each makes of the squared error at hand."""
    p, counts = plan.pilot, np.array(plan.seeds)
    parts = np.array(
        [(p.seed / counts).sum(), p.case_difference / plan.cases, (p.residual / counts / plan.cases).sum()]
    )
    shares = [percent(share) for share in parts / parts.sum()] if parts.sum() else ["0 %"] * 3
    spreads = [number(float(np.sqrt(value)), plan.metric, 1) for value in (p.seed, p.residual, p.case_difference)]
    text = (
        f"Where the error comes from (SD, and share of the squared error as the pilot stands): a training's luck in all cases "
        f"{spreads[0]} ({shares[0]}), its luck in a single case {spreads[1]} ({shares[2]})"
    )
    if len(plan.recipes) == 1:
        return f"{text}; how two recipes differ from case to case is not known."
    return f"{text}, how the recipes differ from case to case {spreads[2]} ({shares[1]})."


def pilot_sentence(plan: PowerPlan) -> str:
    """How well the pilot knows the spread between trainings: the upper end of its chi-squared interval."""
    counts = plan.seeds[: len(plan.recipes)]
    freedom = sum(counts) - len(counts)
    factor = float(np.sqrt(freedom / stats.chi2.ppf((1 - CONFIDENCE) / 2, freedom)))
    return (
        f"The pilot knows the spread between trainings from {sum(counts)} of them: the true SD of their means may be up to "
        f"{factor:.1f} times as large (95 % interval). Plan with some reserve."
    )


def _passes(plan: PowerPlan, seeds: int | tuple[int, int]) -> str:
    """``3 trainings of each recipe (6 in all, about 0.2 hours)``"""
    pair = (seeds, seeds) if isinstance(seeds, int) else seeds
    count = (
        f"{pair[0]} {_trainings(plan)} of each recipe"
        if pair[0] == pair[1]
        else (f"{pair[0]} and {pair[1]} {_trainings(plan)} of the recipes")
    )
    needed = cost(sum(pair), 1, plan.folds, plan.hours_per_training)
    trainings = f"{needed.trainings} {'trainings ' if plan.folds > 1 else ''}in all"
    return f"{count} ({trainings}{'' if needed.hours is None else f', about {hours_text(needed.hours)}'})"


def hours_text(hours: float) -> str:
    """With its unit: ``28 s``, ``12 min``, ``3.5 h``, ``240 h``."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"


def _at_least(plan: PowerPlan) -> str:
    return "at least " if len(plan.recipes) == 1 else ""


def _trainings(plan: PowerPlan) -> str:
    return "trainings" if plan.folds == 1 else f"passes of {plan.folds} trainings"


def _amount(plan: PowerPlan, value: str) -> str:
    return f"{value} {plan.metric.unit or plan.metric.title}"
