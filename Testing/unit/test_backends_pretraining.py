"""A pretraining that is stopped and a run that starts from it: files, events, digests, and the same bytes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.backends.builtin import Builtin
from SegVarianceLib.backends.pretraining import pretrain
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, sha256_of_file
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.device import Device, open_device
from SegVarianceLib.model.trained import read_trained_facts
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.pretraining_plan import PretrainingPlan
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.study_plan import ChannelPlan, NetworkPlan, PreprocessingPlan, TrainingPlan
from SegVarianceLib.study.new_study import Wishes, plan_study
from SegVarianceLib.training.patches import TrainingCase

NETWORK = NetworkPlan(1, 2, (8, 12, 8), (2, 2, 2), (), (4,))
PLAN = PretrainingPlan(
    "filled_in",
    "masked_volume",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NETWORK,
    TrainingPlan(6, 2, 5e-3, 1e-2, 0.2, 0.9, 1 / 3, (), (0, 1, 2)),
    {"block_voxels": 4},
)
CASES = [
    TrainingCase(str(n), np.random.default_rng(n).normal(size=(1, 12, 14, 12)).astype(np.float16), np.zeros((12, 14, 12), np.uint8), ())
    for n in range(3)
]  # fmt: skip


class Heard:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict]] = []

    def __call__(self, kind: str, **fields: object) -> None:
        self.events.append((kind, fields))


def pretrained(folder: Path, plan: PretrainingPlan = PLAN, heard: Heard | None = None, stop_after: int = 99, **more):
    open_device("cpu", 1)
    asked: list[None] = []

    def should_stop() -> bool:
        asked.append(None)
        return len(asked) >= stop_after

    device = Device("cpu", half=False, threads=1)
    return pretrain(folder, plan, CASES, "inputs", 3, device, heard or Heard(), should_stop, **more)


def test_it_leaves_weights_that_say_what_they_are_and_cannot_pass_for_a_trained_network(tmp_path):
    heard = Heard()
    assert pretrained(tmp_path, heard=heard)
    facts = checkpoint.facts(tmp_path / "weights.safetensors")
    assert facts["pretraining"]["task"] == "masked_volume"
    assert facts["seed"] == 3
    assert not (tmp_path / "checkpoint.safetensors").exists()
    kind, last = heard.events[-1]
    assert (kind, last["step"], last["steps"]) == ("step", 6, 6)
    assert {"loss", "explained"} <= last.keys()
    with pytest.raises(SegVarianceError, match=r"weights\.safetensors: "):
        read_trained_facts(tmp_path / "weights.safetensors")


def test_stopped_and_called_again_it_ends_with_the_same_bytes_and_then_has_nothing_to_do(tmp_path):
    assert pretrained(tmp_path / "undisturbed")
    assert not pretrained(tmp_path / "stopped", stop_after=2)
    assert not (tmp_path / "stopped" / "weights.safetensors").exists()
    assert pretrained(tmp_path / "stopped")
    undisturbed, stopped = (tmp_path / name / "weights.safetensors" for name in ("undisturbed", "stopped"))
    assert undisturbed.read_bytes() == stopped.read_bytes()
    again = Heard()
    assert pretrained(tmp_path / "stopped", heard=again)
    assert again.events == []


def test_another_plan_starts_anew_and_says_so(tmp_path):
    assert not pretrained(tmp_path, stop_after=2)
    other, heard = replace(PLAN, settings={"block_voxels": 2}), Heard()
    assert pretrained(tmp_path, other, heard)
    assert (
        "run_message",
        {"message": "Started anew: the checkpoint belongs to another plan, device or version"},
    ) in heard.events
    before = (tmp_path / "weights.safetensors").read_bytes()
    assert pretrained(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() != before


def test_classes_of_cases_are_part_of_what_it_follows_from(tmp_path):
    plan = replace(PLAN, task="case_classes", settings={})
    keys = []
    for classes in ({"0": "a", "1": "b", "2": "a"}, {"0": "a", "1": "b", "2": "b"}):
        assert pretrained(tmp_path, plan, case_classes=classes)
        keys.append(checkpoint.facts(tmp_path / "weights.safetensors")["key"])
    assert keys[0] != keys[1]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> StudyFolder:
    """A study of one run with a tiny network that has trained nothing yet."""
    folder = tmp_path_factory.mktemp("phantom")
    dataset = make_phantom(folder / "dataset", seed=1, cases=4)
    study, _ = plan_study(dataset, folder / "study", Wishes(seeds=1, budget="6 steps", device="cpu"), lambda *_: None)
    own = study.plan.configurations[0]
    network = NetworkPlan(1, own.network.out_channels, (16, 16, 16), (2, 2, 2), ((2, 2, 2),), (4, 8))
    own = replace(own, network=network, training=replace(own.training, steps=6))
    replace(study.plan, configurations=(own,)).write(study.plan_path)
    return StudyFolder.open(study.root)


def planned(plain: StudyFolder, folder: Path, rules: FineTuning | None) -> StudyFolder:
    """The same study, fine-tuned."""
    shutil.copytree(plain.root, folder)
    own = replace(plain.plan.configurations[0], fine_tuning=rules)
    replace(plain.plan, configurations=(own,)).write(folder / "plan.json")
    return StudyFolder.open(folder)


def source(study: StudyFolder, folder: Path) -> Path:
    """Weights of a pretraining with the study's own network."""
    own = study.plan.configurations[0]
    plan = replace(PLAN, network=own.network)
    open_device("cpu", 1)
    cases = [replace(case, image=np.repeat(np.repeat(case.image, 2, 1), 2, 3)[:, :, :, :20]) for case in CASES]
    cases = [replace(case, label_map=np.zeros(case.image.shape[1:], np.uint8)) for case in cases]
    assert pretrain(folder, plan, cases, "i", 0, Device("cpu", half=False, threads=1), Heard(), lambda: False)
    return folder / "weights.safetensors"


