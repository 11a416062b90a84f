"""Files that survive a crash and names that cannot leave their folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import SegVarianceError

_SAFE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+-]*[A-Za-z0-9_+-])?")
_MAX_NAME_LENGTH = 128


def write_beside_and_rename(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary path in the same folder, then rename it to ``path`` in one atomic step.

    The temporary name keeps the whole ending (``.nii.gz``), because image writers choose the format by it.
    A reader therefore sees the old file or the new one, never half of either.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / f".{uuid.uuid4().hex}.writing.{path.name}"
    try:
        write(beside)
        with open(beside, "rb+") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove_half_written(folder: Path) -> None:
    """Remove what writers that were killed left behind, anywhere below ``folder``; only for its sole user."""
    for left in Path(folder).rglob(".*.writing.*"):
        left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_beside_and_rename(path, lambda beside: beside.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON in declared key order: region definitions lose their meaning when keys are sorted."""
    write_text(path, json.dumps(content, indent=1, sort_keys=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        SegVarianceError: the file is missing, is not text, or is not JSON; the sentence names file and line.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SegVarianceError(f"{path} does not exist. Check the path, or make the file first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SegVarianceError(f"{path} cannot be read as text ({error}). Check the file and its rights.") from None
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise SegVarianceError(f"{path} is not valid JSON ({error}). Mend or replace the file.") from None


def sha256_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(content: Any) -> str:
    """Digest of a JSON-able value; equal values give equal digests whatever the order of their keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def safe_name(name: str, what: str) -> str:
    """Return ``name`` if it may become a file or folder name.

    Args:
        name: a case id, configuration or ensemble name.
        what: what it is, for the sentence of the error, for example ``"case id"``.

    Raises:
        SegVarianceError: it is empty, too long, begins with a dot, or holds anything but letters, digits and ``._+-``.
    """
    if not isinstance(name, str) or len(name) > _MAX_NAME_LENGTH or not _SAFE_NAME.fullmatch(name):
        raise SegVarianceError(
            f"{str(name)[:_MAX_NAME_LENGTH]!r} cannot be a {what}: expected 1 to {_MAX_NAME_LENGTH} letters, digits, '.', '_', '+' or '-', "
            "beginning with a letter or digit. Rename it."
        )
    return name


def path_inside(folder: Path, relative: str, what: str) -> Path:
    """Join ``relative`` to ``folder`` and refuse a result that lies outside, also through ``..`` or a link.

    Raises:
        SegVarianceError: the path is absolute, climbs out of the folder, or is a link that leads out of it.
    """
    root = Path(folder).resolve()
    joined = (root / relative).resolve() if isinstance(relative, str) and "\0" not in relative else root.parent
    if joined == root or not joined.is_relative_to(root):
        raise SegVarianceError(
            f"{what} {relative!r} leads out of {folder}. Expected a path below that folder: mend the entry or copy the file there."
        )
    return joined
