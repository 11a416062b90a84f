"""The slice that shows a disagreement best, turned as radiologists expect, and outlines along its voxels' edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.geometry import CanonicalAxes, Geometry

_THICK = 1.5
"""A slice axis is the grid's own coarse one if its spacing is this much above the others; otherwise axial."""


@dataclass(frozen=True)
class SlicePlane:
    """How a canonical array [S, P, L] becomes a picture [row, column], and what stands at its four edges."""

    name: str
    axis: int
    from_feet: bool  # rows run along S and are turned, so that the head is on top
    left: str
    right: str
    top: str
    bottom: str

    def cut(self, canonical: np.ndarray, index: int) -> np.ndarray:
        """The picture [row, column] of slice ``index``."""
        picture = np.take(canonical, index, axis=self.axis)
        return picture[::-1] if self.from_feet else picture

    def spacing(self, spacing_spl_mm: tuple[float, float, float]) -> tuple[float, float]:
        """(row, column) spacing in mm of the picture."""
        row, column = (spacing for axis, spacing in enumerate(spacing_spl_mm) if axis != self.axis)
        return row, column


_PLANES = (
    SlicePlane("axial", 0, False, "R", "L", "A", "P"),
    SlicePlane("coronal", 1, True, "R", "L", "S", "I"),
    SlicePlane("sagittal", 2, True, "A", "P", "S", "I"),
)


def plane_of(geometry: Geometry) -> SlicePlane:
    """The plane in which the image was acquired: across its coarsest axis, axial if the voxels are near to cubes."""
    spacing = CanonicalAxes.of(geometry).spacing(geometry.spacing_zyx_mm)
    coarsest = int(np.argmax(spacing))
    thick = spacing[coarsest] >= _THICK * sorted(spacing)[1]
    return _PLANES[coarsest if thick else 0]


def worst_slice(reference: np.ndarray, prediction: np.ndarray, axis: int) -> int:
    """Index along ``axis`` of the slice with the largest disagreement between two masks; where they agree, the largest structure."""
    others = tuple(other for other in range(3) if other != axis)
    disagreement = (reference != prediction).sum(axis=others)
    area = (reference | prediction).sum(axis=others)
    return int(np.argmax(disagreement if disagreement.any() else area))


def outline(mask: np.ndarray) -> str:
    """SVG path in pixel units along the edges between inside and outside of ``mask`` [row, column]."""
    padded = np.pad(mask.astype(bool), 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # [row edge, column]: horizontal lines
    along = padded[1:-1, 1:] != padded[1:-1, :-1]  # [row, column edge]: vertical lines
    horizontal = [f"M{start} {row}h{length}" for row, start, length in _runs(across)]
    vertical = [f"M{column} {start}v{length}" for column, start, length in _runs(along.T)]
    return "".join(horizontal + vertical)


def _runs(lines: np.ndarray) -> list[tuple[int, int, int]]:
    """(line, start, length) of every run of True in the rows of ``lines``."""
    steps = np.diff(np.pad(lines.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(line), int(start), int(end - start)) for (line, start), (_, end) in zip(starts, ends, strict=True)]
