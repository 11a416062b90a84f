"""What decides a pretraining, and the data and seeds of those that a study makes for its own trainings to start from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..core.files import sha256_of_json
from ..core.records import to_json
from .recipe import NetworkPlan, PreprocessingPlan, TrainingPlan, require_positive


@dataclass(frozen=True)
class PretrainingPlan:
    """``task`` and its ``settings`` are an entry of ``training.pretraining.PRETRAINING``. The network is planned as for a
    segmentation of the source; a task takes another head, and some another patch."""

    name: str
    task: str
    preprocessing: PreprocessingPlan
    network: NetworkPlan
    training: TrainingPlan
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pretraining:
    """A pretraining of a study: once for each of its seeds, whatever number of trainings starts from it.

    ``labels`` are as in ``dataset.json``; None: the references are never opened. ``structures`` names the label values of each
    structure that is learned, which may overlap; None: the labels as they are. ``dataset_digest`` is that of ``cases`` alone, of
    their images alone where labels are None. ``seconds_per_step`` was measured when it was planned.
    """

    plan: PretrainingPlan
    dataset_folder: str
    dataset_digest: str
    cases: tuple[str, ...]
    labels: dict[str, Any] | None
    structures: dict[str, tuple[int, ...]] | None
    case_classes: dict[str, str] | None
    seeds: tuple[int, ...]
    seconds_per_step: float

    def __post_init__(self) -> None:
        require_positive("seconds_per_step", (self.seconds_per_step,))
        for what, found in (("seed", self.seeds), ("case", self.cases)):
            if not found or len(set(found)) < len(found):
                raise ValueError(f"expected at least one {what}, each once, found {list(found)}.")

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def training(self) -> TrainingPlan:
        return self.plan.training

    def seed_for(self, seed: int) -> int:
        """Of the pretraining from which a training with ``seed`` starts."""
        return self.seeds[seed % len(self.seeds)]

    def inputs(self, seed: int) -> str:
        """Digest of everything that one pretraining follows from but the machine."""
        learned = [self.labels, to_json(self.structures), self.case_classes]
        return sha256_of_json([self.dataset_digest, self.cases, *learned, to_json(self.plan), seed])
