"""Intensities by their plan, and the way between an image's grid and the network's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.model.preprocessing import NetworkGrid, normalise
from SegVarianceLib.plan.study_plan import ChannelPlan, PreprocessingPlan

IDENTITY = tuple(np.eye(3).ravel())


def channel(kind: str, low=0.0, high=1.0, mean=0.0, std=1.0) -> ChannelPlan:
    return ChannelPlan("T1", kind, low, high, mean, std)


def planned(*spacing_zyx_mm: float) -> PreprocessingPlan:
    return PreprocessingPlan(spacing_zyx_mm, (channel("z_score"),))


def row(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


def test_z_score_uses_every_voxel():
    np.testing.assert_allclose(normalise(row(0, 0, 2, 2), (channel("z_score"),)), row(-1, -1, 1, 1))


def test_z_score_nonzero_leaves_zeros_at_zero_and_out_of_the_mean():
    np.testing.assert_allclose(normalise(row(0, 0, 4, 8), (channel("z_score_nonzero"),)), row(0, 0, -1, 1))


def test_ct_is_clipped_to_its_range_and_scaled_by_the_dataset_not_the_image():
    plan = channel("ct", low=-100, high=200, mean=50, std=50)
    np.testing.assert_allclose(normalise(row(-1000, -100, 50, 100, 3000), (plan,)), row(-3, -3, 0, 1, 3))


@pytest.mark.parametrize("kind", ["z_score", "z_score_nonzero", "ct"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_a_constant_image_stays_finite_and_is_zero_where_the_image_decides(kind, value):
    found = normalise(row(value, value, value), (channel(kind, std=0.0),))
    assert np.isfinite(found).all()
    if kind != "ct":
        np.testing.assert_array_equal(found, row(0, 0, 0))


@given(st.integers(0, 2**32), st.floats(-1e4, 1e4), st.floats(0.1, 1e4))
def test_z_score_gives_zero_mean_and_unit_sd_in_float32_whatever_the_scanner(seed, mean, sd):
    image = np.random.default_rng(seed).normal(mean, sd, (1, 6, 7, 8)).astype(np.float32)
    original = image.copy()
    found = normalise(image, (channel("z_score"),))
    assert found.dtype == np.float32
    assert abs(found.mean()) < 1e-2
    assert abs(found.std() - 1) < 1e-2
    np.testing.assert_array_equal(image, original)


def test_a_far_outlier_fits_a_16_bit_cache():
    image = np.zeros((1, 40, 40, 40), np.float32)
    image[0, 0, 0, 0] = 1e9
    assert np.isfinite(normalise(image, (channel("z_score"),)).astype(np.float16)).all()


def test_each_channel_follows_its_own_plan():
    plans = (channel("z_score"), channel("ct", 0, 10, 5, 5), channel("z_score_nonzero"), channel("z_score"))
    image = np.concatenate([row(1, 3), row(0, 20), row(0, 7), row(5, 5)])
    expected = np.concatenate([row(-1, 1), row(-1, 1), row(0, 0), row(0, 0)])
    np.testing.assert_allclose(normalise(image, plans), expected)


@pytest.mark.parametrize("channels", [1, 4])
def test_another_number_of_channels_is_refused_in_one_sentence(channels):
    with pytest.raises(SegVarianceError, match=f"has {channels} channels, the plan expects 2"):
        normalise(np.zeros((channels, 2, 2, 2), np.float32), (channel("z_score"), channel("ct")))


@st.composite
def any_grid(draw: st.DrawFn) -> Geometry:
    """Left- or right-handed, oblique, anisotropic; the array axes in any order along the body."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    direction = Rotation.random(random_state=rng.integers(2**32)).as_matrix()
    direction = direction * ([1, 1, -1] if draw(st.booleans()) else [1, 1, 1])
    size = tuple(int(n) for n in rng.integers(1, 9, 3))
    return Geometry(size, tuple(rng.uniform(0.4, 3, 3)), tuple(rng.normal(0, 50, 3)), tuple(direction.ravel()))


