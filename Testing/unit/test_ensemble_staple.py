"""STAPLE over patterns of votes: the same labels as voxel by voxel, and as another implementation gives."""

from __future__ import annotations

import numpy as np
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import find_images, read_label_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS, labels_of_values
from SegVarianceLib.ensemble.member_maps import MemberMaps
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.ensemble.staple import staple

LABELS = labels_of_values((1, 2, 4))


def raters(
    seed: int, number: int, reliability: float, values: tuple[int, ...] = (0, 1, 2, 4)
) -> tuple[np.ndarray, np.ndarray]:
    """Truth in blocks, and members that draw it with this probability and anything at all otherwise."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.choice(np.array(values, np.uint8), (4, 5, 3)), 4, axis=2)
    own = rng.choice(np.array(values, np.uint8), (number, *truth.shape))
    return truth, np.where(rng.random(own.shape) < reliability, truth, own)


def voxel_by_voxel(members: np.ndarray, iterations: int) -> np.ndarray:
    """Binary STAPLE as in the paper: sensitivity p and specificity q of each member, W the posterior of each voxel."""
    drawn = members.reshape(len(members), -1).astype(float)
    prior = drawn.mean()
    w = (drawn.sum(axis=0) > len(members) / 2).astype(float)
    for _ in range(iterations):
        p = (drawn * w).sum(axis=1) / w.sum()
        q = ((1 - drawn) * (1 - w)).sum(axis=1) / (1 - w).sum()
        a = prior * np.prod(np.where(drawn == 1, p[:, None], 1 - p[:, None]), axis=0)
        b = (1 - prior) * np.prod(np.where(drawn == 0, q[:, None], 1 - q[:, None]), axis=0)
        w = a / (a + b)
    return (w > 0.5).reshape(members.shape[1:])


@given(st.integers(0, 2**32))
def test_of_one_structure_it_is_the_paper_s_expectation_maximisation(seed):
    _, members = raters(seed, 5, 0.7, (0, 1))
    if all(0 < member.mean() < 1 for member in members) and 0 < (members.sum(axis=0) > 2).mean() < 1:
        found = staple(MemberMaps.of_all(members), labels_of_values((1,)))
        np.testing.assert_array_equal(found, voxel_by_voxel(members, 100))


def test_one_bad_member_among_three_is_found_out():
    truth, members = raters(1, 2, 0.9)
    bad = np.random.default_rng(5).choice(np.array((0, 1, 2, 4), np.uint8), truth.shape)
    found = RunningVotes(MemberMaps.of("abc", [*members, bad]))
    wrong = [(found.by_rule(rule, LABELS) != truth).sum() for rule in ("staple", "plurality")]
    assert wrong[0] < wrong[1]


@given(st.integers(0, 2**32), st.integers(1, 7))
def test_it_draws_only_what_someone_drew_whatever_the_order_of_members(seed, number):
    _, members = raters(seed, number, 0.5)
    found = staple(MemberMaps.of_all(members), LABELS)
    assert set(np.unique(found)) <= set(np.unique(members))
    assert (staple(MemberMaps.of_all(members[::-1]), LABELS) != found).mean() < 0.05  # exact ties of rounding may turn


def test_members_that_agree_are_left_alone_and_so_is_background_outside():
    drawn = np.zeros((3, 4, 5), np.uint8)
    drawn[1, 2, 3] = 4
    for labels in (LABELS, BRATS_REGIONS):
        np.testing.assert_array_equal(staple(MemberMaps.of_all([drawn] * 3), labels), drawn)
        assert not staple(MemberMaps.of_all([0 * drawn] * 3), labels).any()


def test_the_members_chosen_are_those_that_count():
    _, members = raters(7, 5, 0.7)
    votes = RunningVotes(MemberMaps.of("abcde", members))
    votes.select("bde")
    np.testing.assert_array_equal(
        votes.by_rule("staple", LABELS), staple(MemberMaps.of_all(members[[1, 3, 4]]), LABELS)
    )


def test_regions_are_estimated_one_by_one_and_painted():
    _, members = raters(11, 5, 0.7)
    painted = np.zeros(members.shape[1:], np.uint8)
    for region, value in zip(BRATS_REGIONS.structures, BRATS_REGIONS.regions_class_order, strict=True):
        painted[voxel_by_voxel(np.isin(members, region.values).astype(np.uint8), 100)] = value
    np.testing.assert_array_equal(staple(MemberMaps.of_all(members), BRATS_REGIONS), painted)


def test_sixty_members_and_a_hundred_labels_are_numbered_without_overflow():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 100, (2, 10, 10)).astype(np.uint8)
    noise = rng.integers(0, 100, (60, *truth.shape)).astype(np.uint8)
    members = np.where(rng.random(noise.shape) < 0.6, truth, noise)
    labels = LabelSet(tuple(Structure(str(value), (value,)) for value in range(1, 100)))
    np.testing.assert_array_equal(staple(MemberMaps.of_all(members), labels), truth)


def test_on_a_real_glioma_it_is_simpleitk_s_in_every_voxel(real_data):
    paths = find_images(real_data / "brats_ensemble" / "TCGA-DU-7294" / "members").values()
    maps = MemberMaps.of_all(read_label_map(path).array for path in paths)
    part = [maps.member(name)[maps.box] for name in maps.names]
    filter_ = SimpleITK.MultiLabelSTAPLEImageFilter()
    filter_.SetLabelForUndecidedPixels(0)
    filter_.SetMaximumNumberOfIterations(100)
    expected = SimpleITK.GetArrayFromImage(filter_.Execute([SimpleITK.GetImageFromArray(each) for each in part]))
    np.testing.assert_array_equal(staple(MemberMaps.of_all(part), LABELS), expected)
