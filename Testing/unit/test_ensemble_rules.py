from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.ensemble.rules import RULES, labels_from_probabilities, majority, mean_probability

LABELS = LabelSet((Structure("b", (4,)), Structure("a", (1,)), Structure("c", (2,))))
REGIONS = LabelSet(
    (Structure("whole", (1, 2, 3)), Structure("core", (2, 3)), Structure("enhancing", (3,))),
    regions_class_order=(1, 2, 3),
)
drawings = st.lists(arrays(np.uint8, (2, 2, 3), elements=st.sampled_from([0, 1, 2, 4])), min_size=1, max_size=6)


def voxels(*values: int) -> list[np.ndarray]:
    """One voxel, one member a value."""
    return [np.full((1, 1, 1), value, dtype=np.uint8) for value in values]


@given(drawings)
def test_majority_equals_counting_each_voxel_by_itself(members):
    stacked = np.array(members)
    counts = np.array([(stacked == value).sum(axis=0) for value in (0, 1, 2, 4)])
    votes = majority(members, LABELS)
    np.testing.assert_array_equal(votes.label_map, np.array([0, 1, 2, 4])[counts.argmax(axis=0)])
    np.testing.assert_allclose(votes.agreement, counts.max(axis=0) / len(members), rtol=1e-6)


@given(drawings, st.randoms(use_true_random=False))
def test_majority_does_not_depend_on_the_order_and_draws_nothing_new(members, random):
    votes = majority(members, LABELS)
    shuffled = random.sample(members, len(members))
    np.testing.assert_array_equal(majority(shuffled, LABELS).label_map, votes.label_map)
    assert (np.array(members) == votes.label_map).any(axis=0).all()


@pytest.mark.parametrize(
    ("drawn", "outcome", "agreement"),
    [
        ((1, 1, 0), 1, 2 / 3),
        ((1, 0), 0, 1 / 2),
        ((4, 2), 2, 1 / 2),
        ((2, 4, 4, 2, 1), 2, 2 / 5),
        ((0, 0, 1, 2, 4), 0, 2 / 5),
        ((4,), 4, 1),
    ],
)
def test_a_draw_goes_to_the_smallest_value_and_so_to_background_first(drawn, outcome, agreement):
    votes = majority(voxels(*drawn), LABELS)
    assert (votes.label_map.item(), votes.agreement.item()) == (outcome, pytest.approx(agreement))


@pytest.mark.parametrize(
    ("drawn", "outcome"),
    [((1, 2, 3, 0, 0), 1), ((1, 2, 3), 2), ((2, 3, 3), 3), ((3, 0), 0), ((1, 1, 2, 3, 3), 2), ((0, 0, 1), 0)],
)
def test_regions_are_voted_one_by_one_and_then_painted(drawn, outcome):
    votes = majority(voxels(*drawn), REGIONS)
    assert votes.label_map.item() == outcome
    assert votes.agreement.item() == pytest.approx(drawn.count(outcome) / len(drawn))


def test_members_that_agree_take_no_memory_for_counting():
    member = np.random.default_rng(0).integers(0, 2, (32, 64, 64)).astype(np.uint8)

    def peak(number: int) -> int:
        tracemalloc.start()
        majority((member.copy() for _ in range(number)), LABELS)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(30) < 1.1 * peak(3)


def test_the_mean_of_quantised_members_is_exact_in_any_order():
    rng = np.random.default_rng(1)
    members = [quantise_probabilities(rng.random((3, 2, 4, 5))) for _ in range(7)]
    mean = mean_probability(members)
    np.testing.assert_allclose(mean, np.mean(members, axis=0) / 255, rtol=1e-6)
    assert mean.dtype == np.float32
    assert mean_probability(members[::-1]).tobytes() == mean.tobytes()


def test_the_mean_of_float_members_is_their_mean_and_leaves_them_alone():
    members = [np.full((2, 1, 1, 1), value, dtype=np.float32) for value in (0.25, 0.75, 0.5)]
    assert mean_probability(iter(members)).ravel().tolist() == [0.5, 0.5]
    assert members[0].ravel().tolist() == [0.25, 0.25]


def test_probability_channels_go_by_ascending_value_and_the_first_of_equal_ones_wins():
    probabilities = np.array([[0.1, 0.4, 0.25], [0.2, 0.4, 0.25], [0.3, 0.1, 0.25], [0.4, 0.1, 0.25]], np.float32)
    label_map = labels_from_probabilities(probabilities.reshape(4, 1, 1, 3), LABELS)
    assert label_map.ravel().tolist() == [4, 0, 0]
    assert label_map.dtype == np.uint8


def test_regions_paint_strictly_above_one_half_later_over_earlier():
    half, above = 0.5, 0.51
    probabilities = np.array([[half, above, above, 0.0], [0.0, half, above, above], [0.0, 0.0, above, 0.0]], np.float32)
    label_map = labels_from_probabilities(probabilities.reshape(3, 1, 1, 4), REGIONS)
    assert label_map.ravel().tolist() == [0, 1, 3, 2]


def test_the_rules_of_the_catalog_give_label_maps():
    quantised = [np.array([0, 255, 0, 0], np.uint8).reshape(4, 1, 1, 1)] * 2
    assert RULES.function("mean_probability")(quantised, LABELS).item() == 1
    assert RULES.function("majority")(voxels(2, 2, 4), LABELS).item() == 2
    with pytest.raises(SegVarianceError, match="Did you mean 'majority'"):
        RULES.function("majorty")


@pytest.mark.parametrize("rule", RULES.ids)
def test_no_member_and_members_of_two_shapes_are_refused(rule):
    with pytest.raises(SegVarianceError, match="at least one"):
        RULES.function(rule)([], LABELS)
    with pytest.raises(SegVarianceError, match="Member 2"):
        RULES.function(rule)([np.zeros((4, 2, 2, 2), np.uint8), np.zeros((4, 2, 2, 3), np.uint8)], LABELS)


def test_a_wrong_number_of_channels_or_an_unknown_vote_is_refused():
    with pytest.raises(SegVarianceError, match="3 probability channels, expected 4"):
        labels_from_probabilities(np.zeros((3, 1, 1, 1), np.float32), LABELS)
    with pytest.raises(SegVarianceError, match=r"member 2 holds the label values \[9\]"):
        majority(voxels(1, 9), LABELS)
