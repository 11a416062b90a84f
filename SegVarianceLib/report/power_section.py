"""What it would take to settle a difference, drawn and in words."""

from __future__ import annotations

from dataclasses import replace

from ..stats.comparison import Comparison, Verdict, smallest_difference_of
from ..stats.power_plan import PowerPlan, plan_findings, power_plan
from ..stats.seed_matrix import SeedMatrix
from ..stats.seed_study import SeedStudy
from .layout import fold, grid, section
from .markup import Markup, element
from .power_plot import power_contour

_HOW = (
    "Power is the probability that a true difference of that size is called different (p < 0.05 by the two-way t), with that "
    "many trainings of each recipe and that many cases.",
    "Squared error = 2 seed / k + case difference / n + 2 residual / (k n), its variances from these scores by the method of "
    "moments; averaged over what the test itself would see of its error.",
)


def power_of_comparison(c: Comparison, colour: str) -> Markup:
    arms = ((c.a_values, c.a.name), (c.b_values, c.b.name))
    matrices = [SeedMatrix.of_array(values, name, c.metric.id, c.structure) for values, name in arms]
    settled = (
        ""
        if c.verdict is Verdict.NOT_SETTLED
        else "This comparison is settled; the plan is for a difference as small as d0. "
    )
    return _section(replace(power_plan(matrices, c.smallest_difference), folds=max(1, c.folds)), colour, settled)


def power_of_one(study: SeedStudy, colour: str) -> Markup:
    """As a pilot for a comparison with a recipe that is not there yet."""
    matrix = SeedMatrix.of_array(study.values, study.configuration, study.metric.id, study.structure)
    return _section(power_plan([matrix], smallest_difference_of(study.metric)), colour)


def _section(plan: PowerPlan, colour: str, before: str = "") -> Markup:
    said = [element("p", sentence) for sentence in plan_findings(plan)]
    open_at_first = 2 if len(plan.recipes) > 1 else 3  # of one recipe alone, also that everything is the least needed
    words = element("div", *said[:open_at_first], fold("More on this plan", *said[open_at_first:]), class_="with-words")
    return section(
        "How many trainings and cases it takes",
        f"{before}The stronger a cell's shade, the surer a true difference of "
        f"{plan.difference:g} {plan.metric.unit or plan.metric.title} ({plan.structure}) would be found with that many trainings and "
        "cases. Right of and above the line it is found four times in five. The dot is what is at hand.",
        _HOW,
        grid([element("figure", power_contour(plan, colour)), words]),
    )
