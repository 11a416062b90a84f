"""What lies below an opened folder: label map files, and the folders that hold images, references or ensembles by their name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .patterns import without_ending

ROLES: Mapping[str, tuple[str, ...]] = {
    "images": ("images", "image", "imagestr", "imagests", "img", "scans"),
    "references": (
        "references", "reference", "labels", "label", "labelstr", "labelsts", "gt", "ground_truth", "groundtruth",
        "gt_segmentations", "truth", "manual",
    ),
    "ensembles": ("ensembles", "ensemble", "fusion", "fusions", "consensus"),
    "none": ("probabilities", "probs", "softmax"),
}  # fmt: skip
"""Names, in small letters, by which a folder is known to hold something else than members."""

WRAPPERS = ("members", "predictions", "segmentations", "preds")
"""Folders that only say what is in them: neither a case nor a member is called so."""

_DEEPEST = 4


@dataclass(frozen=True)
class Folders:
    """``files`` are the label maps of members by name relative to ``root``, "/" between parts, sorted."""

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    roles: dict[str, list[Path]] = field(default_factory=lambda: {role: [] for role in ROLES})


def role_of(folder: Path) -> str | None:
    """What a folder holds by its name; None where it may hold members."""
    return next((role for role, names in ROLES.items() if folder.name.lower() in names), None)


def look_through(root: Path, elsewhere: Collection[Path]) -> Folders:
    """List what is below ``root``, four levels deep; hidden files and the folders ``elsewhere`` are passed over."""
    found = Folders(root)
    _look(found, root, "", elsewhere)
    return found


def _look(found: Folders, folder: Path, above: str, elsewhere: Collection[Path]) -> None:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or path in elsewhere:
            continue
        if without_ending(path.name) is not None:
            if path.is_file():
                found.files[above + path.name] = path
        elif path.is_dir():
            role = role_of(path)
            if role:
                found.roles[role].append(path)
            elif above.count("/") < _DEEPEST:
                _look(found, path, f"{above}{path.name}/", elsewhere)
