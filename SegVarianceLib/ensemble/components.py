"""Connected components of all labels at once, from runs of equal voxels along x instead of from voxels.

A label map of 80 million voxels has some hundred thousand runs. Runs that touch are the edges of a graph, whose
connected components scipy finds; no array of the map's size but the map itself is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.arrays import foreground_box, slabs
from ..core.labels import BACKGROUND, Structure

_ROWS_BEHIND = {6: ((0, 1), (1, 0)), 26: ((0, 1), (1, -1), (1, 0), (1, 1))}
"""For 6 and 26 neighbours, the steps (z, y) to those neighbouring rows that come later."""


class Runs(NamedTuple):
    """Runs of one foreground value each, in the order z, y, x, inside the map's foreground box.

    ``start`` and ``stop`` are positions in rows of ``row`` voxels, ``rows`` rows a slice: one voxel and one row more than the
    box has, so that nothing at one end of it neighbours the other. ``corner`` is the box's first voxel [z, y, x].
    """

    start: np.ndarray
    stop: np.ndarray
    value: np.ndarray
    row: int
    rows: int
    corner: tuple[int, int, int]

    @classmethod
    def of(cls, label_map: np.ndarray) -> Runs:
        """From an unsigned integer or boolean label map [z, y, x]."""
        box = foreground_box(label_map) or (slice(0, 0), slice(0, 0), slice(0, 0))
        inside = label_map[box]
        rows, row = inside.shape[1] + 1, inside.shape[2] + 1
        places, values = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=label_map.dtype)]
        for slab in slabs(inside.shape):
            part = inside[slab]
            padded = np.zeros((len(part), rows, row), dtype=label_map.dtype)
            padded[:, :-1, :-1] = part
            flat = padded.ravel()
            # Each piece ends in background, so a run that begins a piece begins there.
            changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
            if flat[0] != BACKGROUND:
                changes = np.concatenate([[0], changes])
            values.append(flat[changes])
            places.append(changes + slab.start * rows * row)
        place, value = np.concatenate(places), np.concatenate(values)
        begins = np.flatnonzero(value)
        z, y, x = (side.start for side in box)
        return cls(place[begins], place[begins + 1], value[begins], row, rows, (z, y, x))

    def only(self, chosen: np.ndarray) -> Runs:
        """The runs for which the boolean ``chosen`` [run] is true."""
        return self._replace(start=self.start[chosen], stop=self.stop[chosen], value=self.value[chosen])

    @property
    def lengths(self) -> np.ndarray:
        """Voxels of each run."""
        return self.stop - self.start

    def first_voxels(self) -> np.ndarray:
        """Index [z, y, x] in the map of each run's first voxel, [run, 3]."""
        line, x = np.divmod(self.start, self.row)
        return np.stack([*np.divmod(line, self.rows), x], axis=1) + self.corner

    def voxels(self) -> tuple[np.ndarray, np.ndarray]:
        """Index [z, y, x] in the map of every voxel of the runs, [voxel, 3], and the run it is in, [voxel]."""
        run, ahead = _along(self.lengths)
        indices = self.first_voxels()[run]
        indices[:, 2] += ahead
        return indices, run

    def paint(self, label_map: np.ndarray, values: np.ndarray) -> None:
        """Write ``values`` [run] into the runs' voxels of a C-contiguous map [z, y, x]."""
        run, ahead = _along(self.lengths)
        label_map.reshape(-1)[np.ravel_multi_index(self.first_voxels().T, label_map.shape)[run] + ahead] = values[run]


