"""Many members over a large volume in the memory of one: windows outside, members inside, running sums.

Windows slide along the longest axis in rows. All members' probabilities of a window are averaged before windows are
blended (Gaussian weights, as nnU-Net does), and rows that no later window touches leave at once. So memory holds one
window's length of class probabilities, whatever the number of members and the length of the volume. Probabilities are
taken before blending: softmax, mean over members, then the weighted mean over windows.
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
_VALUES_AT_ONCE = 2**24
"""Finished rows leave in pieces of about so many numbers (64 MiB), because whoever takes them needs several times that."""

Member = Callable[[], torch.nn.Module]
"""Gives a network in evaluation mode; called anew for each batch of windows, so that only one member's weights need be in
memory."""


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
) -> Iterator[Rows]:
    """Mean class probabilities of all members, in order along the longest axis.

    Args:
        image: normalised float32 [c, z, y, x] on the network's grid.
        classes: number of classes with background.
        patch: training patch (z, y, x); a window is as large, unless the image is small enough to be one window.
        multiple: the network halves so often that each window length must be a multiple of this.
        progress: called with the share that is done.
    """
    axis = int(np.argmax(image.shape[1:]))
    order = (axis, *(other for other in range(3) if other != axis))
    turned = np.moveaxis(image, axis + 1, 1)
    size = turned.shape[1:]
    whole = tuple(-(-size[i] // multiple[order[i]]) * multiple[order[i]] for i in range(3))
    window = whole if math.prod(whole) <= _WHOLE_IMAGE_VOXELS else tuple(patch[i] for i in order)
    starts = [window_starts(max(length, part), part) for length, part in zip(size, window, strict=True)]
    weight = _gaussian(window)
    sums = np.zeros((classes, window[0], *(max(a, b) for a, b in zip(size[1:], window[1:], strict=True))), np.float32)
    weights = np.zeros(sums.shape[1:], np.float32)
    at_once = max(1, _VALUES_AT_ONCE // (classes * size[1] * size[2]))

    for index, start in enumerate(starts[0]):
        inside = list(itertools.product(starts[1], starts[2]))
        for mean, (a, b) in zip(
            _mean_windows(turned, members, start, inside, window, axis, device), inside, strict=True
        ):
            sums[:, :, a : a + window[1], b : b + window[2]] += mean * weight
            weights[:, a : a + window[1], b : b + window[2]] += weight
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


def _mean_windows(
    turned: np.ndarray,
    members: Sequence[Member],
    start: int,
    inside: list[tuple[int, int]],
    window: tuple[int, ...],
    axis: int,
    device: Device,
) -> Iterator[np.ndarray]:
    """Mean probabilities [classes, *window] for each window of one row.

    With one batch of windows the members run one after the other over it; only then do the next windows come.
    """
    batch_size = _BATCH[device.kind]
    for first in range(0, len(inside), batch_size):
        some = inside[first : first + batch_size]
        batch = torch.from_numpy(np.stack([_cut(turned, (start, *corner), window) for corner in some]))
        batch = batch.movedim(2, 2 + axis).to(device.torch).contiguous(memory_format=torch.channels_last_3d)
        mean = _mean_over_members(batch, members, device)
        yield from mean.movedim(2 + axis, 2).float().cpu().numpy()


@torch.inference_mode()
def _mean_over_members(batch: Tensor, members: Sequence[Member], device: Device) -> Tensor:
    # torch sends a single float32 window to a slow kernel on CPUs (6.8 times slower); a second copy is cheaper.
    single = len(batch) == 1 and device.kind == "cpu" and not device.half
    given = batch.expand(2, *batch.shape[1:]).contiguous(memory_format=torch.channels_last_3d) if single else batch
    total = torch.zeros(())
    for member in members:
        network = member()
        with device.autocast():
            logits = network(given)[: len(batch)]
        if not total.ndim:
            total = torch.zeros(logits.shape, device=device.torch)
        _add_probabilities(total, logits, device)
    return total.div_(len(members))


def _add_probabilities(total: Tensor, logits: Tensor, device: Device) -> None:
    """Add the softmax over classes of ``logits`` to ``total``, both [n, classes, z, y, x]."""
    if device.kind != "cpu":
        total += torch.softmax(logits.float(), 1)
        return
    # A network's logits are channels-last; a plane at a time stays in the cache, which is six times faster for 25 classes.
    for window_total, window in zip(total, logits, strict=True):
        for z in range(window.shape[1]):
            window_total[:, z] += torch.softmax(window[:, z].float(), 0)


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
