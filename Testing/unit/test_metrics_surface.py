"""Crafted surfaces whose areas follow by hand.

A voxel cube of edge n has 6 flat sides of (n - 1)^2 full cells, 12 edges of n - 1 cells that the contour cuts off in a
quadrilateral of sqrt(2)/2, and 8 corners of one triangle, sqrt(3)/8.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.metrics.surface import (
    Surface,
    SurfaceDistances,
    cell_areas_mm2,
    surface,
    surface_distances,
    surfaces,
)

UNIT = (1.0, 1.0, 1.0)
CORNER = math.sqrt(3) / 8
EDGE = math.sqrt(2) / 2
masks = arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3)).filter(np.any)
spacings = st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 1.7, 3.0])] * 3)


def box(shape: tuple[int, int, int], *sides: slice) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[sides] = True
    return mask


def nearest_by_brute_force(start: Surface, target: Surface) -> np.ndarray:
    return np.array([np.linalg.norm(target.points_mm - point, axis=1).min() for point in start.points_mm])


def cells_by_brute_force(mask: np.ndarray) -> set[tuple[int, ...]]:
    padded = np.pad(mask, 1)
    cells = itertools.product(*[range(size + 1) for size in mask.shape])
    return {(k, j, i) for k, j, i in cells if 0 < padded[k : k + 2, j : j + 2, i : i + 2].sum() < 8}


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_cube_has_the_area_that_follows_by_hand(n):
    cube = surface(box((9, 9, 9), *[slice(2, 2 + n)] * 3), UNIT)
    assert cube.areas_mm2.sum() == pytest.approx(6 * (n - 1) ** 2 + 12 * (n - 1) * EDGE + 8 * CORNER)


def test_one_voxel_on_anisotropic_spacing_is_an_octahedron():
    a, b, c = 3.0, 0.8, 0.7
    triangle = math.sqrt((a * b) ** 2 + (b * c) ** 2 + (a * c) ** 2) / 8
    assert surface(np.ones((1, 1, 1), bool), (a, b, c)).areas_mm2 == pytest.approx([triangle] * 8)


@pytest.mark.parametrize(
    ("corners", "area"),
    [
        ([(0, 0, 0), (1, 1, 1)], 2 * CORNER),
        ([(0, 0, 0), (0, 1, 1)], 2 * CORNER),
        ([(0, 0, 0), (0, 0, 1)], EDGE),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0)], 0.5 + 3 * CORNER),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)], 1.0),
        ([(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)], 6 * CORNER),
        ([(0, 1, 1), (1, 1, 1), (1, 1, 0), (1, 0, 0)], 4 * CORNER + EDGE),
        ([(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)], 2 * EDGE),
    ],
)
def test_the_contour_in_a_cell_and_in_its_complement_has_the_area_of_its_polygons(corners, area):
    code = sum(1 << (7 - (4 * z + 2 * y + x)) for z, y, x in corners)
    assert cell_areas_mm2(UNIT)[code] == pytest.approx(area)
    assert cell_areas_mm2(UNIT)[255 - code] == pytest.approx(area)


@given(st.integers(0, 255), st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_turning_a_cell_with_its_spacing_keeps_the_area(code, axes, flipped):
    cell = np.unpackbits(np.uint8(code)).reshape(2, 2, 2)
    turned = np.flip(cell.transpose(axes), [axis for axis in range(3) if flipped[axis]])
    spacing = np.array([0.7, 1.1, 2.3])
    area = cell_areas_mm2((0.7, 1.1, 2.3))[code]
    assert cell_areas_mm2(tuple(spacing[axes].tolist()))[np.packbits(turned)[0]] == pytest.approx(area)


@given(masks)
def test_elements_are_exactly_the_mixed_cells_also_at_the_image_border(mask):
    assert {tuple(cell) for cell in surface(mask, UNIT).cells.tolist()} == cells_by_brute_force(mask)


@settings(max_examples=60)
@given(st.data(), spacings)
def test_distances_equal_brute_force_on_any_spacing(data, spacing):
    first = data.draw(masks)
    second = data.draw(arrays(np.bool_, first.shape).filter(np.any))
    reference, prediction = surface(first, spacing), surface(second, spacing, (0, 0, data.draw(st.integers(0, 30))))
    distances = surface_distances(reference, prediction)
    np.testing.assert_allclose(distances.from_reference_mm, nearest_by_brute_force(reference, prediction), atol=1e-9)
    np.testing.assert_allclose(distances.from_prediction_mm, nearest_by_brute_force(prediction, reference), atol=1e-9)


@pytest.mark.parametrize("shift", [0, 1, 3, 7, 40])
def test_a_slab_moved_by_n_voxels_lies_n_spacings_away(shift):
    wide = (slice(0, 30), slice(0, 30))
    reference = surface(box((30, 30, 60), *wide, slice(5, 7)), (1.0, 1.0, 0.8))
    prediction = surface(box((30, 30, 60), *wide, slice(5 + shift, 7 + shift)), (1.0, 1.0, 0.8))
    distances = surface_distances(reference, prediction)
    assert distances.percentile_mm(100) == pytest.approx(0.8 * shift)
    assert distances.share_within(0.8 * shift) == 1.0


def test_a_distance_equal_to_the_tolerance_is_within_it_whatever_the_last_bit_says():
    assert 3 * 0.8 > 2.4
    plane = (slice(0, 20), slice(0, 20))
    first = surface(box((20, 20, 20), *plane, slice(0, 1)), (1.0, 1.0, 0.8))
    second = surface(box((20, 20, 20), *plane, slice(3, 4)), (1.0, 1.0, 0.8))
    distances = surface_distances(first, second)
    assert distances.share_within(2.4) == 1.0
    assert distances.share_within(2.39) < 1.0


def test_percentiles_weigh_area_and_do_not_interpolate():
    distances = SurfaceDistances(np.array([5.0, 0.0]), np.array([6.0, 94.0]), np.array([0.0]), np.array([1.0]))
    assert distances.percentile_mm(95) == 5.0
    assert distances.percentile_mm(94) == 0.0
    assert distances.share_within(1.0) == pytest.approx(95 / 101)


def test_a_share_met_exactly_is_met_whatever_the_last_bit_says():
    areas_mm2 = np.full(60, 0.7)
    assert np.cumsum(areas_mm2)[56] < 0.95 * np.cumsum(areas_mm2)[-1]
    distances = SurfaceDistances(np.array([1.0] * 57 + [7.0] * 3), areas_mm2, np.array([0.0]), np.array([1.0]))
    assert distances.percentile_mm(95) == 1.0


def test_doubling_the_spacing_doubles_hd95_and_keeps_surface_dice_at_twice_the_tolerance():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 12, 12, 12)) > 0.7
    once = surface_distances(surface(first, (2.0, 1.0, 0.7)), surface(second, (2.0, 1.0, 0.7)))
    twice = surface_distances(surface(first, (4.0, 2.0, 1.4)), surface(second, (4.0, 2.0, 1.4)))
    assert twice.percentile_mm(95) == pytest.approx(2 * once.percentile_mm(95))
    assert twice.share_within(2.0) == pytest.approx(once.share_within(1.0))


def test_large_surfaces_far_apart_are_measured_by_the_tree_alone():
    wide = (slice(0, 300), slice(0, 300))
    near, far = (box((300, 300, 40), *wide, slice(start, start + 1)) for start in (0, 38))
    distances = surface_distances(surface(near, UNIT), surface(far, UNIT))
    assert (distances.from_reference_mm.min(), distances.from_reference_mm.max()) == (37.0, 38.0)


def test_all_surfaces_of_a_map_equal_each_structure_s_own():
    rng = np.random.default_rng(5)
    label_map = np.zeros((20, 20, 20), dtype=np.uint8)
    label_map[4:12, 3:15, 6:18] = rng.choice([0, 1, 2], (8, 12, 12))
    labels = LabelSet((Structure("whole", (1, 2)), Structure("core", (2,)), Structure("absent", (7,))))
    found = surfaces(label_map, labels, UNIT)
    for structure in labels.structures:
        alone = surface(structure.mask(label_map), UNIT)
        np.testing.assert_array_equal(found[structure.name].cells, alone.cells)
        np.testing.assert_array_equal(found[structure.name].areas_mm2, alone.areas_mm2)
    assert len(found["absent"].cells) == 0
    assert len(surfaces(np.zeros_like(label_map), labels, UNIT)["whole"].cells) == 0


def test_an_empty_surface_is_the_caller_s_business():
    empty, full = surface(np.zeros((2, 2, 2), bool), UNIT), surface(np.ones((2, 2, 2), bool), UNIT)
    with pytest.raises(ValueError, match="two surfaces with elements"):
        surface_distances(full, empty)
