"""Many members over a large volume in the memory of one: windows outside, members inside, running sums.

Windows slide along the longest axis in rows. All members' probabilities of a window are averaged before windows are
blended (Gaussian weights, as nnU-Net does), and rows that no later window touches leave at once. So memory holds one
window's length of class probabilities, whatever the number of members and the length of the volume. Probabilities are
taken before blending: softmax or sigmoid, mean over members, then the weighted mean over windows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .device import Device

_WHOLE_IMAGE_VOXELS = 2**18
"""An image of at most so many voxels is one window: the network is convolutional, and one pass is the cheapest."""
_BATCH = {"cpu": 2, "mps": 4, "cuda": 8}
_VALUES_AT_ONCE = 2**22
"""Finished rows leave in pieces of about so many numbers (16 MiB), because whoever takes them needs several times that."""

Member = Callable[[], torch.nn.Module]
"""Gives a network in evaluation mode; called once a row of windows, so that only one member's weights need be in memory."""


@dataclass(frozen=True)
class Rows:
    """Finished mean probabilities float32 [classes, rows, a, b] from ``start`` on along ``axis`` of the volume, which is
    the second axis here; a and b are the two other axes in order."""

    axis: int
    start: int
    probabilities: np.ndarray


def sliding_rows(
    image: np.ndarray,
    members: Sequence[Member],
    classes: int,
    patch: tuple[int, int, int],
    multiple: tuple[int, int, int],
    device: Device,
    progress: Callable[[float], None] = lambda done: None,
    exclusive: bool = True,
) -> Iterator[Rows]:
    """Mean class probabilities of all members, in order along the longest axis.

    Args:
        image: normalised float32 [c, z, y, x] on the network's grid.
        classes: number of channels: classes with background, or regions.
        patch: training patch (z, y, x); a window is as large, unless the image is small enough to be one window, or thinner.
        multiple: the network halves so often that each window length must be a multiple of this.
        progress: called with the share that is done.
        exclusive: a voxel is of one class (softmax); else each class is a region with a sigmoid of its own.
    """
    axis = int(np.argmax(image.shape[1:]))
    order = (axis, *(other for other in range(3) if other != axis))
    turned = np.moveaxis(image, axis + 1, 1)
    size = turned.shape[1:]
    whole = tuple(-(-size[i] // multiple[order[i]]) * multiple[order[i]] for i in range(3))
    small = math.prod(whole) <= _WHOLE_IMAGE_VOXELS
    window = whole if small else tuple(min(patch[order[i]], whole[i]) for i in range(3))
    starts = [window_starts(max(length, part), part) for length, part in zip(size, window, strict=True)]
    weight = _gaussian(window)
    sums = np.zeros((classes, window[0], *(max(a, b) for a, b in zip(size[1:], window[1:], strict=True))), np.float32)
    weights = np.zeros(sums.shape[1:], np.float32)
    at_once = max(1, _VALUES_AT_ONCE // (classes * size[1] * size[2]))

    for index, start in enumerate(starts[0]):
        inside = list(itertools.product(starts[1], starts[2]))
        for member in members:
            network = member()
            predicted = _predict(network, turned, start, inside, window, axis, device)
            for (a, b), logits in zip(inside, predicted, strict=True):
                _blend(sums[:, :, a : a + window[1], b : b + window[2]], logits, weight, exclusive)
        for a, b in inside:
            weights[:, a : a + window[1], b : b + window[2]] += len(members) * weight
        finished = (starts[0][index + 1] if index + 1 < len(starts[0]) else start + window[0]) - start
        inside_image = min(finished, size[0] - start)
        for first in range(0, inside_image, at_once):
            cut = (slice(first, min(first + at_once, inside_image)), slice(size[1]), slice(size[2]))
            yield Rows(axis, start + first, sums[:, *cut] / weights[cut])
        for buffer in (*sums, weights):
            _roll(buffer, finished)
        progress((index + 1) / len(starts[0]))


def window_starts(size: int, window: int) -> list[int]:
    """Evenly spread first voxels of windows that overlap by at least half and cover ``size`` >= ``window`` voxels."""
    furthest = size - window
    steps = -(-furthest // max(1, window // 2))
    return [i * furthest // steps for i in range(steps + 1)] if steps else [0]


@torch.inference_mode()
def _predict(
    network: torch.nn.Module,
    turned: np.ndarray,
    start: int,
    inside: list[tuple[int, int]],
    window: tuple[int, ...],
    axis: int,
    device: Device,
) -> Iterator[Tensor]:
    """Logits [classes, *window] of one row's windows, some at a time."""
    size = 1 if device.kind == "cpu" and device.half else _BATCH[device.kind]  # as fast by one, in half the memory
    for first in range(0, len(inside), size):
        cuts = [_cut(turned, (start, *corner), window) for corner in inside[first : first + size]]
        given = torch.from_numpy(np.stack(cuts)).movedim(2, 2 + axis).to(device.torch)
        # torch sends a single float32 window to a slow kernel on CPUs (6.8 times slower); a second copy is cheaper.
        if len(cuts) == 1 and device.kind == "cpu" and not device.half:
            given = given.expand(2, *given.shape[1:])
        with device.autocast():
            logits = network(given.contiguous(memory_format=torch.channels_last_3d))[: len(cuts)]
        for window_logits in logits:
            yield window_logits.movedim(1 + axis, 1)


@torch.inference_mode()
def _blend(sums: np.ndarray, logits: Tensor, weight: np.ndarray, exclusive: bool) -> None:
    """Add the probabilities times ``weight`` to ``sums``: [classes, *window], [classes, *window] and [*window]."""
    # A network's logits are channels-last. On a CPU a plane at a time stays in the cache, which is six times faster for 25
    # classes and needs no second array of a window's size.
    step = 1 if logits.device.type == "cpu" else logits.shape[1]
    for first in range(0, logits.shape[1], step):
        rows = slice(first, first + step)
        values = logits[:, rows].float()
        probabilities = torch.softmax(values, 0) if exclusive else torch.sigmoid(values)
        torch.from_numpy(sums[:, rows]).addcmul_(probabilities.cpu(), torch.from_numpy(weight[rows]))


def _cut(turned: np.ndarray, start: tuple[int, ...], window: tuple[int, ...]) -> np.ndarray:
    """Window [c, *window]; zeros, the mean of a normalised image, where it hangs over the end of a short axis."""
    cut = turned[(slice(None), *(slice(a, a + length) for a, length in zip(start, window, strict=True)))]
    missing = [(0, 0), *((0, length - have) for length, have in zip(window, cut.shape[1:], strict=True))]
    return np.pad(cut, missing) if any(end for _, end in missing) else np.ascontiguousarray(cut)


def _gaussian(window: tuple[int, ...]) -> np.ndarray:
    """Weights of a window's voxels, 1 at the centre, SD an eighth of each side, never quite zero."""
    weight = np.ones((), np.float64)
    for length in window:
        position = (np.arange(length) - (length - 1) / 2) / (length / 8)
        weight = np.multiply.outer(weight, np.exp(-0.5 * position**2))
    return np.maximum(weight, 1e-3).astype(np.float32)


def _roll(rows: np.ndarray, finished: int) -> None:
    """Move the rows that still grow to the front, in place, and empty the rest."""
    keep = len(rows) - finished
    rows[:keep] = rows[finished:].copy()
    rows[keep:] = 0
