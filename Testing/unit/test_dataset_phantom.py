"""The phantom: the same from the same seed, nested structures, and grids of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.image_io import read_image, read_label_map
from SegVarianceLib.dataset.phantom import _draw, _grid, make_phantom


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(make_phantom(tmp_path_factory.mktemp("phantom"), seed=0, cases=12))


def volumes(dataset):
    return [(read_image(case.images), read_label_map(case.label)) for case in dataset.cases]


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(tmp_path, dataset):
    again = open_dataset(make_phantom(tmp_path / "again", seed=0, cases=2))
    other = open_dataset(make_phantom(tmp_path / "other", seed=1, cases=2))
    for (image, labels), (image_again, labels_again), (image_other, labels_other) in zip(
        volumes(dataset)[:2], volumes(again), volumes(other), strict=True
    ):
        assert image.array.tobytes() == image_again.array.tobytes()
        assert labels.array.tobytes() == labels_again.array.tobytes()
        assert image.array.tobytes() != image_other.array.tobytes()
        assert labels.array.tobytes() != labels_other.array.tobytes()


def test_each_structure_lies_wholly_inside_the_next_outer_one(dataset):
    for image, labels in volumes(dataset):
        assert set(np.unique(labels.array)) == {0, 1, 2, 3}
        assert ndimage.label(labels.array > 0)[1] == 1
        for value in (2, 3):
            around = ndimage.binary_dilation(labels.array >= value)
            inside = (labels.array[around] >= value - 1).mean()
            assert inside == 1 or image.geometry.spacing_mm[2] == 2  # a rim of one millimetre slips through such slices
        for axis in range(3):
            assert not np.take(labels.array, [0, -1], axis=axis).any()


def test_some_grids_are_left_handed_some_oblique_some_have_thick_slices(dataset):
    geometries = [image.geometry for image, _ in volumes(dataset)]
    assert any(np.linalg.det(geometry.direction_matrix) < 0 for geometry in geometries)
    assert any(0.1 < np.abs(geometry.direction_matrix).min(axis=0).max() < 0.9 for geometry in geometries)
    assert any(geometry.spacing_mm[2] == 2 for geometry in geometries)
    assert all(image.geometry.difference(labels.geometry) is None for image, labels in volumes(dataset))


def test_the_grid_does_not_change_the_anatomy():
    """On a left-handed grid of thick slices every structure keeps its volume and its place in the patient."""
    plain, other = _grid(0), _grid(10)
    assert np.linalg.det(other.direction_matrix) < 0
    assert other.spacing_mm[2] == 2
    found = []
    for grid in (plain, other):
        _, labels = _draw(grid, np.random.default_rng(5))
        index = np.argwhere(labels > 0)[:, ::-1]
        found.append((len(index) * grid.voxel_volume_mm3, grid.index_to_lps_mm(index).mean(axis=0)))
    (volume, centre), (other_volume, other_centre) = found
    assert other_volume == pytest.approx(volume, rel=0.05)
    np.testing.assert_allclose(other_centre, centre, atol=0.3)


def test_core_and_shell_look_alike_so_that_only_the_place_tells_them_apart(dataset):
    for image, labels in volumes(dataset):
        shell, body, core = (np.median(image.array[0][labels.array == value]) for value in (1, 2, 3))
        tissue = np.median(image.array[0][(labels.array == 0) & (image.array[0] > 0.5 * shell)])
        assert tissue < min(shell, core) <= max(shell, core) < body
        assert abs(shell - core) < 0.5 * (body - shell)
