"""Which training cases are the most useful ones for an inference case: those that look and are shaped most like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..plan.adaptation import INTENSITY, MASKS
from ..training.losses import IGNORED
from ..training.patches import TrainingCase

_SIDE = 32
"""Cases are compared on so many samples a side, over the inference case's structures and a margin around them."""
_MARGIN = 1.5


@dataclass(frozen=True)
class Target:
    """The inference case on the network's grid: image float32 [c, z, y, x], and class indices uint8 [z, y, x] as the networks see them now.
    There is no place for a reference."""

    image: np.ndarray
    mask: np.ndarray


def nearest(
    target: Target,
    cases: Sequence[TrainingCase],
    classes: int,
    guide: str,
    wanted: int,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[tuple[TrainingCase, float]]:
    """The ``wanted`` closest training cases with their closeness in [-1, 1], closest first.

    All are laid on the inference case by centre and extent of their foreground (of the whole image where the current mask is empty)
    and compared there on a coarse lattice: the Dice of the classes and the size of the correlation of intensities, of which
    ``guide`` (as in ``AdaptationSettings``) leaves one out.
    """
    where = _places(target.mask)
    own_image, own_classes = _sampled(target.image, target.mask, where, classes)
    found = []
    for number, case in enumerate(cases):
        image, held = _sampled(np.asarray(case.image, np.float32), case.label_map, _places(case.label_map), classes)
        alike = {} if guide == MASKS else {"intensity": abs(correlation(own_image, image))}
        if guide != INTENSITY and own_classes[1:].any():
            alike["masks"] = float(_dice(own_classes, held))
        found.append((case, float(np.mean(list(alike.values() or [0.0])))))
        progress(number + 1, len(cases))
    return sorted(found, key=lambda each: (-each[1], each[0].id))[:wanted]


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, over all values; 0 where one side is constant."""
    a, b = a.flatten() - a.mean(), b.flatten() - b.mean()
    spread = float(a.norm() * b.norm())
    return float(a @ b) / spread if spread > 0 else 0.0


def _places(classes: np.ndarray) -> np.ndarray:
    """Centre and half extent of the foreground in voxels, [2, 3]; of the whole array where there is none."""
    voxels = np.argwhere((classes > 0) & (classes != IGNORED))
    if not len(voxels):
        half = (np.asarray(classes.shape) - 1) / 2
        return np.stack([half, half / _MARGIN])
    low, high = np.percentile(voxels, (1, 99), axis=0)
    return np.stack([voxels.mean(0), np.maximum((high - low) / 2, 1.0)])


def _sampled(image: np.ndarray, classes_map: np.ndarray, where: np.ndarray, classes: int) -> tuple[Tensor, Tensor]:
    """First channel's intensities [side^3] and one-hot classes [classes, side^3] on the lattice around ``where``."""
    centre, half = where
    axes = [torch.linspace(-1, 1, _SIDE) * float(h * _MARGIN) + float(c) for c, h in zip(centre, half, strict=True)]
    size = torch.tensor(classes_map.shape, dtype=torch.float32)
    positions = (torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * 2 + 1) / size - 1
    grid = positions.flip(-1)[None]
    intensities = F.grid_sample(torch.from_numpy(image[:1])[None], grid, padding_mode="border", align_corners=False)
    labels = torch.from_numpy(np.ascontiguousarray(classes_map)).float()[None, None]
    held = F.grid_sample(labels, grid, mode="nearest", align_corners=False).flatten()
    return intensities.flatten(), torch.stack([held == index for index in range(classes)])


def _dice(a: Tensor, b: Tensor) -> Tensor:
    """Mean over foreground classes that either has."""
    both, sizes = (a & b).sum(1)[1:], (a.sum(1) + b.sum(1))[1:]
    there = sizes > 0
    return (2 * both[there] / sizes[there]).mean() if there.any() else torch.zeros(())
