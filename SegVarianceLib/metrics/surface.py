"""Surfaces made of surface elements, and the distances between two of them (Nikolov et al. 2021).

An element lies at the centre of a cell of 2x2x2 voxels that are not all alike. Its area is that of the marching-cubes
contour in the cell, so that HD95 and surface Dice weigh every square millimetre of surface equally, on any spacing.
The same definition as the tool ``surface-distance`` (google-deepmind). Outside the image there is background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..core.arrays import foreground_box, slabs
from ..core.labels import LabelSet

Spacing = tuple[float, float, float]

_REACH = 6.0
"""Elements this many mean voxel spacings apart are found by offset, farther ones (usually a hundredth) by KD-tree."""
_BATCHES = (0, 1, 7, 27, 81, 251)
"""Where batches of offsets begin: few for the many elements that meet at once, many for the few that are left."""
_MOST_LOOKUPS = 1 << 24
"""In one batch, 128 MiB of indices: surfaces that are large and far apart go to the tree instead."""
_TIE = 1e-6
"""Distances up to tolerance_mm * (1 + _TIE) count as within it: 3 x 0.8 mm is 2.4000000000000004 in float64."""
_CORNERS = np.array([(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)])


@dataclass(frozen=True)
class Surface:
    """Surface elements of one structure.

    ``cells`` int [n, 3] in [z, y, x]: cell (k, j, i) has the voxels k-1 and k, j-1 and j, i-1 and i.
    ``areas_mm2`` float [n]: area of each element.
    """

    cells: np.ndarray
    areas_mm2: np.ndarray
    spacing_zyx_mm: Spacing

    @property
    def points_mm(self) -> np.ndarray:
        """Element centres, float [n, 3] in [z, y, x], from the centre of voxel (0, 0, 0)."""
        return (self.cells - 0.5) * self.spacing_zyx_mm


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance of every element to the nearest element of the other surface, both ways, with the elements' areas."""

    from_reference_mm: np.ndarray
    reference_areas_mm2: np.ndarray
    from_prediction_mm: np.ndarray
    prediction_areas_mm2: np.ndarray

    def percentile_mm(self, percent: float) -> float:
        """Robust Hausdorff distance: the larger of both directions' area-weighted percentiles, without interpolation."""
        return max(
            _weighted_percentile(self.from_reference_mm, self.reference_areas_mm2, percent),
            _weighted_percentile(self.from_prediction_mm, self.prediction_areas_mm2, percent),
        )

    def share_within(self, tolerance_mm: float) -> float:
        """Surface Dice: share of both surfaces' area that lies at most ``tolerance_mm`` from the other surface."""
        limit = tolerance_mm * (1 + _TIE)
        within = (
            self.reference_areas_mm2[self.from_reference_mm <= limit].sum()
            + self.prediction_areas_mm2[self.from_prediction_mm <= limit].sum()
        )
        return float(within / (self.reference_areas_mm2.sum() + self.prediction_areas_mm2.sum()))


def surface(mask: np.ndarray, spacing_zyx_mm: Spacing, corner: tuple[int, int, int] = (0, 0, 0)) -> Surface:
    """Surface elements of a boolean mask [z, y, x]; none where it is empty.

    ``corner`` is the index of the mask's first voxel when the mask is a crop: cells then count from the whole image.
    """
    return _mixed_cells(mask.view(np.uint8)).surface((1,), spacing_zyx_mm, corner)


def surfaces(label_map: np.ndarray, labels: LabelSet, spacing_zyx_mm: Spacing) -> dict[str, Surface]:
    """Surface of every structure, by name, of a label map [z, y, x].

    The image is looked through once for all of them: only a cell with two values can hold an element of anybody's.
    """
    cells = _mixed_cells(label_map)
    return {structure.name: cells.surface(structure.values, spacing_zyx_mm) for structure in labels.structures}


