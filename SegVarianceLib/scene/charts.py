"""Scores as a chart of VTK, which a panel or an off-screen picture draws: a strip of points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..core.errors import SegVarianceError
from ..core.files import write_beside_and_rename
from ..evaluation.score_table import Score, ScoreTable
from ..metrics.metric import METRICS
from .colours import Colour

_NEAR = 12.0  # pixels from a point at which a click still means it
_INK = (27, 36, 48)
_BAND = (233, 217, 160)  # the report's colour of what two seeds of one method span
_HALF_STRIP = 0.32
_HALF_BAND = 0.42


class Shown(NamedTuple):
    """What a point of a chart leads to; ``member`` is ``<configuration>/<name>``."""

    case: str
    structure: str
    member: str


class StripChart:
    """Every score of one metric as a point above its structure, members side by side in it, in a vtkChartXY.

    Args:
        chart: made by the caller, for example by ``ctkVTKChartView``; what it shows is replaced.
        colours: of the structures, in the order in which they stand.
        bands: for each structure the values (low, high) that two seeds of one method span; what lies in it may be luck.

    Raises:
        SegVarianceError: the table has no such metric with a value.
    """

    def __init__(
        self,
        chart: Any,
        table: ScoreTable,
        metric: str,
        colours: Mapping[str, Colour],
        bands: Mapping[str, tuple[float, float]] | None = None,
    ):
        self.chart = chart
        scores = [score for score in table.scores if score.metric == metric and score.structure in colours]
        scores = [score for score in scores if score.value is not None]
        if not scores:
            raise SegVarianceError(
                f"There is no {metric} to draw. Score the predictions first, or choose another metric."
            )
        self.shown = tuple(_shown_by(score) for score in scores)
        structures = list(colours)
        members = list(dict.fromkeys(shown.member for shown in self.shown))
        offsets = np.linspace(-_HALF_STRIP, _HALF_STRIP, len(members)) if len(members) > 1 else np.zeros(1)
        self._x = np.array(
            [structures.index(shown.structure) + offsets[members.index(shown.member)] for shown in self.shown]
        )
        self._y = np.array([score.value for score in scores], dtype=float)
        chart.ClearPlots()
        self._draw(structures, colours, bands or {})
        self._scale(structures, metric)

    def nearest(self, x: float, y: float) -> Shown | None:
        """What the point next to a click shows, None where none is within 12 pixels.

        ``x`` and ``y`` are pixels from the lower left corner, as an interactor's GetEventPosition gives them.
        """
        places = [
            _pixels(self.chart.GetAxis(which), values, along)
            for which, values, along in ((vtk.vtkAxis.BOTTOM, self._x, 0), (vtk.vtkAxis.LEFT, self._y, 1))
        ]
        away = np.hypot(places[0] - x, places[1] - y)
        closest = int(away.argmin())
        return self.shown[closest] if away[closest] <= _NEAR else None

    def _draw(
        self, structures: list[str], colours: Mapping[str, Colour], bands: Mapping[str, tuple[float, float]]
    ) -> None:
        for number, structure in enumerate(structures):
            if structure in bands:
                edges = [number - _HALF_BAND, number, number + _HALF_BAND]  # of two points vtkPlotArea draws nothing
                low, high = bands[structure]
                area = self.chart.AddPlot(vtk.vtkChart.AREA)
                area.SetInputData(_table(x=edges, low=[low] * 3, high=[high] * 3))
                for place, column in enumerate(("x", "low", "high")):
                    area.SetInputArray(place, column)
                area.GetBrush().SetColor(*_BAND, 255)
                area.GetPen().SetLineType(vtk.vtkPen.NO_PEN)
        for number, structure in enumerate(structures):
            here = np.array([shown.structure == structure for shown in self.shown])
            if not here.any():
                continue
            points = self.chart.AddPlot(vtk.vtkChart.POINTS)
            points.SetInputData(_table(x=self._x[here], y=self._y[here]), 0, 1)
            points.SetColor(*_dark(colours[structure]), 190)
            points.SetMarkerStyle(vtk.vtkPlotPoints.CIRCLE)
            points.SetMarkerSize(7)
            median = float(np.median(self._y[here]))
            line = self.chart.AddPlot(vtk.vtkChart.LINE)
            line.SetInputData(_table(x=[number - _HALF_BAND, number + _HALF_BAND], y=[median, median]), 0, 1)
            line.SetColor(*_INK, 255)
            line.SetWidth(2)

    def _scale(self, structures: list[str], metric: str) -> None:
        bottom, left = self.chart.GetAxis(vtk.vtkAxis.BOTTOM), self.chart.GetAxis(vtk.vtkAxis.LEFT)
        _name_places(bottom, structures)
        bottom.SetRange(-0.6, len(structures) - 0.4)
        low, high = _range(self._y)
        left.SetRange(low, high)
        left.SetTitle(_title(metric))
        for axis in (bottom, left):
            axis.SetBehavior(vtk.vtkAxis.FIXED)
            axis.GetLabelProperties().SetFontSize(13)
            axis.GetTitleProperties().SetFontSize(14)
        bottom.SetTitle("")
        bottom.SetGridVisible(False)
        left.GetGridPen().SetColor(217, 223, 229)


def write_chart(chart: Any, path: Path, size: tuple[int, int] = (640, 420)) -> None:
    """Draw a chart off-screen on white, ``size`` (width, height) in pixels, and write it as PNG."""
    view = vtk.vtkContextView()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(8)
    window.SetSize(*size)
    view.GetRenderer().SetBackground(1, 1, 1)
    view.GetScene().AddItem(chart)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(grab.GetOutputPort())

    def write(beside: Path) -> None:
        writer.SetFileName(str(beside))
        writer.Write()

    write_beside_and_rename(path, write)
    view.GetScene().RemoveItem(chart)


def _pixels(axis: Any, values: np.ndarray, along: int) -> np.ndarray:
    """Where values stand along an axis, in pixels of the scene."""
    start, end = axis.GetPoint1()[along], axis.GetPoint2()[along]
    low, high = axis.GetMinimum(), axis.GetMaximum()
    return start + (values - low) / (high - low) * (end - start)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Some room around the values; none beyond 1, which no overlap passes."""
    low, high = float(values.min()), float(values.max())
    room = 0.05 * max(high - low, 0.02)
    return low - room, min(high + room, 1.0 + room / 2) if high <= 1 else high + room


