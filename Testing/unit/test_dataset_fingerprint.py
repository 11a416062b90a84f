"""The fingerprint against numbers known beforehand, and the choice of mirror axes on crafted anatomy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.fingerprint import Fingerprint, _target_spacing, dataset_digest, take_fingerprint
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.dataset.symmetry import SymmetryTest, foreground_bins

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # x of the array runs along P, y along S, z along L


def write_dataset(folder: Path, label_maps: list[np.ndarray], geometry: Geometry) -> Path:
    """An nnU-Net folder; intensity is 10 where there is no label, 100 + label elsewhere, and 0 in the first z layer."""
    for number, labels in enumerate(label_maps):
        image = np.where(labels > 0, 100.0 + labels, 10.0)
        image[0] = 0
        write_map(folder / "imagesTr" / f"c{number}_0000.nrrd", image, geometry)
        write_label_map(folder / "labelsTr" / f"c{number}.nrrd", labels, geometry)
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "ball": 1, "slab": 2}, "file_ending": ".nrrd"}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def crafted(shape: tuple[int, int, int] = (20, 16, 12)) -> np.ndarray:
    """A slab of 4 x 6 x 8 voxels; nothing of the ball."""
    labels = np.zeros(shape, np.uint8)
    labels[8:12, 5:11, 2:10] = 2
    return labels


def test_facts_of_a_crafted_dataset(tmp_path):
    with_ball = crafted()
    with_ball[2:5, 2:5, 2:5] = 1
    geometry = Geometry((12, 16, 20), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), AXIAL)
    dataset = open_dataset(write_dataset(tmp_path, [with_ball, crafted()], geometry))
    fingerprint = take_fingerprint(dataset)

    assert fingerprint.cases == dict.fromkeys(("c0", "c1"), ((20, 16, 12), (2.0, 1.0, 1.0)))
    assert fingerprint.spacing_zyx_mm == (2.0, 1.0, 1.0)
    assert fingerprint.shape_zyx == (20, 16, 12)
    assert (fingerprint.voxels_total, fingerprint.bytes_float32) == (2 * 3840, 8 * 3840)
    (channel,) = fingerprint.channels
    assert channel.mean == pytest.approx((27 * 101 + 384 * 102) / 411)
    assert (channel.percentile_00_5, channel.percentile_99_5) == (101, 102)
    assert channel.zero_share == pytest.approx(1 / 20)
    ball, slab = fingerprint.structures
    assert (ball.present_share, ball.median_volume_ml) == (0.5, pytest.approx(27 * 2 / 1000))
    assert (slab.present_share, slab.median_volume_ml) == (1.0, pytest.approx(192 * 2 / 1000))
    assert slab.thickness_voxels == 4  # two voxels to the nearest face, twice


def test_the_same_anatomy_on_another_grid_gives_the_same_facts(tmp_path):
    axial = Geometry((12, 16, 20), (1.0, 1.5, 2.0), (0.0, 0.0, 0.0), AXIAL)
    sagittal = Geometry((16, 20, 12), (1.5, 2.0, 1.0), (0.0, 0.0, 0.0), SAGITTAL)
    turned = np.ascontiguousarray(crafted().transpose(2, 0, 1))  # [z, y, x] = [L, S, P]
    one = take_fingerprint(open_dataset(write_dataset(tmp_path / "one", [crafted()] * 2, axial)))
    other = take_fingerprint(open_dataset(write_dataset(tmp_path / "other", [turned] * 2, sagittal)))
    assert one.cases == other.cases
    assert one.spacing_zyx_mm == other.spacing_zyx_mm == (2.0, 1.5, 1.0)
    assert one.structures == other.structures


def test_it_survives_json(tmp_path):
    fingerprint = take_fingerprint(open_dataset(make_phantom(tmp_path, seed=0, cases=2)))
    assert Fingerprint.from_json(json.loads(json.dumps(fingerprint.to_json()))) == fingerprint


def test_the_digest_follows_content_and_nothing_else(tmp_path):
    first = open_dataset(make_phantom(tmp_path / "a", seed=0, cases=2))
    moved = open_dataset(shutil.copytree(tmp_path / "a", tmp_path / "b"))
    assert dataset_digest(moved) == dataset_digest(first)
    assert dataset_digest(replace(first, cases=first.cases[::-1])) == dataset_digest(first)

    swapped = replace(first.labels, structures=first.labels.structures[::-1])
    assert dataset_digest(replace(first, labels=swapped)) != dataset_digest(first)
    assert dataset_digest(replace(first, cases=first.cases[:1])) != dataset_digest(first)
    label = bytearray(moved.cases[0].label.read_bytes())
    label[-1] ^= 1
    moved.cases[0].label.write_bytes(label)
    assert dataset_digest(moved) != dataset_digest(first)


def test_a_dataset_without_foreground_is_refused(tmp_path):
    geometry = Geometry((12, 16, 20), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), AXIAL)
    folder = write_dataset(tmp_path, [np.zeros((20, 16, 12), np.uint8)] * 2, geometry)
    with pytest.raises(SegVarianceError, match="no labelled voxel"):
        take_fingerprint(open_dataset(folder))


def test_target_spacing_is_the_median_and_finer_for_one_much_coarser_axis():
    shapes, spacings = np.full((11, 3), 100.0), np.ones((11, 3))
    spacings[:, 1] = np.linspace(0.5, 1.5, 11)
    np.testing.assert_allclose(_target_spacing(shapes, spacings), [1, 1, 1])
    spacings[:, 0] = np.linspace(3, 8, 11)
    np.testing.assert_allclose(_target_spacing(shapes, spacings), [5.5, 1, 1])  # as many slices as rows: as it is
    shapes[:, 0] = 20
    np.testing.assert_allclose(_target_spacing(shapes, spacings), [3.5, 1, 1])  # nnU-Net: the 10th percentile


def ball(shape: tuple[int, int, int], centre: np.ndarray, radius: float) -> np.ndarray:
    return sum((index - c) ** 2 for index, c in zip(np.indices(shape), centre, strict=True)) < radius**2


def mirror_axes_of(offsets_zyx: list[tuple[float, float, float]], cases: int = 12) -> tuple[int, ...]:
    """Balls, one structure each, at fixed offsets from a middle that lies anywhere; sizes vary a little."""
    rng = np.random.default_rng(2)
    test = SymmetryTest(cases, len(offsets_zyx))
    for case in range(cases):
        middle = np.array([20, 20, 20]) + rng.uniform(-5, 5, size=3)
        masks = [ball((40, 41, 42), middle + offset, rng.uniform(3, 4)) for offset in offsets_zyx]
        bins = foreground_bins(np.any(masks, axis=0))
        for structure, mask in enumerate(masks):
            test.add(case, structure, mask, bins)
    return test.mirror_axes()


def test_a_single_ball_anywhere_may_be_mirrored_every_way():
    assert mirror_axes_of([(0, 0, 0)]) == (0, 1, 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_head_and_tail_forbid_the_axis_along_which_they_lie(axis):
    offset = np.eye(3)[axis] * 7
    assert mirror_axes_of([tuple(-offset), tuple(offset)]) == tuple(other for other in range(3) if other != axis)


def test_left_and_right_as_one_structure_may_be_mirrored_and_as_two_may_not():
    assert 2 not in mirror_axes_of([(0, 0, -8), (0, 0, 8)])
    rng = np.random.default_rng(4)
    test = SymmetryTest(12, 1)
    for case in range(12):
        mask = np.any([ball((30, 30, 40), (15, 15, x), rng.uniform(3, 4)) for x in (12, 28)], axis=0)
        test.add(case, 0, mask, foreground_bins(mask))
    assert test.mirror_axes() == (0, 1, 2)


def test_too_few_cases_allow_no_mirroring():
    assert mirror_axes_of([(0, 0, 0)], cases=5) == ()


def test_mirroring_every_case_mirrors_the_answer_exactly():
    rng = np.random.default_rng(1)
    masks = [ball((25, 33, 17), rng.uniform(7, 10, size=3), 4) | ball((25, 33, 17), (16, 12, 9), 3) for _ in range(8)]
    for axis in range(3):
        shares = []
        for flip in (False, True):
            test = SymmetryTest(8, 1)
            for case, mask in enumerate(masks):
                turned = np.flip(mask, axis) if flip else mask
                test.add(case, 0, turned, foreground_bins(turned))
            shares.append([test.kept_shares(other)[0] for other in range(3)])
        np.testing.assert_allclose(shares[0], shares[1], rtol=1e-4)


def test_hippocampus_may_be_mirrored_left_to_right_only(real_data):
    dataset = open_dataset(real_data / "Task04_Hippocampus")
    fingerprint = take_fingerprint(replace(dataset, cases=dataset.cases[::4]))
    assert fingerprint.mirror_axes == (2,)
    assert fingerprint.spacing_zyx_mm == (1.0, 1.0, 1.0)
    assert [structure.present_share for structure in fingerprint.structures] == [1.0, 1.0]
