"""What a network can learn before the task that counts: the pretraining tasks, in the order in which menus show them.

All of them train the encoder of ``model.network``; masked volumes and segmentation its decoder too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..core.catalog import Catalog, Facts, Parameter
from ..core.errors import SegVarianceError
from ..model.network import Encoder, build_classifier
from ..plan.study_plan import NetworkPlan, TrainingPlan
from .patches import TrainingCase
from .self_supervised import MaskedVolume, Position, Rotation, cross_entropy_and_accuracy
from .task import Segmentation, Task, labelled_patches


@dataclass(frozen=True)
class Source:
    """What a pretraining has to learn from. ``regions`` as ``Segmentation`` takes them; ``case_classes`` names a class for each
    case, for the task that is about them (``dataset.splits.read_groups`` reads them from a CSV)."""

    cases: list[TrainingCase]
    network: NetworkPlan
    training: TrainingPlan
    regions: Sequence[Sequence[int]] | None = None
    case_classes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class CaseClasses:
    """The class of the case that a patch comes from, one number for each case."""

    cases: list[TrainingCase]
    network: NetworkPlan
    training: TrainingPlan
    classes: tuple[int, ...]
    score: str = "accuracy"

    def build(self, generator: torch.Generator | None = None) -> Encoder:
        return build_classifier(self.network, 1 + max(self.classes), generator)

    def batch(self, order: np.ndarray, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        image, _ = labelled_patches(self.cases, order, self.network, self.training, rng, device)
        return image, torch.tensor([self.classes[index] for index in order], device=device)

    def loss(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return cross_entropy_and_accuracy(output, target)


def _segmentation(source: Source) -> Task:
    return Segmentation(source.cases, source.network, source.training, source.regions)


def _case_classes(source: Source) -> Task:
    named = source.case_classes or {}
    if missing := [case.id for case in source.cases if not named.get(case.id)]:
        raise SegVarianceError(
            f"{len(missing)} of {len(source.cases)} cases have no class, the first is {missing[0]!r}. "
            "Give a CSV with the columns 'case' and 'class' and a line for each case."
        )
    names = sorted({named[case.id] for case in source.cases})
    if len(names) < 2:
        raise SegVarianceError(f"All cases are of class {names[0]!r}; telling classes apart needs two or more.")
    classes = tuple(names.index(named[case.id]) for case in source.cases)
    return CaseClasses(source.cases, source.network, source.training, classes)


def _position(source: Source) -> Task:
    return Position.of(source.cases, source.network, source.training)


def _masked_volume(source: Source, mask_share: float, block_voxels: int) -> Task:
    network = replace(source.network, out_channels=source.network.in_channels)
    return MaskedVolume(source.cases, network, source.training, mask_share, block_voxels)


def _rotation(source: Source) -> Task:
    return Rotation.of(source.cases, source.network, source.training)


PRETRAINING: Catalog[Callable[..., Task]] = Catalog(
    "pretraining task",
    ("source",),
    [
        (Facts("segmentation", "Segmentation of other structures or data", "Isensee et al. 2021"), _segmentation),
        (Facts("case_classes", "Classification: a class for each case, from a table", "SegVariance"), _case_classes),
        (
            Facts("position", "Classification: where in the image a crop lies", "After Bai et al. 2019, MICCAI"),
            _position,
        ),
        (
            Facts(
                "masked_volume",
                "Self-supervised: masked volumes filled in",
                "He et al. 2022, CVPR (MAE); Xie et al. 2022, CVPR (SimMIM)",
                parameters=(
                    Parameter("mask_share", "Masked share", float, 0.6, minimum=0.05, maximum=0.95),
                    Parameter("block_voxels", "Side of a block", int, 8, unit="voxels", minimum=1, maximum=64),
                ),
            ),
            _masked_volume,
        ),
        (Facts("rotation", "Self-supervised: how a crop was turned", "Taleb et al. 2020, NeurIPS"), _rotation),
    ],
)