def _name_places(axis: Any, names: Sequence[str]) -> None:
    axis.SetCustomTickPositions(_column("places", range(len(names))), _words(names))


def _title(metric: str) -> str:
    """What the catalog calls a metric, with its unit; a metric of somebody else's goes by its id."""
    if metric not in METRICS:
        return metric
    facts = METRICS.facts(metric)
    return f"{facts.title} ({facts.unit})" if facts.unit else facts.title


def _words(names: Iterable[str]) -> Any:
    words = vtk.vtkStringArray()
    for name in names:
        words.InsertNextValue(name)
    return words


def _dark(colour: Colour) -> tuple[int, int, int]:
    """The structure's colour, dark enough for points on white."""
    red, green, blue = (round(200 * part) for part in colour)
    return red, green, blue


def _table(**columns: Sequence[float] | np.ndarray) -> Any:
    table = vtk.vtkTable()
    for name, values in columns.items():
        table.AddColumn(_column(name, values))
    return table


def _column(name: str, values: Sequence[float] | np.ndarray) -> Any:
    column = numpy_to_vtk(np.asarray(values, dtype=float), deep=True)
    column.SetName(name)
    return column


def _shown_by(score: Score) -> Shown:
    return Shown(score.case, score.structure, f"{score.configuration}/{score.member}")
