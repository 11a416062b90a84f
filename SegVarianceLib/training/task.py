"""What a trainer teaches a network, and teaching it to segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..model.network import Encoder, build_network
from ..plan.study_plan import NetworkPlan, TrainingPlan
from .augmentation import AugmentationDraw, augment, draw_augmentation
from .losses import dice_and_binary_cross_entropy, dice_and_cross_entropy
from .patches import Blocks, TrainingCase, block_shape, draw_blocks


class Task(Protocol):
    """Cases to a network, batches and a loss. Every draw of a step comes from the generator that ``batch`` is given.

    ``network`` is the plan as this task trains it (its own patch, its own head); ``score`` names the number that tells how it
    goes, larger is better.
    """

    @property
    def cases(self) -> Sequence[TrainingCase]: ...

    @property
    def network(self) -> NetworkPlan: ...

    @property
    def score(self) -> str: ...

    def build(self, generator: torch.Generator | None = None) -> Encoder:
        """The network under the task's head; with ``generator`` its first weights."""
        ...

    def batch(self, order: np.ndarray, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """What the network sees of the cases with indices ``order``, and what ``loss`` compares its output with."""
        ...

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (scalar, to minimise) and score without gradient."""
        ...


@dataclass(frozen=True)
class Segmentation:
    """Classes of voxels, or regions: where the network's channels are regions, the class indices that each is made of."""

    cases: list[TrainingCase]
    network: NetworkPlan
    training: TrainingPlan
    regions: Sequence[Sequence[int]] | None = None
    score: str = "dice"

    def build(self, generator: torch.Generator | None = None) -> Encoder:
        return build_network(self.network, generator)

    def batch(self, order: np.ndarray, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        return labelled_patches(self.cases, order, self.network, self.training, rng, device)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if self.regions is None:
            return dice_and_cross_entropy(output, target)
        return dice_and_binary_cross_entropy(output, target, _membership(self.regions).to(output.device))


def labelled_patches(
    cases: Sequence[TrainingCase],
    order: np.ndarray,
    network: NetworkPlan,
    training: TrainingPlan,
    rng: np.random.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Augmented patches of the cases with indices ``order``, as ``augment`` gives them."""
    draw = draw_augmentation(training, len(order), network.in_channels, rng)
    shape = block_shape(network.patch_zyx, draw.matrix)
    return cut_out(draw_blocks(cases, order, network, training.foreground_share, shape, rng), network, draw, device)


def cut_out(
    blocks: Blocks, network: NetworkPlan, draw: AugmentationDraw, device: torch.device
) -> tuple[Tensor, Tensor]:
    image, label_map = (torch.from_numpy(part).to(device) for part in (blocks.image, blocks.label_map))
    return augment(image, label_map, network.patch_zyx, draw)


def without_noise(draw: AugmentationDraw) -> AugmentationDraw:
    """The same draw with sharp patches free of added noise."""
    return replace(draw, noise_sd=np.zeros_like(draw.noise_sd), blur=False)


def _membership(regions: Sequence[Sequence[int]]) -> Tensor:
    """Bool [regions, classes]: whether the class is a part of the region."""
    classes = 1 + max(index for region in regions for index in region)
    return torch.tensor([[index in region for index in range(classes)] for region in regions])
