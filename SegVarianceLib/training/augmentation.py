"""Augmentation of a whole batch at once, in the training process: draw the parameters, then apply them.

One ``grid_sample`` rotates, scales, shifts, mirrors and crops. It runs without gradient, so its missing deterministic
backward on CUDA does not matter. Ranges follow nnU-Net's (Isensee et al. 2021), at lower probabilities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..plan.study_plan import TrainingPlan

_MAX_ANGLE = math.radians(15)
_SCALE, _STRETCH = (0.8, 1.2), (0.94, 1.06)

LARGEST_SCALE = _SCALE[1] * _STRETCH[1]
"""A patch that is not rotated shows at most so many times its sides of the image."""


@dataclass(frozen=True)
class AugmentationDraw:
    """Parameters of one batch of n patches with c channels: what was drawn is what is applied."""

    matrix: np.ndarray  # [n, 3, 3] in (z, y, x), patch voxels to block voxels about the centre
    gain: np.ndarray  # [n, c]
    offset: np.ndarray  # [n, c]
    gamma: np.ndarray  # [n, c], 1 where unused
    noise_sd: np.ndarray  # [n]
    blur: bool
    noise_seed: int


def draw_augmentation(plan: TrainingPlan, batch: int, channels: int, rng: np.random.Generator) -> AugmentationDraw:
    """Draw the parameters for one batch."""

    def sometimes(probability: float, values: np.ndarray, otherwise: float) -> np.ndarray:
        return np.where(rng.random(values.shape[:1] + (1,) * (values.ndim - 1)) < probability, values, otherwise)

    angles = sometimes(0.5, rng.uniform(-_MAX_ANGLE, _MAX_ANGLE, (batch, 3)), 0.0)
    angles[:, [axis for axis in range(3) if axis not in plan.rotation_axes]] = 0.0
    scale = sometimes(0.5, rng.uniform(*_SCALE, (batch, 1)), 1.0) * rng.uniform(*_STRETCH, (batch, 3))
    mirror = np.ones((batch, 3))
    for axis in plan.mirror_axes:
        mirror[:, axis] = rng.choice([-1.0, 1.0], batch)
    matrix = _rotations(angles) * (scale * mirror)[:, None, :]
    return AugmentationDraw(
        matrix=matrix,
        gain=sometimes(0.3, rng.uniform(0.75, 1.25, (batch, channels)), 1.0),
        offset=sometimes(0.3, rng.normal(0.0, 0.1, (batch, channels)), 0.0),
        gamma=sometimes(0.25, rng.uniform(0.7, 1.5, (batch, channels)), 1.0),
        noise_sd=sometimes(0.3, rng.uniform(0.0, 0.25, (batch,)), 0.0),
        blur=bool(rng.random() < 0.15),
        noise_seed=int(rng.integers(2**62)),
    )


def augment(
    image: Tensor, label_map: Tensor, patch: tuple[int, int, int], draw: AugmentationDraw
) -> tuple[Tensor, Tensor]:
    """Blocks to augmented patches on the blocks' device.

    Args:
        image: float32 [n, c, Z, Y, X]; label_map: uint8 [n, Z, Y, X]; the patch (z, y, x) is cut about their centre.

    Returns:
        image float32 [n, c, z, y, x] in channels-last memory, label map int64 [n, 1, z, y, x].
    """
    grid = sampling_grid(torch.from_numpy(draw.matrix).float().to(image.device), image.shape[2:], patch)
    patches = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    labels = F.grid_sample(label_map[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    return _intensity(patches, draw).contiguous(memory_format=torch.channels_last_3d), labels.long()


def sampling_grid(matrix: Tensor, block: torch.Size, patch: tuple[int, int, int]) -> Tensor:
    """Sampling positions [n, z, y, x, 3] in grid_sample's (x, y, z), -1 to 1 over the block."""
    axes = [torch.arange(length, device=matrix.device) - (length - 1) / 2 for length in patch]
    centred = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    half = torch.tensor([length / 2 for length in block], device=matrix.device)
    positions = centred @ matrix.transpose(1, 2) / half
    return positions.flip(-1).reshape(len(matrix), *patch, 3)


def _intensity(patches: Tensor, draw: AugmentationDraw) -> Tensor:
    def per_channel(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float().to(patches.device)[:, :, None, None, None]

    patches = patches * per_channel(draw.gain) + per_channel(draw.offset)
    for sample in np.flatnonzero((draw.gamma != 1.0).any(1)):
        patches[sample] = _gamma(patches[sample], torch.from_numpy(draw.gamma[sample]).float().to(patches.device))
    if draw.blur:
        patches = F.avg_pool3d(patches, 3, stride=1, padding=1, count_include_pad=False)
    noisy = np.flatnonzero(draw.noise_sd)
    if len(noisy):
        generator = torch.Generator(device=patches.device).manual_seed(draw.noise_seed)
        for sample in noisy:
            noise = torch.randn(patches[sample].shape, generator=generator, device=patches.device)
            patches[sample] += float(draw.noise_sd[sample]) * noise
    return patches


def _gamma(image: Tensor, gamma: Tensor) -> Tensor:
    """Gamma on the range of each channel [c, z, y, x], keeping its minimum and maximum."""
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    span = (high - low).clamp_min(1e-6)
    return ((image - low) / span).pow(gamma[:, None, None, None]) * span + low


def _rotations(angles: np.ndarray) -> np.ndarray:
    """Rotation matrices [n, 3, 3] in (z, y, x) from angles about each axis [n, 3]."""
    result = np.broadcast_to(np.eye(3), (len(angles), 3, 3))
    for axis in range(3):
        first, second = [other for other in range(3) if other != axis]
        turn = np.tile(np.eye(3), (len(angles), 1, 1))
        cos, sin = np.cos(angles[:, axis]), np.sin(angles[:, axis])
        turn[:, first, first], turn[:, second, second] = cos, cos
        turn[:, first, second], turn[:, second, first] = -sin, sin
        result = result @ turn
    return result
