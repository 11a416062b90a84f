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
from SegVarianceLib.dataset.image_io import find_images, read_label_map
from SegVarianceLib.dataset.labelling import labels_of_values
from SegVarianceLib.ensemble.label_votes import VOTES, vote
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities, mean_logit, mean_probability
from SegVarianceLib.ensemble.rules import RULES

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
    votes = vote(members, LABELS)
    np.testing.assert_array_equal(votes.label_map, np.array([0, 1, 2, 4])[counts.argmax(axis=0)])
    np.testing.assert_allclose(votes.agreement, counts.max(axis=0) / len(members), rtol=1e-6)


@given(drawings, st.randoms(use_true_random=False))
def test_majority_does_not_depend_on_the_order_and_draws_nothing_new(members, random):
    votes = vote(members, LABELS)
    shuffled = random.sample(members, len(members))
    np.testing.assert_array_equal(vote(shuffled, LABELS).label_map, votes.label_map)
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
    votes = vote(voxels(*drawn), LABELS)
    assert (votes.label_map.item(), votes.agreement.item()) == (outcome, pytest.approx(agreement))


@pytest.mark.parametrize(
    ("drawn", "outcome"),
    [((1, 2, 3, 0, 0), 1), ((1, 2, 3), 2), ((2, 3, 3), 3), ((3, 0), 0), ((1, 1, 2, 3, 3), 2), ((0, 0, 1), 0)],
)
def test_regions_are_voted_one_by_one_and_then_painted(drawn, outcome):
    votes = vote(voxels(*drawn), REGIONS)
    assert votes.label_map.item() == outcome
    assert votes.agreement.item() == pytest.approx(drawn.count(outcome) / len(drawn))


def test_members_that_agree_take_no_memory_for_counting():
    member = np.random.default_rng(0).integers(0, 2, (32, 64, 64)).astype(np.uint8)

    def peak(number: int) -> int:
        tracemalloc.start()
        vote((member.copy() for _ in range(number)), LABELS)
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
    combine = RULES.function(rule)
    weights = [1, 2] if combine.weighted else None
    with pytest.raises(SegVarianceError, match="at least one"):
        combine([], LABELS, weights)
    with pytest.raises(SegVarianceError, match="Member 2"):
        combine([np.zeros((4, 2, 2, 2), np.uint8), np.zeros((4, 2, 2, 3), np.uint8)], LABELS, weights)


@given(drawings)
def test_the_absolute_majority_needs_more_than_half_of_all_members(members):
    stacked = np.array(members)
    expected = sum(value * (2 * (stacked == value).sum(axis=0) > len(members)) for value in (1, 2, 4))
    np.testing.assert_array_equal(vote(members, LABELS, VOTES["absolute_majority"]).label_map, expected)


@given(drawings)
def test_a_vote_by_region_of_brain_tumour_labels_is_three_binary_votes_painted_one_over_the_other(members):
    stacked, painted = np.array(members), np.zeros((2, 2, 3), np.uint8)
    for values, paint in (((1, 2, 4), 2), ((1, 4), 1), ((4,), 4)):
        painted[2 * np.isin(stacked, values).sum(axis=0) > len(members)] = paint
    np.testing.assert_array_equal(RULES.function("region_vote")(members, LABELS), painted)


def test_labels_without_regions_cannot_be_voted_on_by_region():
    with pytest.raises(SegVarianceError, match="no regions to vote on"):
        RULES.function("region_vote")(voxels(1, 2), LabelSet((Structure("a", (1,)), Structure("b", (2,)))))


def test_majority_is_plurality_on_labels_and_the_region_vote_on_regions():
    for drawn in ((1, 2, 3, 0, 0), (2, 1), (3, 3, 0)):
        of_regions = [RULES.function(rule)(voxels(*drawn), REGIONS).item() for rule in ("majority", "region_vote")]
        assert of_regions[0] == of_regions[1]
    drawn = voxels(1, 2, 4, 0, 0)
    assert RULES.function("majority")(drawn, LABELS).item() == RULES.function("plurality")(drawn, LABELS).item() == 0


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=0))
    return exponentials / exponentials.sum(axis=0)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_mean_logit_from_stored_probabilities_is_the_softmax_of_the_networks_mean_logits(seed, number):
    logits = np.random.default_rng(seed).normal(0, 2, (number, 4, 2, 3, 2))
    stored = [softmax(each).astype(np.float32) for each in logits]
    np.testing.assert_allclose(mean_logit(stored, LABELS), softmax(logits.mean(axis=0)), atol=2e-5)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_mean_logit_of_regions_is_the_logistic_of_the_networks_mean_logits(seed, number):
    logits = np.random.default_rng(seed).normal(0, 2, (number, 3, 2, 3, 2))
    stored = [(1 / (1 + np.exp(-each))).astype(np.float32) for each in logits]
    np.testing.assert_allclose(mean_logit(stored, REGIONS), 1 / (1 + np.exp(-logits.mean(axis=0))), atol=2e-5)


