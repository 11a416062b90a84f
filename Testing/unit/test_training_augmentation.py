"""What is drawn is what is applied, to image and labels alike, and only what the plan allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from SegVarianceLib.plan.study_plan import TrainingPlan
from SegVarianceLib.training.augmentation import AugmentationDraw, augment, draw_augmentation
from SegVarianceLib.training.patches import block_shape

PLAN = TrainingPlan(100, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, mirror_axes=(), rotation_axes=(0, 1, 2))
seeds = st.integers(0, 2**32)
few = settings(max_examples=40)
axis_sets = st.sets(st.integers(0, 2)).map(lambda axes: tuple(sorted(axes)))


def matrices(plan: TrainingPlan, seed: int, batch: int = 64) -> np.ndarray:
    return draw_augmentation(plan, batch, 1, np.random.default_rng(seed)).matrix


def nothing(batch: int, channels: int, matrix: np.ndarray | None = None) -> AugmentationDraw:
    """A draw that leaves intensities as they are, and places too unless ``matrix`` [3, 3] is given."""
    still = np.ones((batch, channels))
    return AugmentationDraw(
        matrix=np.tile(np.eye(3) if matrix is None else matrix, (batch, 1, 1)),
        gain=still,
        offset=0 * still,
        gamma=still,
        noise_sd=np.zeros(batch),
        blur=False,
        noise_seed=0,
    )


def block(*shape: int, channels: int = 1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.normal(size=(2, channels, *shape)).astype(np.float32))
    return image, torch.from_numpy(rng.choice(np.array([0, 1, 3, 255], np.uint8), (2, *shape)))


@pytest.mark.parametrize(
    ("large", "patch"),
    [((12, 14, 16), (8, 10, 6)), ((9, 7, 11), (5, 7, 3)), ((1, 12, 12), (1, 8, 8)), ((8, 8, 8), (8, 8, 8))],
)
def test_an_empty_draw_cuts_the_middle_of_the_block_unchanged(large, patch):
    image, labels = block(*large, channels=4)
    found, classes = augment(image, labels, patch, nothing(2, 4))
    middle = tuple(slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(large, patch, strict=True))
    torch.testing.assert_close(found, image[:, :, *middle], atol=1e-4, rtol=0)
    assert torch.equal(classes[:, 0], labels[:, *middle].long())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_axis_is_flipped_and_no_other(axis):
    image, labels = block(8, 10, 6)
    signs = np.eye(3)
    signs[axis, axis] = -1
    found, classes = augment(image, labels, (8, 10, 6), nothing(2, 1, signs))
    torch.testing.assert_close(found, image.flip(2 + axis), atol=1e-4, rtol=0)
    assert torch.equal(classes[:, 0], labels.flip(1 + axis).long())


@pytest.mark.parametrize(("axis", "plane"), [(0, (1, 2)), (1, (0, 2)), (2, (0, 1))])
def test_a_quarter_turn_about_an_axis_turns_the_other_two(axis, plane):
    image, labels = block(7, 7, 7)
    turn = np.zeros((3, 3))
    turn[axis, axis] = 1
    turn[plane[0], plane[1]], turn[plane[1], plane[0]] = -1, 1
    found, classes = augment(image, labels, (7, 7, 7), nothing(2, 1, turn))
    turned = [torch.rot90(image, k, (2 + plane[0], 2 + plane[1])) for k in (1, 3)]
    which = int(torch.dist(found, turned[0]) > torch.dist(found, turned[1]))
    torch.testing.assert_close(found, turned[which], atol=1e-4, rtol=0)
    assert torch.equal(classes[:, 0], torch.rot90(labels, (1, 3)[which], (1 + plane[0], 1 + plane[1])).long())


@given(seeds, axis_sets)
def test_only_planned_axes_are_mirrored(seed, mirror_axes):
    plan = replace(PLAN, mirror_axes=mirror_axes, rotation_axes=())
    found = matrices(plan, seed)
    diagonal = np.einsum("nii->ni", found)
    assert np.count_nonzero(found) == found.shape[0] * 3
    mirrored = (diagonal < 0).any(0)
    assert not mirrored[[axis for axis in range(3) if axis not in mirror_axes]].any()
    assert mirrored[list(mirror_axes)].all()  # 64 draws: each is mirrored in some


@given(seeds, st.integers(0, 2))
def test_a_patch_turned_about_one_axis_keeps_its_place_along_it(seed, axis):
    found = matrices(replace(PLAN, rotation_axes=(axis,)), seed)
    others = [other for other in range(3) if other != axis]
    assert (found[:, axis, others] == 0).all()
    assert (found[:, others, axis] == 0).all()
    assert (found[:, others[0], others[1]] != 0).any()


@given(seeds, axis_sets)
def test_turns_and_scales_stay_within_their_ranges(seed, mirror_axes):
    found = matrices(replace(PLAN, mirror_axes=mirror_axes), seed)
    scales = np.linalg.norm(found, axis=1)
    assert scales.min() >= 0.8 * 0.94 - 1e-9
    assert scales.max() <= 1.2 * 1.06 + 1e-9
    turns = found / scales[:, None, :]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-9)


@few
@given(seeds, axis_sets, st.tuples(*[st.integers(1, 12)] * 3), st.sampled_from([(), (1,), (0, 1, 2)]))
def test_the_block_covers_every_augmented_patch(seed, mirror_axes, patch, rotation_axes):
    found = matrices(replace(PLAN, mirror_axes=mirror_axes, rotation_axes=rotation_axes), seed, batch=2)
    shape = block_shape(patch, found)
    assert all((n - p) % 2 == 0 for n, p in zip(shape, patch, strict=True))
    # Outside of a block of ones lies zero: an edge voxel that reached out would show it.
    image, labels = torch.ones(2, 1, *shape), torch.full((2, *shape), 7, dtype=torch.uint8)
    draw = replace(nothing(2, 1), matrix=found)
    patches, classes = augment(image, labels, patch, draw)
    torch.testing.assert_close(patches, torch.ones_like(patches), atol=1e-4, rtol=0)
    assert (classes == 7).all()


@few
@given(seeds)
def test_equal_generators_give_equal_patches(seed):
    image, labels = block(14, 14, 14, channels=2)
    results = [
        augment(image.clone(), labels.clone(), (8, 8, 8), draw_augmentation(PLAN, 2, 2, np.random.default_rng(seed)))
        for _ in range(2)
    ]
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_another_generator_gives_other_patches():
    image, labels = block(14, 14, 14)
    first, second = (
        augment(image, labels, (8, 8, 8), draw_augmentation(PLAN, 2, 1, np.random.default_rng(seed)))[0]
        for seed in (0, 1)
    )
    assert not torch.equal(first, second)


@few
@given(seeds)
def test_image_and_labels_move_together(seed):
    """The image is a smooth function of place, and the label its sign: both must tell the same."""
    plan = replace(PLAN, mirror_axes=(0, 1, 2))
    draw = replace(nothing(2, 1), matrix=matrices(plan, seed, batch=2))
    shape = block_shape((9, 12, 10), draw.matrix)
    z, y, x = np.meshgrid(*(np.arange(n) - n / 2.3 for n in shape), indexing="ij")
    ramp = (0.8 * z - 0.5 * y + 0.3 * x).astype(np.float32)
    image = torch.from_numpy(np.tile(ramp, (2, 1, 1, 1, 1)))
    labels = torch.from_numpy(np.tile((ramp > 0).astype(np.uint8), (2, 1, 1, 1)))
    found, classes = augment(image, labels, (9, 12, 10), draw)
    certain = found.abs() > 1.0  # nearest voxels are off by half a voxel along each axis at most: 0.8
    assert certain.float().mean() > 0.3
    assert torch.equal(classes[certain] == 1, found[certain] > 0)


@few
@given(seeds)
def test_no_label_value_is_invented_and_no_image_value_lost_to_nan(seed):
    image, labels = block(16, 16, 16, channels=3, seed=seed % 7)
    draw = draw_augmentation(replace(PLAN, mirror_axes=(1,)), 2, 3, np.random.default_rng(seed))
    found, classes = augment(image, labels, (8, 8, 8), draw)
    assert set(classes.unique().tolist()) <= {0, 1, 3, 255}
    assert torch.isfinite(found).all()
    assert found.shape == (2, 3, 8, 8, 8)
    assert classes.shape == (2, 1, 8, 8, 8)


def test_gain_and_offset_are_those_of_each_sample_and_channel():
    image, labels = block(4, 4, 4, channels=2)
    gain, offset = np.array([[1.0, 2.0], [0.5, 1.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    found, _ = augment(image, labels, (4, 4, 4), replace(nothing(2, 2), gain=gain, offset=offset))
    for n in range(2):
        for c in range(2):
            torch.testing.assert_close(found[n, c], gain[n, c] * image[n, c] + offset[n, c], atol=1e-4, rtol=0)


def test_gamma_keeps_the_range_of_its_channel_and_leaves_the_others():
    image, labels = block(6, 6, 6, channels=2)
    found, _ = augment(image, labels, (6, 6, 6), replace(nothing(2, 2), gamma=np.array([[1.0, 2.0], [1.0, 1.0]])))
    torch.testing.assert_close(found[1], image[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[0, 0], image[0, 0], atol=1e-4, rtol=0)
    low, high = image[0, 1].min(), image[0, 1].max()
    expected = ((image[0, 1] - low) / (high - low)) ** 2 * (high - low) + low
    torch.testing.assert_close(found[0, 1], expected, atol=1e-4, rtol=0)


def test_noise_has_the_drawn_standard_deviation_only_where_drawn():
    image, labels = torch.zeros(2, 1, 24, 24, 24), torch.zeros(2, 24, 24, 24, dtype=torch.uint8)
    found, _ = augment(image, labels, (24, 24, 24), replace(nothing(2, 1), noise_sd=np.array([0.0, 0.2])))
    assert found[0].abs().max() == 0
    assert float(found[1].std()) == pytest.approx(0.2, rel=0.05)


def test_blur_averages_over_neighbours_and_keeps_a_constant():
    image, labels = torch.ones(1, 1, 5, 5, 5), torch.zeros(1, 5, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2, 2] = 28.0
    found, _ = augment(image, labels, (5, 5, 5), replace(nothing(1, 1), blur=True))
    assert float(found[0, 0, 2, 2, 2]) == pytest.approx(2.0, abs=1e-4)
    assert float(found[0, 0, 0, 0, 0]) == pytest.approx(1.0, abs=1e-4)
