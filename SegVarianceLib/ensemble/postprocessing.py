"""Small components: removed by a stated rule, and listed, so that a reader can see what went and where.

Two voxels belong together when they touch at a face, an edge or a corner (26 neighbours). What is removed becomes
background. Structures are cleaned one after the other in the order given, each on what the one before left.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ..core.arrays import foreground_box
from ..core.catalog import Catalog, Facts, Parameter
from ..core.errors import SegVarianceError
from ..core.files import write_text
from ..core.labels import BACKGROUND, Structure
from ..dataset.image_io import read_label_map, write_label_map

_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
REMOVED_COLUMNS = ("case", "structure", "value", "volume_ml", "voxels", "centre_z", "centre_y", "centre_x")


@dataclass(frozen=True)
class Removed:
    """One removed component. ``value`` is the label that most of its voxels had (a region may hold several).

    ``centre_index_zyx`` is the component's own voxel nearest to its centre of mass.
    """

    structure: str
    value: int
    volume_ml: float
    voxels: int
    centre_index_zyx: tuple[int, int, int]


class Cleaned(NamedTuple):
    """``label_map`` [z, y, x], a copy, and what was removed from it."""

    label_map: np.ndarray
    removed: list[Removed]


def keep_largest(label_map: np.ndarray, structures: Sequence[Structure], voxel_volume_mm3: float) -> Cleaned:
    """Keep the largest component of each structure; of equal ones the first met in the order z, y, x."""
    return _clean(label_map, structures, voxel_volume_mm3, lambda sizes: np.arange(len(sizes)) != sizes.argmax())


def minimum_size(
    label_map: np.ndarray, structures: Sequence[Structure], voxel_volume_mm3: float, minimum_mm3: float
) -> Cleaned:
    """Remove each structure's components smaller than ``minimum_mm3``; one of exactly that size stays."""
    # A hair less, so that 3 voxels of 0.7 mm3 are 2.1 mm3 whatever the last bit says.
    least_voxels = minimum_mm3 / voxel_volume_mm3 * (1 - 1e-6)
    return _clean(label_map, structures, voxel_volume_mm3, lambda sizes: sizes < least_voxels)


CleanUp = Callable[..., Cleaned]
CLEAN_UP: Catalog[CleanUp] = Catalog(
    "clean-up step",
    ("label_map", "structures", "voxel_volume_mm3"),
    [
        (
            Facts(
                "keep_largest",
                "Keep largest",
                "Isensee et al. 2021, Nat Methods 18:203-211. 26 neighbours; of equal components the first in z, y, x order",
            ),
            keep_largest,
        ),
        (
            Facts(
                "minimum_size",
                "Minimum size",
                "26 neighbours; a component of exactly the minimum stays",
                parameters=(
                    Parameter("minimum_mm3", "Minimum size", float, 10.0, unit="mm3", minimum=0.0, maximum=1e9),
                ),
            ),
            minimum_size,
        ),
    ],
)


def clean_folder(
    step: str,
    label_maps: Mapping[str, Path],
    structures: Sequence[Structure],
    folder: Path,
    settings: dict[str, Any] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, list[Removed]]:
    """Clean label map files, write them into ``folder`` under their own names, and ``removed.csv`` beside them.

    Args:
        step: an id of ``CLEAN_UP``; ``settings`` are its parameters.
        label_maps: case id to file.
        structures: those to clean; others are left as they are, unless a cleaned region holds their voxels.

    Returns:
        Case id to what was removed.

    Raises:
        SegVarianceError: an unknown step or setting, an unreadable file, or a folder where a source would be overwritten.
    """
    clean, chosen = CLEAN_UP.function(step), CLEAN_UP.settings(step, settings or {})
    targets = {case_id: Path(folder) / path.name for case_id, path in label_maps.items()}
    for case_id, path in label_maps.items():
        if targets[case_id].resolve() == path.resolve():
            raise SegVarianceError(f"Cleaning would overwrite {path}. Give another folder for the cleaned label maps.")
    if len(set(targets.values())) < len(targets):
        raise SegVarianceError("Two label maps have one file name, one would overwrite the other. Rename one of them.")
    removed: dict[str, list[Removed]] = {}
    for done, (case_id, path) in enumerate(label_maps.items(), start=1):
        found = read_label_map(path)
        cleaned = clean(found.array, structures, found.geometry.voxel_volume_mm3, **chosen)
        write_label_map(targets[case_id], cleaned.label_map, found.geometry, like=path)
        removed[case_id] = cleaned.removed
        if progress is not None:
            progress(done, len(label_maps))
    _write_removed(Path(folder) / "removed.csv", removed)
    return removed


def _clean(
    label_map: np.ndarray,
    structures: Iterable[Structure],
    voxel_volume_mm3: float,
    unwanted: Callable[[np.ndarray], np.ndarray],
) -> Cleaned:
    """``unwanted`` gets the components' sizes in voxels and says which of them go."""
    label_map = label_map.copy()
    removed: list[Removed] = []
    for structure in structures:
        mask = structure.mask(label_map)
        box = foreground_box(mask)
        if box is None:
            continue
        components, count = ndimage.label(mask[box], structure=_NEIGHBOURS)
        goes = np.concatenate([[False], unwanted(np.bincount(components.ravel(), minlength=count + 1)[1:])])
        inside = label_map[box]
        boxes = ndimage.find_objects(components)
        for component in np.flatnonzero(goes):
            around = boxes[component - 1]
            indices = np.argwhere(components[around] == component) + [side.start for side in around]
            values = inside[tuple(indices.T)]
            centre = indices[((indices - indices.mean(axis=0)) ** 2).sum(axis=1).argmin()]
            z, y, x = (int(place + side.start) for place, side in zip(centre, box, strict=True))
            volume_ml = len(indices) * voxel_volume_mm3 / 1000
            removed.append(
                Removed(structure.name, int(np.bincount(values).argmax()), volume_ml, len(indices), (z, y, x))
            )
        inside[goes[components]] = BACKGROUND
    return Cleaned(label_map, removed)


def _write_removed(path: Path, removed: Mapping[str, Sequence[Removed]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REMOVED_COLUMNS)
    for case_id, components in removed.items():
        for component in components:
            *facts, centre = astuple(component)
            writer.writerow([case_id, *facts, *centre])
    write_text(path, text.getvalue())
