"""The false-alarm map: p values of pairs of equal trainings beside those of pairs of different recipes."""

from __future__ import annotations

import numpy as np

from ..stats.tests import SIGNIFICANCE_LEVEL
from ..stats.verdict import percent
from .markup import Markup, element
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, box, dot, figure, label, line, upright_axis

_LEFT, _TOP, _BOTTOM = 44.0, 10.0, 220.0
_MOST_STEPS = 200
_LINE_HEIGHT = 17.0


def false_alarm_map(test: str, equal: np.ndarray, different: np.ndarray | None) -> Markup:
    """Share of pairs with at most that p, by p: ``equal`` and ``different`` are p values [pair] of both kinds of pairs."""
    x, y = Scale(0.0, 1.0, left=_LEFT), Scale(0.0, 1.0, left=_BOTTOM, right=_TOP)
    curves = [("equal trainings", "grey-curve", equal)]
    if different is not None:
        curves.append(("different recipes", "curve", different))
    shares = [float((p < SIGNIFICANCE_LEVEL).mean()) for _, _, p in curves]
    parts = [
        line(x(0), y(0), x(1), y(1), "luck-line"),
        box(x(0), _TOP, x(SIGNIFICANCE_LEVEL), _BOTTOM, "zone", "p < 0.05: called 'significantly' different"),
        *(element("path", d=_steps(p, x, y), class_=class_) for _, class_, p in curves),
    ]
    for row, ((what, class_, p), share) in enumerate(zip(curves, shares, strict=True)):
        tip = f"{test}: {percent(share)} of {len(p)} pairs of {what} have p < 0.05"
        height = _BOTTOM - 12 - _LINE_HEIGHT * (len(curves) - 1 - row)
        parts += [
            dot(x(SIGNIFICANCE_LEVEL), y(share), 5.0, f"{class_} point", tip),
            dot(x(0.34), height - 4, 5.0, f"{class_} point"),
            label(f"{percent(share)} of {what}", x(0.34) + 10, height, "start", "strong halo"),
        ]
    parts.append(label("p < 0.05 in", x(0.34) - 5, _BOTTOM - 12 - _LINE_HEIGHT * len(curves), "start", "quiet halo"))
    ticks = [(SIGNIFICANCE_LEVEL, "0.05"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")]
    upright = upright_axis(y, _LEFT, [(v, percent(v)) for v in (0, 0.25, 0.5, 0.75, 1)])
    below = axis(x, _BOTTOM, ticks, f"p, {test}")
    return figure([*parts, upright, below], _BOTTOM + AXIS_HEIGHT, f"p values of pairs of trainings, {test}", "s0")


def _steps(p: np.ndarray, x: Scale, y: Scale) -> str:
    """The empirical distribution as a path, thinned where more steps than can be seen."""
    ordered = np.sort(p)
    shown = np.unique(np.linspace(0, len(ordered) - 1, min(_MOST_STEPS, len(ordered))).round().astype(int))
    steps = "".join(f"H{x(ordered[i]):.1f}V{y((i + 1) / len(ordered)):.1f}" for i in shown)
    return f"M{x(0):.1f} {y(0):.1f}{steps}H{WIDTH - 14:g}"
