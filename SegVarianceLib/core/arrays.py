"""Small array facts that several packages share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PROBABILITY_STEPS = 255
PROBABILITY_ERROR_BOUND = 0.5 / PROBABILITY_STEPS
"""Largest difference between a probability and its 8-bit form: half a step, 0.00196."""


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
    """The distinct values of an unsigned integer label map [z, y, x], ascending."""
    box = foreground_box(label_map)
    if box is None:
        return (0,) if label_map.size else ()
    inside = label_map[box]
    counts = np.zeros(int(inside.max()) + 1, dtype=np.int64)
    for slab in slabs(inside.shape):
        counts += np.bincount(inside[slab].ravel(), minlength=len(counts))
    counts[0] += label_map.size - inside.size
    return tuple(np.flatnonzero(counts).tolist())
