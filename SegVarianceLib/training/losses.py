"""Dice plus cross-entropy, of labels or of regions, as nnU-Net trains with (Isensee et al. 2021), deterministic on CUDA too."""

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

    dice = _soft_dice(log_p.exp() * counted, target)[1:].mean()
    return cross_entropy + 1 - dice, dice.detach()


def dice_and_binary_cross_entropy(logits: Tensor, classes: Tensor, membership: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and mean soft Dice of a batch in which each channel is a region with a sigmoid of its own.

    Soft Dice over the whole batch per region; binary cross-entropy is the mean over regions and voxels that count.

    Args:
        logits: [n, regions, z, y, x], any float type; classes: int64 [n, 1, z, y, x], ``IGNORED`` where nothing counts.
        membership: bool [regions, classes], which classes a region is made of.

    Returns:
        As ``dice_and_cross_entropy``.
    """
    counted = classes != IGNORED
    target = membership.T[classes[:, 0] * counted[:, 0]].movedim(-1, 1) * counted.float()
    logits = logits.float()
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * counted
    cross_entropy = each.sum() / (counted.sum() * logits.shape[1]).clamp_min(1)
    dice = _soft_dice(torch.sigmoid(logits) * counted, target).mean()
    return cross_entropy + 1 - dice, dice.detach()


def _soft_dice(p: Tensor, target: Tensor) -> Tensor:
    """Per channel over the whole batch."""
    voxels = (0, 2, 3, 4)
    overlap, size = (p * target).sum(voxels), p.sum(voxels) + target.sum(voxels)
    return (2 * overlap + _SMOOTH) / (size + _SMOOTH)
