"""The lines of an NRRD header that place its voxels, given on as they stand: computing them anew changes their last bits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.geometry import Geometry

SPACE_ORIGIN_KEY = "segvariance_space_origin"
"""In the header of a file that holds a part of its grid: what ``space origin`` would be if it held all."""


class NrrdPlace(NamedTuple):
    """The words of an NRRD header that place voxels: ``vectors`` from a voxel to the next along x, y and z, such as ``(0,0,1)``."""

    space: str
    vectors: tuple[str, ...]
    origin: str

    @classmethod
    def of(cls, geometry: Geometry) -> NrrdPlace:
        steps = (geometry.direction_matrix * np.asarray(geometry.spacing_mm)).T
        return cls(
            "left-posterior-superior", tuple(map(nrrd_vector, steps)), nrrd_vector(np.asarray(geometry.origin_mm))
        )

    @classmethod
    def read(cls, path: Path) -> NrrdPlace | None:
        """Of the whole grid, also where the file holds a part; None where the header is not complete."""
        with open(path, "rb") as file:
            header = [
                line.decode(errors="surrogateescape") for line in iter(lambda: file.readline().strip(), b"")
            ]  # an empty line ends it
        lines = dict(line.split(": ", 1) for line in header if re.match(r"space[^:]*: ", line))
        whole = [line.split(":=", 1)[1] for line in header if line.startswith(f"{SPACE_ORIGIN_KEY}:=")]
        if not {"space", "space directions", "space origin"} <= set(lines):
            return None
        vectors = tuple(re.findall(r"\([^)]*\)", lines["space directions"]))
        return cls(lines["space"], vectors, whole[0] if whole else lines["space origin"])


def nrrd_vector(numbers: np.ndarray) -> str:
    return f"({','.join(map(repr, numbers.tolist()))})"


def take_nrrd_place(like: Path, path: Path) -> None:
    """Replace the lines that place the voxels of ``path`` by those of ``like``.

    NRRD stores spacing times direction; taking them apart and multiplying again changes the last bits each time.
    """
    place = NrrdPlace.read(like)
    if place is None:
        return
    head, data = path.read_bytes().split(b"\n\n", 1)
    layers = "none " if b"space directions: none" in head else ""
    for key, value in (
        ("space", place.space),
        ("space directions", layers + " ".join(place.vectors)),
        ("space origin", place.origin),
    ):
        line = f"{key}: {value}".encode(errors="surrogateescape").replace(b"\\", rb"\\")
        head = re.sub(rf"(?m)^{key}: .*$".encode(), line, head)
    path.write_bytes(head + b"\n\n" + data)
