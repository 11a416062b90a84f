"""8-bit class probabilities in NRRD files that hold only the box outside of which every voxel is like the first one.

Classes are the slowest axis, so that each is one run of bytes. ITK and 3D Slicer open such a file as a vector volume that lies
where the box lies; what the whole grid is stands in two keys of the header. Files of earlier versions hold the whole grid.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)

from ..core.arrays import PROBABILITY_STEPS, foreground_box
from ..core.errors import SegVarianceError
from ..core.files import write_beside_and_rename
from ..core.geometry import Geometry
from .image_io import (
    GRID_KEY,
    channels_first,
    part_of_grid,
    read_file,
    read_geometry,
    read_header,
)
from .nrrd_place import SPACE_ORIGIN_KEY, NrrdPlace, nrrd_vector

Box = tuple[slice, slice, slice]
"""Of voxels, [z, y, x], on the whole grid."""

_CLASSES_KEY = "segvariance_classes"
_STEPS_KEY = "segvariance_probability_steps"
_EIGHT_BIT = (sitk.sitkUInt8, sitk.sitkVectorUInt8)
_KINDS = "kinds: domain domain domain vector"
_GZIP = zlib.MAX_WBITS | 16
_UNPACKED_AT_ONCE = 1 << 17
"""What is packed in so many bytes stays in the processor's cache until it is where it belongs."""
_WORTH_PACKING = 4
"""What packs to more than a quarter is kept as it is: unpacking it would take ten times as long as reading it."""


class _Stored(NamedTuple):
    """What the header says: the ``box`` of the grid ``geometry`` that is stored, and the classes of each voxel ``outside``."""

    geometry: Geometry
    names: tuple[str, ...]
    box: Box
    outside: np.ndarray


def write_probabilities(
    path: Path, quantised: np.ndarray, geometry: Geometry, class_names: Sequence[str], like: Path | None = None
) -> None:
    """Write 8-bit probabilities [c, z, y, x] (core/arrays.py) and the names of their classes as one vector NRRD.

    ``like`` as in ``write_label_map``. The same probabilities give the same bytes.
    """
    if quantised.dtype != np.uint8 or quantised.shape != (len(class_names), *geometry.shape_zyx):
        raise ValueError(f"{len(class_names)} class names for {quantised.dtype} of shape {quantised.shape}")
    place = NrrdPlace.of(geometry)
    if like is not None and like.name.endswith(".nrrd"):
        if difference := geometry.difference(read_geometry(like)):
            raise ValueError(f"{like} does not lie where the array lies: {difference}")
        geometry, place = read_geometry(like), NrrdPlace.read(like) or place
    outside = quantised[:, 0, 0, 0]
    box = _box_of_others(quantised, outside)
    start = [side.start for side in reversed(box)]
    content = np.ascontiguousarray(quantised[(slice(None), *box)])
    packed = zlib.compress(content.data, wbits=_GZIP)
    is_packed = len(packed) * _WORTH_PACKING <= content.nbytes
    grid = {"size": geometry.size, "start": start, "origin_mm": geometry.origin_mm, "outside": outside.tolist()}
    head = (
        "NRRD0004",
        "type: uint8",
        "dimension: 4",
        f"space: {place.space}",
        f"sizes: {' '.join(map(str, content.shape[::-1]))}",
        f"space directions: {' '.join(place.vectors)} none",
        _KINDS,
        f"encoding: {'gzip' if is_packed else 'raw'}",
        f"space origin: {_corner(place, start)}",
        f"{_CLASSES_KEY}:={json.dumps(list(class_names))}",
        f"{_STEPS_KEY}:={PROBABILITY_STEPS}",
        f"{GRID_KEY}:={json.dumps(grid)}",
        f"{SPACE_ORIGIN_KEY}:={place.origin}",
    )

    def write(beside: Path) -> None:
        with open(beside, "wb") as file:
            file.write("\n".join(head).encode() + b"\n\n")
            file.write(packed if is_packed else content.data)

    write_beside_and_rename(path, write)


