"""Where voxels are in the patient, and the one place that states axis order.

Arrays are indexed ``[z, y, x]`` (with channels or classes first: ``[c, z, y, x]``), as SimpleITK gives them.
``Geometry`` holds what an image header holds, in header order ``(x, y, z)``, millimetres, LPS.
Functions that take ``spacing_mm`` for an array say ``spacing_zyx_mm`` when they want array order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SIZE_TOLERANCE = 1e-3  # of one voxel; a NIfTI header holds float32, another writer rounds differently


@dataclass(frozen=True)
class Geometry:
    """Grid of a 3-D image: ``size`` voxels, ``spacing_mm``, ``origin_mm`` in (x, y, z) order and a row-major 3x3 ``direction``."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        return self.size[2], self.size[1], self.size[0]

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        return self.spacing_mm[2], self.spacing_mm[1], self.spacing_mm[0]

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))

    @property
    def direction_matrix(self) -> np.ndarray:
        return np.asarray(self.direction, dtype=float).reshape(3, 3)

    def index_to_lps_mm(self, index_xyz: np.ndarray) -> np.ndarray:
        """Physical LPS points, shape (..., 3), of voxel indices in (x, y, z) order, shape (..., 3)."""
        step = self.direction_matrix * np.asarray(self.spacing_mm)
        return np.asarray(self.origin_mm) + np.asarray(index_xyz, dtype=float) @ step.T

    def difference(self, other: Geometry) -> str | None:
        """Say how ``other`` differs, or return None if voxels of both lie at the same places (to a thousandth of a voxel)."""
        if self.size != other.size:
            return f"size {self.size} against {other.size} voxels"
        finest_mm = min(self.spacing_mm)
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.size], indexing="ij")).reshape(3, -1).T
        apart_mm = np.abs(self.index_to_lps_mm(corners) - other.index_to_lps_mm(corners)).max()
        # The relative part allows for float32 headers of volumes that lie far from the origin.
        if apart_mm <= _SIZE_TOLERANCE * finest_mm + 1e-5 * np.abs(self.origin_mm).max():
            return None
        if not np.allclose(self.spacing_mm, other.spacing_mm, rtol=1e-4):
            return f"spacing {_rounded(self.spacing_mm)} against {_rounded(other.spacing_mm)} mm"
        if not np.allclose(self.direction, other.direction, atol=1e-4):
            return f"direction {_rounded(self.direction)} against {_rounded(other.direction)}"
        return f"origin {_rounded(self.origin_mm)} against {_rounded(other.origin_mm)} mm"


@dataclass(frozen=True)
class CanonicalAxes:
    """How to turn an array ``[..., z, y, x]`` so that its axes run along S, P, L as closely as the grid allows, and back.

    Only axes are swapped and flipped: no voxel value changes, so ``undo(apply(a))`` is ``a``.
    """

    permutation: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def of(cls, geometry: Geometry) -> CanonicalAxes:
        towards = geometry.direction_matrix[::-1, ::-1]  # rows: S, P, L; columns: array axes z, y, x
        permutation = _best_assignment(np.abs(towards))
        flipped = tuple(bool(towards[row, column] < 0) for row, column in enumerate(permutation))
        return cls(permutation, flipped)  # type: ignore[arg-type]

    def apply(self, array: np.ndarray) -> np.ndarray:
        lead = array.ndim - 3
        turned = array.transpose(*range(lead), *(lead + axis for axis in self.permutation))
        return np.flip(turned, self._flipped_axes(lead))

    def undo(self, array: np.ndarray) -> np.ndarray:
        lead = array.ndim - 3
        turned = np.flip(array, self._flipped_axes(lead))
        return turned.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(self.permutation)))

    def _flipped_axes(self, lead: int) -> tuple[int, ...]:
        return tuple(lead + axis for axis in range(3) if self.flipped[axis])

    def spacing(self, spacing_zyx_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """Spacing of the turned array, from that of the array as read; both in array order."""
        first, second, third = (spacing_zyx_mm[axis] for axis in self.permutation)
        return first, second, third


def _best_assignment(weight: np.ndarray) -> tuple[int, int, int]:
    """The permutation p with the largest sum of weight[i, p[i]]: an oblique grid still gets each axis once."""
    permutations = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    return max(permutations, key=lambda p: weight[0, p[0]] + weight[1, p[1]] + weight[2, p[2]])


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
