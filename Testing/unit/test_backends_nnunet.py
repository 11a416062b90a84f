"""The half of the nnU-Net backend that needs no nnU-Net: its plan, its raw dataset, and how its Python is talked to."""

from __future__ import annotations

import importlib.metadata
import json
import os
import stat
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.backends import nnunet_process
from SegVarianceLib.backends.nnunet_data import dataset_name, own_values, write_raw
from SegVarianceLib.backends.nnunet_process import ask, versions
from SegVarianceLib.backends.nnunet_request import keep_arrays
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.case import Case
from SegVarianceLib.dataset.image_io import read_image, read_label_map, write_label_map, write_map
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.plan.nnunet_plan import NnunetConfiguration, NnunetTrainingPlan, epochs_of_steps
from SegVarianceLib.plan.runs import Run, RunRecord
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.study_plan import SCHEMA, StudyPlan
from SegVarianceLib.study import commands_nnunet
from SegVarianceLib.study.facts import recipe_in_words
from SegVarianceLib.study.new_study import Wishes, plan_study, with_schedule

RECIPE = NnunetTrainingPlan("3d_fullres", "ExperimentPlanner", 50, 250, True, "/env/bin/python", "2.8.1", "2.13.0")
NNUNET = NnunetConfiguration("default", "nnunet", RECIPE)
GRID = Geometry((5, 4, 3), (1.0, 2.0, 3.0), (7.0, 8.0, 9.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
TWO = LabelSet((Structure("anterior", (1,)), Structure("posterior", (2,))))
GAPS = LabelSet((Structure("liver", (1,)), Structure("tumour", (4,))), ignore_value=7)
REGIONS = LabelSet((Structure("whole", (1, 2, 4)), Structure("core", (2, 4))), regions_class_order=(1, 4))


def plan_of(configuration: NnunetConfiguration) -> StudyPlan:
    return StudyPlan(SCHEMA, "T", "/data", "d", "holdout", 0, (0, 1), (configuration,), "cpu", 1, True, "none", 1.0)


def study_of(root: Path, configuration: NnunetConfiguration) -> StudyFolder:
    """A planned study of two cases, one of them held out."""
    study = StudyFolder(root)
    facts = {"folder": str(root.parent), "name": "D", "channels": ["T1"], "file_ending": ".nii.gz"}
    images, references = {"a": ["i/a.nii.gz"], "b": ["i/b.nii.gz"]}, {"a": "l/a.nii.gz", "b": "l/b.nii.gz"}
    write_json(study.dataset_path, facts | {"images": images, "references": references, "labels": TWO.to_json()})
    write_json(study.splits_path, [{"training": ["a"], "held_out": ["b"]}])
    plan_of(configuration).write(study.plan_path)
    return study


def refused(work) -> str:
    with pytest.raises(SegVarianceError) as caught:
        work()
    return str(caught.value)


def test_a_plan_with_a_recipe_of_nnunet_is_read_as_it_was_written(tmp_path):
    plan_of(NNUNET).write(tmp_path / "plan.json")
    assert StudyPlan.read(tmp_path / "plan.json") == plan_of(NNUNET)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"backend": "builtin"}, "expected backend 'nnunet'"),
        ({"training": {"epochs": 5}}, "training: field 'configuration' is missing"),
        ({"patch": 3}, "unknown field 'patch'"),
    ],
)
def test_an_edited_recipe_of_nnunet_is_refused_in_terms_of_nnunet(tmp_path, change, sentence):
    path = tmp_path / "plan.json"
    plan_of(NNUNET).write(path)
    content = read_json(path)
    content["configurations"][0] |= change
    write_json(path, content)
    assert sentence in refused(lambda: StudyPlan.read(path))


