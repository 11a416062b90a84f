"""Pictures of cases, PNG bytes, outlines and plots: what is drawn is what was measured, the right way round."""

from __future__ import annotations

import base64
import csv
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.report.content import CaseFiles
from SegVarianceLib.report.heat_map import palette
from SegVarianceLib.report.markup import Markup, element
from SegVarianceLib.report.outlines import outline, plane_of, worst_slice
from SegVarianceLib.report.pictures import case_pictures
from SegVarianceLib.report.png import png
from SegVarianceLib.report.svg import Scale
from SegVarianceLib.report.tables import Table, columns, table_csv, table_html

LABELS = LabelSet((Structure("whole", (1, 2)), Structure("core", (2,))))
LPS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def geometry(spacing_mm: tuple[float, float, float] = (1, 1, 1), direction: tuple[float, ...] = LPS) -> Geometry:
    return Geometry((20, 16, 12), spacing_mm, (0.0, 0.0, 0.0), direction)


def case_files(
    folder: Path, grid: Geometry, image: np.ndarray, reference: np.ndarray, prediction: np.ndarray
) -> CaseFiles:
    write_map(folder / "image.nii.gz", image, grid)
    write_label_map(folder / "reference.nii.gz", reference, grid)
    write_label_map(folder / "prediction.nii.gz", prediction, grid)
    return CaseFiles(
        "c", folder / "image.nii.gz", 0, folder / "reference.nii.gz", {"seed_0": folder / "prediction.nii.gz"}
    )


def box(*bounds: tuple[int, int], value: int = 1) -> np.ndarray:
    labels = np.zeros((12, 16, 20), dtype=np.uint8)
    labels[tuple(slice(*bound) for bound in bounds)] = value
    return labels


def embedded_png(markup: str, tmp_path: Path) -> np.ndarray:
    found = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", markup)
    assert found
    (tmp_path / "picture.png").write_bytes(base64.b64decode(found[1]))
    return sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "picture.png"))


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_a_png_holds_the_pixels_it_was_given(pixels: np.ndarray) -> None:
    content = png(pixels)
    width, height = struct.unpack(">II", content[16:24])
    start = content.index(b"IDAT")
    size = struct.unpack(">I", content[start - 4 : start])[0]
    rows = np.frombuffer(zlib.decompress(content[start + 4 : start + 4 + size]), np.uint8).reshape(height, width + 1)
    assert np.array_equal(rows[:, 1:], pixels)


def test_another_reader_sees_the_same_grey_values_and_colours(tmp_path: Path) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    (tmp_path / "grey.png").write_bytes(png(pixels))
    (tmp_path / "colour.png").write_bytes(png(pixels, palette()))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "grey.png")), pixels)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "colour.png"))[..., :3], palette()[pixels])


def test_the_heat_maps_colours_grow_lighter_all_the_way() -> None:
    linear = (palette() / 255.0) ** 2.2
    assert (np.diff(linear @ [0.2126, 0.7152, 0.0722]) >= 0).all()


def edges_of(path: str) -> set[tuple[str, int, int]]:
    """Every unit edge that a path draws: direction, x, y."""
    edges = set()
    for x, y, direction, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", path):
        for step in range(int(length)):
            edges.add((direction, int(x) + step * (direction == "h"), int(y) + step * (direction == "v")))
    return edges


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_an_outline_runs_along_every_edge_between_inside_and_outside_and_no_other(mask: np.ndarray) -> None:
    inside = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    expected = set()
    for y, x in inside:
        expected |= {("h", x, y)} if (y - 1, x) not in inside else set()
        expected |= {("h", x, y + 1)} if (y + 1, x) not in inside else set()
        expected |= {("v", x, y)} if (y, x - 1) not in inside else set()
        expected |= {("v", x + 1, y)} if (y, x + 1) not in inside else set()
    assert edges_of(outline(mask)) == expected


def test_the_worst_slice_has_the_largest_disagreement_and_without_any_the_largest_area() -> None:
    reference = box((2, 8), (4, 8), (4, 8)).astype(bool)
    prediction = reference.copy()
    prediction[5, 4:7, 4:8] = False
    prediction[3, 4, 4] = False
    assert worst_slice(reference, prediction, axis=0) == 5
    reference[6, 0:4, 0:9] = True
    assert worst_slice(reference, reference, axis=0) == 6


@pytest.mark.parametrize(
    ("spacing_mm", "name"),
    [
        ((1, 1, 1), "axial"),
        ((1, 1, 5), "axial"),
        ((1, 5, 1), "coronal"),
        ((5, 1, 1), "sagittal"),
        ((1.2, 1, 1), "axial"),
    ],
)
def test_the_picture_lies_in_the_plane_of_acquisition(spacing_mm: tuple[float, float, float], name: str) -> None:
    assert plane_of(geometry(spacing_mm)).name == name


