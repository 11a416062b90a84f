"""Plots of two recipes side by side. Right or up is always where the first is better, also for a distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..stats.comparison import Comparison
from ..stats.comparison_words import amount_of_d0, difference_text, short_verdict
from ..stats.intervals import Estimate
from ..stats.score_cube import higher_is_better
from ..stats.seed_matrix import FOREGROUND_MEAN
from ..stats.verdict import amount, number, p_value
from .markup import Markup, element
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, box, diamond, dot, figure, label, line, upright_axis

SPREAD = (0.05, 0.95)
"""Of all pairs of trainings, one of each recipe: the part that a case's whisker spans."""

_ROW = 52.0
_LEFT, _TOP, _BOTTOM = 52.0, 20.0, 210.0
_NAME_LENGTH = 13


def structure_forest(comparisons: Sequence[Comparison], colour_of: Callable[[str], str]) -> Markup:
    """One pair in one metric: the difference of each structure with its 95 % interval, and its verdict."""
    first, bottom = comparisons[0], _ROW * len(comparisons) + 4
    d0 = first.smallest_difference
    x = Scale.around([-d0, d0, *(c.lead.low for c in comparisons), *(c.lead.high for c in comparisons)])
    parts = [
        box(x(-d0), 2, x(d0), bottom, "zone", f"Differences up to {amount_of_d0(first)} do not matter"),
        *(_forest_row(c, colour_of(c.structure), x, _ROW * row) for row, c in enumerate(comparisons)),
        label(f"← {_short(first.b.name)} better", x.left, bottom + 30, "start", "quiet"),
        axis(x, bottom, _unsigned(x), f"{_short(first.a.name)} better →"),
    ]
    name = f"Difference in {first.metric.title} by structure, {first.a.name} against {first.b.name}"
    return figure(parts, bottom + AXIS_HEIGHT, name)


def _forest_row(c: Comparison, colour: str, x: Scale, top: float) -> Markup:
    holm = "" if c.p_holm is None else f" (by Holm {p_value(c.p_holm)})"
    mean = c.structure == FOREGROUND_MEAN
    y = top + 27
    return element(
        "g",
        label(_short(c.structure, 24), x.left, top + 16, "start", "strong" if mean else None),
        label(short_verdict(c, _short(c.leader.name)), x.right, top + 16, "end", "strong"),
        line(x(0), y - 8, x(0), y + 8, "zero-line"),
        line(x(c.lead.low), y, x(c.lead.high), y, "span"),
        diamond(x(c.lead.value), y, 6.5, "mark best") if mean else dot(x(c.lead.value), y, 5.0, "mark"),
        label(difference_text(c), x.left, top + 46, "start", "quiet"),
        box(x.left, top + 2, x.right, top + _ROW, "hit"),
        class_=colour,
        data_tip=f"{c.structure}: {c.a.name} minus {c.b.name} {difference_text(c)}, {p_value(c.p)}{holm}. {short_verdict(c, _short(c.leader.name))}",
    )


def case_differences(c: Comparison, colour: str) -> Markup:
    """A dot a case, by its difference: the means of all trainings; its whisker holds ``SPREAD`` of single pairs of them."""
    sign = 1.0 if higher_is_better(c.metric) else -1.0
    leads = sign * (c.a_values.mean(axis=0) - c.b_values.mean(axis=0))
    pairs = sign * (c.a_values[:, None] - c.b_values[None]).reshape(-1, len(leads))
    low, high = np.quantile(pairs, SPREAD, axis=0)
    d0, order = c.smallest_difference, np.argsort(leads, kind="stable")
    y = Scale.around([-d0, d0, *low, *high], left=_BOTTOM, right=_TOP)
    step = (WIDTH - 14 - _LEFT) / len(order)
    at = _LEFT + step * (np.arange(len(order)) + 0.5)
    whiskers = "".join(f"M{x:.1f} {y(low[i]):.1f}V{y(high[i]):.1f}" for x, i in zip(at, order, strict=True))
    dots = "".join(f"M{x:.1f} {y(leads[i]):.1f}h0" for x, i in zip(at, order, strict=True))
    tips = (_case_tip(c, i, Estimate(leads[i], low[i], high[i])) for i in order)
    parts = [
        box(_LEFT, y(-d0), WIDTH - 14, y(d0), "zone"),
        line(_LEFT, y(0), WIDTH - 14, y(0), "zero-line"),
        element("path", d=whiskers, class_="thin"),
        element("path", d=dots, class_="dots" if len(order) <= 120 else "dots many"),
        *(box(x - step / 2, _TOP, x + step / 2, _BOTTOM, "hit", tip) for x, tip in zip(at, tips, strict=True)),
        upright_axis(y, _LEFT, _unsigned(y)),
        label(f"↑ {_short(c.a.name)} better", 0.0, 10.0, "start", "quiet"),
        label(f"↓ {_short(c.b.name)} better", 0.0, _BOTTOM + 18, "start", "quiet"),
        label(f"{len(order)} cases, by difference", WIDTH - 14, _BOTTOM + 18, "end", "quiet"),
    ]
    return figure(parts, _BOTTOM + 24, f"Difference of each case in {c.metric.title}, {c.structure}", colour)


def _case_tip(c: Comparison, i: int, lead: Estimate) -> str:
    a, b = (number(float(values[:, i].mean()), c.metric) for values in (c.a_values, c.b_values))
    ahead = c.a.name if lead.value >= 0 else c.b.name
    return (
        f"{c.cases[i]}: {c.a.name} {a}, {c.b.name} {b}; {ahead} better by {amount(abs(lead.value), c.metric)} "
        f"({lead.low:+.3f} to {lead.high:+.3f})"
    )


def _unsigned(scale: Scale) -> list[tuple[float, str]]:
    """Tick labels without a sign: the direction is written at the ends."""
    return [(tick, words.lstrip("-")) for tick, words in scale.labelled_ticks()]


def _short(name: str, longest: int = _NAME_LENGTH) -> str:
    """A long name without its middle: recipes that are compared often begin alike."""
    begin = (longest - 1) // 3
    return name if len(name) <= longest else f"{name[:begin]}…{name[begin + 1 - longest :]}"