@given(st.integers(0, 2**32), st.sampled_from([LABELS, REGIONS]), st.booleans())
def test_one_member_alone_gives_the_same_labels_by_mean_probability_and_by_mean_logit(seed, labels, quantised):
    channels = 3 if labels.has_regions else 4
    member = softmax(np.random.default_rng(seed).normal(0, 2, (channels, 2, 3, 4))).astype(np.float32)
    member = quantise_probabilities(member) if quantised else member
    rules = [RULES.function(rule)([member], labels) for rule in ("mean_probability", "mean_logit")]
    np.testing.assert_array_equal(*rules)


def test_a_confident_member_weighs_more_by_its_logit_but_rounding_to_zero_is_no_veto():
    low, high = (np.array([[1 - p], [p]], np.float32).reshape(2, 1, 1, 1) for p in (0.4, 0.99))
    one = LabelSet((Structure("a", (1,)),))
    for members, mean, logit in (
        ([low, low, low, high], 1, 1),
        ([1 - high, high, high], 1, 1),
        ([low] * 9 + [high], 0, 1),
    ):
        found = [RULES.function(rule)(members, one).item() for rule in ("mean_probability", "mean_logit")]
        assert found == [mean, logit]
    zero = np.array([255, 0], np.uint8).reshape(2, 1, 1, 1)
    sure = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    assert RULES.function("mean_logit")([zero, sure, sure], one).item() == 1


def test_weights_count_by_their_share_and_equal_ones_change_nothing():
    members = [np.random.default_rng(seed).random((4, 2, 2, 2)).astype(np.float32) for seed in range(3)]
    np.testing.assert_allclose(mean_probability(members, [1, 0, 3]), 0.25 * members[0] + 0.75 * members[2], rtol=1e-6)
    np.testing.assert_allclose(mean_probability(members, [2, 2, 2]), mean_probability(members), rtol=1e-6)
    quantised = [quantise_probabilities(member) for member in members]
    np.testing.assert_allclose(
        mean_probability(quantised, [1, 0, 3]), mean_probability(members, [1, 0, 3]), atol=0.5 / 255 + 1e-6
    )


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [1, -1], [0, 0], [1, float("nan")], []])
def test_weights_that_are_no_weights_for_two_members_are_refused(weights):
    with pytest.raises(SegVarianceError, match=r"[Ww]eights"):
        RULES.function("weighted_mean_probability")([np.zeros((4, 1, 1, 1), np.float32)] * 2, LABELS, weights)


def test_a_weighted_rule_needs_weights_and_the_others_take_none():
    with pytest.raises(SegVarianceError, match="needs a weight for each member"):
        RULES.function("weighted_mean_probability")([np.zeros((4, 1, 1, 1), np.float32)], LABELS)
    with pytest.raises(SegVarianceError, match="takes no weights"):
        RULES.function("plurality")(voxels(1), LABELS, [1.0])


def test_every_rule_says_how_it_breaks_ties():
    assert all("Ties:" in facts.citation for facts in RULES)


def test_one_s_own_labels_are_what_a_lone_member_gives_by_every_vote():
    drawn = np.random.default_rng(3).choice(np.array([0, 1, 2, 4], np.uint8), (3, 4, 5))
    for rule in (facts.id for facts in RULES if RULES.function(facts.id).reads == "labels"):
        np.testing.assert_array_equal(RULES.function(rule)([drawn], LABELS), drawn)


def test_the_rules_of_a_glioma_s_five_members_are_those_of_the_other_tool_and_differ_where_they_should(real_data):
    folder = real_data / "brats_ensemble" / "TCGA-DU-7294"
    members = [read_label_map(path).array for path in find_images(folder / "members").values()]
    absolute = read_label_map(folder / "fusion" / "mav.nii.gz").array
    labels = labels_of_values((1, 2, 4))
    differing = {
        rule: int((RULES.function(rule)(members, labels) != absolute).sum())
        for rule in ("absolute_majority", "plurality", "majority", "region_vote")
    }
    assert differing == {"absolute_majority": 0, "plurality": 192, "majority": 192, "region_vote": 258}


def test_a_wrong_number_of_channels_or_an_unknown_vote_is_refused():
    with pytest.raises(SegVarianceError, match="3 probability channels, expected 4"):
        labels_from_probabilities(np.zeros((3, 1, 1, 1), np.float32), LABELS)
    with pytest.raises(SegVarianceError, match=r"member 2 holds the label values \[9\]"):
        vote(voxels(1, 9), LABELS)
