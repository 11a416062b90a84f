"""The preview of a clean-up says what the clean-up does; places are points of the patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import Structure
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP
from SegVarianceLib.review.components import PREVIEWED, Components
from SegVarianceLib.review.places import structure_centre_mm, worst_place

SHAPE = (4, 6, 8)
GEOMETRY = Geometry((8, 6, 4), (0.5, 1.0, 2.0), (10.0, -20.0, 30.0), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
ONE, BOTH = Structure("one", (1,)), Structure("both", (1, 2))
SETTINGS = {"keep_largest": st.just({}), "minimum_size": st.floats(0, 8).map(lambda mm3: {"minimum_mm3": mm3})}


@pytest.fixture
def three() -> np.ndarray:
    """Components of label 1: 4 voxels in a row, 2 that touch at a corner, and 1."""
    label_map = np.zeros(SHAPE, dtype=np.uint8)
    label_map[0, 0, :4] = 1
    label_map[2, 2, 2] = label_map[3, 3, 3] = 1
    label_map[0, 5, 7] = 1
    label_map[1, 0, 7] = 2
    return label_map


def test_components_are_listed_largest_first_in_millilitres_and_in_the_patient(three):
    listed = Components(three, ONE, GEOMETRY).listed
    assert [component.voxels for component in listed] == [4, 2, 1]
    assert [component.volume_ml for component in listed] == pytest.approx([0.004, 0.002, 0.001])
    assert listed[2].centre_index_zyx == (0, 5, 7)
    assert listed[2].centre_mm == (10 - 7 * 0.5, -20 + 5.0, 30.0)  # the first axis runs against L
    assert listed[0].centre_index_zyx == (0, 0, 1)  # of two voxels as near to the middle, the first


def test_every_step_that_is_previewed_is_in_the_catalogue_and_others_are_refused():
    empty = Components(np.zeros(SHAPE, np.uint8), ONE, GEOMETRY)
    assert empty.listed == ()
    for step in CLEAN_UP.ids:
        if step in PREVIEWED:
            assert empty.goes(step) == ()
            assert not empty.gone_mask(step).any()
        else:
            with pytest.raises(SegVarianceError, match="no preview"):
                empty.goes(step)


@given(st.integers(0, 2**32), st.sampled_from(PREVIEWED), st.sampled_from((ONE, BOTH)), st.data())
def test_what_the_preview_shows_is_what_the_clean_up_removes(seed, step, structure, data):
    label_map = np.random.default_rng(seed).choice(np.array([0] * 8 + [1, 2], dtype=np.uint8), SHAPE)
    settings = data.draw(SETTINGS[step])
    components = Components(label_map, structure, GEOMETRY)
    cleaned = CLEAN_UP.function(step)(label_map, [structure], GEOMETRY.voxel_volume_mm3, **settings)
    gone = components.gone_mask(step, settings)
    np.testing.assert_array_equal(np.where(gone, 0, label_map), cleaned.label_map)
    shown = components.goes(step, settings)
    assert sorted((c.voxels, c.volume_ml, c.centre_index_zyx) for c in shown) == sorted(
        (r.voxels, r.volume_ml, r.centre_index_zyx) for r in cleaned.removed
    )


def test_a_component_of_exactly_the_minimum_stays_and_other_settings_are_refused(three):
    components = Components(three, ONE, GEOMETRY)
    assert [c.voxels for c in components.goes("minimum_size", {"minimum_mm3": 2.0})] == [1]
    with pytest.raises(SegVarianceError, match="not allowed"):
        components.goes("minimum_size", {"minimum_mm3": -1})
    with pytest.raises(SegVarianceError, match="no setting"):
        components.goes("keep_largest", {"minimum_mm3": 1})


def test_the_centre_of_a_bent_structure_is_a_voxel_of_its_own():
    ring = np.zeros(SHAPE, dtype=np.uint8)
    ring[1, 1:4, 1:4] = 1
    ring[1, 2, 2] = 0
    centre = structure_centre_mm(ring, ONE, GEOMETRY)
    assert centre in {(10 - x * 0.5, -20.0 + y, 32.0) for y, x in ((1, 2), (2, 1), (2, 3), (3, 2))}
    assert structure_centre_mm(ring, Structure("absent", (9,)), GEOMETRY) is None


def test_the_worst_slice_has_most_voxels_in_one_label_map_alone(three):
    other = three.copy()
    other[2, 2, 2] = 0
    other[3, 4, 3:6] = 1
    assert worst_place(three, other, ONE, GEOMETRY) == (3, (10 - 4 * 0.5, -20 + 4.0, 36.0))


def test_where_nothing_differs_the_worst_slice_is_the_largest_and_absent_structures_have_none(three):
    assert worst_place(three, three, ONE, GEOMETRY) == (0, (10 - 3 * 0.5, -20.0, 30.0))
    assert worst_place(three, three, Structure("absent", (9,)), GEOMETRY) is None
    gone = np.where(three == 2, 0, three)
    assert worst_place(gone, three, Structure("two", (2,)), GEOMETRY) == (1, (10 - 3.5, -20.0, 32.0))
