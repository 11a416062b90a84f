"""What decides a training that nnU-Net v2 does in its own Python environment: the other kind of configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass

EPOCH_STEPS = 250
"""Steps of one epoch of nnU-Net's own schedule, which has 1000 of them."""

_FEWEST_EPOCHS = 10
"""nnU-Net lowers its learning rate from epoch to epoch: a short training gets short epochs rather than few."""


@dataclass(frozen=True)
class NnunetTrainingPlan:
    """nnU-Net's own recipe (configuration and planner by nnU-Net's names) under a schedule of our choice.

    ``python`` is where nnU-Net was when the study was planned; SEGVARIANCE_NNUNET_PYTHON says another place. The versions
    are part of the recipe: nnU-Net and torch of another version do not continue the study.
    """

    configuration: str
    planner: str
    epochs: int
    steps_per_epoch: int
    mirroring: bool
    python: str
    nnunetv2: str
    torch: str

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.steps_per_epoch < 1:
            raise ValueError(f"expected at least one epoch of one step, found {self.epochs} of {self.steps_per_epoch}.")

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class NnunetConfiguration:
    """A recipe whose luck is studied, trained by nnU-Net; preprocessing and network are nnU-Net's to plan."""

    name: str
    backend: str
    training: NnunetTrainingPlan

    def __post_init__(self) -> None:
        if self.backend != "nnunet":
            raise ValueError(f"expected backend 'nnunet' for a recipe of nnU-Net, found {self.backend!r}.")


def epochs_of_steps(steps: int) -> tuple[int, int]:
    """Epochs and steps of each, for a training of about so many steps in all: at least ten epochs where steps allow it."""
    each = min(EPOCH_STEPS, math.ceil(steps / _FEWEST_EPOCHS))
    return max(1, round(steps / each)), each
