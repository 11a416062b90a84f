"""Votes by running sums: the same as voting from scratch, for every choice of members, by label and by region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.labelling import BRATS_REGIONS, labels_of_values, regions_of, with_values
from SegVarianceLib.ensemble.label_votes import vote
from SegVarianceLib.ensemble.member_maps import MemberMaps
from SegVarianceLib.ensemble.running_votes import RunningVotes

VALUES = (0, 1, 2, 4)
SHAPE = (3, 4, 5)
LABELS = labels_of_values(VALUES)


def packed(label_maps: Sequence[np.ndarray]) -> MemberMaps:
    return MemberMaps.of((f"m{number}" for number in range(len(label_maps))), label_maps)


def at_one_voxel(*labels: int) -> RunningVotes:
    """Members that draw these labels at voxel (0, 1, 1) and agree on one voxel of label 2 beside it."""
    label_maps = np.zeros((len(labels), 2, 3, 4), dtype=np.uint8)
    label_maps[:, 0, 1, 2] = 2
    label_maps[:, 0, 1, 1] = labels
    return RunningVotes(packed(list(label_maps)))


def drawn(members: int, seed: int) -> np.ndarray:
    """As many label maps that agree on about half of the voxels."""
    rng = np.random.default_rng(seed)
    stack = np.tile(rng.choice(np.array(VALUES, dtype=np.uint8), SHAPE), (members, 1, 1, 1))
    own = rng.choice(np.array(VALUES, dtype=np.uint8), stack.shape)
    return np.where((rng.random(SHAPE) < 0.5) & (rng.random(stack.shape) < 0.7), own, stack)


stacks = st.builds(drawn, st.integers(1, 6), st.integers(0, 2**32))


@given(stacks)
def test_packed_members_come_back_as_they_were(stack):
    maps = packed(list(stack))
    for number, label_map in enumerate(stack):
        np.testing.assert_array_equal(maps.member(f"m{number}"), label_map)
    differing = (stack != stack[0]).any(axis=0)
    assert maps.places.size == differing.sum()
    assert set(np.unique(stack)) | {0} == set(maps.values)


@given(stacks, st.data())
def test_any_selection_by_running_sums_is_the_vote_from_scratch(stack, data):
    votes = RunningVotes(packed(list(stack)))
    names = st.sets(st.integers(0, len(stack) - 1), min_size=1)
    for chosen in data.draw(st.lists(names, min_size=1, max_size=3)):
        votes.select(f"m{number}" for number in chosen)
        members = [stack[number] for number in sorted(chosen)]
        for labels, regions in ((LABELS, None), (BRATS_REGIONS, BRATS_REGIONS)):
            expected = vote(members, labels)
            np.testing.assert_array_equal(votes.label_map(regions), expected.label_map)
            np.testing.assert_array_equal(votes.agreement(regions), expected.agreement)
        shares = np.array([np.mean([member == value for member in members], axis=0) for value in VALUES])
        logs = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
        np.testing.assert_allclose(votes.entropy(), -(shares * logs).sum(axis=0), atol=1e-6)
        for structure in BRATS_REGIONS.structures:
            by_hand = sum(np.isin(member, structure.values).astype(int) for member in members)
            np.testing.assert_array_equal(votes.votes(structure), by_hand)


@given(stacks)
def test_selecting_and_going_back_leaves_everything_as_it_was(stack):
    votes = RunningVotes(packed(list(stack)))
    before = votes.entropy()
    votes.select(["m0"])
    votes.select(votes.maps.names)
    np.testing.assert_array_equal(votes.entropy(), before)


def test_two_labels_of_one_region_lose_the_label_vote_and_win_the_region_vote():
    votes = at_one_voxel(
        0, 0, 1, 4, 4, 1, 2
    )  # most votes: 0, 1 and 4 with two each; whole tumour has 5 of 7, core 4 of 7
    assert votes.label_map()[0, 1, 1] == 0
    assert votes.label_map(BRATS_REGIONS)[0, 1, 1] == 1
    assert np.argwhere(votes.differing(BRATS_REGIONS)).tolist() == [[0, 1, 1]]
    assert votes.agreement()[0, 1, 1] == pytest.approx(2 / 7)


def test_a_draw_goes_to_the_smallest_label_and_makes_no_region():
    votes = at_one_voxel(1, 2, 0, 0)
    assert votes.label_map()[0, 1, 1] == 0
    assert votes.label_map(BRATS_REGIONS)[0, 1, 1] == 0
    votes.select(["m0", "m1"])
    assert votes.label_map()[0, 1, 1] == 1
    assert votes.label_map(BRATS_REGIONS)[0, 1, 1] == 2  # both in whole tumour, only one in core


def test_maps_are_float32_of_the_whole_image_and_quiet_where_all_agree():
    votes = at_one_voxel(1, 2)
    for found, quiet, loud in ((votes.agreement(), 1, 0.5), (votes.entropy(), 0, 1)):
        assert found.dtype == np.float32
        assert found.shape == (2, 3, 4)
        assert found[0, 1, 1] == loud
        found[0, 1, 1] = quiet
        assert (found == quiet).all()


def test_voting_needs_a_member_and_known_names_and_keeps_its_selection_otherwise():
    votes = at_one_voxel(1, 2, 2)
    for names, sentence in (([], "No member is selected"), (["m0", "nobody"], "There is no member 'nobody'")):
        with pytest.raises(SegVarianceError, match=sentence):
            votes.select(names)
        assert votes.selected == ("m0", "m1", "m2")
        assert votes.label_map()[0, 1, 1] == 2


def test_more_than_255_members_and_labels_above_255_are_counted_right():
    label_maps = [np.full((1, 1, 2), 300 if number < 200 else 1, dtype=np.uint16) for number in range(300)]
    votes = RunningVotes(packed(label_maps))
    assert votes.label_map().tolist() == [[[300, 300]]]
    assert votes.votes(Structure("one", (1,))).tolist() == [[[100, 100]]]


def test_members_of_which_the_first_needs_fewer_bits_come_back():
    maps = packed([np.full((1, 1, 2), 7, dtype=np.uint8), np.full((1, 1, 2), 700, dtype=np.uint16)])
    assert maps.member("m1").tolist() == [[[700, 700]]]


def test_members_of_another_shape_and_no_members_are_refused():
    with pytest.raises(SegVarianceError, match="one grid"):
        packed([np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 2), np.uint8)])
    with pytest.raises(SegVarianceError, match="no member"):
        packed([])


def test_members_that_drew_nothing_at_all_vote_for_nothing():
    votes = RunningVotes(packed([np.zeros(SHAPE, np.uint8)] * 3))
    assert not votes.label_map().any()
    assert not votes.differing(BRATS_REGIONS).any()
    assert (votes.agreement() == 1).all()


def test_regions_are_those_declared_or_of_brain_tumours_and_never_guessed_otherwise():
    declared = LabelSet((Structure("all", (1, 2)), Structure("inner", (2,))), regions_class_order=(1, 2))
    assert regions_of(declared) is declared
    assert regions_of(labels_of_values((0, 1, 2, 4))) is BRATS_REGIONS
    assert regions_of(labels_of_values((1, 2, 3))) is None
    assert with_values(declared, (0, 1, 7)).structures[2] == Structure("label_7", (7,))
