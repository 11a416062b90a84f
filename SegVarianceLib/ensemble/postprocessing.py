"""Clean-up: components that go by a stated rule and cavities that are filled, all listed, so that a reader can see where.

Two voxels of a structure belong together when they touch at a face, an edge or a corner (26 neighbours). Structures are
cleaned one after the other in the order given, each on what the one before left.

``becomes`` says what a removed voxel is afterwards: ``"background"``, as nnU-Net has it, even where that leaves a hole in an
enclosing region; or ``"enclosing"``: the label that most faces of the removed component touch, of equal ones the smallest, so
that an island of a core inside its oedema becomes oedema, and one in the background becomes background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.catalog import Catalog, Facts, Parameter
from ..core.labels import BACKGROUND, Structure
from .components import Components, Runs, cavities, centres, commonest, faces

BECOMES = ("background", "enclosing")
TIES = ("first", "all")
FOREGROUND = "foreground"
"""Name of all structures taken together."""


@dataclass(frozen=True)
class Removed:
    """A component that was taken out, or a cavity that was filled (``becomes`` says with what, ``value`` is then background).

    ``value`` is the label that most of its voxels had (a region may hold several). ``centre_index_zyx`` is its own voxel nearest
    to its centre of mass.
    """

    structure: str
    value: int
    becomes: int
    volume_ml: float
    voxels: int
    centre_index_zyx: tuple[int, int, int]


class Cleaned(NamedTuple):
    """``label_map`` [z, y, x], a copy, and what was removed from it."""

    label_map: np.ndarray
    removed: list[Removed]


def keep_largest(
    label_map: np.ndarray,
    structures: Sequence[Structure],
    voxel_volume_mm3: float,
    ties: str = "first",
    becomes: str = "background",
) -> Cleaned:
    """Keep the largest component of each structure.

    Of equally large ones stays the first met in the order z, y, x (``ties="first"``), or all (``"all"``, as in nnU-Net, whose
    ``remove_all_but_largest_component_from_segmentation`` this then is to the voxel).
    """
    return _clean(label_map, structures, voxel_volume_mm3, lambda sizes: smaller_than_largest(sizes, ties), becomes)


def keep_largest_foreground(
    label_map: np.ndarray,
    structures: Sequence[Structure],
    voxel_volume_mm3: float,
    ties: str = "first",
    becomes: str = "background",
) -> Cleaned:
    """Keep the largest component of all structures taken together; settings as in ``keep_largest``."""
    values = tuple(sorted({value for structure in structures for value in structure.values}))
    return keep_largest(label_map, [Structure(FOREGROUND, values)], voxel_volume_mm3, ties, becomes)


def minimum_size(
    label_map: np.ndarray,
    structures: Sequence[Structure],
    voxel_volume_mm3: float,
    minimum_mm3: float,
    becomes: str = "background",
) -> Cleaned:
    """Remove each structure's components smaller than ``minimum_mm3``; one of exactly that size stays."""
    least = least_voxels(minimum_mm3, voxel_volume_mm3)
    return _clean(label_map, structures, voxel_volume_mm3, lambda sizes: sizes < least, becomes)


def fill_holes(label_map: np.ndarray, structures: Sequence[Structure], voxel_volume_mm3: float) -> Cleaned:
    """Fill the background inside each structure's cavities.

    A cavity is what the structure closes in: voxels that are not of it, connected at faces (6 neighbours), without a way out
    at faces. Background in it gets that label of the structure that touches this background at most faces (of equal ones the
    smallest); another structure inside it, as a lesion in an organ, stays.
    """
    label_map = np.array(label_map, order="C")
    removed: list[Removed] = []
    for batch in _batches(structures):
        runs = Runs.of(label_map)
        for structure in batch:
            closed, cavity = cavities(runs.only(np.isin(runs.value, structure.values)))
            indices, run = closed.voxels()
            empty = label_map[tuple(indices.T)] == BACKGROUND
            indices, owner = indices[empty], cavity[run][empty]
            fills = _touching(label_map, indices, owner, structure, of_it=True)
            kept = fills[owner] != BACKGROUND  # where another structure lies between, the background is not this one's
            indices, owner = indices[kept], owner[kept]
            one, nothing = np.ones_like(owner), np.zeros_like(owner)
            names = [structure.name] * len(fills)
            removed += _listed(names, indices, one, owner, nothing, fills, voxel_volume_mm3)
            label_map[tuple(indices.T)] = fills[owner]
    return Cleaned(label_map, removed)


def smaller_than_largest(voxels: np.ndarray, ties: str) -> np.ndarray:
    """Which of one structure's components, by their sizes in the order z, y, x, are not kept as the largest."""
    return voxels < voxels.max() if ties == "all" else np.arange(len(voxels)) != voxels.argmax()


def least_voxels(minimum_mm3: float, voxel_volume_mm3: float) -> float:
    """Components of fewer voxels are too small. A hair less than the ratio: 3 voxels of 0.7 mm3 are 2.1 mm3 whatever the last bit says."""
    return minimum_mm3 / voxel_volume_mm3 * (1 - 1e-6)


