"""Clean-up steps with their settings, one after the other, on a label map or on a folder of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import values_present
from ..core.errors import SegVarianceError
from ..core.files import write_text
from ..core.labels import Structure
from ..dataset.image_io import read_label_map, write_label_map
from .postprocessing import CLEAN_UP, Cleaned, Removed

REMOVED_COLUMNS = (
    *("case", "structure", "value", "becomes", "volume_ml", "voxels"),
    *("centre_z", "centre_y", "centre_x"),
)


@dataclass(frozen=True)
class CleanUpStep:
    """A step of ``CLEAN_UP`` for the structures named, in that order; settings that are not given have their default."""

    step: str
    structures: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = [
            f"{value:g} mm3" if name == "minimum_mm3" else f"{name} {value}" for name, value in self.settings.items()
        ]
        title = CLEAN_UP.facts(self.step).title.lower()
        return f"{title} ({', '.join(self.structures)}{'; ' if given else ''}{', '.join(given)})"


def apply_steps(
    steps: Sequence[CleanUpStep], label_map: np.ndarray, structures: Sequence[Structure], voxel_volume_mm3: float
) -> Cleaned:
    """All ``steps`` on a label map [z, y, x], each on what the one before left.

    Args:
        structures: those that steps name, and others.

    Raises:
        SegVarianceError: an unknown step, setting or structure.
    """
    by_name = {structure.name: structure for structure in structures}
    removed: list[Removed] = []
    for each in steps:
        if unknown := [name for name in each.structures if name not in by_name]:
            raise SegVarianceError(f"There is no structure {unknown[0]!r} to clean. There are: {', '.join(by_name)}.")
        settings = CLEAN_UP.settings(each.step, each.settings)
        wanted = [by_name[name] for name in each.structures]
        label_map, found = CLEAN_UP.function(each.step)(label_map, wanted, voxel_volume_mm3, **settings)
        removed += found
    return Cleaned(label_map, removed)


def clean_folder(
    steps: Sequence[CleanUpStep],
    label_maps: Mapping[str, Path],
    structures: Sequence[Structure],
    folder: Path,
    known_values: frozenset[int] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, list[Removed]]:
    """Clean label map files, write them into ``folder`` under their own names, and ``removed.csv`` beside them.

    Args:
        label_maps: case id to file.
        structures: those that steps name; others are left as they are, unless a cleaned region holds their voxels.
        known_values: label values that the files may hold; None for any.

    Returns:
        Case id to what was removed.

    Raises:
        SegVarianceError: an unknown step, setting, structure or label value, an unreadable file, or a folder where a source
            would be overwritten.
    """
    targets = {case_id: Path(folder) / path.name for case_id, path in label_maps.items()}
    for case_id, path in label_maps.items():
        if targets[case_id].resolve() == path.resolve():
            raise SegVarianceError(f"Cleaning would overwrite {path}. Give another folder for the cleaned label maps.")
    if len(set(targets.values())) < len(targets):
        raise SegVarianceError("Two label maps have one file name, one would overwrite the other. Rename one of them.")
    apply_steps(
        steps, np.zeros((1, 1, 1), dtype=np.uint8), structures, 1.0
    )  # a mistake is said before anything is written
    removed: dict[str, list[Removed]] = {}
    for done, (case_id, path) in enumerate(label_maps.items(), start=1):
        found = read_label_map(path)
        unknown = set() if known_values is None else set(values_present(found.array)) - known_values
        if known_values is not None and unknown:
            raise SegVarianceError(
                f"{path} holds the label values {sorted(unknown)}, the clean-up was chosen for {sorted(known_values)}. "
                "Clean predictions of the same dataset."
            )
        cleaned = apply_steps(steps, found.array, structures, found.geometry.voxel_volume_mm3)
        write_label_map(targets[case_id], cleaned.label_map, found.geometry, like=path)
        removed[case_id] = cleaned.removed
        if progress is not None:
            progress(done, len(label_maps))
    _write_removed(Path(folder) / "removed.csv", removed)
    return removed


def _write_removed(path: Path, removed: Mapping[str, Sequence[Removed]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REMOVED_COLUMNS)
    for case_id, components in removed.items():
        for component in components:
            *facts, centre = astuple(component)
            writer.writerow([case_id, *facts, *centre])
    write_text(path, text.getvalue())
