"""What averaging k trainings gains, by k."""

from __future__ import annotations

import math

from ..stats.ensemble_size import EnsembleCurve, EnsembleSize
from ..stats.score_cube import higher_is_better
from ..stats.verdict import amount, number
from .markup import Markup, element
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, box, diamond, dot, figure, label, line, upright_axis

_LEFT, _TOP, _BOTTOM = 52.0, 18.0, 190.0


def ensemble_size_curve(curve: EnsembleCurve, colour: str) -> Markup:
    """Gain over a single training (up is better) by number of members, on a logarithmic axis."""
    x = Scale(0.0, math.log(curve.seeds), left=_LEFT + 14, right=WIDTH - 18)
    bounds = [bound for size in curve.sizes for bound in (size.gain.low, size.gain.high)]
    y = Scale.around([0.0, *bounds], left=_BOTTOM, right=_TOP)
    at = [(x(math.log(size.members)), y(size.gain.value)) for size in curve.sizes]
    parts = [
        line(_LEFT, y(0), x.right, y(0), "zero-line"),
        element("path", d="M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in at), class_="curve"),
        *(_size(curve, size, px, y) for size, (px, _) in zip(curve.sizes, at, strict=True)),
        upright_axis(y, _LEFT, y.labelled_ticks()),
        label(f"gain, {curve.metric.unit or curve.metric.title}", 0.0, 10.0, "start", "quiet"),
    ]
    ticks = [(math.log(size.members), str(size.members)) for size in curve.sizes]
    below = axis(x, _BOTTOM, ticks, "trainings averaged")
    name = f"Gain of averaging trainings, {curve.structure}"
    return figure([*parts, below], _BOTTOM + AXIS_HEIGHT, name, colour)


def _size(curve: EnsembleCurve, size: EnsembleSize, x: float, y: Scale) -> Markup:
    enough = size.members == curve.enough and curve.enough < curve.seeds
    trainings = "1 training" if size.members == 1 else f"{size.members} trainings"
    groups = f"{size.groups} groups that share no training" if size.groups > 1 else "one group: for other patients only"
    worse = "" if higher_is_better(curve.metric) else " less"
    tip = (
        f"{trainings}: mean {amount(size.mean.value, curve.metric, 1)}; gain {amount(size.gain.value, curve.metric, 1)}{worse}, "
        f"95 % interval {number(size.gain.low, curve.metric, 1)} to {number(size.gain.high, curve.metric, 1)} ({groups})"
    )
    middle = y(size.gain.value)
    return element(
        "g",
        line(x, y(size.gain.low), x, y(size.gain.high), "span" if size.groups > 1 else "span dashed"),
        diamond(x, middle, 6.5, "mark best") if enough else dot(x, middle, 4.5, "mark"),
        label("enough", x, y(size.gain.high) - 5, "middle", "best") if enough else Markup(),
        box(x - 12, _TOP, x + 12, _BOTTOM, "hit"),
        data_tip=tip if size.members > 1 else f"{trainings}: mean {amount(size.mean.value, curve.metric, 1)}",
    )