class _Cells(NamedTuple):
    """Cells of 2x2x2 voxels that are not all alike: ``cells`` int [n, 3] as in Surface, ``voxels`` their values [8, n], the
    voxel of least z, y, x first."""

    cells: np.ndarray
    voxels: np.ndarray

    def surface(
        self, values: tuple[int, ...], spacing_zyx_mm: Spacing, corner: tuple[int, int, int] = (0, 0, 0)
    ) -> Surface:
        inside = np.isin(self.voxels, values) if len(values) > 1 else self.voxels == values[0]
        own = np.flatnonzero(inside.any(axis=0))
        codes = np.zeros(len(own), dtype=np.uint8)
        for voxel in inside:
            codes = codes << 1 | voxel[own]
        cut = codes != 255  # several values of one region make no surface between them
        cells = np.asfortranarray(self.cells[own[cut]] + corner)  # axis by axis in memory: fast to reduce
        return Surface(cells, cell_areas_mm2(spacing_zyx_mm)[codes[cut]], spacing_zyx_mm)


def _mixed_cells(label_map: np.ndarray) -> _Cells:
    box = foreground_box(label_map)
    if box is None:
        return _Cells(np.empty((0, 3), dtype=np.intp), np.empty((8, 0), dtype=label_map.dtype))
    padded = np.pad(label_map[box], 1)
    shape = tuple(side - 1 for side in padded.shape)
    found = []
    for slab in slabs(shape):
        some = padded[slab.start : slab.stop + 1]
        some, every = _pairs(some, some)
        found.append(np.flatnonzero(some != every) + slab.start * shape[1] * shape[2])
    cells = np.array(np.unravel_index(np.concatenate(found), shape))
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    voxels = padded.reshape(-1)[strides @ cells + (_CORNERS @ strides)[:, None]]
    return _Cells((cells + np.array([[side.start] for side in box])).T, voxels)


