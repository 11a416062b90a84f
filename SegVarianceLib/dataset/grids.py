"""Whether files that are to be compared voxel by voxel lie on one grid; from headers alone, before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from ..core.errors import Problem, SegVarianceError
from .image_io import read_geometry

T = TypeVar("T")


def grid_problems(first: Mapping[str, Path], others: Iterable[Mapping[str, Path]]) -> list[Problem]:
    """Files of ``others`` whose voxels lie elsewhere than those of the same case in ``first``, and unreadable headers.

    All mappings go from case id to file; the cases of ``first`` must be in each of ``others``.
    """
    problems: list[Problem] = []
    compared = list(others)
    for case_id, path in first.items():
        expected = read_or_note(path, read_geometry, problems)
        for files in compared:
            found = read_or_note(files[case_id], read_geometry, problems)
            if expected and found and (difference := expected.difference(found)):
                what = f"it does not lie where {path} lies: {difference}."
                problems.append(Problem(str(files[case_id]), what, "Resample one to the other."))
    return problems


def read_or_note(path: Path, read: Callable[[Path], T], problems: list[Problem]) -> T | None:
    """What ``read`` gives, or None and one more problem where it raises a SegVarianceError."""
    try:
        return read(path)
    except SegVarianceError as error:
        problems.append(Problem(str(path), str(error), ""))
        return None
