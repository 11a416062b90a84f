"""The two things SimpleITK leaves undone for NIfTI: noticing a file cut short, and giving back a header to the last bit."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.errors import SegVarianceError

_PIECE_BYTES = 1 << 20


def _header_type(itemsize: int, fields: dict[str, tuple[str, int]]) -> np.dtype:
    formats, offsets = zip(*fields.values(), strict=True)
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": itemsize})


# Sizes include the four bytes that announce extensions. Source: nifti1.h and nifti2.h of the NIfTI DFWG.
_HEADER_TYPES = {
    348: _header_type(
        352,
        {
            "dim": ("8i2", 40), "intent_code": ("i2", 68), "datatype": ("i2", 70), "bitpix": ("i2", 72),
            "vox_offset": ("f4", 108), "scl_slope": ("f4", 112), "scl_inter": ("f4", 116), "cal_max": ("f4", 124),
            "cal_min": ("f4", 128), "descrip": ("S80", 148), "aux_file": ("S24", 228), "intent_name": ("S16", 328),
            "extension": ("S4", 348),
        },
    ),
    540: _header_type(
        544,
        {
            "datatype": ("i2", 12), "bitpix": ("i2", 14), "dim": ("8i8", 16), "vox_offset": ("i8", 168),
            "scl_slope": ("f8", 176), "scl_inter": ("f8", 184), "cal_max": ("f8", 192), "cal_min": ("f8", 200),
            "descrip": ("S80", 240), "aux_file": ("S24", 320), "intent_code": ("i4", 504), "intent_name": ("S16", 508),
            "extension": ("S4", 540),
        },
    ),
}  # fmt: skip
_DATATYPE_CODES = {"uint8": 2, "float32": 16, "uint16": 512}


def is_nifti(path: Path) -> bool:
    return path.name.endswith((".nii", ".nii.gz"))


def require_complete(path: Path) -> None:
    """Refuse a NIfTI that holds fewer voxels than its header promises, or whose compressed data is damaged.

    SimpleITK fills the missing voxels with zeros and says nothing.

    Raises:
        SegVarianceError: the file is cut short, damaged, or has no NIfTI header.
    """
    try:
        with _open(path) as file:
            header = _parse_header(file.read(544))
            voxels = np.prod(header["dim"][1 : 1 + header["dim"][0]].astype(np.int64))
            missing = int(header["vox_offset"]) + int(voxels) * int(header["bitpix"]) // 8
            file.seek(0)
            while piece := file.read(_PIECE_BYTES):  # to the end: gzip checks its sum there
                missing -= len(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError):
        missing = 1
    if missing > 0:
        raise SegVarianceError(f"{path} is cut short or damaged: expected a whole NIfTI file. Copy it again.")


def write_with_header_of(like: Path, path: Path, array: np.ndarray) -> None:
    """Write ``array`` [z, y, x] (uint8, uint16 or float32) as ``path``, placed by the very header bytes of ``like``."""
    with _open(like) as file:
        placed = bytearray(file.read(544))
    header = _parse_header(placed)  # a view: what is set here is set in `placed`, everything else stays
    header["dim"] = [3, *array.shape[::-1], 1, 1, 1, 1]
    header["datatype"] = _DATATYPE_CODES[array.dtype.name]
    header["bitpix"] = array.dtype.itemsize * 8
    header["vox_offset"] = header.dtype.itemsize
    header["scl_slope"], header["scl_inter"] = 1, 0
    for field in ("intent_code", "cal_min", "cal_max"):
        header[field] = 0
    for field in ("intent_name", "descrip", "aux_file", "extension"):
        header[field] = b""
    content = (
        bytes(placed[: header.dtype.itemsize])
        + array.astype(array.dtype.newbyteorder(header.dtype["dim"].base.byteorder)).tobytes()
    )
    # Without a time stamp the same voxels give the same file.
    path.write_bytes(gzip.compress(content, compresslevel=6, mtime=0) if path.name.endswith(".gz") else content)


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else open(path, "rb")


def _parse_header(content: bytes | bytearray) -> np.ndarray:
    """The header as a 0-d structured array in the file's byte order; ValueError if it is none."""
    order: Literal["<", ">"]
    for order in ("<", ">"):
        header_type = _HEADER_TYPES.get(int(np.frombuffer(content[:4], f"{order}i4")[0]))
        if header_type is not None:
            return np.frombuffer(content, header_type.newbyteorder(order), count=1).reshape(())
    raise ValueError("no NIfTI header")
