"""Small array facts that several packages share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PROBABILITY_STEPS = 255
PROBABILITY_ERROR_BOUND = 0.5 / PROBABILITY_STEPS
"""Largest difference between a probability and its 8-bit form: half a step, 0.00196."""

_WORDS_AT_ONCE = 1 << 16


def quantise_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities in [0, 1], any shape, to uint8; off by at most ``PROBABILITY_ERROR_BOUND``."""
    return np.rint(np.clip(probabilities, 0.0, 1.0) * PROBABILITY_STEPS).astype(np.uint8)


def dequantise_probabilities(quantised: np.ndarray) -> np.ndarray:
    """uint8 to float32 probabilities."""
    return quantised.astype(np.float32) / np.float32(PROBABILITY_STEPS)


def foreground_box(array: np.ndarray) -> tuple[slice, slice, slice] | None:
    """Smallest box [z, y, x] that holds every non-zero voxel of an integer or boolean array; None where all are zero."""
    bits = array.view(np.uint8) if array.dtype == bool else array
    occupied_zx = np.bitwise_or.reduce(bits, axis=1)
    occupied_yx = np.bitwise_or.reduce(bits, axis=0)
    z, y, x = (
        np.flatnonzero(line) for line in (occupied_zx.any(axis=1), occupied_yx.any(axis=1), occupied_zx.any(axis=0))
    )
    if not z.size:
        return None
    return slice(int(z[0]), int(z[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def slabs(shape: tuple[int, ...], voxels: int = 1 << 18) -> Iterator[slice]:
    """Slices along the first axis that hold about ``voxels`` each: work on a large array in pieces that fit the cache."""
    thickness = max(1, voxels // max(1, int(np.prod(shape[1:]))))
    for start in range(0, shape[0], thickness):
        yield slice(start, min(start + thickness, shape[0]))


def values_present(label_map: np.ndarray) -> tuple[int, ...]:
    """The distinct values of an unsigned integer label map [z, y, x], ascending.

    Eight bytes at a time: most such words hold one value.
    """
    kind = label_map.dtype
    if kind.itemsize > 2:
        return tuple(np.unique(label_map).tolist())
    flat = np.ascontiguousarray(label_map).reshape(-1)
    present = np.zeros(np.iinfo(kind).max + 1, dtype=bool)
    whole = flat.size - flat.size % (8 // kind.itemsize)
    mask = np.uint64(np.iinfo(kind).max)
    repeated = np.uint64(sum(1 << 8 * byte for byte in range(0, 8, kind.itemsize)))
    words = flat[:whole].view(np.uint64)
    for part in slabs(words.shape, _WORDS_AT_ONCE):
        occupied = np.flatnonzero(words[part] != 0)
        present[0] |= len(occupied) < len(words[part])
        some = words[part][occupied]
        value = some & mask
        alike = some == value * repeated
        present[value[alike]] = True
        present[some[~alike].view(kind)] = True
    present[flat[whole:]] = True
    return tuple(np.flatnonzero(present).tolist())
