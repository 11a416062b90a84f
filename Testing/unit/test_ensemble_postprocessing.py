from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import Structure
from SegVarianceLib.dataset.image_io import find_images, read_label_map, write_label_map
from SegVarianceLib.ensemble.clean_up import CleanUpStep, clean_folder
from SegVarianceLib.ensemble.components import Runs, connect
from SegVarianceLib.ensemble.postprocessing import (
    CLEAN_UP,
    Removed,
    fill_holes,
    keep_largest,
    keep_largest_foreground,
    minimum_size,
)

LIVER, LESION = Structure("liver", (1,)), Structure("lesion", (2,))
GEOMETRY = Geometry((12, 10, 8), (1.0, 1.0, 2.0), (5.0, -3.0, 40.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


LARGEST_LIVER = CleanUpStep("keep_largest", ("liver",))


def small_lesions(minimum_mm3: float) -> CleanUpStep:
    return CleanUpStep("minimum_size", ("lesion",), {"minimum_mm3": minimum_mm3})


def liver_and_islands() -> np.ndarray:
    """A liver of 64 voxels, liver islands of 1 and 4 voxels, a lesion of 8 and one of 2."""
    label_map = np.zeros((8, 10, 12), dtype=np.uint8)
    label_map[2:6, 2:6, 2:6] = 1
    label_map[0, 0, 11] = 1
    label_map[7, 8:10, 8:10] = 1
    label_map[2:4, 2:4, 8:10] = 2
    label_map[7, 0, 0:2] = 2
    return label_map


def components_by_flood(mask: np.ndarray) -> list[set[tuple[int, ...]]]:
    waiting = set(map(tuple, np.argwhere(mask).tolist()))
    found = []
    while waiting:
        component, border = set(), {min(waiting)}
        while border:
            component |= border
            waiting -= border
            border = {
                w for w in waiting if any(max(abs(a - b) for a, b in zip(w, v, strict=True)) == 1 for v in border)
            }
        found.append(component)
    return found


def test_islands_of_the_chosen_structure_become_background_and_are_listed():
    label_map = liver_and_islands()
    cleaned = keep_largest(label_map, [LIVER], voxel_volume_mm3=2.0)
    assert cleaned.removed == [
        Removed("liver", 1, 0, 0.002, 1, (0, 0, 11)),
        Removed("liver", 1, 0, 0.008, 4, (7, 8, 8)),
    ]
    assert [(cleaned.label_map == value).sum() for value in (1, 2)] == [64, 10]
    assert cleaned.label_map[0, 0, 11] == 0
    np.testing.assert_array_equal(label_map, liver_and_islands())


def test_a_component_of_exactly_the_minimum_stays():
    voxel_volume_mm3 = 0.1
    counts = {
        minimum: (minimum_size(liver_and_islands(), [LIVER], voxel_volume_mm3, minimum).label_map == 1).sum()
        for minimum in (0.0, 0.1, 0.4, 0.41, 6.4, 6.5)
    }
    assert counts == {0.0: 69, 0.1: 69, 0.4: 68, 0.41: 64, 6.4: 64, 6.5: 0}


def test_three_voxels_of_seven_tenths_are_two_and_a_tenth_whatever_the_last_bit_says():
    assert 2.1 / 0.7 > 3
    label_map = np.zeros((1, 1, 12), dtype=np.uint8)
    label_map[..., :3] = 1
    assert minimum_size(label_map, [LIVER], 0.7, 2.1).removed == []


def test_voxels_that_touch_at_a_corner_belong_together():
    label_map = np.zeros((4, 4, 4), dtype=np.uint8)
    label_map[0, 0, 0] = label_map[1, 1, 1] = label_map[2, 2, 0] = 1
    assert keep_largest(label_map, [LIVER], 1.0).removed == []


def test_of_two_equal_components_the_first_in_z_y_x_order_stays():
    label_map = np.zeros((5, 5, 5), dtype=np.uint8)
    label_map[4, 0, 0] = label_map[0, 4, 4] = label_map[2, 2, 0] = 1
    assert np.argwhere(keep_largest(label_map, [LIVER], 1.0).label_map).tolist() == [[0, 4, 4]]


def test_a_region_is_cleaned_as_one_body_and_its_island_reports_its_main_label():
    label_map = liver_and_islands()
    label_map[3, 3, 3] = 2
    label_map[7, 8, 8] = 2
    cleaned = keep_largest(label_map, [Structure("organ", (1, 2))], 1000.0)
    assert [(r.value, r.volume_ml) for r in cleaned.removed] == [(1, 1.0), (2, 8.0), (2, 2.0), (1, 4.0)]
    assert cleaned.label_map[3, 3, 3] == 2


def test_the_listed_centre_lies_on_the_component():
    label_map = np.zeros((3, 9, 9), dtype=np.uint8)
    label_map[1, 0:7, 0:7] = 1
    label_map[1, 1:6, 1:6] = 0
    removed = minimum_size(label_map, [LIVER], 1.0, 100.0).removed[0]
    assert label_map[removed.centre_index_zyx] == 1


@given(arrays(np.uint8, (4, 5, 4), elements=st.sampled_from([0, 0, 0, 1])), st.integers(0, 6))
def test_what_stays_and_what_goes_equals_a_flood_fill(label_map, minimum):
    components = components_by_flood(label_map == 1)
    cleaned = minimum_size(label_map, [LIVER], 1.0, float(minimum))
    stays = {voxel for component in components if len(component) >= minimum for voxel in component}
    assert set(map(tuple, np.argwhere(cleaned.label_map).tolist())) == stays
    assert sorted(r.voxels for r in cleaned.removed) == sorted(len(c) for c in components if len(c) < minimum)
    largest = keep_largest(label_map, [LIVER], 1.0)
    assert (largest.label_map == 1).sum() == max((len(component) for component in components), default=0)


def test_cleaning_a_second_time_removes_nothing():
    for step in CLEAN_UP:
        clean, settings = CLEAN_UP.function(step.id), CLEAN_UP.settings(step.id, {})
        label_map = liver_and_islands()
        label_map[3, 3, 3] = 0
        once = clean(label_map, [LIVER, LESION], 2.0, **settings)
        assert once.removed
        assert clean(once.label_map, [LIVER, LESION], 2.0, **settings).removed == []


label_maps = arrays(np.uint8, (4, 5, 4), elements=st.sampled_from([0, 0, 0, 1, 2, 3]))


@given(label_maps, st.sampled_from([6, 26]))
def test_components_of_runs_are_those_of_voxels(label_map, neighbours):
    runs = Runs.of(label_map)
    component = connect(runs, runs.value, neighbours)
    ours = np.full(label_map.shape, -1)
    runs.paint(ours, component)
    structure = ndimage.generate_binary_structure(3, 1 if neighbours == 6 else 3)
    found = [ndimage.label(label_map == value, structure) for value in (1, 2, 3)]
    assert component.max(initial=-1) + 1 == sum(count for _, count in found)
    for labelled, count in found:
        for number in range(1, count + 1):
            assert len(np.unique(ours[labelled == number])) == 1
    first_seen = ours[ours >= 0][np.sort(np.unique(ours[ours >= 0], return_index=True)[1])]
    np.testing.assert_array_equal(first_seen, np.arange(len(first_seen)))  # numbered by their first voxels


@given(
    label_maps,
    st.sampled_from(
        [
            ("keep_largest", {}),
            ("keep_largest", {"becomes": "enclosing"}),
            ("minimum_size", {"minimum_mm3": 3.0}),
            ("minimum_size", {"minimum_mm3": 3.0, "becomes": "enclosing"}),
            ("fill_holes", {}),
        ]
    ),
)
def test_all_structures_at_once_are_one_after_the_other(label_map, step_and_settings):
    step, settings = step_and_settings
    structures = [Structure("inner", (3,)), Structure("both", (2, 3)), Structure("one", (1,))]
    one_by_one, removed = label_map, []
    for structure in structures:
        one_by_one, found = CLEAN_UP.function(step)(one_by_one, [structure], 1.0, **settings)
        removed += found
    together = CLEAN_UP.function(step)(label_map, structures, 1.0, **settings)
    np.testing.assert_array_equal(together.label_map, one_by_one)
    assert together.removed == removed


def test_of_equal_components_all_stay_where_asked_as_in_nnunet():
    label_map = np.zeros((5, 5, 5), dtype=np.uint8)
    label_map[4, 0, 0] = label_map[0, 4, 4] = label_map[2, 2, 0:2] = label_map[0, 0, 0:2] = 1
    assert (keep_largest(label_map, [LIVER], 1.0, ties="all").label_map > 0).sum() == 4
    assert (keep_largest(label_map, [LIVER], 1.0).label_map > 0).sum() == 2


def test_a_core_island_inside_its_oedema_becomes_oedema_where_asked_and_one_outside_background():
    label_map = np.zeros((9, 9, 9), dtype=np.uint8)
    label_map[1:8, 1:8, 1:6] = 2  # oedema
    label_map[2:5, 2:5, 2:4] = 3  # core
    label_map[6, 6, 3] = 3  # its island inside
    label_map[8, 8, 8] = 3  # and outside
    core = Structure("core", (3,))
    cleaned = keep_largest(label_map, [core], 1.0, becomes="enclosing")
    assert (cleaned.label_map[6, 6, 3], cleaned.label_map[8, 8, 8]) == (2, 0)
    assert sorted(r.becomes for r in cleaned.removed) == [0, 2]
    assert keep_largest(label_map, [core], 1.0).label_map[6, 6, 3] == 0  # as nnU-Net: a hole in the whole tumour


def test_the_largest_of_all_together_may_lose_a_structure_that_stands_alone():
    cleaned = keep_largest_foreground(liver_and_islands(), [LIVER, LESION], 1.0)
    assert set(np.unique(cleaned.label_map)) == {0, 1}
    assert {r.structure for r in cleaned.removed} == {"foreground"}


def test_a_cavity_is_filled_and_what_it_holds_stays():
    label_map = np.zeros((8, 8, 8), dtype=np.uint8)
    label_map[1:7, 1:7, 1:7] = 1
    label_map[3:5, 3:5, 3:5] = 0
    label_map[3, 3, 3] = 2  # a lesion in the cavity
    label_map[2, 2, 0:3] = 0  # a channel, open to the outside
    cleaned = fill_holes(label_map, [LIVER, LESION], 1000.0)
    assert cleaned.removed == [Removed("liver", 0, 1, 7.0, 7, (4, 4, 4))]
    assert cleaned.label_map[3, 3, 3] == 2
    assert not cleaned.label_map[2, 2, 0:3].any()


def test_a_hole_of_a_region_gets_the_label_that_touches_it_most():
    label_map = np.full((5, 5, 5), 1, dtype=np.uint8)
    label_map[:, :, 3:] = 2
    label_map[2, 2, 2] = 0  # five faces look at 1, one at 2
    assert fill_holes(label_map, [Structure("organ", (1, 2))], 1.0).label_map[2, 2, 2] == 1
    assert fill_holes(label_map, [Structure("one", (1,))], 1.0).removed == []


@given(arrays(np.uint8, (5, 5, 5), elements=st.sampled_from([0, 1, 1, 1])))
def test_holes_are_those_of_scipy(label_map):
    filled = ndimage.binary_fill_holes(label_map == 1)
    np.testing.assert_array_equal(fill_holes(label_map, [LIVER], 1.0).label_map == 1, filled)


def test_a_folder_is_cleaned_beside_a_list_of_what_went(tmp_path):
    for name in ("x", "y"):
        write_label_map(tmp_path / "in" / f"{name}.nii.gz", liver_and_islands(), GEOMETRY)
    sources = find_images(tmp_path / "in")
    removed = clean_folder([small_lesions(5)], sources, [LESION], tmp_path / "out")
    assert removed["y"] == [Removed("lesion", 2, 0, 0.004, 2, (7, 0, 0))]
    written = find_images(tmp_path / "out")
    assert read_label_map(written["x"]).geometry == read_label_map(sources["x"]).geometry
    assert (read_label_map(written["x"]).array == 2).sum() == 8
    with open(tmp_path / "out" / "removed.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "case": "x",
        "structure": "lesion",
        "value": "2",
        "becomes": "0",
        "volume_ml": "0.004",
        "voxels": "2",
        "centre_z": "7",
        "centre_y": "0",
        "centre_x": "0",
    }
    assert [row["case"] for row in rows] == ["x", "y"]


def test_overwriting_a_source_or_a_twin_and_wrong_settings_are_refused(tmp_path):
    write_label_map(tmp_path / "in" / "x.nii.gz", liver_and_islands(), GEOMETRY)
    sources = find_images(tmp_path / "in")
    with pytest.raises(SegVarianceError, match="overwrite"):
        clean_folder([LARGEST_LIVER], sources, [LIVER], tmp_path / "in")
    with pytest.raises(SegVarianceError, match="one file name"):
        clean_folder([LARGEST_LIVER], {"x": sources["x"], "z": tmp_path / "x.nii.gz"}, [LIVER], tmp_path / "out")
    with pytest.raises(SegVarianceError, match="Minimum size"):
        clean_folder([small_lesions(-1)], sources, [LESION], tmp_path / "out")
    with pytest.raises(SegVarianceError, match="no structure 'lesion'"):
        clean_folder([small_lesions(5)], sources, [LIVER], tmp_path / "out")
    with pytest.raises(SegVarianceError, match="chosen for"):
        clean_folder([LARGEST_LIVER], sources, [LIVER], tmp_path / "out", frozenset({0, 1}))
    assert not (tmp_path / "out").exists()
