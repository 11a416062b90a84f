"""What decides one pretraining but its cases and its seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .study_plan import NetworkPlan, PreprocessingPlan, TrainingPlan


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