@pytest.mark.parametrize("direction", [LPS, (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0), (-1.0, 0, 0, 0, 1.0, 0, 0, 0, -1.0)])
@pytest.mark.parametrize(
    "spacing_mm", [(1.0, 1.0, 1.0), (1.0, 4.0, 1.0), (4.0, 1.0, 1.0)], ids=["axial", "coronal", "sagittal"]
)
def test_front_is_on_top_of_an_axial_picture_head_on_top_of_the_others_and_the_patients_right_on_the_left(
    tmp_path: Path, direction: tuple[float, ...], spacing_mm: tuple[float, float, float]
) -> None:
    grid = geometry(spacing_mm, direction)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (12, 16, 20)), indexing="ij"), axis=-1)[..., ::-1]
    left, back, head = np.moveaxis(grid.index_to_lps_mm(index), -1, 0)
    labels = box((3, 9), (4, 12), (5, 15))
    for towards, image in (("left", left), ("back", back), ("head", head)):
        picture = embedded_png(
            case_pictures(case_files(tmp_path, grid, image, labels, labels), LABELS, lambda _: "s0"), tmp_path
        ).astype(int)
        down, rightwards = np.sign(picture[-1, 0] - picture[0, 0]), np.sign(picture[0, -1] - picture[0, 0])
        name = plane_of(grid).name
        assert down == {"axial": {"back": 1}, "coronal": {"head": -1}, "sagittal": {"head": -1}}[name].get(towards, 0)
        assert rightwards == {"axial": {"left": 1}, "coronal": {"left": 1}, "sagittal": {"back": 1}}[name].get(
            towards, 0
        )


def test_a_picture_keeps_the_patients_proportions_and_draws_each_structure_twice(tmp_path: Path) -> None:
    grid = geometry((0.5, 2.0, 2.0))
    reference, prediction = box((3, 9), (4, 12), (5, 15)), box((3, 9), (4, 12), (5, 14))
    reference[5, 6:8, 7:10] = prediction[5, 6:8, 7:8] = 2
    drawn = case_pictures(
        case_files(tmp_path, grid, np.ones((12, 16, 20)), reference, prediction),
        LABELS,
        lambda name: {"whole": "s0", "core": "s1"}[name],
    )
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups())  # type: ignore[union-attr]
    assert (width, height) == (20 * 0.5, 16 * 2.0)
    assert re.findall(r'class="(reference|prediction) (s\d)"', drawn) == [
        *(("reference", "s0"), ("reference", "s1"), ("prediction", "s0"), ("prediction", "s1")),
    ]
    assert "axial slice 6 of 12, where core differs most" in drawn


def test_a_missed_structure_is_pictured_where_the_reference_is_largest(tmp_path: Path) -> None:
    reference = box((3, 9), (4, 12), (5, 15))
    reference[7, 2:14, 3:17] = 1
    drawn = case_pictures(
        case_files(tmp_path, geometry(), np.ones((12, 16, 20)), reference, 0 * reference), LABELS, lambda _: "s0"
    )
    assert "axial slice 8 of 12, where whole differs most" in drawn
    assert 'class="prediction' not in drawn


def test_a_large_image_is_cut_to_what_is_outlined_with_a_margin(tmp_path: Path) -> None:
    grid = Geometry((200, 180, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), LPS)
    labels = np.zeros((4, 180, 200), dtype=np.uint8)
    labels[2, 80:100, 90:95] = 1
    drawn = case_pictures(case_files(tmp_path, grid, labels.astype(float), labels, labels), LABELS, lambda _: "s0")
    assert embedded_png(drawn, tmp_path).shape == (20 + 2 * 15, 5 + 2 * 15)


def test_a_prediction_on_another_grid_or_a_channel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    labels = box((3, 9), (4, 12), (5, 15))
    files = case_files(tmp_path, geometry(), np.ones((12, 16, 20)), labels, labels)
    write_label_map(tmp_path / "elsewhere.nii.gz", labels, geometry((2, 2, 2)))
    elsewhere = CaseFiles("c", files.image, 0, files.reference, {"x": tmp_path / "elsewhere.nii.gz"})
    with pytest.raises(SegVarianceError, match="does not lie on the grid"):
        case_pictures(elsewhere, LABELS, lambda _: "s0")
    with pytest.raises(SegVarianceError, match=r"has 1 channel\(s\), channel 2"):
        case_pictures(CaseFiles("c", files.image, 2, None, files.predictions), LABELS, lambda _: "s0")


def test_html_and_csv_show_the_same_rows_and_a_share_is_a_fraction_in_the_csv() -> None:
    table = Table("t", "T", columns("Name", "Count", "Won %"), (("a,b", 3, 0.25), ("<i>", 4, None)))
    assert list(csv.reader(io.StringIO(table_csv(table)))) == [
        *(["Name", "Count", "Won (share)"], ["a,b", "3", "0.25"], ["<i>", "4", ""]),
    ]
    page = table_html(table)
    assert '<td class="n">25.0&nbsp;%</td>' in page
    assert "<td>&lt;i&gt;</td>" in page


def test_attributes_and_children_are_escaped_unless_they_are_markup() -> None:
    made = element("p", "a<b", Markup("<br>"), data_tip='"><x>', class_=None)
    assert made == '<p data-tip="&quot;&gt;&lt;x&gt;">a&lt;b<br></p>'


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e3))
def test_ticks_are_a_few_round_numbers_inside_the_scale(low: float, extent: float) -> None:
    scale = Scale.around([low, low + extent])
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(scale.left - 1e-6 <= scale(tick) <= scale.right + 1e-6 for tick in ticks)
