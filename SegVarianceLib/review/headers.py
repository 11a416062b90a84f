"""Headers of many files, fast: whether label maps of a case lie on one grid, and which of them deserve a closer look.

A NIfTI header is read as bytes, and its geometry is asked of SimpleITK once for each distinct placing: members of one case,
and often all cases, share it.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)

from ..core.geometry import Geometry
from ..dataset.image_io import read_geometry
from ..dataset.nifti_header import is_nifti

# Source: nifti1.h of the NIfTI Data Format Working Group.
_FLOAT_CODES = (16, 64)
_HEADER_BYTES = 352
_GZIP_HEAD = 4096
_PLACING = (slice(40, 56), slice(76, 108), slice(123, 124), slice(252, 328))

Segments = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Header:
    """``unusual``: stored as floating point or in several layers, as label maps rarely are; ``incomplete``: its size is odd.

    Only the voxels tell whether the file can be used. ``segments``: name and value of each, as a ``.seg.nrrd`` declares them.
    """

    geometry: Geometry
    unusual: bool = False
    incomplete: bool = False
    segments: Segments = ()


@dataclass
class HeaderReader:
    """Reads headers, remembering the geometry of each placing that it has met."""

    _known: dict[bytes, Geometry] = field(default_factory=dict)

    def read(self, path: Path) -> Header:
        """Raises SegVarianceError where the file has no readable header."""
        if not is_nifti(path):
            return _read_itk(path)
        head = _first_bytes(path)
        order = "<" if head[:4] == struct.pack("<i", 348) else ">"
        if len(head) < _HEADER_BYTES or struct.unpack_from(f"{order}i", head)[0] != 348:
            return Header(read_geometry(path), incomplete=True)
        placing = order.encode() + b"".join(head[part] for part in _PLACING)
        if placing not in self._known:
            self._known[placing] = read_geometry(path)
        dimensions = struct.unpack_from(f"{order}8h", head, 40)
        kind, bits = struct.unpack_from(f"{order}2h", head, 70)
        sizes = dimensions[1 : dimensions[0] + 1]
        data_at = int(struct.unpack_from(f"{order}f", head, 108)[0])
        unusual = kind in _FLOAT_CODES or math.prod(sizes[3:]) > 1
        whole = data_at + math.prod(sizes) * (bits // 8)
        return Header(self._known[placing], unusual, _stored_bytes(path) != whole % 2**32)


def _first_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            if not path.name.endswith(".gz"):
                return file.read(_HEADER_BYTES)
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(file.read(_GZIP_HEAD), _HEADER_BYTES)
    except (OSError, zlib.error):
        return b""


def _stored_bytes(path: Path) -> int:
    """Size of a file, or what the last four bytes of a gzip file say it unpacks to (RFC 1952, modulo 2^32).

    Those of a file cut short say something else, and so may a sound file of several parts: only a reason to look closer.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if not path.name.endswith(".gz"):
            return size
        file.seek(max(0, size - 4))
        return int.from_bytes(file.read(4), "little")


def _read_itk(path: Path) -> Header:
    geometry = read_geometry(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    fractions = reader.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64)
    unusual = fractions or reader.GetNumberOfComponents() > 1
    return Header(geometry, unusual, segments=_segments(reader) if path.name.endswith(".seg.nrrd") else ())


def _segments(reader: sitk.ImageFileReader) -> Segments:
    """Where every segment has a name and a whole value; segments in several layers mean nothing to a label map."""
    numbers = sorted(
        int(match[1]) for key in reader.GetMetaDataKeys() if (match := re.fullmatch(r"Segment(\d+)_ID", key))
    )
    found = []
    for number in numbers:
        name, value = (_text(reader, f"Segment{number}_{what}") for what in ("Name", "LabelValue"))
        if name and value.isdecimal():
            found.append((name, int(value)))
    return tuple(found)


def _text(reader: sitk.ImageFileReader, key: str) -> str:
    return reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""
