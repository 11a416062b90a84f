"""From trained members and an image to a label map and probabilities on the image's own grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..core.arrays import quantise_probabilities
from ..core.errors import SegVarianceError
from ..dataset.image_io import Volume
from ..model.device import Device
from ..model.preprocessing import NetworkGrid, normalise
from ..model.sliding_window import Member, Rows, sliding_rows
from ..model.trained import load_network, read_trained_facts, refill


@dataclass(frozen=True)
class Prediction:
    """On the input's grid: label map uint8 or uint16 [z, y, x] and, if asked for, 8-bit probabilities [c, z, y, x]."""

    label_map: np.ndarray
    probabilities: np.ndarray | None


class Predictor:
    """One trained member, or the mean probability of several, on one device.

    Raises:
        SegVarianceError: a weights file cannot be used, or the members were trained on different inputs or labels.
    """

    def __init__(self, weights: Sequence[Path], device: Device):
        if not weights:
            raise SegVarianceError("No weights to predict with. Give at least one trained run.")
        self.weights, self.device = tuple(weights), device
        self.facts = read_trained_facts(weights[0])
        for path in weights[1:]:
            other = read_trained_facts(path)
            for what in ("preprocessing", "network", "class_values", "class_names"):
                if getattr(other, what) != getattr(self.facts, what):
                    raise SegVarianceError(
                        f"{path} has another {what.replace('_', ' ')} than {weights[0]}. Predict with them one by one, then ensemble the label maps."
                    )
        self._network = load_network(weights[0], self.facts).to(device.torch)
        self._loaded = self.weights[0]

    def _members(self) -> list[Member]:
        def member(path: Path) -> torch.nn.Module:
            if self._loaded != path:
                refill(self._network, path)
                self._loaded = path
            return self._network

        return [lambda path=path: member(path) for path in self.weights]  # type: ignore[misc]

    def predict(
        self, volume: Volume, keep_probabilities: bool, progress: Callable[[float], None] = lambda done: None
    ) -> Prediction:
        """Predict one image as read; ``progress`` gets the share that is done.

        Raises:
            SegVarianceError: another number of channels than the members were trained with.
        """
        plan, network = self.facts.preprocessing, self.facts.network
        if len(volume.array) != len(plan.channels):
            normalise(volume.array, plan.channels)  # raises the sentence before the costly resampling
        grid = NetworkGrid.of(volume.geometry, plan)
        image = normalise(grid.image(volume.array), plan.channels)
        halvings = np.prod([network.stem_stride, *network.strides], axis=0)
        multiple = (int(halvings[0]), int(halvings[1]), int(halvings[2]))
        rows = sliding_rows(
            image, self._members(), network.out_channels, network.patch_zyx, multiple, self.device, progress
        )
        return self._on_input_grid(rows, grid, keep_probabilities)

    def _on_input_grid(self, rows: Iterator[Rows], grid: NetworkGrid, keep_probabilities: bool) -> Prediction:
        values = np.asarray(self.facts.class_values)
        values = values.astype(np.uint8 if values.max() < 256 else np.uint16)
        shape = grid.canonical_shape
        labels = np.zeros(shape, values.dtype)
        kept = np.zeros((len(values), *shape), np.uint8) if keep_probabilities else None
        for native in rows_on_canonical_grid(rows, grid):
            target = (slice(None),) * native.axis + (slice(native.start, native.start + native.probabilities.shape[1]),)
            np.moveaxis(labels[target], native.axis, 0)[:] = values[_argmax(native.probabilities)]
            if kept is not None:
                np.moveaxis(kept[(slice(None), *target)], native.axis + 1, 1)[:] = quantise_probabilities(
                    native.probabilities
                )
        undone = None if kept is None else np.ascontiguousarray(grid.axes.undo(kept))
        return Prediction(np.ascontiguousarray(grid.axes.undo(labels)), undone)


def rows_on_canonical_grid(rows: Iterator[Rows], grid: NetworkGrid) -> Iterator[Rows]:
    """Rows on the network's grid, resampled trilinearly to the image's own spacing without ever holding all of them."""
    if not grid.resamples:
        yield from rows
        return
    held: np.ndarray | None = None  # rows that a later native row may still need
    held_start, written = 0, 0
    for piece in rows:
        axis = piece.axis
        size, native = grid.shape[axis], grid.canonical_shape[axis]
        across = tuple(n for i, n in enumerate(grid.canonical_shape) if i != axis)
        inplane = _resample_rows(piece.probabilities, across)
        held = inplane if held is None else np.concatenate([held, inplane], 1)
        last = held_start + held.shape[1] - 1
        position = np.clip((np.arange(native) + 0.5) * size / native - 0.5, 0, size - 1)
        ready = int(np.searchsorted(np.ceil(position), last, side="right"))
        if ready > written:
            wanted = position[written:ready]
            low = np.floor(wanted).astype(int)
            high = np.minimum(low + 1, size - 1)
            share = (wanted - low).astype(np.float32)[None, :, None, None]
            high_rows = held[:, np.minimum(high, last) - held_start]
            yield Rows(axis, written, held[:, low - held_start] * (1 - share) + high_rows * share)
            written = ready
        keep_from = min(int(np.floor(position[min(written, native - 1)])), last)
        held, held_start = held[:, keep_from - held_start :], keep_from


def _resample_rows(probabilities: np.ndarray, across: tuple[int, ...]) -> np.ndarray:
    """Bilinear within each row [classes, rows, a, b]."""
    return F.interpolate(torch.from_numpy(probabilities), size=across, mode="bilinear", align_corners=False).numpy()


def _argmax(probabilities: np.ndarray) -> np.ndarray:
    """Class of largest probability; the first of equal ones. One class after the other, which is faster than argmax
    over a distant axis and needs no copy."""
    best = probabilities[0].copy()
    winner = np.zeros(best.shape, np.uint8)
    for index in range(1, len(probabilities)):
        higher = probabilities[index] > best
        winner[higher] = index
        np.maximum(best, probabilities[index], out=best)
    return winner


def probability_bytes(voxels: int, classes: int) -> int:
    """Disk that one case's kept probabilities take before compression, in bytes."""
    return math.prod((voxels, classes))