def test_everything_that_decides_a_training_is_in_the_digest_of_its_inputs(tmp_path):
    def inputs(number: int, **changes: object) -> str:
        configuration = replace(NNUNET, training=replace(RECIPE, **changes))
        return study_of(tmp_path / str(number), configuration).run_inputs(Run("default", 0, 0))

    changed = [
        {"epochs": 51}, {"steps_per_epoch": 2}, {"mirroring": False}, {"configuration": "2d"}, {"planner": "P"},
        {"nnunetv2": "2.8.2"}, {"torch": "2.14.0"},
    ]  # fmt: skip
    digests = [inputs(number, **change) for number, change in enumerate([{}, *changed])]
    assert len(set(digests)) == 1 + len(changed)
    assert inputs(99) == digests[0]


@given(steps=st.integers(1, 10**6))
def test_a_schedule_keeps_the_steps_within_a_tenth_and_has_ten_epochs_where_it_can(steps):
    epochs, each = epochs_of_steps(steps)
    assert 1 <= each <= 250
    assert epochs >= min(steps, 5)
    assert abs(epochs * each - steps) <= max(each, steps / 10)


@pytest.mark.parametrize(
    ("budget", "schedule"),
    [
        ("1000 epochs", (1000, 250)),
        ("20 epochs of 50 steps", (20, 50)),
        ("1 epoch of 1 step", (1, 1)),
        ("5000 steps", (20, 250)),
        ("100 steps", (10, 10)),
        ("2 minutes", (10, 24)),
    ],
)
def test_a_budget_becomes_epochs_of_nnunet(budget, schedule):
    training = with_schedule(NNUNET, budget, seconds_per_step=0.5).training
    assert (training.epochs, training.steps_per_epoch) == schedule
    assert training.steps == schedule[0] * schedule[1]


@pytest.mark.parametrize("budget", ["0 epochs", "5 epochs of 0 steps", "much", "5 epochs of 3"])
def test_a_budget_that_means_no_training_is_refused(budget):
    assert "Budget" in refused(lambda: with_schedule(NNUNET, budget, 1.0))


def test_the_recipe_in_words_names_version_schedule_and_mirroring():
    words = recipe_in_words(replace(NNUNET, training=replace(RECIPE, mirroring=False)))
    assert "nnU-Net 2.8.1" in words and "50 epochs of 250 steps" in words and "mirroring off" in words


@pytest.fixture
def one_case(tmp_path: Path) -> Case:
    """One image of one channel with every label of ``GAPS``."""
    labels = np.zeros(GRID.shape_zyx, np.uint8)
    labels[0, 0, :3] = (1, 4, 7)
    write_map(tmp_path / "data" / "a.nii.gz", np.arange(60.0).reshape(GRID.shape_zyx), GRID)
    write_label_map(tmp_path / "data" / "a_label.nii.gz", labels, GRID)
    return Case("a", (tmp_path / "data" / "a.nii.gz",), tmp_path / "data" / "a_label.nii.gz")


def test_cases_that_nnunet_can_read_stay_where_they_lie(tmp_path, one_case):
    raw = tmp_path / "raw"
    write_raw(raw, [one_case], ["MRI"], TWO)
    description = read_json(raw / "dataset.json")
    assert description["dataset"] == {"a": {"images": [str(one_case.images[0])], "label": str(one_case.label)}}
    assert description["labels"] == {"background": 0, "anterior": 1, "posterior": 2}
    assert [path.name for path in raw.iterdir()] == ["dataset.json"]


def test_an_image_with_all_channels_in_one_file_becomes_a_file_a_channel(tmp_path, one_case):
    import SimpleITK as sitk  # noqa: N813

    both = tmp_path / "both.nii.gz"
    volumes = [sitk.GetImageFromArray(np.full(GRID.shape_zyx, value, np.float32)) for value in (3, 5)]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(both))
    write_raw(tmp_path / "raw", [replace(one_case, images=(both,))], ["T1", "T2"], TWO)
    description = read_json(tmp_path / "raw" / "dataset.json")
    assert description["channel_names"] == {"0": "T1", "1": "T2"}
    files = [Path(path) for path in description["dataset"]["a"]["images"]]
    assert [np.unique(read_image([path]).array).tolist() for path in files] == [[3], [5]]


