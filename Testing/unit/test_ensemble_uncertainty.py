"""Maps of disagreement: numbers that can be worked out by hand, and properties that hold for any members."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.labelling import BRATS_REGIONS, labels_of_values
from SegVarianceLib.ensemble.member_maps import MemberMaps
from SegVarianceLib.ensemble.probability_rules import mean_probability
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.ensemble.uncertainty import maps_of_probabilities, maps_of_votes

LABELS = labels_of_values((1, 2))
REGIONS = LabelSet((Structure("whole", (1, 2)), Structure("tumour core", (2,))), regions_class_order=(1, 2))


def softmaxes(seed: int, number: int) -> list[np.ndarray]:
    logits = np.random.default_rng(seed).normal(0, 3, (number, 3, 2, 3, 4))
    exponentials = np.exp(logits)
    return list((exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32))


def entropy(p: np.ndarray) -> np.ndarray:
    """In bits, over the first axis, written out."""
    return -sum(np.where(c > 0, c * np.log2(np.where(c > 0, c, 1)), 0) for c in p.astype(float))


def one_voxel(*shares: float) -> np.ndarray:
    return np.array(shares, np.float32).reshape(len(shares), 1, 1, 1)


def test_two_sure_members_that_contradict_each_other_disagree_by_one_bit_and_doubt_nothing_themselves():
    found = maps_of_probabilities([one_voxel(1, 0, 0), one_voxel(0, 1, 0)], LABELS).maps
    assert {name: round(values.item(), 6) for name, values in found.items()} == {
        "predictive_entropy": 1.0,
        "expected_entropy": 0.0,
        "mutual_information": 1.0,
        "variance": 0.5,  # a quarter for each of two classes
    }


def test_two_members_with_one_doubt_agree_about_it():
    found = maps_of_probabilities([one_voxel(0.5, 0.5, 0)] * 2, LABELS).maps
    assert found["predictive_entropy"].item() == found["expected_entropy"].item() == pytest.approx(1)
    assert found["mutual_information"].item() == found["variance"].item() == pytest.approx(0)


@given(st.integers(0, 2**32), st.integers(1, 6), st.booleans())
def test_maps_are_those_of_all_members_at_once(seed, number, quantised):
    members = softmaxes(seed, number)
    given_members = [quantise_probabilities(member) for member in members] if quantised else members
    stacked = np.array(given_members, float) / (255 if quantised else 1)
    mean, maps = maps_of_probabilities(iter(given_members), LABELS)
    np.testing.assert_allclose(mean, mean_probability(given_members), rtol=1e-6)
    expected = np.mean([entropy(member) for member in stacked], axis=0)
    np.testing.assert_allclose(maps["expected_entropy"], expected, atol=1e-5)
    np.testing.assert_allclose(maps["predictive_entropy"], entropy(stacked.mean(axis=0)), atol=1e-5)
    np.testing.assert_allclose(maps["variance"], stacked.var(axis=0).sum(axis=0), atol=1e-5)


@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([LABELS, REGIONS]))
def test_information_is_never_negative_nor_more_than_there_is_to_know(seed, number, labels):
    channels = len(labels.structures) if labels.has_regions else 3
    maps = maps_of_probabilities([member[:channels] for member in softmaxes(seed, number)], labels).maps
    most = 1 if labels.has_regions else np.log2(3)
    assert len(maps) == 4 * (channels if labels.has_regions else 1)
    for name, values in maps.items():
        assert values.min() >= 0
        assert values.max() <= most + 1e-5
        if name.startswith(("mutual", "variance")) and number == 1:
            assert values.max() < 1e-5


def test_each_region_has_its_own_binary_entropy():
    found = maps_of_probabilities([one_voxel(0.5, 0.0), one_voxel(0.5, 1.0)], REGIONS).maps
    assert found["predictive_entropy_whole"].item() == found["expected_entropy_whole"].item() == pytest.approx(1)
    assert found["mutual_information_tumour_core"].item() == pytest.approx(1)
    assert found["variance_tumour_core"].item() == pytest.approx(0.25)


def test_maps_of_votes_are_of_labels_or_of_each_region():
    members = np.zeros((4, 1, 2, 2), np.uint8)
    members[:, 0, 0, 0] = 1, 2, 4, 0
    votes = RunningVotes(MemberMaps.of("abcd", members))
    of_labels = maps_of_votes(votes, labels_of_values((1, 2, 4)))
    assert of_labels["agreement"][0, 0, 0] == 0.25
    assert of_labels["vote_entropy"][0, 0, 0] == 2
    of_regions = maps_of_votes(votes, BRATS_REGIONS)
    three_of_four = entropy(np.array([0.25, 0.75]))
    assert of_regions["vote_entropy_whole_tumour"][0, 0, 0] == pytest.approx(three_of_four)
    assert of_regions["vote_entropy_tumour_core"][0, 0, 0] == 1
    assert of_regions["vote_entropy_enhancing_tumour"].sum() == pytest.approx(three_of_four)


def test_members_stream_in_memory_that_does_not_grow_with_their_number():
    member = quantise_probabilities(np.random.default_rng(0).random((3, 32, 64, 64)))

    def peak(number: int) -> int:
        tracemalloc.start()
        maps_of_probabilities((member.copy() for _ in range(number)), LABELS)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(12) < 1.1 * peak(3)


def test_no_member_and_members_of_two_shapes_are_refused():
    with pytest.raises(SegVarianceError, match="at least one"):
        maps_of_probabilities([], LABELS)
    with pytest.raises(SegVarianceError, match="Member 2"):
        maps_of_probabilities([np.zeros((3, 1, 1, 1)), np.zeros((3, 1, 1, 2))], LABELS)
