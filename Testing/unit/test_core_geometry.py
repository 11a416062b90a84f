"""Where voxels are, when two grids are the same, and turning arrays to canonical axes and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.geometry import CanonicalAxes, Geometry

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((5, 4, 3), (0.8, 1.0, 2.5), (-12.5, 3.25, 7.0), IDENTITY)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any right- or left-handed, oblique grid."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation = rotation * ([1, 1, -1] if draw(st.booleans()) else [1, 1, 1])
    return Geometry((5, 4, 3), tuple(rng.uniform(0.3, 4, 3)), tuple(rng.normal(0, 100, 3)), tuple(rotation.ravel()))


@given(geometries())
def test_voxels_lie_where_simpleitk_says(geometry):
    image = sitk.Image(geometry.size, sitk.sitkUInt8)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    for index in ((0, 0, 0), (4, 0, 0), (1, 2, 1), (4, 3, 2)):
        expected = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(geometry.index_to_lps_mm(np.array(index)), expected, atol=1e-9)


def test_array_order_is_the_reverse_of_header_order():
    assert GRID.shape_zyx == (3, 4, 5)
    assert GRID.spacing_zyx_mm == (2.5, 1.0, 0.8)
    assert GRID.voxel_volume_mm3 == pytest.approx(2.0)


@given(geometries())
def test_a_grid_does_not_differ_from_itself_rounded_to_float32(geometry):
    rounded = Geometry(
        geometry.size,
        *(
            tuple(np.float32(values).tolist())
            for values in (geometry.spacing_mm, geometry.origin_mm, geometry.direction)
        ),
    )
    assert geometry.difference(geometry) is None
    assert geometry.difference(rounded) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": (5, 4, 4)}, "size"),
        ({"spacing_mm": (0.8, 1.0, 2.6)}, "spacing"),
        ({"origin_mm": (-12.5, 3.25, 7.01)}, "origin"),
        ({"direction": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, "direction"),
    ],
)
def test_a_difference_is_named_both_ways(change, words):
    assert GRID.difference(replace(GRID, **change)).startswith(words)
    assert replace(GRID, **change).difference(GRID).startswith(words)


@given(geometries())
def test_canonical_axes_run_towards_superior_posterior_left(geometry):
    """The array of S, P or L coordinates itself, turned, must rise along its own axis more than any other axis makes it."""
    z, y, x = np.indices(geometry.shape_zyx)
    lps = geometry.index_to_lps_mm(np.stack([x, y, z], axis=-1))
    axes = CanonicalAxes.of(geometry)
    spacing = axes.spacing(geometry.spacing_zyx_mm)
    rises = np.zeros((3, 3))
    for row, coordinate in enumerate((2, 1, 0)):
        turned = axes.apply(lps[..., coordinate])
        rises[row] = [np.diff(turned, axis=axis).mean() / spacing[axis] for axis in range(3)]
    assert (np.diag(rises) > -1e-9).all()
    for other in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        assert np.trace(rises) >= np.abs(rises[range(3), other]).sum() - 1e-9


@given(geometries(), st.sampled_from([(), (2,), (2, 3)]))
def test_turning_and_turning_back_gives_the_same_array(geometry, lead):
    array = np.random.default_rng(0).random((*lead, *geometry.shape_zyx))
    axes = CanonicalAxes.of(geometry)
    np.testing.assert_array_equal(axes.undo(axes.apply(array)), array)
    assert axes.apply(array).shape[-3:] == axes.spacing(geometry.shape_zyx)


def test_an_axial_right_handed_grid_is_canonical_already():
    axes = CanonicalAxes.of(GRID)
    assert (axes.permutation, axes.flipped) == ((0, 1, 2), (False, False, False))


def test_a_left_handed_grid_is_flipped_along_its_own_axis():
    axes = CanonicalAxes.of(replace(GRID, direction=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)))
    array = np.arange(60).reshape(GRID.shape_zyx)
    np.testing.assert_array_equal(axes.apply(array), array[:, :, ::-1])
