"""Seeds mean it: the same key gives the same bytes, stopped and resumed at any step or not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.device import Device, open_device
from SegVarianceLib.plan.study_plan import NetworkPlan, TrainingPlan
from SegVarianceLib.training.losses import IGNORED
from SegVarianceLib.training.patches import TrainingCase, foreground_voxels
from SegVarianceLib.training.task import Segmentation
from SegVarianceLib.training.trainer import Trainer, learning_rate

STEPS = 6
NETWORK = NetworkPlan(2, 3, (12, 12, 8), (2, 2, 2), ((2, 2, 2),), (4, 8))
TWO_DEEP = replace(NETWORK, patch_zyx=(8, 12, 8))
"""Its lowest level is two voxels deep, where bfloat16 gradients of CPUs are wrong."""
PLAN = TrainingPlan(STEPS, 2, 5e-3, 1e-2, 0.2, 0.99, 1 / 3, (0, 2), (0, 1, 2))


def make_cases() -> list[TrainingCase]:
    rng = np.random.default_rng(0)
    cases = []
    for number in range(3):
        label_map = np.zeros((12 + number, 16, 11), np.uint8)
        label_map[3:8, 4:9, 2:9] = 1
        label_map[4:6, 5:8, 3:6] = 2
        label_map[-1] = IGNORED
        image = (label_map == 1) + 2 * (label_map == 2) + rng.normal(0, 0.3, (2, *label_map.shape))
        cases.append(TrainingCase(str(number), image.astype(np.float16), label_map, foreground_voxels(label_map, 3)))
    return cases


CASES = make_cases()


@pytest.fixture(scope="module", params=[("float32", NETWORK), ("bfloat16", NETWORK), ("bfloat16", TWO_DEEP)])
def new(request) -> Callable[..., Trainer]:
    """Makes a trainer that has not yet begun."""
    opened, (precision, network) = open_device("cpu", 1), request.param
    if precision == "bfloat16" and not opened.half:
        pytest.skip("this CPU has no bfloat16")
    device = Device("cpu", precision == "bfloat16", 1)
    return lambda seed=4: Trainer(Segmentation(CASES, network, PLAN), PLAN, seed, device)


def single() -> Trainer:
    open_device("cpu", 1)
    return Trainer(Segmentation(CASES, NETWORK, PLAN), PLAN, 4, Device("cpu", half=False, threads=1))


def bytes_at_the_end(trainer: Trainer, folder: Path) -> bytes:
    while not trainer.finished:
        trainer.train_step()
    path = folder / "weights.safetensors"
    checkpoint.save(path, trainer.weights(), {})
    return path.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(new, tmp_path_factory) -> bytes:
    return bytes_at_the_end(new(), tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("stop", range(STEPS + 1))
def test_stopped_at_any_step_and_resumed_it_ends_with_the_same_bytes(new, undisturbed, tmp_path, stop):
    trainer = new()
    for _ in range(stop):
        trainer.train_step()
    trainer.save(tmp_path / "checkpoint", "key")
    resumed = new()
    assert resumed.resume(tmp_path / "checkpoint", "key")
    assert resumed.step == stop
    torch.manual_seed(torch.seed())  # whatever else the process drew
    assert bytes_at_the_end(resumed, tmp_path) == undisturbed


def test_stopped_after_every_single_step_it_ends_with_the_same_bytes(new, undisturbed, tmp_path):
    trainer = new()
    while not trainer.finished:
        trainer.train_step()
        trainer.save(tmp_path / "checkpoint", "key")
        trainer = new()
        trainer.resume(tmp_path / "checkpoint", "key")
    assert bytes_at_the_end(trainer, tmp_path) == undisturbed


def test_saving_disturbs_nothing(new, undisturbed, tmp_path):
    trainer = new()
    for _ in range(3):
        trainer.train_step()
        trainer.save(tmp_path / "checkpoint", "key")
    assert bytes_at_the_end(trainer, tmp_path) == undisturbed


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(new, undisturbed, tmp_path):
    assert bytes_at_the_end(new(), tmp_path) == undisturbed
    assert bytes_at_the_end(new(seed=5), tmp_path) != undisturbed


def test_the_same_state_gives_the_same_checkpoint(tmp_path):
    for name in ("first", "second"):
        trainer = single()
        trainer.train_step()
        trainer.save(tmp_path / name, "key")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_memory_mapped_cases_train_to_the_same_bytes(tmp_path):
    mapped = []
    for case in CASES:
        for part in ("image", "label_map"):
            np.save(tmp_path / f"{case.id}_{part}.npy", getattr(case, part))
        image, label_map = (
            np.load(tmp_path / f"{case.id}_{part}.npy", mmap_mode="r") for part in ("image", "label_map")
        )
        mapped.append(TrainingCase(case.id, image, label_map, case.foreground))
    trainer = single()
    expected = bytes_at_the_end(trainer, tmp_path)
    assert bytes_at_the_end(Trainer(Segmentation(mapped, NETWORK, PLAN), PLAN, 4, trainer.device), tmp_path) == expected


def test_networks_two_voxels_deep_train_in_single_precision_and_others_as_the_device_does():
    half = Device("cpu", half=True, threads=1)
    flat = replace(NETWORK, patch_zyx=(2, 12, 8), stem_stride=(1, 2, 2), strides=((1, 2, 2),))
    halves = [
        Trainer(Segmentation(CASES, network, PLAN), PLAN, 4, half).device.half for network in (NETWORK, TWO_DEEP, flat)
    ]
    assert halves == [True, False, False]


def test_a_checkpoint_of_another_key_is_not_taken(tmp_path):
    trainer = single()
    trainer.train_step()
    trainer.save(tmp_path / "checkpoint", "key")
    fresh = single()
    before = {name: tensor.clone() for name, tensor in fresh.network.state_dict().items()}
    assert not fresh.resume(tmp_path / "checkpoint", "another key")
    assert not fresh.resume(tmp_path / "no such file", "key")
    assert fresh.step == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in fresh.network.state_dict().items())


class Burglar:
    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_a_pickle_in_place_of_a_checkpoint_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "was_here"
    torch.save({"network": Burglar(trace)}, tmp_path / "checkpoint")
    (tmp_path / "plain").write_bytes(pickle.dumps(Burglar(trace)))
    for name in ("checkpoint", "plain"):
        with pytest.raises(SegVarianceError, match="is not a readable safetensors file"):
            single().resume(tmp_path / name, "key")
    assert not trace.exists()


def test_a_truncated_checkpoint_is_refused(tmp_path):
    trainer = single()
    trainer.train_step()
    trainer.save(tmp_path / "checkpoint", "key")
    content = (tmp_path / "checkpoint").read_bytes()
    (tmp_path / "checkpoint").write_bytes(content[: len(content) // 2])
    with pytest.raises(SegVarianceError, match="is not a readable safetensors file"):
        single().resume(tmp_path / "checkpoint", "key")


def first(tensors: dict, prefix: str) -> str:
    return next(name for name in sorted(tensors) if name.startswith(prefix))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, f: t.pop(first(t, "network.")), "is nothing, the network plan needs"),
        (lambda t, f: t.pop(first(t, "average.")), "is nothing, the network plan needs"),
        (lambda t, f: t.pop("optimizer.0.exp_avg"), r"'0.exp_avg' is nothing, the network plan needs"),
        (lambda t, f: t.update({"optimizer.0.exp_avg": torch.zeros(2)}), r"'0.exp_avg' is \(2,\), the network plan"),
        (lambda t, f: t.update({"optimizer.x.exp_avg": torch.zeros(2)}), r"'x.exp_avg' is \(2,\), .* needs nothing"),
        (lambda t, f: t.update({first(t, "network."): torch.zeros(1)}), r"is \(1,\), the network plan needs"),
        (lambda t, f: f.pop("step"), f"holds step None of {STEPS}"),
        (lambda t, f: f.update(step=-1), f"holds step -1 of {STEPS}"),
        (lambda t, f: f.update(step=STEPS + 1), f"holds step {STEPS + 1} of {STEPS}"),
        (lambda t, f: f.update(step="2"), f"holds step '2' of {STEPS}"),
        (lambda t, f: f.update(step=0), "the network plan needs nothing"),
    ],
)
def test_a_checkpoint_that_does_not_fit_the_network_is_refused_in_a_sentence(tmp_path, change, words):
    trainer = single()
    trainer.train_step()
    trainer.save(tmp_path / "checkpoint", "key")
    tensors, facts = checkpoint.load(tmp_path / "checkpoint")
    change(tensors, facts)
    checkpoint.save(tmp_path / "checkpoint", tensors, facts)
    with pytest.raises(SegVarianceError, match=words):
        single().resume(tmp_path / "checkpoint", "key")


def test_training_lowers_the_loss_and_raises_the_dice_it_reports():
    longer = TrainingPlan(60, 2, 1e-2, 1e-2, 0.1, 0.9, 1 / 3, (), ())
    trainer = Trainer(Segmentation(CASES, NETWORK, longer), longer, 0, open_device("cpu", 1))
    results = [trainer.train_step() for _ in range(60)]
    assert [result.step for result in results] == list(range(1, 61))
    assert np.mean([result.loss for result in results[-10:]]) < 0.7 * np.mean([result.loss for result in results[:5]])
    assert np.mean([result.score for result in results[-10:]]) > np.mean([result.score for result in results[:5]]) + 0.1
    assert all(0 <= result.score <= 1 for result in results)


def test_regions_are_learnt_with_a_channel_each_and_stopped_and_resumed_they_end_with_the_same_bytes(tmp_path):
    """A region of both classes, and the second class inside it."""
    device, longer = open_device("cpu", 1), replace(PLAN, steps=40)
    network = replace(NETWORK, out_channels=2)

    def trainer() -> Trainer:
        return Trainer(Segmentation(CASES, network, longer, regions=((1, 2), (2,))), longer, 0, device)

    undisturbed = trainer()
    results = [undisturbed.train_step() for _ in range(40)]
    assert sum(result.loss for result in results[-8:]) < 0.9 * sum(result.loss for result in results[:8])
    stopped = trainer()
    for _ in range(7):
        stopped.train_step()
    stopped.save(tmp_path / "state", "k")
    resumed = trainer()
    assert resumed.resume(tmp_path / "state", "k")
    while not resumed.finished:
        resumed.train_step()
    for name, tensor in undisturbed.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name


@given(st.integers(1, 5000), st.floats(0.0, 0.5))
def test_the_learning_rate_warms_up_and_falls_to_about_zero_over_the_whole_budget(steps, share):
    plan = TrainingPlan(steps, 2, 0.01, 0.0, share, 0.99, 0.3, (), ())
    rates = np.array([learning_rate(plan, step) for step in range(steps)])
    peak = int(rates.argmax())
    assert rates[peak] == pytest.approx(0.01)
    assert peak <= max(1, round(share * steps))
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak + 1 :]) < 0).all()
    assert (rates > 0).all()
    if steps >= 100:
        assert rates[-1] < 1e-4 * 0.01 * (100 / steps) * 10