CleanUp = Callable[..., Cleaned]
_BECOMES = Parameter("becomes", "What is removed becomes", str, "background", choices=BECOMES)
_TIES = Parameter("ties", "Of equally large ones stays", str, "first", choices=TIES)
_KEEP_LARGEST = (
    "Isensee et al. 2021, Nat Methods 18:203-211. 26 neighbours; of equal components the first in z, y, x order"
)
CLEAN_UP: Catalog[CleanUp] = Catalog(
    "clean-up step",
    ("label_map", "structures", "voxel_volume_mm3"),
    [
        (Facts("keep_largest", "Keep largest", _KEEP_LARGEST, parameters=(_TIES, _BECOMES)), keep_largest),
        (
            Facts(
                "minimum_size",
                "Minimum size",
                "26 neighbours; a component of exactly the minimum stays",
                parameters=(
                    Parameter("minimum_mm3", "Minimum size", float, 10.0, unit="mm3", minimum=0.0, maximum=1e9),
                    _BECOMES,
                ),
            ),
            minimum_size,
        ),
        (
            Facts(
                "keep_largest_foreground",
                "Keep largest of all together",
                _KEEP_LARGEST,
                parameters=(_TIES, _BECOMES),
            ),
            keep_largest_foreground,
        ),
        (
            Facts("fill_holes", "Fill holes", "Background that a structure closes in, 6 neighbours; other labels stay"),
            fill_holes,
        ),
    ],
)


def _clean(
    label_map: np.ndarray,
    structures: Sequence[Structure],
    voxel_volume_mm3: float,
    unwanted: Callable[[np.ndarray], np.ndarray],
    becomes: str,
) -> Cleaned:
    """``unwanted`` gets the sizes in voxels of one structure's components and says which of them go."""
    label_map = np.array(label_map, order="C")
    removed: list[Removed] = []
    runs: Runs | None = None
    for batch in _batches(structures) if becomes == "background" else ([each] for each in structures):
        runs = Runs.of(label_map) if runs is None else runs
        found = Components.of(runs, batch)
        goes = np.zeros(len(found.voxels), dtype=bool)
        for number in np.unique(found.structure):
            here = np.flatnonzero(found.structure == number)
            goes[here] = unwanted(found.voxels[here])
        if not goes.any():
            continue
        gone, owner = found.runs.only(goes[found.component]), found.component[goes[found.component]]
        becoming = np.zeros(len(goes), dtype=label_map.dtype)
        if becomes == "enclosing":
            indices, run = gone.voxels()
            becoming = _touching(label_map, indices, owner[run], batch[0], of_it=False)
        names = [batch[number].name for number in found.structure]
        first = gone.first_voxels()
        listed = _listed(names, first, gone.lengths, owner, gone.value, becoming, voxel_volume_mm3)
        order = {structure.name: number for number, structure in enumerate(batch)}
        removed += sorted(listed, key=lambda each: order[each.structure])
        gone.paint(label_map, becoming[owner])
        runs = None
    return Cleaned(label_map, removed)


def _batches(structures: Sequence[Structure]) -> Iterator[list[Structure]]:
    """Structures that follow each other and share no label, so that one look at the label map serves them all."""
    batch: list[Structure] = []
    taken: set[int] = set()
    for structure in structures:
        if taken & set(structure.values):
            yield batch
            batch, taken = [], set()
        batch.append(structure)
        taken |= set(structure.values)
    if batch:
        yield batch


def _touching(
    label_map: np.ndarray, indices: np.ndarray, owner: np.ndarray, structure: Structure, of_it: bool
) -> np.ndarray:
    """By owner, the label that touches its voxels at most faces, of those of the structure or of all others; else background."""
    voxel, beside = faces(label_map, indices)
    counted = np.isin(beside, structure.values, invert=not of_it)
    touching = np.zeros(int(owner.max(initial=-1)) + 1, dtype=label_map.dtype)
    owners, values = commonest(owner[voxel[counted]], beside[counted], np.ones(int(counted.sum())))
    touching[owners] = values
    return touching


def _listed(
    names: Sequence[str],
    first_voxels: np.ndarray,
    lengths: np.ndarray,
    owner: np.ndarray,
    had: np.ndarray,
    becoming: np.ndarray,
    voxel_volume_mm3: float,
) -> list[Removed]:
    """What the runs of each ``owner`` [run] ``had`` [run] and become, owner by owner; ``names`` and ``becoming`` go by owner."""
    owners, values = commonest(owner, had, lengths)
    counts = np.bincount(owner, weights=lengths)[owners].astype(int) if len(owners) else owners
    middles = centres(first_voxels, lengths, owner)
    found = zip(owners.tolist(), values.tolist(), counts.tolist(), middles.tolist(), strict=True)
    return [
        Removed(names[number], value, int(becoming[number]), voxels * voxel_volume_mm3 / 1000, voxels, (z, y, x))
        for number, value, voxels, (z, y, x) in found
    ]
