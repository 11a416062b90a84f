"""From trained members and an image to a label map and probabilities on the image's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from ..model.trained import TrainedFacts, load_network, read_trained_facts, refill


@dataclass(frozen=True)
class Prediction:
    """On the input's grid: label map uint8 or uint16 [z, y, x] and, if asked for, 8-bit probabilities [c, z, y, x]."""

    label_map: np.ndarray
    probabilities: np.ndarray | None


class Predictor:
    """One trained member, or the mean probability of several with the same inputs and classes, on one device."""

    def __init__(self, facts: TrainedFacts, members: Sequence[Member], device: Device):
        self.facts, self.members, self.device = facts, members, device

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
        shapes = network.out_channels, network.patch_zyx, network.multiple_zyx
        rows = sliding_rows(image, self.members, *shapes, self.device, progress, self.facts.exclusive)
        return self.on_input_grid(rows, grid, volume.geometry.shape_zyx, keep_probabilities)

    def on_input_grid(
        self, rows: Iterator[Rows], grid: NetworkGrid, shape_zyx: tuple[int, int, int], keep_probabilities: bool
    ) -> Prediction:
        """Probabilities on the network's grid, row by row, as a prediction of an image of ``shape_zyx``."""
        values = _values(self.facts)
        label_map = np.zeros(shape_zyx, values.dtype)
        probabilities = np.zeros((len(values) if keep_probabilities else 0, *shape_zyx), np.uint8)
        # Views: what is written to the canonical arrays lands on the input's grid, without a copy of a whole volume.
        labels, kept = grid.axes.apply(label_map), grid.axes.apply(probabilities)
        for native in rows_on_canonical_grid(rows, grid):
            rows_of = slice(native.start, native.start + native.probabilities.shape[1])
            np.moveaxis(labels, native.axis, 0)[rows_of] = label_values(native.probabilities, self.facts)
            if keep_probabilities:
                np.moveaxis(kept, native.axis + 1, 1)[:, rows_of] = quantise_probabilities(native.probabilities)
        return Prediction(label_map, probabilities if keep_probabilities else None)


def open_predictor(weights: Sequence[Path], device: Device) -> Predictor:
    """A predictor of trained runs; their weights take turns in one network, so many need no more memory than one.

    Raises:
        SegVarianceError: a weights file cannot be used, or the members were trained on different inputs or labels.
    """
    if not weights:
        raise SegVarianceError("No weights to predict with. Give at least one trained run.")
    facts = read_trained_facts(weights[0])
    for path in weights[1:]:
        _require_same_kind(path, weights[0])
    network = load_network(weights[0], facts).to(device.torch)
    loaded = [weights[0]]

    def member(path: Path) -> torch.nn.Module:
        if loaded[0] != path:
            refill(network, path)
            loaded[0] = path
        return network

    return Predictor(facts, [partial(member, path) for path in weights], device)


def _require_same_kind(path: Path, first: Path) -> None:
    facts, expected = read_trained_facts(path), read_trained_facts(first)
    for what in ("preprocessing", "network", "class_values", "class_names", "exclusive"):
        if getattr(facts, what) != getattr(expected, what):
            raise SegVarianceError(
                f"{path} has another {what.replace('_', ' ')} than {first}. Predict with each alone, then ensemble the label maps."
            )


def label_values(probabilities: np.ndarray, facts: TrainedFacts) -> np.ndarray:
    """Label values from probabilities [c, ...]: of the likeliest class, or as regions paint."""
    values = _values(facts)
    return values[_argmax(probabilities)] if facts.exclusive else _paint(probabilities, values)


def _values(facts: TrainedFacts) -> np.ndarray:
    values = np.asarray(facts.class_values)
    return values.astype(np.uint8 if values.max() < 256 else np.uint16)


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


def _paint(probabilities: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each region's value where its probability is above a half, later regions over earlier ones (nnU-Net)."""
    painted = np.zeros(probabilities.shape[1:], values.dtype)
    for value, probability in zip(values, probabilities, strict=True):
        painted[probability > 0.5] = value
    return painted
