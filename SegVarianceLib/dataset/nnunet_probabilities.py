"""Class probabilities in nnU-Net's ``.npz``: read in place, without pickling and without a second copy, and written.

nnU-Net v2 stores them as fractions [c, z, y, x] under the name ``probabilities``, in the axes of the label map beside them
(whatever axes it was trained in), unless its plans name a reader that turns images: see ``review/nnunet_plans.py``.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..core.errors import SegVarianceError
from ..core.files import write_beside_and_rename

_MEMBER = "probabilities.npy"
_LOCAL_HEADER_BYTES = 30  # of a zip archive; the lengths of name and extra field stand at 26 and 28
_READ_AT_ONCE = 1 << 17
"""What is packed in so many bytes stays in the processor's cache until it is where it belongs."""
_RAW_DEFLATE = -15
_DAMAGED = (
    *(OSError, ValueError, TypeError, KeyError, EOFError, StopIteration, MemoryError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What reading a file raises whose archive or header was damaged, or made to mislead: numpy takes a header apart as Python."""


def read_nnunet_probabilities(
    path: Path, shape_zyx: tuple[int, int, int], into: np.ndarray | None = None
) -> np.ndarray:
    """Read the probabilities of a case as they are stored (float32 by nnU-Net 2.2 to 2.8), [c, z, y, x].

    Args:
        shape_zyx: of the label map beside the file.
        into: an array that an earlier call gave and that is not needed any more. It is filled again where it fits, which spares
            the system finding so much memory for each member.

    Raises:
        SegVarianceError: the file cannot be read or is damaged, or holds no fractions of that shape.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(_MEMBER)
        with open(path, "rb") as file:
            parts = _parts(file, entry)
            first = next(parts)
            shape, fortran, kind, start = _header(first)
            if kind.kind != "f" or len(shape) != 4 or shape[1:] != shape_zyx:
                raise SegVarianceError(
                    f"{path} holds {kind} values of shape {shape}; expected fractions [c, z, y, x] over {shape_zyx} voxels. "
                    "Predict again."
                )
            if prod(shape) * kind.itemsize + start != entry.file_size:
                raise ValueError("a header that says another size than the archive")
            fits = into is not None and (into.size, into.dtype) == (prod(shape), kind) and into.flags.c_contiguous
            content = into.reshape(-1) if into is not None and fits else np.empty(prod(shape), dtype=kind)
            _fill(content.view(np.uint8), first, start, parts, entry.CRC)
        return content.reshape(shape, order="F" if fortran else "C")
    except _DAMAGED:
        raise SegVarianceError(f"{path} holds no probabilities of nnU-Net, or is damaged. Predict again.") from None


def write_nnunet_probabilities(path: Path, probabilities: np.ndarray) -> None:
    """Write fractions [c, z, y, x] as nnU-Net does: float32, compressed."""
    array = probabilities.astype(np.float32, copy=False)
    write_beside_and_rename(path, lambda beside: np.savez_compressed(beside, probabilities=array))


def _parts(file: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The unpacked bytes of an entry, piece by piece."""
    file.seek(entry.header_offset)
    local = file.read(_LOCAL_HEADER_BYTES)
    file.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), io.SEEK_CUR)
    unpack = zlib.decompressobj(_RAW_DEFLATE).decompress if entry.compress_type == zipfile.ZIP_DEFLATED else bytes
    for at in range(0, entry.compress_size, _READ_AT_ONCE):
        if part := unpack(file.read(min(_READ_AT_ONCE, entry.compress_size - at))):
            yield part


def _header(first: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether in Fortran's order, type, and where the values begin."""
    head = io.BytesIO(first)
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, kind = read(head)
    return shape, fortran, kind, head.tell()


def _fill(target: np.ndarray, first: bytes, start: int, parts: Iterator[bytes], checksum: int) -> None:
    """Put the bytes of ``first`` from ``start`` on, and those of ``parts``, into ``target`` (uint8)."""
    found, at = zlib.crc32(first), len(first) - start
    target[:at] = np.frombuffer(first, np.uint8, offset=start)
    for part in parts:
        found = zlib.crc32(part, found)
        target[at : at + len(part)] = np.frombuffer(part, np.uint8)  # ValueError where there are too many
        at += len(part)
    if at != len(target) or found != checksum:
        raise ValueError("too few bytes, or others than were written")
