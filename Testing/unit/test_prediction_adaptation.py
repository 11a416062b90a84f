"""Inference-specific learning in its parts: neighbours, deformation, moving average; on bodies whose place and size are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.model.preprocessing import NetworkGrid
from SegVarianceLib.model.sliding_window import Rows
from SegVarianceLib.plan.adaptation import GUIDES, MASKS, AdaptationSettings
from SegVarianceLib.plan.study_plan import ChannelPlan, PreprocessingPlan
from SegVarianceLib.prediction.deformation import align
from SegVarianceLib.prediction.moving_average import mean_rows, write_average
from SegVarianceLib.prediction.neighbours import Target, nearest
from SegVarianceLib.training.losses import IGNORED
from SegVarianceLib.training.patches import TrainingCase, foreground_voxels

SPACING = (1.0, 1.0, 1.0)


def body(
    centre: tuple[float, ...], radii: tuple[float, ...], shape: tuple[int, ...] = (40, 44, 48), noise: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A bright ellipsoid, its lower half of class 1 and its upper half of class 2, on a grey slope."""
    z, y, x = np.indices(shape).astype(np.float32)
    inside = sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, radii, strict=True)) <= 1
    classes = np.where(inside, np.where(z < centre[0], 1, 2), 0).astype(np.uint8)
    image = 0.02 * x + np.where(classes == 1, 2.0, np.where(classes == 2, 3.0, 0.0))
    image = image + np.random.default_rng(noise).normal(0, 0.1, shape)
    image = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(image), 0.8))
    return ((image - image.mean()) / image.std()).astype(np.float32), classes


def case(name: str, image: np.ndarray, classes: np.ndarray) -> TrainingCase:
    return TrainingCase(name, image[None].astype(np.float16), classes, foreground_voxels(classes, 3))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([2 * ((a == k) & (b == k)).sum() / ((a == k).sum() + (b == k).sum()) for k in (1, 2)]))


FIXED = body((20, 22, 24), (10, 8, 12), noise=1)
MOVED = case("moved", *body((16, 25, 20), (8, 10, 9), noise=2))
TARGET = Target(FIXED[0][None], FIXED[1])


@pytest.mark.parametrize("guide", GUIDES)
def test_a_body_of_another_place_and_form_is_laid_on_the_inference_case(guide):
    assert dice(MOVED.label_map, FIXED[1]) < 0.5
    aligned = align(MOVED, TARGET, AdaptationSettings(guide=guide), 3, SPACING)
    assert dice(aligned.case.label_map, FIXED[1]) > 0.85
    overlap, similarity, folded, left_out = aligned.facts
    assert overlap == pytest.approx(dice(aligned.case.label_map, FIXED[1]), abs=1e-3)
    assert similarity > 0.8 and folded == 0 and left_out == ""
    assert aligned.case.image.shape == (1, *FIXED[1].shape) and aligned.case.label_map.dtype == np.uint8


def test_labels_and_image_of_a_neighbour_stay_together():
    aligned = align(MOVED, TARGET, AdaptationSettings(match_intensity=False), 3, SPACING).case
    inside, outside = (aligned.image[0][aligned.label_map == k] for k in (2, 0))
    assert np.median(inside) > np.percentile(outside, 95)


def test_grids_of_other_shapes_and_spacings_meet():
    image, classes = body((14, 18, 21), (7, 7, 11), shape=(30, 38, 44))
    aligned = align(case("other", image, classes), TARGET, AdaptationSettings(), 3, (2.0, 1.0, 0.5))
    assert aligned.case.label_map.shape == FIXED[1].shape and dice(aligned.case.label_map, FIXED[1]) > 0.8