@given(any_grid())
def test_where_spacings_agree_only_axes_turn_and_nothing_is_interpolated(geometry):
    spacing = NetworkGrid.of(geometry, planned(1, 1, 1)).axes.spacing(geometry.spacing_zyx_mm)
    grid = NetworkGrid.of(geometry, planned(*spacing))
    image = np.random.default_rng(0).normal(size=(2, *geometry.shape_zyx)).astype(np.float32)
    labels = (image[0] > 0).astype(np.uint8)
    assert not grid.resamples
    np.testing.assert_array_equal(grid.axes.undo(grid.image(image)), image)
    np.testing.assert_array_equal(grid.axes.undo(grid.label_map(labels)), labels)


@settings(max_examples=50)
@given(any_grid(), st.tuples(*[st.floats(0.5, 3)] * 3))
def test_the_network_sees_the_same_extent_in_the_body_at_the_planned_spacing(geometry, spacing):
    grid = NetworkGrid.of(geometry, planned(*spacing))
    extent = np.array(grid.canonical_shape) * grid.axes.spacing(geometry.spacing_zyx_mm)
    rounding = np.where(np.array(grid.shape) == 1, np.inf, 0.5 * np.array(spacing))
    assert (np.abs(np.array(grid.shape) * spacing - extent) <= rounding + 1e-6).all()
    assert grid.image(np.zeros((1, *geometry.shape_zyx), np.float32)).shape == (1, *grid.shape)
    assert grid.label_map(np.zeros(geometry.shape_zyx, np.uint8)).shape == grid.shape


@pytest.mark.parametrize("target", [(2.0, 1.0, 0.5), (0.7, 1.0, 1.9), (1.0, 3.1, 1.0)])
def test_a_ramp_stays_a_ramp_in_millimetres(target):
    """Interpolation about voxel corners or a swapped axis would tilt it."""
    geometry = Geometry((16, 12, 14), (1.0, 1.5, 2.0), (0.0, 0.0, 0.0), IDENTITY)
    grid = NetworkGrid.of(geometry, planned(*target))
    z, y, x = np.indices(geometry.shape_zyx) + 0.5
    found = grid.image((3 * z * 2.0 + 5 * y * 1.5 - 2 * x * 1.0)[None])[0]
    reached = np.array(grid.canonical_shape) * (2.0, 1.5, 1.0) / np.array(grid.shape)
    z, y, x = (np.moveaxis(np.indices(grid.shape) + 0.5, 0, -1) * reached).transpose(3, 0, 1, 2)
    # Canonical axes are S, P, L: in this LPS grid none is flipped.
    expected = 3 * z + 5 * y - 2 * x
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-3)


def test_resampling_labels_invents_no_value_between_neighbours():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:10, 2:10, 2:10] = 1
    labels[4:8, 4:8, 4:8] = 4
    grid = NetworkGrid.of(Geometry((12, 12, 12), (1.0, 1.0, 1.0), (0, 0, 0), IDENTITY), planned(0.6, 1.7, 0.8))
    found = grid.label_map(labels)
    assert set(np.unique(found)) == {0, 1, 4}
    shares = [np.mean(found == value) / np.mean(labels == value) for value in (0, 1, 4)]
    np.testing.assert_allclose(shares, 1, atol=0.25)
    middle = ndimage.center_of_mass(found == 4)
    np.testing.assert_allclose(middle, (np.array(found.shape) - 1) / 2, atol=0.51)


def test_large_label_values_and_the_ignore_value_survive_resampling():
    labels = np.full((4, 4, 4), 300, np.uint16)
    labels[2:] = 255
    grid = NetworkGrid.of(Geometry((4, 4, 4), (1.0, 1.0, 1.0), (0, 0, 0), IDENTITY), planned(0.5, 1, 1))
    found = grid.label_map(labels)
    assert (found[:4] == 300).all()
    assert (found[4:] == 255).all()
