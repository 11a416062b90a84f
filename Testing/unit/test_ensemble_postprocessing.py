from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import Structure
from SegVarianceLib.dataset.image_io import find_images, read_label_map, write_label_map
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP, Removed, clean_folder, keep_largest, minimum_size

LIVER, LESION = Structure("liver", (1,)), Structure("lesion", (2,))
GEOMETRY = Geometry((12, 10, 8), (1.0, 1.0, 2.0), (5.0, -3.0, 40.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


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
        Removed("liver", 1, 0.002, 1, (0, 0, 11)),
        Removed("liver", 1, 0.008, 4, (7, 8, 8)),
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
        once = clean(liver_and_islands(), [LIVER, LESION], 2.0, **settings)
        assert once.removed
        assert clean(once.label_map, [LIVER, LESION], 2.0, **settings).removed == []


def test_a_folder_is_cleaned_beside_a_list_of_what_went(tmp_path):
    for name in ("x", "y"):
        write_label_map(tmp_path / "in" / f"{name}.nii.gz", liver_and_islands(), GEOMETRY)
    sources = find_images(tmp_path / "in")
    removed = clean_folder("minimum_size", sources, [LESION], tmp_path / "out", {"minimum_mm3": 5})
    assert removed["y"] == [Removed("lesion", 2, 0.004, 2, (7, 0, 0))]
    written = find_images(tmp_path / "out")
    assert read_label_map(written["x"]).geometry == read_label_map(sources["x"]).geometry
    assert (read_label_map(written["x"]).array == 2).sum() == 8
    with open(tmp_path / "out" / "removed.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "case": "x",
        "structure": "lesion",
        "value": "2",
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
        clean_folder("keep_largest", sources, [LIVER], tmp_path / "in")
    with pytest.raises(SegVarianceError, match="one file name"):
        clean_folder("keep_largest", {"x": sources["x"], "z": tmp_path / "x.nii.gz"}, [LIVER], tmp_path / "out")
    with pytest.raises(SegVarianceError, match="Minimum size"):
        clean_folder("minimum_size", sources, [LIVER], tmp_path / "out", {"minimum_mm3": -1})
    assert not (tmp_path / "out").exists()