def _pairs(some: np.ndarray, every: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bits that some and that every voxel of each cell has, [z, y, x] each one shorter: they differ where voxels do."""
    for before, after in (
        (np.s_[:, :, :-1], np.s_[:, :, 1:]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        some, every = some[before] | some[after], every[before] & every[after]
    return some, every


def surface_distances(reference: Surface, prediction: Surface) -> SurfaceDistances:
    """Distances in mm between two surfaces that are not empty, both ways.

    Raises:
        ValueError: a surface is empty, or the spacings differ; the caller decides what a missed structure means.
    """
    if not len(reference.cells) or not len(prediction.cells) or reference.spacing_zyx_mm != prediction.spacing_zyx_mm:
        raise ValueError("distances need two surfaces with elements on one grid")
    return SurfaceDistances(
        _nearest_mm(reference, prediction),
        reference.areas_mm2,
        _nearest_mm(prediction, reference),
        prediction.areas_mm2,
    )


@cache
def cell_areas_mm2(spacing_zyx_mm: Spacing) -> np.ndarray:
    """Contour area of each of the 256 patterns of a 2x2x2 cell, float [256]; bit 7 is voxel (0, 0, 0), bit 0 (1, 1, 1)."""
    spacing = np.asarray(spacing_zyx_mm, dtype=float)
    scale = np.prod(spacing) / spacing  # an area vector's component scales by the two other axes
    return np.array([np.linalg.norm(vectors * scale, axis=1).sum() for vectors in _area_vectors()])


@cache
def _area_vectors() -> tuple[np.ndarray, ...]:
    """Area vectors [faces, 3] of the contour within a unit cell, for each of the 256 patterns.

    Marching cubes: every edge-connected group of corners on the minority side is cut off from the rest of the cell by a
    loop through the midpoints of the cut edges (so groups never join across a face diagonal). A loop that is not flat can
    be spanned by triangles in several ways; the widest one counts, measured in the unit cell.
    """
    return tuple(np.concatenate([np.empty((0, 3)), *map(_span, _groups(code))]) for code in range(256))


def _groups(code: int) -> list[frozenset[int]]:
    """Edge-connected groups of the corners that are in the minority; corner 4z + 2y + x, neighbours differ in one bit."""
    inside = {corner for corner in range(8) if code >> (7 - corner) & 1}
    waiting = inside if len(inside) <= 4 else set(range(8)) - inside
    groups = []
    while waiting:
        group: set[int] = set()
        border = {min(waiting)}
        while border:
            group |= border
            border = {corner ^ bit for corner in border for bit in (1, 2, 4)} & waiting - group
        waiting = waiting - group
        groups.append(frozenset(group))
    return groups


@cache
def _span(group: frozenset[int]) -> np.ndarray:
    """Area vectors [triangles, 3] of the widest triangulation of the loop around one group of corners."""
    cut = [(corner, corner ^ bit) for corner in sorted(group) for bit in (1, 2, 4) if corner ^ bit not in group]
    rest = [(_CORNERS[inner] + _CORNERS[outer]) / 2 for inner, outer in cut]
    loop = [rest.pop()]
    while rest:  # two midpoints follow each other where they lie on one face of the cell
        follows = [bool(((point == loop[-1]) & (point != 0.5)).any()) for point in rest]
        loop.append(rest.pop(follows.index(True)))
    return max(_triangulations(np.array(loop)), key=lambda vectors: np.linalg.norm(vectors, axis=1).sum())


def _triangulations(loop: np.ndarray) -> Iterator[np.ndarray]:
    """Area vectors [n - 2, 3] of each way to cut a loop of n points into triangles between its points."""
    if len(loop) == 2:
        yield np.empty((0, 3))
    for third in range(1, len(loop) - 1):
        triangle = np.cross(loop[third] - loop[0], loop[-1] - loop[0])[None] / 2
        for before in _triangulations(loop[: third + 1]):
            for after in _triangulations(loop[third:]):
                yield np.concatenate([triangle, before, after])


def _nearest_mm(start: Surface, target: Surface) -> np.ndarray:
    """Distance of each element of ``start`` to the nearest of ``target``: by offsets in order of length, then by tree.

    Two segmentations of one structure mostly lie within a few voxels, where looking up neighbours beats any tree.
    """
    offsets, lengths_mm = _offsets(start.spacing_zyx_mm)
    margin = offsets.max(axis=0)
    low = np.minimum(start.cells.min(axis=0), target.cells.min(axis=0)) - margin
    shape = np.maximum(start.cells.max(axis=0), target.cells.max(axis=0)) + margin + 1 - low
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    is_target = np.zeros(np.prod(shape), dtype=bool)
    is_target[(target.cells - low) @ strides] = True

    distances = np.empty(len(start.cells))
    waiting, places = np.arange(len(start.cells)), (start.cells - low) @ strides
    steps = offsets @ strides
    for first, last in pairwise((*_BATCHES, len(steps))):
        if len(places) * (last - first) > _MOST_LOOKUPS:
            break
        hits = is_target.take(places[:, None] + steps[first:last])
        nearest = hits.argmax(axis=1)
        found = hits[np.arange(len(hits)), nearest]
        distances[waiting[found]] = lengths_mm[first + nearest[found]]
        waiting, places = waiting[~found], places[~found]
        if not waiting.size:
            return distances
    from scipy.spatial import KDTree  # slow to load, and seldom needed

    tree = KDTree(target.cells * np.asarray(target.spacing_zyx_mm), balanced_tree=False, compact_nodes=False)
    distances[waiting] = tree.query(start.cells[waiting] * np.asarray(start.spacing_zyx_mm))[0]
    return distances


@cache
def _offsets(spacing_zyx_mm: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """All cells in a ball, about as many on any spacing: offsets int [n, 3] by growing length, and lengths in mm [n]."""
    spacing = np.asarray(spacing_zyx_mm)
    radius_mm = _REACH * np.prod(spacing) ** (1 / 3)
    sides = [np.arange(-reach, reach + 1) for reach in (radius_mm / spacing).astype(int)]
    offsets = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths_mm = np.linalg.norm(offsets * spacing, axis=1)
    order = np.argsort(lengths_mm, kind="stable")
    order = order[lengths_mm[order] < radius_mm]
    return offsets[order], lengths_mm[order]


def _weighted_percentile(distances_mm: np.ndarray, areas_mm2: np.ndarray, percent: float) -> float:
    """Smallest distance within which ``percent`` of the area lies."""
    order = np.argsort(distances_mm)
    covered = np.cumsum(areas_mm2[order])
    # A hair less, so that a share met exactly is met in whatever order the areas were added.
    wanted = percent / 100 * covered[-1] * (1 - 1e-9)
    return float(distances_mm[order[np.searchsorted(covered, wanted)]])
