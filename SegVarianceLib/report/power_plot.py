"""Power over trainings x cases: where a difference would be settled, and where the pilot stands."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..stats.power import power
from ..stats.power_plan import PowerPlan
from ..stats.verdict import percent
from .markup import Markup, element, joined
from .svg import AXIS_HEIGHT, Scale, axis, dot, figure, label, line, upright_axis

_LEFT, _TOP, _ROW, _LEGEND = 32.0, 22.0, 15.0, 22.0
_TICKS = (10, 20, 50, 100, 200, 500, 1000)


def power_contour(plan: PowerPlan, colour: str) -> Markup:
    """Cells as dark as their power, the line of the wanted one, the pilot as a dot. Cases on a log axis; seeds row by row.

    A pilot outside the axes stands at their edge; its tooltip tells its true numbers.
    """
    contour = plan.contour
    edges = _edges(np.log(contour.cases))
    bottom = _TOP + _ROW * len(contour.seeds)
    x, y = Scale(edges[0], edges[-1], left=_LEFT), Scale(0, len(contour.seeds), left=bottom, right=_TOP)
    cells = [
        _cell(
            *(x(low), y(row + 1), x(high) - x(low), _ROW, value),
            f"{seeds} seeds, {cases} cases: power {percent(value)}",
        )
        for row, (seeds, values) in enumerate(zip(contour.seeds, contour.power, strict=True))
        for cases, value, (low, high) in zip(contour.cases, values, pairwise(edges), strict=True)
    ]
    parts = [
        label(f"{'trainings' if plan.folds == 1 else 'passes'} of each recipe", 0.0, 12.0, "start", "quiet"),
        *cells,
        *_wanted_line(plan, x, y),
        _at_hand(plan, x, y),
        upright_axis(y, x.left, [(row + 0.5, str(seeds)) for row, seeds in enumerate(contour.seeds)]),
        axis(x, bottom, [(float(np.log(cases)), str(cases)) for cases in _TICKS], "cases"),
        _legend(plan, bottom + AXIS_HEIGHT + 12),
    ]
    what = f"{plan.difference:g} {plan.metric.unit or plan.metric.title}, {plan.structure}"
    return figure(parts, bottom + AXIS_HEIGHT + _LEGEND, f"Power to settle a difference of {what}", colour)


def _wanted_line(plan: PowerPlan, x: Scale, y: Scale) -> list[Markup]:
    """Through the rows that reach the wanted power; below the last of them it runs out to the right. Under it, a paler edge."""
    first_cases = float(plan.contour.cases[0])
    reached = [(row, cases) for row, cases in enumerate(plan.contour.line) if cases is not None]
    inside = [(row, cases) for row, cases in reached if cases > first_cases]
    if not inside:
        return []
    points = [(x(np.log(cases)), y(row + 0.5)) for row, cases in inside]
    (lowest, _), (highest, _) = inside[0], inside[-1]
    if lowest > 0:
        points = [(x.right, y(lowest)), (points[0][0], y(lowest)), *points]
    ends = x.left if highest + 1 < len(plan.contour.seeds) else points[-1][0]
    points = [*points, (points[-1][0], y(highest + 1)), (ends, y(highest + 1))]
    path = "M" + "L".join(f"{across:.1f} {up:.1f}" for across, up in points)
    return [element("path", d=path, class_=class_) for class_ in ("power-edge", "power-line")]


def _at_hand(plan: PowerPlan, x: Scale, y: Scale) -> Markup:
    seeds, rows = plan.contour.seeds, np.arange(len(plan.contour.seeds)) + 0.5
    across = np.clip(np.log(plan.cases), np.log(plan.contour.cases[0]), np.log(plan.contour.cases[-1]))
    up = np.interp(np.mean(plan.seeds), seeds, rows)
    a, b = plan.seeds
    chance = power(plan.pilot, plan.seeds, plan.cases, plan.difference)
    tip = f"At hand: {a if a == b else f'{a} and {b}'} seeds, {plan.cases} cases: power {percent(chance)}"
    return dot(x(float(across)), y(float(up)), 5.0, "power-hand", tip)


def _legend(plan: PowerPlan, y: float) -> Markup:
    """Shades, line and dot in words."""
    shades = [_cell(60.0 + 12 * i, y - 9, 12.0, 10.0, i / 5) for i in range(6)]
    return joined(
        label("power 0", 54.0, y, "end", "quiet"),
        *shades,
        label("100 %", 138.0, y, "start", "quiet"),
        line(188.0, y - 4, 206.0, y - 4, "power-line"),
        label(percent(plan.contour.wanted), 211.0, y, "start", "quiet"),
        dot(256.0, y - 4, 5.0, "power-hand"),
        label("at hand", 266.0, y, "start", "quiet"),
    )


def _cell(x: float, y: float, width: float, height: float, power: float, tip: str | None = None) -> Markup:
    shade = 0.04 + 0.61 * power
    return element("rect", x=x, y=y, width=width, height=height, class_="power-cell", fill_opacity=shade, data_tip=tip)


def _edges(centres: np.ndarray) -> list[float]:
    """Borders of cells around ``centres``: halfway between neighbours, and as far beyond the outermost."""
    middle = (centres[1:] + centres[:-1]) / 2
    return [float(2 * centres[0] - middle[0]), *map(float, middle), float(2 * centres[-1] - middle[-1])]
