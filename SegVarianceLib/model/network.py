"""The residual U-Net family: every member follows from a ``NetworkPlan``.

A space-to-depth stem keeps the body at half resolution, where nearly all of the arithmetic is cheap; the head returns to
full resolution and sees the image once more. Only operations whose CUDA backward is deterministic are used: strided
convolutions down, transposed convolutions up, no pooling, no trilinear upsampling. Batch norm, because instance norm
leaves the fast channels-last path.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..plan.study_plan import NetworkPlan

_HEAD_CHANNELS = 8
_SLOPE = 0.01

ENCODER_MODULES = ("stem", "stem_norm", "first", "down")
HEAD_MODULES = ("logits", "classes")
"""What a task has for itself; the rest of a network is its decoder."""


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


class Encoder(nn.Module):
    """The way down, which every task shares: image patches [n, in_channels, z, y, x] to the features of each level, finest first."""

    def __init__(self, plan: NetworkPlan):
        super().__init__()
        channels = plan.channels
        self.stem = nn.Conv3d(plan.in_channels, channels[0], plan.stem_stride, plan.stem_stride, bias=False)
        self.stem_norm = nn.BatchNorm3d(channels[0])
        self.first = ResidualBlock(channels[0], channels[0])
        self.down = nn.ModuleList(Down(*level) for level in _levels(plan))

    def features(self, image: Tensor) -> list[Tensor]:
        found = [self.first(self.stem_norm(self.stem(image)))]
        for down in self.down:
            found.append(down(found[-1]))
        return found


class ResidualUNet(Encoder):
    """Image patches [n, in_channels, z, y, x] to logits [n, out_channels, z, y, x]."""

    def __init__(self, plan: NetworkPlan):
        super().__init__(plan)
        channels, levels = plan.channels, _levels(plan)
        self.up = nn.ModuleList(Up(below, above, stride) for above, below, stride in reversed(levels))
        self.expand = nn.ConvTranspose3d(channels[0], _HEAD_CHANNELS, plan.stem_stride, plan.stem_stride)
        self.refine = nn.Conv3d(_HEAD_CHANNELS + plan.in_channels, _HEAD_CHANNELS, 3, padding=1)
        self.act = nn.LeakyReLU(_SLOPE, inplace=True)
        self.logits = nn.Conv3d(_HEAD_CHANNELS, plan.out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.features(image)
        x = features.pop()
        for up in self.up:
            x = up(x, features.pop())
        full = self.act(self.refine(torch.cat([self.act(self.expand(x)), image], 1)))
        return self.logits(full)


class Classifier(Encoder):
    """Image patches [n, in_channels, z, y, x] to logits [n, classes]: the mean of the coarsest features, and one linear layer."""

    def __init__(self, plan: NetworkPlan, classes: int):
        super().__init__(plan)
        self.classes = nn.Linear(plan.channels[-1], classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.classes(self.features(image)[-1].mean((2, 3, 4)))


N = TypeVar("N", bound=Encoder)


def build_network(plan: NetworkPlan, generator: torch.Generator | None = None) -> ResidualUNet:
    """The planned network, channels-last; with ``generator`` (a CPU one) the weights are drawn from it alone."""
    return _made(ResidualUNet(plan), generator)


def build_classifier(plan: NetworkPlan, classes: int, generator: torch.Generator | None = None) -> Classifier:
    """The planned network's encoder under a head for classes; else as ``build_network``."""
    return _made(Classifier(plan, classes), generator)


def _levels(plan: NetworkPlan) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Channels above and below each step down, and its stride."""
    return list(zip(plan.channels, plan.channels[1:], plan.strides, strict=False))


def _made(network: N, generator: torch.Generator | None) -> N:
    if generator is not None:
        for module in network.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                _draw(module, generator)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=math.sqrt(1.0 / module.in_features), generator=generator)
                nn.init.zeros_(module.bias)
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
