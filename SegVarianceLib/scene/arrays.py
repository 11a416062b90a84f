"""Arrays ``[z, y, x]`` with their Geometry (LPS) and volume nodes (RAS); both ways exact to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from .lattice import turn_between

_TO_RAS = np.array([-1.0, -1.0, 1.0])
_VTK_TYPES = "bBhHiIlLqQfd"  # numpy's letters of the types that VTK knows
_NOT_ORTHOGONAL = 1e-4


def ras_mm(lps_mm: np.ndarray) -> np.ndarray:
    """Points of shape (..., 3) from LPS to RAS, and as well from RAS to LPS."""
    return np.asarray(lps_mm, dtype=float) * _TO_RAS


def ras_directions(geometry: Geometry) -> list[list[float]]:
    """Columns: where the axes (i, j, k) of the grid point in RAS, rows of a 3x3 matrix."""
    return (geometry.direction_matrix * _TO_RAS[:, np.newaxis]).tolist()


def geometry_of_ras(size: tuple, spacing_mm: tuple, origin_ras_mm: tuple, directions_ras: Any, what: str) -> Geometry:
    """Geometry of a grid as VTK tells it.

    Raises:
        SegVarianceError: its axes are not at right angles.
    """
    directions = np.asarray(directions_ras, dtype=float)
    if np.abs(directions.T @ directions - np.eye(3)).max() > _NOT_ORTHOGONAL:
        raise SegVarianceError(
            f"{what} is sheared: its axes are not at right angles. Expected an orthogonal grid: resample it to one."
        )
    return Geometry(
        (int(size[0]), int(size[1]), int(size[2])),
        (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2])),
        tuple(ras_mm(np.asarray(origin_ras_mm)).tolist()),
        tuple((directions * _TO_RAS[:, np.newaxis]).ravel().tolist()),
    )


def scalars_of(array: np.ndarray, what: str) -> Any:
    """A vtkDataArray that owns a copy of ``array`` [z, y, x].

    Raises:
        SegVarianceError: VTK has no such type, or the array has not three axes.
    """
    if array.ndim != 3 or array.dtype.char not in _VTK_TYPES:
        raise SegVarianceError(
            f"{what} is {array.dtype} of shape {array.shape}. Expected whole or floating numbers on three axes [z, y, x]."
        )
    return numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True)


def fill_volume(node: Any, array: np.ndarray, geometry: Geometry) -> None:
    """Give a scalar volume node the voxels [z, y, x] and the place of an image.

    Raises:
        SegVarianceError: the array does not fit the grid, or VTK has no such type.
    """
    if array.shape != geometry.shape_zyx:
        raise SegVarianceError(
            f"{node.GetName()} has {array.shape} voxels [z, y, x], its grid {geometry.shape_zyx}. Give the array's own geometry."
        )
    image = slicer.vtkOrientedImageData()  # a vtkImageData; the node keeps origin, spacing and directions itself
    image.SetDimensions(geometry.size)
    image.GetPointData().SetScalars(scalars_of(array, node.GetName()))
    node.SetSpacing(geometry.spacing_mm)
    node.SetOrigin(ras_mm(np.asarray(geometry.origin_mm)).tolist())
    node.SetIJKToRASDirections(ras_directions(geometry))
    node.SetAndObserveImageData(image)


def add_volume(scene: Any, name: str, array: np.ndarray, geometry: Geometry) -> Any:
    """A new vtkMRMLScalarVolumeNode with a grey display; errors as fill_volume, and then the scene is as before."""
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    fill_volume(node, array, geometry)
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node


def volume_geometry(node: Any) -> Geometry:
    """Where the voxels of a volume node are.

    Raises:
        SegVarianceError: there are no voxels, the axes are not at right angles, or the node is below a transform.
    """
    if node.GetImageData() is None or 0 in node.GetImageData().GetDimensions():
        raise SegVarianceError(f"{node.GetName()} has no voxels. Expected an image: load it first.")
    if node.GetParentTransformNode() is not None:
        raise SegVarianceError(
            f"{node.GetName()} is moved by the transform {node.GetParentTransformNode().GetName()}. "
            "Expected an image at its own place: harden the transform or take it away."
        )
    directions = [[0.0] * 3 for _ in range(3)]
    node.GetIJKToRASDirections(directions)
    size = node.GetImageData().GetDimensions()
    return geometry_of_ras(size, node.GetSpacing(), node.GetOrigin(), directions, node.GetName())


def volume_array(node: Any, geometry: Geometry | None = None) -> np.ndarray:
    """A copy of a volume node's voxels [z, y, x].

    With ``geometry`` the axes are turned to that grid, which tells the same voxels in another order: Slicer reads a
    left-handed file with its slices the other way round, so the array alone says nothing.

    Raises:
        SegVarianceError: as volume_geometry; the volume has several components, or its voxels lie elsewhere.
    """
    here = volume_geometry(node)
    image = node.GetImageData()
    if image.GetNumberOfScalarComponents() != 1:
        raise SegVarianceError(
            f"{node.GetName()} has {image.GetNumberOfScalarComponents()} values a voxel. Expected one: choose a single channel."
        )
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(here.shape_zyx)
    if geometry is None:
        return array.copy()
    turn = turn_between(here, geometry)
    if turn is None or any(turn.first) or turn.apply(array).shape != geometry.shape_zyx:
        raise SegVarianceError(
            f"{node.GetName()} does not lie on the grid asked for ({geometry.difference(here)}). Resample it to that grid."
        )
    return turn.apply(array).copy()