def test_the_same_case_twice_gives_the_same_bytes():
    first, second = (align(MOVED, TARGET, AdaptationSettings(), 3, SPACING).case for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes() and first.label_map.tobytes() == second.label_map.tobytes()


def test_intensities_of_a_neighbour_follow_an_inverted_image():
    inverted = Target(-TARGET.image, TARGET.mask)
    as_it_is = align(MOVED, inverted, AdaptationSettings(match_intensity=False), 3, SPACING).case.image
    matched = align(MOVED, inverted, AdaptationSettings(), 3, SPACING).case.image
    assert np.corrcoef(as_it_is.ravel(), inverted.image.ravel())[0, 1] < -0.5
    assert np.corrcoef(matched.ravel(), inverted.image.ravel())[0, 1] > 0.8
    assert matched.std() == pytest.approx(inverted.image.std(), rel=0.05)


def test_an_ignored_part_moves_along_and_counts_as_background_for_the_masks():
    classes = MOVED.label_map.copy()
    classes[:4] = IGNORED
    aligned = align(replace(MOVED, label_map=classes), TARGET, AdaptationSettings(), 3, SPACING)
    assert aligned.facts[3] == "" and dice(aligned.case.label_map, FIXED[1]) > 0.8


def test_without_a_current_mask_the_intensities_lead():
    empty = Target(TARGET.image, np.zeros_like(TARGET.mask))
    aligned = align(MOVED, empty, AdaptationSettings(), 3, SPACING)
    assert dice(aligned.case.label_map, FIXED[1]) > 0.85


def test_what_cannot_be_aligned_is_left_out_with_its_reason():
    noise = np.random.default_rng(0).normal(size=FIXED[0].shape).astype(np.float32)
    refused = align(case("noise", noise, MOVED.label_map), TARGET, AdaptationSettings(), 3, SPACING)
    assert "correlate with the image" in refused.facts[3]
    far = np.zeros_like(MOVED.label_map)
    far[0, 0, 0] = 1
    refused = align(case("speck", MOVED.image[0], far), TARGET, AdaptationSettings(guide=MASKS), 3, SPACING)
    assert "meet the current mask" in refused.facts[3]


def test_neighbours_as_they_are_keep_every_voxel():
    kept = align(MOVED, TARGET, AdaptationSettings(deform=False), 3, SPACING)
    assert np.array_equal(kept.case.image, MOVED.image.astype(np.float32)) and kept.facts[3] == ""


def test_the_nearest_case_is_the_one_of_like_form_wherever_it_lies():
    like = case("like", *body((15, 16, 30), (10, 8, 12), noise=5))
    image, classes = body((20, 22, 24), (10, 8, 12), noise=6)
    halved = case(
        "halved", image, np.where((classes > 0) & (np.indices(classes.shape)[2] < 24), 1, classes)
    )  # most of it is class 1
    found = nearest(TARGET, [halved, like], 3, MASKS, 2)
    assert [each.id for each, _ in found] == ["like", "halved"] and found[0][1] > 0.85 > found[1][1]
    assert [each.id for each, _ in nearest(TARGET, [halved, like], 3, "both", 1)] == ["like"]


def test_ties_go_by_name_and_an_empty_mask_leaves_intensities_alone():
    empty = Target(TARGET.image, np.zeros_like(TARGET.mask))
    twins = [replace(MOVED, id=name) for name in "ba"]
    assert [each.id for each, _ in nearest(empty, twins, 3, MASKS, 2)] == ["a", "b"]
    assert all(0 <= closeness <= 1 for _, closeness in nearest(empty, twins, 3, "both", 2))


@pytest.mark.parametrize("axis", range(3))
def test_the_moving_average_is_what_its_formula_says_along_any_axis(tmp_path: Path, axis: int):
    rng, shape = np.random.default_rng(axis), (2, 5, 6, 7)
    first, second = (rng.random(shape).astype(np.float32) for _ in range(2))

    def rows(values: np.ndarray):
        turned = np.moveaxis(values, 1 + axis, 1)
        for start in range(0, turned.shape[1], 2):
            yield Rows(axis, start, turned[:, start : start + 2])

    write_average(tmp_path / "0.npy", rows(first), shape)
    write_average(tmp_path / "1.npy", rows(second), shape, tmp_path / "0.npy", 0.8)
    held = np.load(tmp_path / "1.npy")
    assert held.dtype == np.float16 and np.abs(held - (0.8 * first + 0.2 * second)).max() < 2e-3
    mean = np.zeros(shape, np.float32)
    for piece in mean_rows([tmp_path / "0.npy", tmp_path / "1.npy"]):
        np.moveaxis(mean, 1 + piece.axis, 1)[:, piece.start : piece.start + piece.probabilities.shape[1]] = (
            piece.probabilities
        )
    assert np.abs(mean - (0.9 * first + 0.1 * second)).max() < 2e-3


@pytest.mark.parametrize("seed", range(6))
def test_the_networks_grid_can_be_shown_where_the_image_lies(seed: int):
    """An image that is a linear function of the place in the patient still is one on the network's grid, at the places that it names."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    geometry = Geometry(
        (17, 14, 21), tuple(rng.uniform(0.6, 2.5, 3)), tuple(rng.normal(0, 50, 3)), tuple(map(float, turned.flatten()))
    )
    x, y, z = np.meshgrid(*[np.arange(n) for n in geometry.size], indexing="ij")
    slope = rng.normal(size=3)
    values = (geometry.index_to_lps_mm(np.stack([x, y, z], -1)) @ slope).transpose(2, 1, 0)
    grid = NetworkGrid.of(geometry, PreprocessingPlan((1.1, 1.3, 0.9), (ChannelPlan("MR", "z_score", 0, 1, 0, 1),)))
    image = grid.image(values[None].astype(np.float32))[0]
    made = grid.geometry(geometry)
    assert made.shape_zyx == image.shape
    i, j, k = np.meshgrid(*[np.arange(n) for n in made.size], indexing="ij")
    expected = (made.index_to_lps_mm(np.stack([i, j, k], -1)) @ slope).transpose(2, 1, 0)
    inner = tuple(slice(2, -2) for _ in range(3))
    assert np.abs(image[inner] - expected[inner]).max() < 1e-3 * np.abs(values).max()
