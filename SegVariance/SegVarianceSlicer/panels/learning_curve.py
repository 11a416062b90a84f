"""The learning curve of a source over both trainings from scratch, painted on white."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import qt

from SegVarianceLib.plan.transfer import SCRATCH, SCRATCH_TARGET
from SegVarianceLib.report.svg import Scale

from ..state_transfer import Curve

_WIDTH, _LEGEND_ROW, _PLOT = 420, 17, 170
_LEFT, _RIGHT, _AXIS = 40, _WIDTH - 24, 40
_APART = 4
"""Pixels by which curves stand beside each other, so that their intervals can be told apart."""
_INK, _QUIET, _GRID, _SOURCE, _SCRATCH = (27, 36, 48), (92, 104, 117), (217, 223, 230), (0, 103, 165), (140, 150, 160)
_FROM_LEFT, _CENTRED = 0x81, 0x84
"""Qt::AlignLeft and AlignHCenter with AlignVCenter; the names moved between Qt 5 and 6."""


def learning_curve_picture(curves: Sequence[Curve]) -> Any:
    """QPixmap: Dice upwards, the number of target cases to the right on a logarithmic scale; a line beside a point is its interval."""
    top = _LEGEND_ROW * len(curves) + 12
    bottom = top + _PLOT
    picture = qt.QPixmap(_WIDTH, bottom + _AXIS)
    picture.fill(qt.QColor(255, 255, 255))
    numbers = sorted({point.cases for curve in curves for point in curve.points})
    low, high = math.log(numbers[0]), math.log(numbers[-1])
    low, high = (low, high) if high > low else (low - 1, low + 1)
    x = Scale(low, high, left=_LEFT + 16, right=_RIGHT - 8)
    ends = [end for curve in curves for point in curve.points for end in (point.low, point.high)]
    y = Scale.around(ends, left=bottom, right=top)
    paint = qt.QPainter(picture)
    try:
        _frame(paint, x, y, numbers, bottom)
        for row, curve in enumerate(reversed(curves)):
            _legend(paint, curve, row)
        for number, curve in enumerate(curves):
            _curve(paint, curve, x, y, _APART * (number - (len(curves) - 1) / 2))
    finally:
        paint.end()  # a painter that is left open makes Qt crash
    return picture


def _frame(paint: Any, x: Scale, y: Scale, numbers: Sequence[int], bottom: int) -> None:
    for dice, said in y.labelled_ticks():
        _line(paint, (_LEFT, y(dice), _RIGHT, y(dice)), _pen(_GRID, 1))
        _words(paint, (0, y(dice) - 8, _LEFT - 4, 16), _CENTRED, said, _QUIET)
    _line(paint, (_LEFT, bottom, _RIGHT, bottom), _pen(_QUIET, 1))
    for cases in numbers:
        _words(paint, (x(math.log(cases)) - 20, bottom + 4, 40, 15), _CENTRED, str(cases), _QUIET)
    _words(paint, (_LEFT, bottom + 20, _RIGHT - _LEFT, 17), _CENTRED, "target cases (upwards: Dice)", _INK)


def _legend(paint: Any, curve: Curve, row: int) -> None:
    middle = _LEGEND_ROW * row + 10
    _line(paint, (_LEFT, middle, _LEFT + 26, middle), _pen_of(curve))
    _words(paint, (_LEFT + 34, middle - 8, _WIDTH - _LEFT - 34, 16), _FROM_LEFT, curve.title, _INK)


def _curve(paint: Any, curve: Curve, x: Scale, y: Scale, shift: float) -> None:
    colour = _SCRATCH if curve.name in SCRATCH else _SOURCE
    places = [(x(math.log(point.cases)) + shift, point) for point in curve.points]
    for (left, before), (right, after) in pairwise(places):
        _line(paint, (left, y(before.mean), right, y(after.mean)), _pen_of(curve))
    for place, point in places:
        _line(paint, (place, y(point.low), place, y(point.high)), _pen(colour, 2))
        paint.fillRect(round(place) - 3, round(y(point.mean)) - 3, 7, 7, qt.QColor(*colour))


def _pen_of(curve: Curve) -> Any:
    pen = _pen(_SCRATCH if curve.name in SCRATCH else _SOURCE, 2)
    if curve.name == SCRATCH_TARGET:
        pen.setStyle(qt.Qt.DashLine)
    return pen


def _pen(colour: tuple[int, int, int], width: int) -> Any:
    pen = qt.QPen(qt.QColor(*colour))
    pen.setWidth(width)
    return pen


def _line(paint: Any, ends: tuple[float, float, float, float], pen: Any) -> None:
    paint.setPen(pen)
    paint.drawLine(*map(round, ends))


def _words(
    paint: Any, place: tuple[float, float, float, float], flags: int, words: str, colour: tuple[int, int, int]
) -> None:
    paint.setPen(qt.QColor(*colour))
    paint.drawText(*map(round, place), flags, words)