def read_probabilities(path: Path, box: Box | None = None) -> tuple[np.ndarray, Geometry, tuple[str, ...]]:
    """Read what write_probabilities wrote: uint8 [c, z, y, x], geometry of the whole grid, class names.

    With ``box``, which must hold ``probability_box(path)``, the array has the voxels in it alone.

    Raises:
        SegVarianceError: the file cannot be read, or does not say what its values mean.
    """
    stored = _header(path)
    try:
        array = _planes(path, (len(stored.names), *_shape(stored.box)))
    except (OSError, ValueError, zlib.error):
        raise SegVarianceError(
            f"{path} is cut short or damaged: expected a whole probability map. Predict again."
        ) from None
    wanted = box or whole_box(stored.geometry.shape_zyx)
    if wanted == stored.box:
        return array, stored.geometry, stored.names
    framed = np.empty((len(array), *_shape(wanted)), dtype=np.uint8)
    framed[:] = stored.outside[:, np.newaxis, np.newaxis, np.newaxis]
    inner = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(stored.box, wanted, strict=True))
    framed[(slice(None), *inner)] = array
    return framed, stored.geometry, stored.names


def probability_box(path: Path) -> Box:
    """The box outside of which all voxels are alike, from the header alone: the whole grid in files of earlier versions.

    Raises:
        SegVarianceError: as ``read_probabilities``.
    """
    return _header(path).box


def _box_of_others(quantised: np.ndarray, outside: np.ndarray) -> Box:
    """Smallest box that holds every voxel [c, z, y, x] that is not like ``outside``; one voxel where there is none."""
    found = [box for plane, value in zip(quantised, outside, strict=True) if (box := foreground_box(plane ^ value))]
    if not found:
        return slice(0, 1), slice(0, 1), slice(0, 1)
    return around(found)


def around(boxes: Iterable[Box]) -> Box:
    """Smallest box that holds all of these."""
    z, y, x = (slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True))
    return z, y, x


def whole_box(shape_zyx: tuple[int, int, int]) -> Box:
    z, y, x = map(slice, (0, 0, 0), shape_zyx)
    return z, y, x


def _shape(box: Box) -> tuple[int, ...]:
    return tuple(side.stop - side.start for side in box)


def _corner(place: NrrdPlace, start_xyz: Sequence[int]) -> str:
    """Where the voxel ``start_xyz`` lies, as an NRRD header says it."""
    steps, origin = (
        np.array([text.strip("()").split(",") for text in each], float) for each in (place.vectors, [place.origin])
    )
    return nrrd_vector(origin[0] + np.array(start_xyz) @ steps)


def _header(path: Path) -> _Stored:
    header, here = read_header(path)
    part = part_of_grid(path, header, here)
    try:
        names = tuple(json.loads(header.GetMetaData(_CLASSES_KEY)))
        sound = int(header.GetMetaData(_STEPS_KEY)) == PROBABILITY_STEPS
        layers = header.GetNumberOfComponents() if header.GetDimension() == 3 else header.GetSize()[3]
        outside = np.array((0,) * layers if part is None else part.outside, dtype=np.uint8)
        sound &= header.GetPixelID() in _EIGHT_BIT and layers == len(names) == len(outside)
    except (RuntimeError, ValueError, TypeError, OverflowError):
        sound = False
    if not sound:
        raise SegVarianceError(
            f"{path} is not a probability map of SegVariance: expected 8-bit values with class names. Predict again."
        )
    if part is None:
        return _Stored(here, names, whole_box(here.shape_zyx), outside)
    z, y, x = (slice(low, low + side) for low, side in zip(part.start_xyz[::-1], here.shape_zyx, strict=True))
    return _Stored(part.grid, names, (z, y, x), outside)


def _planes(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The voxels [c, z, y, x] of a file as it is written here; as ITK reads it where another program wrote it anew."""
    with open(path, "rb") as file:
        lines = [
            line.decode(errors="replace") for line in iter(lambda: file.readline().strip(), b"")
        ]  # an empty line ends it
        if _KINDS in lines and "encoding: raw" in lines:
            content = np.fromfile(file, np.uint8)
        elif _KINDS in lines and "encoding: gzip" in lines:
            content = np.empty(math.prod(shape), np.uint8)
            _unpack(file, content)
        else:
            content = channels_first(read_file(path))
    return content.reshape(shape)


def _unpack(file: BinaryIO, target: np.ndarray) -> None:
    """Raises ValueError where there are fewer or more bytes than ``target`` takes."""
    unpack, at = zlib.decompressobj(_GZIP), 0
    while packed := file.read(_UNPACKED_AT_ONCE):
        part = unpack.decompress(packed)
        target[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    if at != len(target) or not unpack.eof:
        raise ValueError("cut short")
