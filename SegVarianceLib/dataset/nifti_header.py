"""What SimpleITK leaves undone for NIfTI: refusing missing or senseless voxels, and giving a header back to the last bit."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)

from ..core.errors import SegVarianceError

# Source: nifti1.h of the NIfTI Data Format Working Group. SimpleITK reads no NIfTI-2.
_HEADER_BYTES = 352  # with the four that announce extensions
_TIGHTLY = 8
"""Voxels a packed byte from which on another zlib pays; of noise it does not."""
_LEAST_PACKED = 1 << 13
_FIELDS = {
    "sizeof_hdr": ("i4", 0), "dim": ("8i2", 40), "intent_code": ("i2", 68), "datatype": ("i2", 70),
    "bitpix": ("i2", 72), "vox_offset": ("f4", 108), "scl_slope": ("f4", 112), "scl_inter": ("f4", 116),
    "cal_max": ("f4", 124), "cal_min": ("f4", 128), "descrip": ("S80", 148), "aux_file": ("S24", 228),
    "intent_name": ("S16", 328), "extension": ("S4", 348),
}  # fmt: skip
_DATATYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip


def is_nifti(path: Path) -> bool:
    return path.name.endswith((".nii", ".nii.gz"))


def read_voxels(path: Path) -> np.ndarray:
    """All voxels of a NIfTI-1, [z, y, x] or [c, z, y, x], rescaled where its header says so.

    SimpleITK would fill the missing voxels of a file cut short with zeros, and put zeros for NaN, without a word.

    Raises:
        SegVarianceError: the file is cut short or damaged, or its voxels are no real numbers.
    """
    if (checked := _inflated_by_itk(path)) is not None:
        return checked
    try:
        content = _content(path)
        header = _header_view(content)
        shape = [int(size) for size in header["dim"][header["dim"][0] : 0 : -1]]
        kind = np.dtype(_DATATYPES[int(header["datatype"])]).newbyteorder(_order(content))
        voxels = np.frombuffer(content, kind, math.prod(shape), int(header["vox_offset"])).reshape(shape)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError):
        raise SegVarianceError(f"{path} is cut short or damaged: expected a whole NIfTI file. Copy it again.") from None
    except KeyError:
        raise SegVarianceError(
            f"{path} holds colours or complex numbers. Expected real numbers: convert the image."
        ) from None
    if voxels.ndim == 5 and voxels.shape[1] == 1:
        voxels = voxels[:, 0]  # a vector image: its components stand on the fifth axis, time has one step
    slope, offset = float(header["scl_slope"]), float(header["scl_inter"])
    if math.isfinite(slope) and slope != 0 and (slope, offset) != (1, 0):
        return voxels * np.float64(slope) + offset
    return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)


def write_with_header_of(like: Path, path: Path, array: np.ndarray) -> None:
    """Write ``array`` [z, y, x] (uint8, uint16 or float32) as ``path``, placed by the very header bytes of ``like``."""
    placed = _content(like, _HEADER_BYTES)
    header = _header_view(placed)
    header["dim"] = [3, *array.shape[::-1], 1, 1, 1, 1]
    header["datatype"] = next(code for code, kind in _DATATYPES.items() if np.dtype(kind) == array.dtype)
    header["bitpix"] = array.dtype.itemsize * 8
    header["vox_offset"] = _HEADER_BYTES
    header["scl_slope"], header["scl_inter"] = 1, 0
    for field in ("intent_code", "cal_min", "cal_max"):
        header[field] = 0
    for field in ("intent_name", "descrip", "aux_file", "extension"):
        header[field] = b""
    content = bytes(placed) + array.astype(array.dtype.newbyteorder(_order(placed))).tobytes()
    # Without a time stamp the same voxels give the same file.
    path.write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if path.name.endswith(".gz") else content)


def _inflated_by_itk(path: Path) -> np.ndarray | None:
    """Voxels of a file that is packed tightly, as label maps are: ITK's zlib unpacks those in half the time.

    None where the file is not as plain as that, or where the checksum at its end says that ITK did not read what was written.
    """
    try:
        if not path.name.endswith(".gz") or path.stat().st_size < _LEAST_PACKED:
            return None
        head = _content(path, _HEADER_BYTES)
        header = _header_view(head)
        shape = tuple(int(size) for size in header["dim"][header["dim"][0] : 0 : -1])
        plain = header["vox_offset"] == _HEADER_BYTES and (header["scl_slope"], header["scl_inter"]) in ((0, 0), (1, 0))
        if not plain or math.prod(shape) < path.stat().st_size * _TIGHTLY:
            return None
        with open(path, "rb") as file:
            file.seek(-8, os.SEEK_END)
            checksum = int.from_bytes(file.read(4), "little")
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except (OSError, EOFError, zlib.error, ValueError, RuntimeError):
        return None  # the plain way has the sentence for it
    is_whole = voxels.shape == shape and zlib.crc32(voxels.data, zlib.crc32(head)) == checksum
    return voxels if is_whole else None


def _content(path: Path, size: int = -1) -> bytearray:
    with gzip.open(path, "rb") if path.name.endswith(".gz") else open(path, "rb") as file:
        return bytearray(file.read(size))


def _order(content: bytearray) -> Literal["<", ">"]:
    return "<" if int.from_bytes(content[:4], "little") == 348 else ">"


def _header_view(content: bytearray) -> np.ndarray:
    """The header as a 0-d structured array over ``content``: what is set in it is set there, all else stays."""
    formats, offsets = zip(*_FIELDS.values(), strict=True)
    kind = np.dtype({"names": list(_FIELDS), "formats": formats, "offsets": offsets, "itemsize": _HEADER_BYTES})
    header = np.frombuffer(content, kind.newbyteorder(_order(content)), count=1).reshape(())
    if header["sizeof_hdr"] != 348:
        raise ValueError("no NIfTI-1 header")
    return header