@pytest.fixture(scope="module")
def scratch(plain, tmp_path_factory) -> StudyFolder:
    """The study from drawn weights, trained."""
    study = planned(plain, tmp_path_factory.mktemp("scratch") / "study", None)
    assert Builtin().train_and_predict(study, study.runs[0], Heard(), lambda: False)
    return study


def test_a_run_starts_from_given_weights_says_what_it_took_and_resumes_to_the_same_bytes(scratch, plain, tmp_path):
    weights = source(scratch, tmp_path / "source")
    rules = FineTuning(str(weights), sha256_of_file(weights), part="encoder", frozen_share=0.5, rate_decay=0.8)
    study, again = (planned(plain, tmp_path / name, rules) for name in ("study", "again"))
    run, heard = study.runs[0], Heard()
    assert Builtin().train_and_predict(study, run, heard, lambda: False)
    said = [fields["message"] for kind, fields in heard.events if kind == "run_message"]
    assert any(message.startswith("Weights of weights.safetensors: ") and "loaded" in message for message in said)
    fates = {fate["name"]: fate["fate"] for fate in read_json(study.transfer(run))}
    assert (fates["stem.weight"], fates["up.0.expand.weight"]) == ("loaded", "initialised")

    steps = iter(range(100))
    stop_in_training = Heard()
    assert not Builtin().train_and_predict(
        again,
        run,
        stop_in_training,
        lambda: any(kind == "step" for kind, _ in stop_in_training.events) and next(steps) == 0,
    )
    assert again.checkpoint(run).exists()
    assert Builtin().train_and_predict(again, run, Heard(), lambda: False)
    assert again.weights(run).read_bytes() == study.weights(run).read_bytes()
    assert study.weights(run).read_bytes() != scratch.weights(run).read_bytes()


def test_a_run_continues_from_a_run_of_another_study_head_and_all(scratch, plain, tmp_path):
    weights = scratch.weights(scratch.runs[0])
    study = planned(plain, tmp_path / "study", FineTuning(str(weights), sha256_of_file(weights)))
    assert Builtin().train_and_predict(study, study.runs[0], Heard(), lambda: False)
    assert {fate["fate"] for fate in read_json(study.transfer(study.runs[0]))} == {"loaded"}


def test_weights_that_changed_since_the_study_was_planned_are_refused(scratch, plain, tmp_path):
    weights = scratch.weights(scratch.runs[0])
    study = planned(plain, tmp_path / "study", FineTuning(str(weights), "0" * 64))
    with pytest.raises(SegVarianceError, match="holds other weights than when the study was planned"):
        Builtin().train_and_predict(study, study.runs[0], Heard(), lambda: False)