def test_values_with_gaps_are_renumbered_for_nnunet_and_come_back(tmp_path, one_case):
    write_raw(tmp_path / "raw", [one_case], ["MRI"], GAPS)
    description = read_json(tmp_path / "raw" / "dataset.json")
    assert description["labels"] == {"background": 0, "liver": 1, "tumour": 2, "ignore": 3}
    written = read_label_map(Path(description["dataset"]["a"]["label"])).array
    assert written[0, 0, :4].tolist() == [1, 2, 3, 0]
    assert own_values(np.array([0, 1, 2]), GAPS).tolist() == [0, 1, 4]


def test_regions_keep_their_order_and_what_they_paint(tmp_path, one_case):
    write_raw(tmp_path / "raw", [], ["MRI"], REGIONS)
    description = read_json(tmp_path / "raw" / "dataset.json")
    assert description["labels"] == {"background": 0, "whole": [1, 2, 3], "core": [2, 3]}
    assert description["regions_class_order"] == [1, 3]


@given(name=st.text(max_size=40))
def test_a_dataset_has_a_name_that_nnunet_takes_whatever_it_was_called(name):
    found = dataset_name(name)
    assert found.startswith("Dataset001_") and found.removeprefix("Dataset001_").isalnum() and found.isascii()


def test_arrays_of_the_child_land_on_the_grid_of_their_image_and_go(tmp_path, one_case):
    probabilities = np.zeros((3, *GRID.shape_zyx), np.float32)
    probabilities[0] = 1
    probabilities[:, 0, 0, 1] = (0.25, 0.25, 0.5)
    np.save(tmp_path / "a.npy", probabilities.argmax(0).astype(np.uint16))
    np.save(tmp_path / "a.probabilities.npy", probabilities)
    keep_arrays(tmp_path, "a", one_case.images[0], GAPS, tmp_path / "out.nii.gz", tmp_path / "out.nrrd")
    label_map = read_label_map(tmp_path / "out.nii.gz")
    assert label_map.geometry == read_image(one_case.images).geometry
    assert label_map.array[0, 0, 1] == 4 and label_map.array.sum() == 4
    kept, _, names = read_probabilities(tmp_path / "out.nrrd")
    assert names == ("background", "liver", "tumour")
    assert kept[:, 0, 0, 1].tolist() == [64, 64, 128]
    assert not list(tmp_path.glob("*.npy"))


@pytest.fixture
def python_that(tmp_path: Path):
    """``python_that(lines)``: an executable that does what these lines of Python say, whatever script it is given."""
    if os.name == "nt":
        pytest.skip("a script with a first line that names its interpreter does not start here")

    def make(*lines: str) -> str:
        path = tmp_path / "python"
        path.write_text("\n".join([f"#!{sys.executable}", *lines]), encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def answers(**found: str | None) -> str:
    return f"print({json.dumps(found)!r})"


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"nnunetv2": None, "torch": "2.13.0"}, "has no nnunetv2; expected 2.8"),
        ({"nnunetv2": "2.7.0", "torch": "2.13.0"}, "has nnunetv2 2.7.0; expected 2.8"),
        ({"nnunetv2": "2.8.1", "torch": "2.9.1"}, "has torch 2.9.1"),
        ({"nnunetv2": "2.8.1", "torch": None}, "has no torch"),
    ],
)
def test_an_environment_that_would_not_do_is_refused_with_how_to_make_one(python_that, found, sentence):
    said = refused(lambda: versions(python_that(answers(**found))))
    assert sentence in said and "pip install 'nnunetv2>=2.8,<2.9'" in said


def test_the_versions_of_a_fitting_environment_are_told(python_that):
    assert versions(python_that(answers(nnunetv2="2.8.1", torch="2.13.0+cpu"))) == ("2.8.1", "2.13.0+cpu")


