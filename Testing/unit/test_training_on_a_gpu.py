"""The promises of training on a CUDA device. Run them where there is one with: pytest -m gpu"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from SegVarianceLib.model.device import Device, open_device
from SegVarianceLib.plan.study_plan import NetworkPlan, TrainingPlan
from SegVarianceLib.training.patches import TrainingCase, foreground_voxels
from SegVarianceLib.training.pretraining import PRETRAINING, Source
from SegVarianceLib.training.task import Segmentation
from SegVarianceLib.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

NETWORK = NetworkPlan(1, 2, (32, 32, 32), (2, 2, 2), ((2, 2, 2), (2, 2, 2)), (32, 64, 128))
PLAN = TrainingPlan(12, 2, 5e-3, 1e-2, 0.1, 0.99, 1 / 3, (2,), (0, 1, 2))


@pytest.fixture(scope="module")
def device() -> Device:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before the first CUDA call, as the executor sets it
    return open_device("cuda", 1)


@pytest.fixture(scope="module")
def cases() -> list[TrainingCase]:
    label_map = np.zeros((40, 36, 44), np.uint8)
    label_map[10:25, 8:20, 12:30] = 1
    noise = np.random.default_rng(0).normal(0, 0.3, (1, *label_map.shape))
    return [TrainingCase("a", (label_map + noise).astype(np.float16), label_map, foreground_voxels(label_map, 2))]


def final(trainer: Trainer) -> bytes:
    while not trainer.finished:
        trainer.train_step()
    return b"".join(tensor.cpu().numpy().tobytes() for tensor in trainer.weights().values())


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(cases: list[TrainingCase], device: Device) -> None:
    first, again, other = (final(Trainer(Segmentation(cases, NETWORK, PLAN), PLAN, seed, device)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("stop", [1, 6, 11])
def test_a_resumed_run_ends_with_the_bytes_of_an_undisturbed_one(
    stop: int, cases: list[TrainingCase], device: Device, tmp_path: Path
) -> None:
    trainer = Trainer(Segmentation(cases, NETWORK, PLAN), PLAN, 0, device)
    for _ in range(stop):
        trainer.train_step()
    trainer.save(tmp_path / "state.safetensors", "key")
    resumed = Trainer(Segmentation(cases, NETWORK, PLAN), PLAN, 0, device)
    assert resumed.resume(tmp_path / "state.safetensors", "key")
    assert final(resumed) == final(Trainer(Segmentation(cases, NETWORK, PLAN), PLAN, 0, device))


@pytest.mark.parametrize("task", PRETRAINING.ids)
def test_a_resumed_pretraining_ends_with_the_bytes_of_an_undisturbed_one(
    task: str, cases: list[TrainingCase], device: Device, tmp_path: Path
) -> None:
    other = replace(cases[0], id="b")
    source = Source([*cases, other], NETWORK, replace(PLAN, mirror_axes=()), case_classes={"a": "first", "b": "second"})
    made = PRETRAINING.function(task)(source, **PRETRAINING.settings(task, {}))
    trainer = Trainer(made, PLAN, 0, device)
    for _ in range(5):
        trainer.train_step()
    trainer.save(tmp_path / "state.safetensors", "key")
    resumed = Trainer(made, PLAN, 0, device)
    assert resumed.resume(tmp_path / "state.safetensors", "key")
    assert final(resumed) == final(Trainer(made, PLAN, 0, device))


def test_training_learns_what_there_is_to_learn(cases: list[TrainingCase], device: Device) -> None:
    trainer = Trainer(Segmentation(cases, NETWORK, PLAN), PLAN, 0, device)
    losses = [trainer.train_step().loss for _ in range(PLAN.steps)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
