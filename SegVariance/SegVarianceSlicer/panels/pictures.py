"""Charts of the Compare panel, painted on white: trainings as a caterpillar, scores as boxes, shares of the spread as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import qt

from SegVarianceLib.report.svg import Scale
from SegVarianceLib.scene.colours import Colour

from ..state_compare import Box, Caterpillar, CaterpillarRow, VarianceBar

_WIDTH = 370
_NAMES = 104
_ROW = 18
_AXIS = 44
_INK, _QUIET, _LINE, _BAND = (0.11, 0.14, 0.19), (0.36, 0.41, 0.46), (0.85, 0.87, 0.9), (0.91, 0.85, 0.63)
_LEFT, _RIGHT, _MIDDLE = 0x81, 0x82, 0x84
"""Qt::AlignLeft, AlignRight and AlignHCenter, each with AlignVCenter; their names moved between Qt 5 and 6."""


def caterpillar_picture(charts: Sequence[Caterpillar], unit: str) -> Any:
    """QPixmap: the trainings of each recipe below each other on one scale, best first."""
    rows = [row for chart in charts for row in chart.rows]
    ends = [chart.luck_low for chart in charts] + [chart.luck_high for chart in charts]
    x = Scale.around([*ends, *(r.low for r in rows), *(r.high for r in rows)], left=_NAMES, right=_WIDTH - 16)
    heights = [_ROW * (len(chart.rows) + 2) for chart in charts]
    with _painted(sum(heights) + _AXIS) as (picture, paint):
        top = 0
        for chart, height in zip(charts, heights, strict=True):
            _words(paint, (4, top, _WIDTH, _ROW), chart.title, _LEFT, _INK)
            body = top + _ROW, _ROW * len(chart.rows)
            _fill(paint, (x(chart.luck_low), body[0], x(chart.luck_high) - x(chart.luck_low), body[1]), _BAND)
            _line(paint, (x(chart.mean), body[0], x(chart.mean), sum(body)), _QUIET, 1)
            for number, row in enumerate(chart.rows):
                _caterpillar_row(paint, row, x, body[0] + _ROW * number, chart.colour)
            top += height
        _axis(paint, x, top, f"Mean {unit} of each training")
    return picture


def boxes_picture(boxes: Sequence[Box], unit: str) -> Any:
    """QPixmap: a box lying down for each structure and recipe, its band of luck behind it."""
    ends = [*(box.quantiles[0] for box in boxes), *(box.quantiles[-1] for box in boxes)]
    ends += [end for box in boxes if box.band for end in box.band]
    x = Scale.around(ends, left=_NAMES + 36, right=_WIDTH - 16)
    step = 1.8 * _ROW
    bottom = round(step * (boxes[-1].position + 1)) + 4
    with _painted(bottom + _AXIS) as (picture, paint):
        for box in boxes:
            top = step * box.position + 4
            least, low, middle, high, most = map(x, box.quantiles)
            if box.band:
                _fill(paint, (x(box.band[0]), top - 2, x(box.band[1]) - x(box.band[0]), step), _BAND)
            _words(paint, (4, top, _NAMES + 26, step - 4), box.label, _RIGHT, _INK)
            centre = top + (step - 4) / 2
            _line(paint, (least, centre, most, centre), _dark(box.colour), 1)
            _fill(paint, (low, top + 5, max(2.0, high - low), step - 14), box.colour)
            _line(paint, (middle, top + 3, middle, top + step - 8), _INK, 2)
        _axis(paint, x, bottom, f"{unit} of single cases")
    return picture


def variance_picture(bars: Sequence[VarianceBar]) -> Any:
    """QPixmap: a bar for each source of spread, with the ends of its interval."""
    x = Scale(0.0, 1.0, left=_NAMES, right=_WIDTH - 134)
    step = 1.6 * _ROW
    with _painted(round(step * len(bars)) + 8) as (picture, paint):
        for number, bar in enumerate(bars):
            top = step * number + 4
            _words(paint, (4, top, _NAMES - 12, _ROW), bar.label, _RIGHT, _INK)
            _fill(paint, (x(0), top, x(1) - x(0), _ROW), _LINE)
            _fill(paint, (x(0), top, x(bar.share) - x(0), _ROW), (0.38, 0.55, 0.72))
            _line(paint, (x(bar.low), top + _ROW / 2, x(bar.high), top + _ROW / 2), _INK, 1)
            said = f"{100 * bar.share:.0f} % ({100 * bar.low:.0f} to {100 * bar.high:.0f} %)"
            _words(paint, (x(1) + 8, top, 130, _ROW), said, _LEFT, _QUIET)
    return picture


def _caterpillar_row(paint: Any, row: CaterpillarRow, x: Scale, top: float, colour: Colour) -> None:
    y = top + _ROW / 2
    _words(paint, (4, top, _NAMES - 12, _ROW), f"best: {row.label}" if row.is_best else row.label, _RIGHT, _INK)
    _line(paint, (x(row.low), y, x(row.high), y), _dark(colour), 1)
    _line(paint, (x(row.mean - row.margin), y, x(row.mean + row.margin), y), _dark(colour), 4)
    _fill(paint, (x(row.mean) - 4, y - 4, 8, 8), _INK if row.is_best else _dark(colour))


def _axis(paint: Any, x: Scale, top: float, title: str) -> None:
    _line(paint, (x.left, top, x.right, top), _QUIET, 1)
    for value, said in x.labelled_ticks():
        _line(paint, (x(value), top, x(value), top + 4), _QUIET, 1)
        _words(paint, (x(value) - 40, top + 5, 80, 15), said, _MIDDLE, _QUIET)
    _words(paint, (x.left, top + 21, x.right - x.left, 18), title, _MIDDLE, _INK)


@contextmanager
def _painted(height: int) -> Iterator[tuple[Any, Any]]:
    """A white QPixmap and what paints on it; a painter that is left open makes Qt crash."""
    picture = qt.QPixmap(_WIDTH, height)
    picture.fill(qt.QColor(255, 255, 255))
    paint = qt.QPainter(picture)
    try:
        yield picture, paint
    finally:
        paint.end()


def _dark(colour: Colour) -> Colour:
    red, green, blue = (0.7 * part for part in colour)
    return red, green, blue


def _colour(colour: Colour) -> Any:
    return qt.QColor(*(round(255 * part) for part in colour))


def _line(paint: Any, ends: tuple[float, float, float, float], colour: Colour, width: int) -> None:
    pen = qt.QPen(_colour(colour))
    pen.setWidth(width)
    paint.setPen(pen)
    paint.drawLine(*map(round, ends))


def _fill(paint: Any, place: tuple[float, float, float, float], colour: Colour) -> None:
    paint.fillRect(*map(round, place), _colour(colour))


def _words(paint: Any, place: tuple[float, float, float, float], words: str, flags: int, colour: Colour) -> None:
    paint.setPen(_colour(colour))
    paint.drawText(*map(round, place), flags, words)
