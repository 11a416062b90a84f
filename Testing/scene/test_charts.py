"""Scores as a chart; a click leads to case, structure and member."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import vtk
from scipy import ndimage

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.scene.charts import StripChart, write_chart
from SegVarianceLib.scene.colours import structure_colours

STRUCTURES = ("necrosis", "edema")
SIZE = (640, 420)


@pytest.fixture
def table():
    """Two structures, three members, four cases; Dice of everything, a distance that is once not defined."""
    scores = []
    for case in range(4):
        for place, structure in enumerate(STRUCTURES):
            for seed in range(3):
                who = ("default", 0, seed, f"seed_{seed}", f"case_{case}", structure)
                scores.append(Score(*who, "dice", round(0.5 + 0.3 * place + 0.04 * case + 0.01 * seed, 3)))
                away = None if (case, seed) == (0, 0) else 3.0 + case
                scores.append(Score(*who, "hd95_mm", away, "" if away else "empty prediction"))
    return ScoreTable(tuple(scores))


@pytest.fixture
def colours():
    return structure_colours(STRUCTURES)


def test_a_point_is_found_by_a_click_and_nothing_beside_it(table, colours, tmp_path):
    chart = vtk.vtkChartXY()
    strip = StripChart(chart, table, "dice", colours)
    path = tmp_path / "strip.png"
    write_chart(chart, path, SIZE)  # axes have their places once they have been drawn
    found = []
    for structure, colour in colours.items():
        on_white = np.array(colour) * 200 * 190 / 255 + 255 - 190
        dots, count = ndimage.label(np.abs(drawn(path) - on_white).max(axis=-1) < 25)
        for row, column in ndimage.center_of_mass(dots > 0, dots, range(1, count + 1)):
            shown = strip.nearest(column + 2, SIZE[1] - 1 - row + 2)
            assert shown.structure == structure
            found.append(shown)
    assert sorted(found) == sorted(strip.shown), "every dot that is drawn is the point that a click on it finds"
    assert strip.nearest(SIZE[0] / 2, SIZE[1] / 2) is None


def drawn(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)


def test_points_and_the_band_of_two_seeds_are_drawn(table, colours, tmp_path):
    def has(path, colour):
        return (np.abs(drawn(path) - np.array(colour)).max(axis=-1) < 12).sum()

    plain, banded = (tmp_path / f"{name}.png" for name in ("plain", "banded"))
    for path, bands in ((plain, None), (banded, {"edema": (0.82, 0.9)})):
        chart = vtk.vtkChartXY()
        StripChart(chart, table, "dice", colours, bands)
        write_chart(chart, path, SIZE)
    assert drawn(plain).shape == (SIZE[1], SIZE[0], 3)
    assert has(plain, (233, 217, 160)) == 0
    assert has(banded, (233, 217, 160)) > 3000
    for colour in colours.values():
        assert has(plain, np.array(colour) * 200 * 190 / 255 + 255 - 190) > 50


def test_a_chart_can_be_drawn_again_with_other_scores(table, colours, tmp_path):
    chart = vtk.vtkChartXY()
    StripChart(chart, table, "dice", colours)
    plots = chart.GetNumberOfPlots()
    again = StripChart(chart, table, "hd95_mm", colours)
    assert chart.GetNumberOfPlots() == plots
    assert len(again.shown) == 22, "what is not defined has no point"


def test_a_metric_without_values_is_refused(table, colours):
    with pytest.raises(SegVarianceError, match="no iou to draw"):
        StripChart(vtk.vtkChartXY(), table, "iou", colours)
