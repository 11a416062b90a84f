"""Which patches a step sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.seeding import derived_seed
from SegVarianceLib.plan.study_plan import NetworkPlan
from SegVarianceLib.training.patches import TrainingCase, block_shape, case_order, draw_blocks, foreground_voxels

seeds = st.integers(0, 2**32)
PATCH = (8, 8, 8)
NETWORK = NetworkPlan(1, 3, PATCH, (2, 2, 2), (), (4,))


def case(label_map: np.ndarray, image: np.ndarray | None = None, name: str = "a") -> TrainingCase:
    values = np.ones((1, *label_map.shape)) if image is None else image
    return TrainingCase(name, values.astype(np.float16), label_map, foreground_voxels(label_map, 3))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 1000))
def test_every_epoch_is_a_fresh_permutation_of_all_cases(cases, batch_size, seed):
    def seed_of_epoch(epoch: int) -> int:
        return derived_seed(seed, "epoch", epoch)

    steps = -(-2 * cases // batch_size)
    seen = np.concatenate([case_order(cases, batch_size, step, seed_of_epoch) for step in range(steps)])
    first, second = seen[:cases], seen[cases : 2 * cases]
    assert sorted(first) == sorted(second) == list(range(cases))
    if cases > 20:
        assert not np.array_equal(first, second)


def test_the_order_of_a_step_does_not_depend_on_the_steps_before():
    late = case_order(10, 3, 7, lambda epoch: epoch)
    for step in range(7):
        case_order(10, 3, step, lambda epoch: epoch)
    np.testing.assert_array_equal(case_order(10, 3, 7, lambda epoch: epoch), late)


def test_an_undisturbed_patch_needs_a_block_of_its_own_size():
    assert block_shape((24, 40, 24), np.eye(3)[None]) == (24, 40, 24)
    assert block_shape((1, 7, 8), np.eye(3)[None]) == (1, 7, 8)


def test_the_block_is_that_of_the_widest_patch_of_the_batch():
    quarter_turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    assert block_shape((10, 30, 8), np.stack([np.eye(3), quarter_turn])) == (30, 30, 8)
    assert block_shape((10, 10, 10), 1.2 * np.eye(3)[None]) == (12, 12, 12)


def test_one_slice_meets_whole_voxels_not_the_void_beside_it():
    image = np.full((1, 1, 12, 12), 5.0)
    blocks = draw_blocks(
        [case(np.ones((1, 12, 12), np.uint8), image)], np.zeros(8, int), NETWORK, 1.0, (1, 8, 8), rng()
    )
    assert (blocks.image == 5).mean() > 0.8
    np.testing.assert_array_equal(blocks.image[:, 0] == 5, blocks.label_map == 1)


@given(seeds, st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 14)] * 3))
def test_a_block_is_cut_from_the_image_and_what_lies_outside_is_empty(seed, size, shape):
    """Each voxel carries its own place (below 2048, exact in float16), so that a block tells where it was cut."""
    places = np.arange(1, 1 + np.prod(size)).reshape(size)
    label_map = (places % 3).astype(np.uint8)
    blocks = draw_blocks([case(label_map, places[None])], np.zeros(3, int), NETWORK, 0.5, shape, rng(seed))
    assert blocks.image.dtype == np.float32
    assert blocks.image.shape == (3, 1, *shape)
    for image, labels in zip(blocks.image[:, 0], blocks.label_map, strict=True):
        cut = np.argwhere(image != 0)
        if not len(cut):
            continue
        low, high = cut.min(0), cut.max(0) + 1
        inside = image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        (start,) = np.argwhere(places == inside.flat[0])
        found = places[tuple(slice(a, a + n) for a, n in zip(start, inside.shape, strict=True))]
        np.testing.assert_array_equal(found, inside)
        expected = np.zeros(shape, np.uint8)
        expected[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = found % 3
        np.testing.assert_array_equal(labels, expected)


def test_a_third_of_the_patches_are_centred_on_a_structure_that_chance_would_never_meet():
    label_map = np.zeros((60, 60, 60), np.uint8)
    label_map[30, 31, 32] = 1
    blocks = draw_blocks([case(label_map)], np.zeros(600, int), NETWORK, 1 / 3, PATCH, rng())
    centred = (blocks.label_map[:, 4, 4, 4] == 1).mean()
    assert 0.27 < centred < 0.40


def test_a_rare_structure_is_met_as_often_as_a_large_one():
    label_map = np.zeros((40, 40, 40), np.uint8)
    label_map[5:35, 5:35, 5:20] = 1
    label_map[20, 20, 30] = 2
    blocks = draw_blocks([case(label_map)], np.zeros(400, int), NETWORK, 1.0, PATCH, rng())
    middle = blocks.label_map[:, 4, 4, 4]
    assert 0.4 < (middle == 2).mean() < 0.6
    assert (middle == 1).mean() + (middle == 2).mean() == pytest.approx(1, abs=0.05)


def test_a_case_without_any_structure_gives_patches_all_the_same():
    blocks = draw_blocks([case(np.zeros((20, 20, 20), np.uint8))], np.zeros(4, int), NETWORK, 1.0, PATCH, rng())
    assert (blocks.image != 0).mean() > 0.7
    assert not blocks.label_map.any()


def test_patches_hang_over_the_edge_by_little():
    blocks = draw_blocks([case(np.zeros((30, 30, 30), np.uint8))], np.zeros(300, int), NETWORK, 0.0, PATCH, rng())
    inside = (blocks.image != 0).mean((1, 2, 3, 4))
    assert inside.min() >= (7 / 8) ** 3
    assert inside.min() < 1


def test_an_image_smaller_than_the_patch_lies_whole_within_it():
    small = np.full((3, 4, 5), 2, np.uint8)
    for share in (0.0, 1.0):
        blocks = draw_blocks([case(small)], np.zeros(50, int), NETWORK, share, PATCH, rng())
        assert ((blocks.label_map == 2).sum((1, 2, 3)) >= 0.6 * small.size).all()


@given(seeds)
def test_equal_generators_cut_equal_blocks(seed):
    cases = [case(np.random.default_rng(n).integers(0, 3, (12, 14, 9)).astype(np.uint8)) for n in range(3)]
    first, second = (draw_blocks(cases, np.array([2, 0]), NETWORK, 0.5, PATCH, rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.label_map, second.label_map)


def test_foreground_voxels_are_of_their_class_spread_over_it_and_bounded():
    label_map = np.zeros((30, 30, 30), np.uint8)
    label_map[5:25] = 1
    label_map[0, 0, :7] = 2
    label_map[29] = 255
    first, second, third = foreground_voxels(label_map, 4, at_most=500)
    assert 250 <= len(first) <= 500
    assert (label_map[tuple(first.T)] == 1).all()
    assert (first[:, 0].min(), first[:, 0].max()) == (5, 24)
    np.testing.assert_array_equal(second, [[0, 0, x] for x in range(7)])
    assert third.shape == (0, 3)
