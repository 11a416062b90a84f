"""The Dice of every training on what it learns from, step by step, painted on white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

from SegVarianceLib.report.svg import Scale

from ..state_training import RunRow

_WIDTH, _HEIGHT = 420, 150
_LABEL = 80
"""Room for the number under a tick, half of it beyond the last one."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 34, 8, _WIDTH - _LABEL // 2, _HEIGHT - 36
_CENTRED = 0x84
"""Qt::AlignHCenter with AlignVCenter; the names moved between Qt 5 and 6."""
_INK, _GRID, _DONE, _TRAINING = (92, 105, 117), (217, 222, 230), (160, 180, 200), (31, 92, 153)


def curves_picture(runs: Sequence[RunRow]) -> Any:
    """QPixmap: a line a training, those under way on top and darker; Dice from 0 to 1 upwards."""
    picture = qt.QPixmap(_WIDTH, _HEIGHT)
    picture.fill(qt.QColor(255, 255, 255))
    x = Scale(0.0, float(max([run.steps for run in runs], default=1)), left=_LEFT, right=_RIGHT)
    y = Scale(0.0, 1.0, left=_BOTTOM, right=_TOP)
    paint = qt.QPainter(picture)
    try:
        for dice in (0.0, 0.5, 1.0):
            _line(paint, (x.left, y(dice), x.right, y(dice)), _GRID, 1)
            paint.setPen(qt.QColor(*_INK))
            paint.drawText(0, round(y(dice)) - 8, _LEFT - 4, 16, _CENTRED, f"{dice:g}")
        for steps, said in x.labelled_ticks():
            paint.drawText(round(x(steps)) - _LABEL // 2, _BOTTOM + 3, _LABEL, 15, _CENTRED, said)
        paint.drawText(
            _LEFT, _BOTTOM + 17, round(_RIGHT - _LEFT), 17, _CENTRED, "training step (upwards: Dice while training)"
        )
        for run in sorted(runs, key=lambda run: run.state == "training"):
            colour = _TRAINING if run.state == "training" else _DONE
            for (step, dice), (next_step, next_dice) in zip(run.curve, run.curve[1:], strict=False):
                _line(paint, (x(step), y(dice), x(next_step), y(next_dice)), colour, 2)
    finally:
        paint.end()  # a painter that is left open makes Qt crash
    return picture


def _line(paint: Any, ends: tuple[float, float, float, float], colour: tuple[int, int, int], width: int) -> None:
    pen = qt.QPen(qt.QColor(*colour))
    pen.setWidth(width)
    paint.setPen(pen)
    paint.drawLine(*map(round, ends))
