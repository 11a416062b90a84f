"""One pretraining, from cached cases to a weights file that other trainings can start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..core.errors import SegVarianceError
from ..core.files import sha256_of_json
from ..core.records import to_json
from ..model import checkpoint
from ..model.device import Device
from ..plan.pretraining_plan import PretrainingPlan
from ..training.patches import TrainingCase
from ..training.pretraining import PRETRAINING, Source
from ..training.task import Task
from ..training.trainer import Trainer
from .backend import Report
from .training_loop import train_to_end

_SCHEMA = 1


@dataclass(frozen=True)
class PretrainedFacts:
    """What stands in the weights file of a pretraining beside the weights; it cannot predict, as it has no classes."""

    schema: int
    pretraining: PretrainingPlan
    seed: int
    key: str


def pretrain(
    folder: Path,
    plan: PretrainingPlan,
    cases: list[TrainingCase],
    inputs: str,
    seed: int,
    device: Device,
    report: Report,
    should_stop: Callable[[], bool],
    regions: Sequence[Sequence[int]] | None = None,
    case_classes: Mapping[str, str] | None = None,
) -> bool:
    """Train to ``folder``/weights.safetensors, from wherever ``folder``/checkpoint.safetensors stands; False if it stopped on
    request. Stopped or not, it ends with the same bytes; where the weights are there already, nothing is done.

    Args:
        inputs: digest of the source's data and of which cases these are.
        regions, case_classes: as ``training.pretraining.Source``; for the tasks that need them.

    Raises:
        SegVarianceError: an unknown task or setting, or a source that the task cannot learn from.
    """
    task = pretraining_task(plan, cases, regions, case_classes)
    trainer = Trainer(task, plan.training, seed, device)
    classes = dict(sorted((case_classes or {}).items()))
    made_from = [inputs, to_json(plan), classes, to_json(regions), seed, trainer.device.facts(), __version__]
    key = sha256_of_json(made_from)
    weights, state = folder / "weights.safetensors", folder / "checkpoint.safetensors"
    if _key_of(weights) == key:
        return True
    if not trainer.resume(state, key) and state.exists():
        report("run_message", message="Started anew: the checkpoint belongs to another plan, device or version")
    if not train_to_end(trainer, lambda: trainer.save(state, key), report, should_stop):
        return False
    checkpoint.save(weights, trainer.weights(), to_json(PretrainedFacts(_SCHEMA, plan, seed, key)))
    state.unlink(missing_ok=True)
    return True


def pretraining_task(
    plan: PretrainingPlan,
    cases: list[TrainingCase],
    regions: Sequence[Sequence[int]] | None = None,
    case_classes: Mapping[str, str] | None = None,
) -> Task:
    """The planned task on these cases; raises as ``pretrain`` does."""
    source = Source(cases, plan.network, plan.training, regions, case_classes)
    return PRETRAINING.function(plan.task)(source, **PRETRAINING.settings(plan.task, plan.settings))


def _key_of(weights: Path) -> str | None:
    try:
        key = checkpoint.facts(weights).get("key")
    except SegVarianceError:
        return None
    return key if isinstance(key, str) else None