def test_a_python_that_is_not_there_or_none_is_refused(tmp_path, python_that):
    assert "cannot be started" in refused(lambda: versions(str(tmp_path / "nowhere" / "python")))
    assert "does not answer" in refused(lambda: versions(python_that("print('hello')")))


def test_the_childs_own_script_says_its_versions_in_any_python():
    script = Path(nnunet_process.__file__).parent / "nnunet_child"
    asked = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(asked.stdout)["torch"] == importlib.metadata.version("torch")


def test_a_child_that_crashes_is_named_with_its_last_words_and_its_log(tmp_path, python_that):
    python = python_that("import sys", "sys.exit('out of memory')")
    said = refused(lambda: ask(python, {}, tmp_path / "run", {}, lambda event: None, lambda: False))
    assert "exit code 1 (out of memory)" in said and str(tmp_path / "run" / "nnunet.log") in said


def test_a_child_that_refuses_says_why(tmp_path, python_that):
    python = python_that(
        "import json, sys", "print(json.dumps({'kind': 'refused', 'message': 'no such plan'}))", "sys.exit(2)"
    )
    said = refused(lambda: ask(python, {}, tmp_path, {}, lambda event: None, lambda: False))
    assert "no such plan" in said and "nnunet.log" in said


def test_a_child_is_stopped_by_the_end_of_its_input_and_every_event_is_heard(tmp_path, python_that):
    say = "print(json.dumps({'kind': 'step', 'step': %d}), flush=True)"
    python = python_that("import json, sys", say % 1, "sys.stdin.read()", say % 2, "sys.exit(3)")
    heard: list[int] = []
    begun = time.monotonic()
    done, peak_mib = ask(python, {}, tmp_path, {}, lambda event: heard.append(event["step"]), lambda: bool(heard))
    assert (done, heard) == (False, [1, 2])
    assert peak_mib > 1
    assert time.monotonic() - begun < 10


def test_a_child_finds_nothing_of_this_environment_but_what_it_is_given(tmp_path, python_that, monkeypatch):
    for name in ("PYTHONPATH", "nnUNet_results", "nnUNet_raw"):
        monkeypatch.setenv(name, "elsewhere")
    python = python_that(
        "import json, os",
        "print(json.dumps({'kind': 'seen', 'environment': {n: os.environ.get(n) for n in ('PYTHONPATH', 'nnUNet_results', 'nnUNet_raw')}}))",
    )
    heard: list[dict] = []
    done, _ = ask(python, {}, tmp_path, {"nnUNet_results": "inside"}, heard.append, lambda: False)
    assert done
    assert heard[0]["environment"] == {"PYTHONPATH": None, "nnUNet_results": "inside", "nnUNet_raw": None}


def test_a_python_for_nnunet_without_its_backend_is_a_mistake(tmp_path):
    wishes = Wishes(nnunet_python="/env/bin/python")
    assert "--backend nnunet" in refused(lambda: plan_study(tmp_path, tmp_path / "study", wishes, lambda *_: None))


def test_models_of_the_builtin_backend_are_left_to_it(tmp_path):
    models = Namespace(models=[str(tmp_path), str(tmp_path / "weights.safetensors")])
    assert commands_nnunet.predict(models) is False


def test_a_study_of_nnunet_without_a_finished_training_cannot_predict(tmp_path):
    study = study_of(tmp_path / "study", NNUNET)
    assert "no finished training" in refused(lambda: commands_nnunet.predict(Namespace(models=[str(study.root)])))


def test_runs_of_nnunet_do_not_predict_together_with_others(tmp_path):
    study, run = study_of(tmp_path / "study", NNUNET), Run("default", 0, 0)
    record = RunRecord(1, run, study.run_inputs(run), "", {}, "", False, 1.0, 1.0, 1.0)
    write_json(study.record_path(run), to_json(record))
    models = [str(study.run_folder(run)), str(tmp_path / "weights.safetensors")]
    assert "the same study only" in refused(lambda: commands_nnunet.predict(Namespace(models=models)))
