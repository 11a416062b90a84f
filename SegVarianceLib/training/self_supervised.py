"""Tasks that need nobody's labels: fill in what was masked, tell how a crop was turned, tell where it was cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import SegVarianceError
from ..model.network import Encoder, build_classifier, build_network
from ..plan.study_plan import NetworkPlan, TrainingPlan
from .augmentation import LARGEST_SCALE, draw_augmentation
from .patches import TrainingCase, block_shape, draw_blocks, draw_inner_blocks
from .task import cut_out, without_noise


@dataclass(frozen=True)
class MaskedVolume:
    """Blocks of a patch are set to 0, the mean of the image; the network says what was there (He et al. 2022, MAE; with a plain
    convolutional network and no labels, as Xie et al. 2022, SimMIM). The loss is the mean squared error of the masked voxels;
    the score is the share of their variance that is explained."""

    cases: Sequence[TrainingCase]
    network: NetworkPlan
    training: TrainingPlan
    mask_share: float
    block_voxels: int
    score: str = "explained"

    def build(self, generator: torch.Generator | None = None) -> Encoder:
        return build_network(self.network, generator)

    def batch(self, order: np.ndarray, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """The target holds the intensities, and as a last channel the mask."""
        draw = without_noise(draw_augmentation(self.training, len(order), self.network.in_channels, rng))
        shape = block_shape(self.network.patch_zyx, draw.matrix)
        image, _ = cut_out(draw_blocks(self.cases, order, self.network, 0.0, shape, rng), self.network, draw, device)
        masks = np.stack([self._mask(rng) for _ in order])[:, None]
        mask = torch.from_numpy(masks).to(device)
        seen = (image * (1 - mask)).contiguous(memory_format=torch.channels_last_3d)
        return seen, torch.cat([image, mask], 1)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        image, mask = target[:, :-1], target[:, -1:]
        voxels = mask.sum() * image.shape[1]
        error = ((output.float() - image).square() * mask).sum() / voxels
        mean = (image * mask).sum((0, 2, 3, 4), keepdim=True) / mask.sum()
        variance = ((image - mean).square() * mask).sum() / voxels
        return error, 1 - error.detach() / variance.clamp_min(1e-6)

    def _mask(self, rng: np.random.Generator) -> np.ndarray:
        """1 where masked, float32 [z, y, x]; at least one block is, and one is not."""
        blocks = [math.ceil(side / self.block_voxels) for side in self.network.patch_zyx]
        count = math.prod(blocks)
        masked = np.zeros(count, np.float32)
        masked[rng.permutation(count)[: min(max(1, round(self.mask_share * count)), max(1, count - 1))]] = 1
        fine = masked.reshape(blocks)
        for axis in range(3):
            fine = fine.repeat(self.block_voxels, axis)
        return fine[tuple(slice(side) for side in self.network.patch_zyx)]


@dataclass(frozen=True)
class Rotation:
    """By which multiple of 90 degrees a crop was turned: not at all, or by 90, 180 or 270 about one axis (Taleb et al. 2020).

    Crops are cubes (squares, where patches turn about one axis only), and lie inside the image, whose edge would give it away.
    """

    cases: Sequence[TrainingCase]
    network: NetworkPlan
    training: TrainingPlan
    turns: tuple[tuple[int, int, int], ...]
    score: str = "accuracy"

    @classmethod
    def of(cls, cases: Sequence[TrainingCase], network: NetworkPlan, training: TrainingPlan) -> Rotation:
        """Raises SegVarianceError where no such crop fits patch, images and network."""
        planes = [tuple(other for other in range(3) if other != axis) for axis in training.rotation_axes]
        turned = sorted({axis for plane in planes for axis in plane})
        if not turned:
            raise SegVarianceError("Rotations need an axis about which patches may turn; rotation_axes is empty.")
        step = math.lcm(*(network.multiple_zyx[axis] for axis in turned))
        longest = min(min(network.patch_zyx[axis], _room(cases, axis)) for axis in turned)
        side = longest // step * step
        if not side:
            raise SegVarianceError(
                f"Rotations need crops of equal sides, multiples of {step}; patch and images have room for {longest} voxels. "
                "Choose another pretraining task."
            )
        z, y, x = (side if axis in turned else network.patch_zyx[axis] for axis in range(3))
        turns = ((0, 0, 0), *((*plane, times) for plane in planes for times in (1, 2, 3)))
        still = replace(training, mirror_axes=(), rotation_axes=())
        return cls(cases, replace(network, patch_zyx=(z, y, x)), still, turns)  # type: ignore[arg-type]

    def build(self, generator: torch.Generator | None = None) -> Encoder:
        return build_classifier(self.network, len(self.turns), generator)

    def batch(self, order: np.ndarray, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        crops, _ = _inner_crops(self.cases, order, self.network, self.training, rng, device)
        chosen = rng.integers(len(self.turns), size=len(order))
        turned = [_turned(crop, self.turns[turn]) for crop, turn in zip(crops, chosen, strict=True)]
        image = torch.stack(turned).contiguous(memory_format=torch.channels_last_3d)
        return image, torch.from_numpy(chosen).to(device)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return cross_entropy_and_accuracy(output, target)


@dataclass(frozen=True)
class Position:
    """In which half of the image, along each axis, a small crop lies (Bai et al. 2019): a class that every image brings along.

    Only axes that patches are not mirrored along and images have room in; crops have about half the patch's sides.
    """

    cases: Sequence[TrainingCase]
    network: NetworkPlan
    training: TrainingPlan
    axes: tuple[int, ...]
    score: str = "accuracy"

    @classmethod
    def of(cls, cases: Sequence[TrainingCase], network: NetworkPlan, training: TrainingPlan) -> Position:
        """Raises SegVarianceError where no axis is left."""
        z, y, x = (
            math.ceil(side / (2 * step)) * step
            for side, step in zip(network.patch_zyx, network.multiple_zyx, strict=True)
        )
        free = [axis for axis in range(3) if axis not in training.mirror_axes]
        axes = tuple(axis for axis in free if _room(cases, axis) > (z, y, x)[axis])
        if not axes:
            raise SegVarianceError(
                "Positions need an axis that is not mirrored and longer than half a patch, and there is none. "
                "Choose another pretraining task."
            )
        return cls(cases, replace(network, patch_zyx=(z, y, x)), replace(training, rotation_axes=()), axes)

    def build(self, generator: torch.Generator | None = None) -> Encoder:
        return build_classifier(self.network, 2 ** len(self.axes), generator)

    def batch(self, order: np.ndarray, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        image, places = _inner_crops(self.cases, order, self.network, self.training, rng, device)
        halves = places[:, list(self.axes)] > 0.5
        return image, torch.from_numpy(halves @ (1 << np.arange(len(self.axes)))).to(device)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return cross_entropy_and_accuracy(output, target)


def cross_entropy_and_accuracy(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits [n, classes] and int64 classes [n]."""
    accuracy = (logits.detach().argmax(1) == classes).float().mean()
    return F.cross_entropy(logits.float(), classes), accuracy


def _inner_crops(
    cases: Sequence[TrainingCase],
    order: np.ndarray,
    network: NetworkPlan,
    training: TrainingPlan,
    rng: np.random.Generator,
    device: torch.device,
) -> tuple[Tensor, np.ndarray]:
    draw = draw_augmentation(training, len(order), network.in_channels, rng)
    shape = block_shape(network.patch_zyx, draw.matrix)
    blocks, places = draw_inner_blocks(cases, order, network.in_channels, shape, rng)
    return cut_out(blocks, network, draw, device)[0], places


def _turned(crop: Tensor, turn: tuple[int, int, int]) -> Tensor:
    """A crop [c, z, y, x] turned in the plane of two axes."""
    first, second, times = turn
    return torch.rot90(crop, times, (1 + first, 1 + second)) if times else crop


def _room(cases: Sequence[TrainingCase], axis: int) -> int:
    """Side of the longest crop that shows no edge of the usual image."""
    return int(np.median([case.label_map.shape[axis] for case in cases]) / LARGEST_SCALE)
