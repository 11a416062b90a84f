"""The parts of a recipe: from a file to what the network sees, the network, and the schedule of its training.

Triples of shapes, strides and spacings are in canonical array order (S, P, L as in ``core.geometry.CanonicalAxes``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

NORMALISATIONS = ("z_score", "z_score_nonzero", "ct")


@dataclass(frozen=True)
class ChannelPlan:
    """How one channel is normalised: ``z_score`` over the image, ``z_score_nonzero`` over its non-zero voxels, or
    ``ct``: clipped to [low, high], then with the dataset's mean and std."""

    name: str
    normalisation: str
    low: float
    high: float
    mean: float
    std: float

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"expected a normalisation of {', '.join(NORMALISATIONS)}, found {self.normalisation!r}.")


@dataclass(frozen=True)
class PreprocessingPlan:
    """From a file to what the network sees: canonical axes, this spacing, these normalisations."""

    spacing_zyx_mm: tuple[float, float, float]
    channels: tuple[ChannelPlan, ...]

    def __post_init__(self) -> None:
        require_positive("spacings", self.spacing_zyx_mm)


@dataclass(frozen=True)
class NetworkPlan:
    """One member of the residual U-Net family. ``out_channels`` counts the background, but with regions there is none."""

    in_channels: int
    out_channels: int
    patch_zyx: tuple[int, int, int]
    stem_stride: tuple[int, int, int]
    strides: tuple[tuple[int, int, int], ...]
    channels: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.out_channels, *self.patch_zyx, *self.channels)
        require_positive(
            "sizes", (*sizes, *self.stem_stride, *(length for stride in self.strides for length in stride))
        )
        if len(self.channels) != len(self.strides) + 1:
            raise ValueError(f"{len(self.strides)} strides need one channel number more, found {len(self.channels)}.")
        if any(length % by for length, by in zip(self.patch_zyx, self.multiple_zyx, strict=True)):
            raise ValueError(
                f"patch {self.patch_zyx} is no multiple of {self.multiple_zyx}, by which the strides divide it."
            )

    @property
    def multiple_zyx(self) -> tuple[int, int, int]:
        """The network halves so often that each side of its input must be a multiple of this."""
        z, y, x = (math.prod(stride[axis] for stride in (self.stem_stride, *self.strides)) for axis in range(3))
        return z, y, x


@dataclass(frozen=True)
class TrainingPlan:
    """One training, planned as a whole: the learning rate follows ``steps``, so fewer steps means another plan."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up_share: float
    ema_decay: float
    foreground_share: float
    mirror_axes: tuple[int, ...]
    rotation_axes: tuple[int, ...]

    def __post_init__(self) -> None:
        require_positive("steps and batch_size", (self.steps, self.batch_size))
        if not {*self.mirror_axes, *self.rotation_axes} <= {0, 1, 2}:
            raise ValueError(f"axes are 0, 1 and 2, found {self.mirror_axes} and {self.rotation_axes}.")


def require_positive(what: str, numbers: Iterable[float]) -> None:
    """Raises ValueError, with all numbers, where one is not."""
    found = list(numbers)
    if not all(0 < number < math.inf for number in found):
        raise ValueError(f"{what} must be above zero, found {found}.")
