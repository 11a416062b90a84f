"""Dice plus cross-entropy, as nnU-Net trains with (Isensee et al. 2021), deterministic on CUDA too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = 255
"""Class index of voxels that count neither for Dice nor for cross-entropy."""

_SMOOTH = 1e-5


def dice_and_cross_entropy(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and mean foreground soft Dice of a batch.

    Soft Dice is taken over the whole batch per class, background left out; cross-entropy is the mean over voxels that
    count. Written with one-hot masks: torch's own class-index cross-entropy has no deterministic CUDA form for volumes.

    Args:
        logits: [n, classes, z, y, x], any float type; classes: int64 [n, 1, z, y, x], ``IGNORED`` where nothing counts.

    Returns:
        loss (scalar, to minimise, from about -1 to large) and soft Dice in [0, 1] without gradient.
    """
    log_p = F.log_softmax(logits.float(), 1)
    # A comparison instead of scatter, and IGNORED equals no class: its voxels are all zero.
    target = (classes == torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)).float()
    counted = target.sum(1, keepdim=True)
    cross_entropy = -(target * log_p).sum() / counted.sum().clamp_min(1)

    p = log_p.exp() * counted
    voxels = (0, 2, 3, 4)
    overlap, size = (p * target).sum(voxels), p.sum(voxels) + target.sum(voxels)
    dice = ((2 * overlap + _SMOOTH) / (size + _SMOOTH))[1:].mean()
    return cross_entropy + 1 - dice, dice.detach()
