"""Which patches a step sees. Every draw comes from (seed, step) alone, so a resumed run draws the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..plan.study_plan import NetworkPlan

_ROUNDING = 1e-6  # of a voxel

_OVERHANG_SHARE = 0.08
"""A patch may hang over the image's edge by this share of its length, so that borders are seen off-centre too."""


@dataclass(frozen=True)
class TrainingCase:
    """One case on the network's grid: image float16 [c, z, y, x], label map uint8 [z, y, x] (either may be memory-mapped),
    and for each foreground value some of its voxels, int32 [n, 3]."""

    id: str
    image: np.ndarray
    label_map: np.ndarray
    foreground: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Blocks:
    """Cuboids cut around the drawn centres, so large that the patch can be rotated and scaled inside them.

    image float32 [n, c, z, y, x], label_map uint8 [n, z, y, x]; outside the image: 0 and background.
    """

    image: np.ndarray
    label_map: np.ndarray


def block_shape(patch: tuple[int, int, int], matrices: np.ndarray) -> tuple[int, int, int]:
    """Smallest cuboid that holds all voxels of a ``patch`` turned about its centre by each of ``matrices`` [n, 3, 3].

    Its sides are even where the patch's are, so that an undisturbed patch lies on whole voxels of it.
    """
    half = (np.asarray(patch) - 1) / 2
    further = np.ceil((np.abs(matrices) @ half).max(0) - half - _ROUNDING).astype(int)
    z, y, x = (length + 2 * int(more) for length, more in zip(patch, further, strict=True))
    return z, y, x


def draw_blocks(
    cases: Sequence[TrainingCase],
    order: np.ndarray,
    network: NetworkPlan,
    foreground_share: float,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> Blocks:
    """Cut one block of ``shape`` for each case index in ``order``; a share of them centred on a random structure's random
    voxel."""
    centres = [_centre(cases[index], network, foreground_share, rng) for index in order]
    return _cut([cases[index] for index in order], centres, network.in_channels, shape)


def draw_inner_blocks(
    cases: Sequence[TrainingCase],
    order: np.ndarray,
    channels: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> tuple[Blocks, np.ndarray]:
    """As ``draw_blocks``, anywhere and wholly inside the image: a block of which an image has too few voxels lies on its middle.

    Returns:
        The blocks, and where their centres lie between the first and the last possible place, [n, 3] in [0, 1]; 0.5 where there
        is only one.
    """
    chosen = [cases[index] for index in order]
    room = np.array([np.subtract(case.label_map.shape, shape) for case in chosen])
    places = np.where(room > 0, rng.random((len(order), 3)), 0.5)
    starts = np.floor(np.where(room > 0, places * (room + 1), room / 2)).astype(int)
    return _cut(chosen, list(starts + np.asarray(shape) // 2), channels, shape), places


def _cut(cases: list[TrainingCase], centres: list[np.ndarray], channels: int, shape: tuple[int, int, int]) -> Blocks:
    images = np.zeros((len(cases), channels, *shape), np.float32)
    labels = np.zeros((len(cases), *shape), np.uint8)
    for slot, (case, centre) in enumerate(zip(cases, centres, strict=True)):
        start = centre - np.asarray(shape) // 2
        source, target = _overlap(start, shape, case.label_map.shape)
        images[slot][:, *target] = case.image[:, *source]
        labels[slot][target] = case.label_map[source]
    return Blocks(images, labels)


def case_order(cases: int, batch_size: int, step: int, seed_of_epoch: Callable[[int], int]) -> np.ndarray:
    """Case indices of one step: each epoch is a fresh permutation, and steps run on over its end."""
    wanted = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array(
        [np.random.default_rng(seed_of_epoch(int(i // cases))).permutation(cases)[i % cases] for i in wanted]
    )


def foreground_voxels(classes_map: np.ndarray, classes: int, at_most: int = 2000) -> tuple[np.ndarray, ...]:
    """Some voxels of each class from 1 to ``classes`` - 1, int32 [n, 3], evenly spaced in memory order.

    No randomness: which of them a patch is centred on is drawn later, and 2000 places serve any structure.
    """
    found = []
    for value in range(1, classes):
        voxels = np.argwhere(classes_map == value).astype(np.int32)
        found.append(voxels[:: max(1, -(-len(voxels) // at_most))])
    return tuple(found)


def _centre(case: TrainingCase, network: NetworkPlan, foreground_share: float, rng: np.random.Generator) -> np.ndarray:
    """Voxel index of a patch centre, kept so that the patch lies inside the image but for a small overhang."""
    size, patch = np.asarray(case.label_map.shape, dtype=float), np.asarray(network.patch_zyx, dtype=float)
    wants_foreground, uniform, which, voxel = rng.random(), rng.random(3), rng.random(), rng.random()
    overhang = _OVERHANG_SHARE * patch
    low = np.minimum(patch / 2, size / 2) - overhang
    high = np.maximum(size - patch / 2, size / 2) + overhang
    present = [voxels for voxels in case.foreground if len(voxels)]
    if wants_foreground < foreground_share and present:
        voxels = present[int(which * len(present))]
        return np.clip(voxels[int(voxel * len(voxels))], low, high).astype(int)
    return (low + uniform * (high - low)).astype(int)


def _overlap(
    start: np.ndarray, shape: tuple[int, ...], size: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of the image and of the block where the two overlap; empty ones where they do not."""
    source, target = [], []
    for first, length, limit in zip(start, shape, size, strict=True):
        low, high = min(max(0, int(first)), limit), max(0, min(limit, int(first) + length))
        source.append(slice(low, max(low, high)))
        target.append(slice(low - int(first), max(low, high) - int(first)))
    return tuple(source), tuple(target)
