"""Where to look: the slice in which two label maps differ most, and the middle of a structure in the patient."""

from __future__ import annotations

import numpy as np

from ..core.arrays import foreground_box
from ..core.geometry import Geometry
from ..core.labels import Structure
from ..report.outlines import worst_slice

Point = tuple[float, float, float]


def centre_mm(index_zyx: np.ndarray, geometry: Geometry) -> np.ndarray:
    """LPS points in mm, [..., 3], of voxel indices [z, y, x], [..., 3]."""
    return geometry.index_to_lps_mm(np.asarray(index_zyx)[..., ::-1])


def structure_centre_mm(label_map: np.ndarray, structure: Structure, geometry: Geometry) -> Point | None:
    """Middle of the structure's own voxel nearest to its centre of mass, LPS in mm; None where it is absent."""
    mask = structure.mask(label_map)
    return None if not mask.any() else _point(_middle(mask), geometry)


def worst_place(
    first: np.ndarray, second: np.ndarray, structure: Structure, geometry: Geometry
) -> tuple[int, Point] | None:
    """The slice (index along axis 0) with most voxels of ``structure`` in one label map alone, and a point to jump to.

    The point (LPS, mm) is the voxel there nearest to the middle of what differs. Where nothing differs it is the slice in
    which the structure is largest; None where it is absent in both.
    """
    masks = structure.mask(first), structure.mask(second)
    box = foreground_box(masks[0] | masks[1])
    if box is None:
        return None
    one, other = (mask[box] for mask in masks)
    number = worst_slice(one, other, axis=0)
    differs = one[number] != other[number]
    row = differs if differs.any() else one[number]
    _, y, x = _middle(row[np.newaxis])
    index = np.array([number, y, x]) + [side.start for side in box]
    return int(index[0]), _point(index, geometry)


def _middle(mask: np.ndarray) -> np.ndarray:
    """Index of the voxel of a mask that is nearest to its centre of mass."""
    indices = np.argwhere(mask)
    return indices[((indices - indices.mean(axis=0)) ** 2).sum(axis=1).argmin()]


def _point(index_zyx: np.ndarray, geometry: Geometry) -> Point:
    x, y, z = (float(value) for value in centre_mm(index_zyx, geometry))
    return x, y, z
