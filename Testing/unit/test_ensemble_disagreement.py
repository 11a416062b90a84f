"""Numbers of disagreement: from packed members the same as from every pair of masks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.labelling import BRATS_REGIONS, labels_of_values
from SegVarianceLib.ensemble.disagreement import MEASURES, disagreement, ged_squared, intersections, mean_pairwise_dice
from SegVarianceLib.ensemble.member_maps import MemberMaps

ONE = labels_of_values((1,))


def drawn(seed: int, members: int) -> np.ndarray:
    """As many label maps that agree on about half of the voxels, in a box with room around."""
    rng = np.random.default_rng(seed)
    values = np.array([0, 0, 1, 2, 4], np.uint8)
    inner = np.where(rng.random((3, 4, 5)) < 0.5, rng.choice(values, (3, 4, 5)), rng.choice(values, (members, 3, 4, 5)))
    return np.pad(inner, ((0, 0), (1, 2), (1, 0), (0, 3)))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else np.nan


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return 1 - (a & b).sum() / (a | b).sum() if (a | b).any() else 0.0


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from(BRATS_REGIONS.structures))
def test_packed_pairs_are_every_pair_of_masks(seed, members, structure):
    stack = drawn(seed, members)
    masks = [structure.mask(each) for each in stack]
    maps = MemberMaps.of_all(stack)
    shared = intersections(maps, structure)
    np.testing.assert_array_equal(shared, [[(a & b).sum() for b in masks] for a in masks])
    by_hand = [value for a, b in combinations(masks, 2) if not np.isnan(value := dice(a, b))]
    found = mean_pairwise_dice(shared)
    assert (found is None) == (not by_hand)
    assert found is None or found == pytest.approx(np.mean(by_hand))


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_all_measures_are_those_of_plain_masks(seed, members):
    stack = drawn(seed, members + 2)
    reference, vote, stack = stack[0], stack[1], stack[2:]
    labels = labels_of_values((1, 2, 4))
    rows = disagreement(MemberMaps.of_all(stack), labels, 2.0, vote, reference)
    found = {(row.structure, row.measure): row.value for row in rows}
    for structure in labels.structures:
        masks = [structure.mask(each) for each in stack]
        volumes = np.array([mask.sum() for mask in masks]) * 0.002
        truth, voted = structure.mask(reference), structure.mask(vote)
        expected = {
            "ged_squared": 2 * np.mean([distance(mask, truth) for mask in masks])
            - np.mean([distance(a, b) for a, b in combinations(masks, 2)]),
            "volume_ml": volumes.mean(),
            "volume_low_ml": volumes.min(),
            "volume_high_ml": volumes.max(),
        }
        for measure, mask in (("dice_to_reference", truth), ("dice_to_vote", voted)):
            known = [value for each in masks if not np.isnan(value := dice(each, mask))]
            expected[measure] = np.mean(known) if known else None
        if volumes.mean():
            expected["volume_cv"] = volumes.std(ddof=1) / volumes.mean()
        for measure, value in expected.items():
            assert found[structure.name, measure] == pytest.approx(value), measure
    assert {measure for _, measure in found} <= {facts.id for facts in MEASURES}


def test_members_that_are_all_the_reference_have_no_energy_distance():
    label_map = drawn(3, 1)[0]
    assert ged_squared(MemberMaps.of_all([label_map] * 4), ONE.structures[0], label_map) == 0
    assert ged_squared(MemberMaps.of_all([0 * label_map] * 4), ONE.structures[0], 0 * label_map) == 0


def test_a_known_energy_distance():
    # One member is the reference of two voxels, the other drew one of them: distances 0 and 1/2, between them 1/2.
    members = np.zeros((2, 1, 1, 3), np.uint8)
    members[0, 0, 0, :2] = 1
    members[1, 0, 0, :1] = 1
    assert ged_squared(MemberMaps.of_all(members), ONE.structures[0], members[0]) == pytest.approx(2 * 0.25 - 0.5)


def test_one_member_has_volumes_and_no_spread():
    label_map = np.ones((1, 2, 5), np.uint8)
    rows = disagreement(MemberMaps.of_all([label_map]), ONE, 100.0, label_map, label_map)
    assert {row.measure: row.value for row in rows} == {
        "mean_pairwise_dice": None,
        "dice_to_vote": 1.0,
        "dice_to_reference": 1.0,
        "ged_squared": None,
        "volume_ml": 1.0,
        "volume_cv": None,
        "volume_low_ml": 1.0,
        "volume_high_ml": 1.0,
    }


def test_where_the_reference_says_ignore_nothing_is_compared_with_it():
    labels = LabelSet((Structure("a", (1,)),), ignore_value=9)
    reference = np.array([[[1, 0, 9, 9]]], np.uint8)
    members = np.array([[[[1, 0, 1, 0]]], [[[1, 0, 0, 1]]]], np.uint8)
    rows = disagreement(MemberMaps.of_all(members), labels, 1.0, members[0], reference)
    found = {row.measure: row.value for row in rows}
    assert found["dice_to_reference"] == 1
    assert found["ged_squared"] == 0
    assert found["mean_pairwise_dice"] == 0.5
