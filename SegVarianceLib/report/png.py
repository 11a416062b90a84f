"""PNG files in a few lines: 8-bit grey or indexed colour, as data: addresses for a page that loads nothing."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

_GREY, _INDEXED = 0, 3


def png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """PNG (ISO/IEC 15948) of uint8 ``pixels`` [row, column]: grey values, or indices into ``palette`` uint8 [colour, rgb]."""
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _GREY if palette is None else _INDEXED, 0, 0, 0)
    unfiltered = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with filter type 0
    unfiltered[:, 1:] = pixels
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(unfiltered.tobytes(), 9)), (b"IEND", b"")]
    if palette is not None:
        chunks.insert(1, (b"PLTE", palette.astype(np.uint8).tobytes()))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def png_address(pixels: np.ndarray, palette: np.ndarray | None = None) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels, palette)).decode()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