def _along(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every voxel of runs of these lengths: its run, and how far it lies behind the run's first voxel."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def connect(runs: Runs, group: np.ndarray, neighbours: int = 26) -> np.ndarray:
    """Component of each run, [run], numbered from 0 by their first voxels in the order z, y, x.

    Args:
        group: [run]; runs of different groups are never connected.
        neighbours: 6 (faces) or 26 (faces, edges and corners).
    """
    count = len(runs.start)
    corner = neighbours == 26
    next_in_row = np.flatnonzero((runs.stop[:-1] == runs.start[1:]) & (group[:-1] == group[1:]))
    first, second = [next_in_row], [next_in_row + 1]
    for z, y in _ROWS_BEHIND[neighbours]:
        step = (z * runs.rows + y) * runs.row
        low = np.searchsorted(runs.stop, runs.start + step, "left" if corner else "right")
        high = np.searchsorted(runs.start, runs.stop + step, "right" if corner else "left")
        touched = high - low
        here = np.flatnonzero(touched > 0)
        ahead = 0
        while len(here):
            there = low[here] + ahead
            same = group[here] == group[there]
            first.append(here[same])
            second.append(there[same])
            ahead += 1
            here = here[touched[here] > ahead]
    i, j = np.concatenate(first), np.concatenate(second)
    from scipy import sparse  # slow to load, and not needed before there is something to clean
    from scipy.sparse import csgraph

    graph = sparse.coo_matrix((np.ones(len(i), dtype=np.int8), (i, j)), shape=(count, count))
    return csgraph.connected_components(graph, directed=False)[1]


def cavities(runs: Runs) -> tuple[Runs, np.ndarray]:
    """What the runs close in: runs of voxels that are not of them and have no way out at faces; and the cavity of each, [run].

    Only gaps between two runs of a row can be enclosed. A gap has a way out where a row beside it ends before the gap does.
    """
    line = runs.start // runs.row
    gap = np.flatnonzero((line[1:] == line[:-1]) & (runs.stop[:-1] < runs.start[1:]))
    gaps = runs._replace(start=runs.stop[gap], stop=runs.start[gap + 1], value=runs.value[gap])
    lines, first = np.unique(line, return_index=True)
    begins, ends = runs.start[first], runs.stop[np.append(first[1:], len(line))[: len(first)] - 1]
    opens = np.zeros(len(gap), dtype=bool)
    for step in (1, -1, runs.rows, -runs.rows):
        beside = np.minimum(np.searchsorted(lines, line[gap] + step), len(lines) - 1)
        shift = step * runs.row
        within = (begins[beside] <= gaps.start + shift) & (gaps.stop + shift <= ends[beside])
        opens |= (lines[beside] != line[gap] + step) | ~within
    component = connect(gaps, np.zeros(len(gap), dtype=int), neighbours=6)
    open_too = np.bincount(component, weights=opens) > 0
    enclosed = ~open_too[component]
    return gaps.only(enclosed), component[enclosed]


@dataclass(frozen=True)
class Components:
    """The components (26 neighbours) of structures that share no label value.

    ``component`` [run] numbers them in the order z, y, x of their first voxels; by component, ``structure`` is the position
    in the structures given, ``voxels`` the size.
    """

    runs: Runs
    component: np.ndarray
    structure: np.ndarray
    voxels: np.ndarray

    @classmethod
    def of(cls, runs: Runs, structures: Sequence[Structure]) -> Components:
        """``structures`` share no value."""
        highest = max([*(value for each in structures for value in each.values), int(runs.value.max(initial=0))])
        position = np.full(highest + 1, -1)
        for number, each in enumerate(structures):
            position[list(each.values)] = number
        runs = runs.only(position[runs.value] >= 0)
        group = position[runs.value]
        component = connect(runs, group)
        count = int(component.max(initial=-1)) + 1
        structure = np.zeros(count, dtype=int)
        structure[component] = group
        voxels = np.bincount(component, weights=runs.lengths, minlength=count).astype(np.int64)
        return cls(runs, component, structure, voxels)


def centres(first_voxels: np.ndarray, lengths: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """For each owner that occurs, ascending, the index [z, y, x] of its own voxel nearest to its centre of mass; of equals the first.

    Args:
        first_voxels: [run, 3], those of one owner in the order z, y, x.
        lengths: [run], in voxels along x.
        owner: [run].
    """
    if not len(owner):
        return first_voxels
    order = np.argsort(owner, kind="stable")
    first, lengths = first_voxels[order], lengths[order, None]
    _, starts, number = np.unique(owner[order], return_index=True, return_inverse=True)
    middles = first + (lengths - 1) / 2 * (0, 0, 1)
    means = np.add.reduceat(middles * lengths, starts) / np.add.reduceat(lengths, starts)
    nearest = first.copy()
    ahead = np.ceil(means[number, 2] - first[:, 2] - 0.5).astype(np.intp)
    nearest[:, 2] += np.clip(ahead, 0, lengths[:, 0] - 1)
    apart = ((nearest - means[number]) ** 2).sum(axis=1)
    return nearest[np.lexsort((apart, number))[starts]]


def commonest(owner: np.ndarray, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The owners that occur, ascending, and for each the value that weighs most beside it; of equals the smallest.

    Args:
        owner: [n], below 2^40.
        values: [n], label values.
        weights: [n], whole numbers.
    """
    pairs, which = np.unique(owner.astype(np.int64) << 16 | values, return_inverse=True)
    whose, value = pairs >> 16, pairs & 0xFFFF
    order = np.lexsort((value, -np.bincount(which, weights=weights), whose))
    owners, first = np.unique(whose, return_index=True)
    return owners, value[order][first]


def faces(label_map: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values across the six faces of voxels ``indices`` [voxel, 3]: which voxel [face], and the value there [face].

    Faces at the end of the map look at nothing and are left out.
    """
    voxel, values = [], []
    for axis in range(3):
        for step in (-1, 1):
            beside = indices.copy()
            beside[:, axis] += step
            there = np.flatnonzero((beside[:, axis] >= 0) & (beside[:, axis] < label_map.shape[axis]))
            voxel.append(there)
            values.append(label_map[tuple(beside[there].T)])
    return np.concatenate(voxel), np.concatenate(values)
