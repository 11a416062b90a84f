from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SegVarianceLib.core.arrays import values_present
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import Structure
from SegVarianceLib.metrics.metric import (
    METRICS,
    ON_LESIONS,
    Pair,
    column_name,
    dice,
    facts_of_column,
    hd95_mm,
    iou,
    surface_dice,
)
from SegVarianceLib.metrics.overlap import Overlap, confusion_matrix, overlap

label_maps = arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 1, 2, 4]))
VALUES = (0, 1, 2, 4)


@given(label_maps, label_maps)
def test_the_confusion_matrix_equals_counting_every_pair_of_values_by_itself(reference, prediction):
    expected = [[int(((reference == row) & (prediction == column)).sum()) for column in VALUES] for row in VALUES]
    assert confusion_matrix(reference, prediction, VALUES).tolist() == expected


@given(label_maps, label_maps)
def test_a_region_from_rows_and_columns_equals_its_mask(reference, prediction):
    region = Structure("core", (2, 4))
    counts = confusion_matrix(reference, prediction, VALUES)
    in_reference, in_prediction = region.mask(reference), region.mask(prediction)
    expected = Overlap(int(in_reference.sum()), int(in_prediction.sum()), int((in_reference & in_prediction).sum()))
    assert overlap(counts, VALUES, region) == expected


@given(st.sampled_from([np.uint8, np.uint16, np.int16]), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_blocks_of_one_value_are_counted_as_voxel_by_voxel(kind, seed, turned, mixed):
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 0, 1, 2, 300 if kind != np.uint8 else 4], (2, 3, 2, 3))
    reference, prediction = (block.repeat(5, 0).repeat(3, 1).repeat(7, 2).astype(kind) for block in coarse)
    prediction[rng.random(prediction.shape) < 0.1] = 0
    if turned:
        reference, prediction = reference.T, prediction.T
    if mixed:
        reference = reference.astype(np.uint16)
    values = (0, 1, 2, 4, 300)
    expected = [[int(((reference == row) & (prediction == column)).sum()) for column in values] for row in values]
    assert confusion_matrix(reference, prediction, values).tolist() == expected


def test_a_map_larger_than_one_slab_is_counted_whole():
    rng = np.random.default_rng(3)
    reference, prediction = rng.integers(0, 3, (2, 40, 130, 130)).astype(np.uint16)
    counts = confusion_matrix(reference, prediction, (0, 1, 2))
    assert counts.sum() == reference.size
    assert counts[1, 2] == ((reference == 1) & (prediction == 2)).sum()


@pytest.mark.parametrize("strange", [3, 200])
def test_a_value_outside_the_list_is_refused_by_name(strange):
    reference = np.zeros((2, 2, 2), dtype=np.uint8)
    prediction = reference.copy()
    prediction[1, 1, 1] = strange
    with pytest.raises(SegVarianceError, match=rf"prediction holds the label values \[{strange}\]"):
        confusion_matrix(reference, prediction, VALUES)


def test_maps_of_two_shapes_are_refused():
    with pytest.raises(SegVarianceError, match=r"\(2, 2, 3\).*\(2, 2, 2\)"):
        confusion_matrix(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8), VALUES)


def test_dice_and_iou_of_three_shared_of_four_and_five_voxels():
    pair = Pair(Overlap(reference=4, prediction=5, both=3), None)
    assert dice(pair) == pytest.approx(6 / 9)
    assert iou(pair) == pytest.approx(3 / 6)


def test_absent_in_both_has_no_value_and_absent_in_one_scores_zero_without_a_distance():
    neither, missed, invented = (Pair(Overlap(*voxels, 0), None) for voxels in [(0, 0), (7, 0), (0, 7)])
    assert [metric(neither) for metric in (dice, iou, hd95_mm)] == [None, None, None]
    assert surface_dice(neither, 1.0) is None
    for pair in (missed, invented):
        assert (dice(pair), iou(pair), surface_dice(pair, 1.0), hd95_mm(pair)) == (0.0, 0.0, 0.0, None)


def test_a_column_name_carries_the_tolerance_and_leads_back_to_the_metric():
    names = [column_name(facts.id, METRICS.settings(facts.id, {})) for facts in METRICS]
    assert names == ["dice", "iou", "hd95_mm", "surface_dice_1mm", *sorted(ON_LESIONS, key=METRICS.ids.index)]
    assert column_name("surface_dice", {"tolerance_mm": 0.5}) == "surface_dice_0.5mm"
    assert [facts_of_column(name).id for name in names] == list(METRICS.ids)
    assert facts_of_column("surface_dice_2.5mm").title == "Surface Dice"
    with pytest.raises(SegVarianceError, match="no known metric"):
        facts_of_column("dicey")


def test_a_negative_or_missing_tolerance_is_refused():
    for wrong in (-1.0, float("nan")):
        with pytest.raises(SegVarianceError, match="Tolerance"):
            METRICS.settings("surface_dice", {"tolerance_mm": wrong})


@given(st.sampled_from([np.uint8, np.uint16, np.uint32]), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_values_present_are_those_that_sorting_finds(kind, seed, size):
    rng = np.random.default_rng(seed)
    label_map = rng.choice([0, 1, 7, 200], (2, 3, size)).repeat(rng.integers(1, 9), 2).astype(kind)
    assert values_present(label_map) == tuple(np.unique(label_map).tolist())
