"""The residual U-Net family: every member follows from a ``NetworkPlan``.

A space-to-depth stem keeps the body at half resolution, where nearly all of the arithmetic is cheap; the head returns to
full resolution and sees the image once more. Only operations whose CUDA backward is deterministic are used: strided
convolutions down, transposed convolutions up, no pooling, no trilinear upsampling. Batch norm, because instance norm
leaves the fast channels-last path.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..plan.study_plan import NetworkPlan

_HEAD_CHANNELS = 8
_SLOPE = 0.01


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut; input and output [n, c, z, y, x]."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.first = nn.Conv3d(in_channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm3d(channels)
        self.second = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm3d(channels)
        self.shortcut = nn.Identity() if in_channels == channels else nn.Conv3d(in_channels, channels, 1, bias=False)
        self.act = nn.LeakyReLU(_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.first_norm(self.first(x)))
        return self.act(self.second_norm(self.second(y)) + self.shortcut(x))


class Down(nn.Module):
    """A level down: one strided convolution, then a residual block."""

    def __init__(self, in_channels: int, channels: int, stride: tuple[int, int, int]):
        super().__init__()
        self.merge = nn.Conv3d(in_channels, channels, stride, stride, bias=False)
        self.norm = nn.BatchNorm3d(channels)
        self.block = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.norm(self.merge(x)))


class Up(nn.Module):
    """A level up: transposed convolution, joined with the level's own features, then a residual block."""

    def __init__(self, in_channels: int, channels: int, stride: tuple[int, int, int]):
        super().__init__()
        self.expand = nn.ConvTranspose3d(in_channels, channels, stride, stride, bias=False)
        self.block = ResidualBlock(2 * channels, channels)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.block(torch.cat([self.expand(x), level], 1))


class ResidualUNet(nn.Module):
    """Image patches [n, in_channels, z, y, x] to logits [n, out_channels, z, y, x]."""

    def __init__(self, plan: NetworkPlan):
        super().__init__()
        channels = plan.channels
        self.stem = nn.Conv3d(plan.in_channels, channels[0], plan.stem_stride, plan.stem_stride, bias=False)
        self.stem_norm = nn.BatchNorm3d(channels[0])
        self.first = ResidualBlock(channels[0], channels[0])
        levels = list(zip(channels, channels[1:], plan.strides, strict=False))
        self.down = nn.ModuleList(Down(above, below, stride) for above, below, stride in levels)
        self.up = nn.ModuleList(Up(below, above, stride) for above, below, stride in reversed(levels))
        self.expand = nn.ConvTranspose3d(channels[0], _HEAD_CHANNELS, plan.stem_stride, plan.stem_stride)
        self.refine = nn.Conv3d(_HEAD_CHANNELS + plan.in_channels, _HEAD_CHANNELS, 3, padding=1)
        self.act = nn.LeakyReLU(_SLOPE, inplace=True)
        self.logits = nn.Conv3d(_HEAD_CHANNELS, plan.out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        features = [self.first(self.stem_norm(self.stem(image)))]
        for down in self.down:
            features.append(down(features[-1]))
        x = features.pop()
        for up in self.up:
            x = up(x, features.pop())
        full = self.act(self.refine(torch.cat([self.act(self.expand(x)), image], 1)))
        return self.logits(full)


def build_network(plan: NetworkPlan, generator: torch.Generator | None = None) -> ResidualUNet:
    """The planned network, channels-last; with ``generator`` (a CPU one) the weights are drawn from it alone."""
    network = ResidualUNet(plan)
    if generator is not None:
        for module in network.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                _draw(module, generator)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _draw(module: nn.Conv3d | nn.ConvTranspose3d, generator: torch.Generator) -> None:
    """He initialisation (He et al. 2015) by the number of inputs that meet in one output voxel."""
    kernel = math.prod(module.kernel_size)
    overlap = (
        kernel
        if isinstance(module, nn.Conv3d)
        else math.prod(k // s for k, s in zip(module.kernel_size, module.stride, strict=True))
    )
    nn.init.normal_(module.weight, std=math.sqrt(2.0 / (module.in_channels * overlap)), generator=generator)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
