"""A trained member as one file: its weights, and everything needed to use them on a new image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..core.errors import SegVarianceError
from ..core.labels import LabelSet
from ..core.records import from_json, to_json
from ..plan.study_plan import NetworkPlan, PreprocessingPlan
from . import checkpoint
from .network import ResidualUNet, build_network

SCHEMA = 1


@dataclass(frozen=True)
class TrainedFacts:
    """What stands in a weights file beside the weights. ``class_values[i]`` is the label value of channel i.

    ``exclusive``: channels are classes, of which a voxel has one. Else they are regions in painting order, and
    ``class_values[i]`` is what region i paints where its probability is above a half, later over earlier.
    """

    schema: int
    configuration: str
    fold: int
    seed: int
    key: str
    preprocessing: PreprocessingPlan
    network: NetworkPlan
    class_values: tuple[int, ...]
    class_names: tuple[str, ...]
    exclusive: bool = True


def class_values(labels: LabelSet) -> tuple[int, ...]:
    """Label value of each class index: background, then every value that a structure uses."""
    return (0, *labels.foreground_values)


def class_names(labels: LabelSet) -> tuple[str, ...]:
    """Name of each class; a value that only regions hold is named by itself."""
    plain = {structure.values[0]: structure.name for structure in labels.structures if len(structure.values) == 1}
    return ("background", *(plain.get(value, f"label_{value}") for value in labels.foreground_values))


def save_trained(path: Path, weights: dict[str, torch.Tensor], facts: TrainedFacts) -> None:
    checkpoint.save(path, weights, to_json(facts))


def read_trained_facts(path: Path) -> TrainedFacts:
    """Read what a weights file is for.

    Raises:
        SegVarianceError: not a weights file of this schema, or its facts contradict each other.
    """
    facts = from_json(TrainedFacts, checkpoint.facts(path), str(path))
    classes = len(facts.class_values)
    if facts.schema != SCHEMA or classes != facts.network.out_channels or classes != len(facts.class_names):
        raise SegVarianceError(f"{path} does not describe its classes as schema {SCHEMA} does. Train the run again.")
    return facts


def load_network(path: Path, facts: TrainedFacts) -> ResidualUNet:
    """The trained network in evaluation mode, on the CPU."""
    network = build_network(facts.network)
    refill(network, path)
    return network.eval()


def refill(network: ResidualUNet, path: Path) -> None:
    """Give a network another member's weights, so that many members need the memory of one."""
    tensors, _ = checkpoint.load(path)
    checkpoint.fill(network, tensors, str(path))
