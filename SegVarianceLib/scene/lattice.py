"""One lattice of voxels, told in two orders: Slicer may store a left-handed image with its slices the other way round."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from ..core.geometry import Geometry

_OFF_THE_LATTICE = 0.01  # of a voxel: float32 headers and products of spacing and direction are off by less


class Turn(NamedTuple):
    """How an array [z, y, x] is turned onto another grid: axes swapped, flipped, then laid down at ``first`` [z, y, x]."""

    axes: tuple[int, int, int]
    flipped: tuple[int, ...]
    first: tuple[int, int, int]

    def apply(self, array: np.ndarray) -> np.ndarray:
        return np.flip(array.transpose(self.axes), self.flipped)


def turn_between(here: Geometry, there: Geometry) -> Turn | None:
    """The turn that takes an array on ``here`` to ``there``; None where their voxels do not lie at the same places.

    The grids may be of different size: a crop is turned onto the whole.
    """
    corners = np.array(list(product(*[(0, n - 1) for n in here.size])), dtype=float)
    steps_there = there.direction_matrix * np.asarray(there.spacing_mm)
    index = np.linalg.solve(steps_there, (here.index_to_lps_mm(corners) - np.asarray(there.origin_mm)).T).T
    along = np.linalg.solve(steps_there, here.direction_matrix * np.asarray(here.spacing_mm))
    signed = np.rint(along)
    if np.abs(index - np.rint(index)).max() > _OFF_THE_LATTICE or np.abs(along - signed).max() > _OFF_THE_LATTICE:
        return None
    if not (np.abs(signed).sum(axis=0) == 1).all() or not (np.abs(signed).sum(axis=1) == 1).all():
        return None
    zyx = signed[::-1, ::-1]  # rows: array axes there, columns: array axes here
    axes = tuple(int(axis) for axis in np.abs(zyx).argmax(axis=1))
    flipped = tuple(row for row, axis in enumerate(axes) if zyx[row, axis] < 0)
    first = tuple(int(i) for i in np.rint(index.min(axis=0))[::-1])
    return Turn(axes, flipped, first)  # type: ignore[arg-type]


def laid_on(array: np.ndarray, here: Geometry, there: Geometry) -> np.ndarray | None:
    """``array`` [z, y, x] of grid ``here`` on grid ``there``, zero where ``here`` does not reach; None as in turn_between."""
    turn = turn_between(here, there)
    if turn is None:
        return None
    turned = turn.apply(array)
    whole = np.zeros(there.shape_zyx, dtype=array.dtype)
    if array.size:
        target, source = zip(
            *(
                (slice(max(0, first), max(0, first + n)), slice(max(0, -first), max(0, size - first)))
                for first, n, size in zip(turn.first, turned.shape, whole.shape, strict=True)
            ),
            strict=True,
        )
        whole[target] = turned[source]
    return whole
