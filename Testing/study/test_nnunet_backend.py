"""A study that nnU-Net v2 itself trains, in its own Python, on a few cases of the hippocampus and for a few steps.

Needs a Python with nnunetv2 2.8 in SEGVARIANCE_NNUNET_PYTHON; without it every test here is skipped and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.dataset.image_io import read_geometry, read_label_map
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder

pytestmark = pytest.mark.slow

CASES = 5
STEPS = 6


@pytest.fixture(scope="session")
def nnunet_python() -> str:
    python = os.environ.get("SEGVARIANCE_NNUNET_PYTHON")
    if not python:
        pytest.skip("SEGVARIANCE_NNUNET_PYTHON does not name a Python with nnunetv2 2.8")
    # nnU-Net loads all of its trainers when it looks for one; some load torchvision, which must fit torch.
    loads = subprocess.run(
        [python, "-c", "import dynamic_network_architectures.architectures.primus"], capture_output=True, text=True
    )
    if loads.returncode != 0:
        pytest.skip(f"nnU-Net's trainers do not load in that environment: {loads.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="session")
def hippocampus(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first cases of Task04_Hippocampus as a dataset of their own."""
    source, folder = real_data / "Task04_Hippocampus", tmp_path_factory.mktemp("nnunet") / "dataset"
    description = read_json(source / "dataset.json")
    entries = description["training"][:CASES]
    for path in (path for entry in entries for path in entry.values()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
    write_json(folder / "dataset.json", description | {"training": entries, "numTraining": CASES, "test": []})
    return folder


@pytest.fixture(scope="session")
def planned_for_nnunet(nnunet_python: str, hippocampus: Path, segvariance: Callable) -> StudyFolder:
    """Two seeds of six steps of nnU-Net's 2d configuration, the smallest that it plans; nothing is trained yet."""
    root = hippocampus.parent / "planned"
    planned = segvariance(
        *("plan", hippocampus, root, "--backend", "nnunet", "--nnunet-python", nnunet_python),
        *("--nnunet-configuration", "2d", "--nnunet-no-mirroring", "--device", "cpu", "--seeds", 2),
        *("--budget", f"2 epochs of {STEPS // 2} steps", "--json"),
    )
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["seconds_per_step"] > 0
    return StudyFolder.open(root)


@pytest.fixture(scope="session")
def trained(planned_for_nnunet: StudyFolder, segvariance: Callable) -> StudyFolder:
    study = StudyFolder(planned_for_nnunet.root.with_name("trained"))
    shutil.copytree(planned_for_nnunet.root, study.root)
    ran = segvariance("run", study.root)
    assert ran.returncode == 0, ran.stderr
    return study


def predictions(study: StudyFolder, seed: int) -> dict[str, bytes]:
    """Label maps and probabilities of a seed, by file name."""
    run = next(run for run in study.runs if run.seed == seed)
    files = [path for kind in ("predictions", "probabilities") for path in (study.run_folder(run) / kind).iterdir()]
    assert len(files) == 2 * len(study.folds[0].held_out)
    return {path.name: path.read_bytes() for path in files}


def test_a_study_of_nnunet_goes_from_plan_to_report(trained: StudyFolder, segvariance: Callable) -> None:
    assert trained.report_path.is_file()
    assert "nnU-Net 2.8" in trained.report_path.read_text(encoding="utf-8")
    members = set(ScoreTable.read(trained.scores_path).unique("member"))
    assert {"seed_0", "seed_1", "mean_probability", "majority"} <= members
    status = json.loads(segvariance("status", trained.root, "--json").stdout)
    assert status["state"] == "finished"
    assert [(run["state"], run["step"], run["steps"]) for run in status["runs"]] == [("done", STEPS, STEPS)] * 2
    assert not (trained.root / "cache").exists()


def test_predictions_lie_on_their_image_and_agree_with_their_probabilities(trained: StudyFolder) -> None:
    for run in trained.runs:
        for case_id in trained.folds[0].held_out:
            label_map = read_label_map(trained.prediction(run, case_id))
            assert label_map.geometry == read_geometry(trained.case(case_id).images[0])
            probabilities, geometry, names = read_probabilities(trained.probabilities(run, case_id))
            assert geometry.difference(label_map.geometry) is None
            assert names == ("background", "Anterior", "Posterior")
            chosen = np.take_along_axis(probabilities, label_map.array[None].astype(int), 0)[0]
            assert (chosen >= probabilities.max(0)).all()


def test_progress_comes_as_our_events(trained: StudyFolder) -> None:
    events = [event for event in read_events(trained.events_path) if event.get("seed") == 0]
    steps = [event for event in events if event["kind"] == "step"]
    assert steps[-1]["step"] == steps[-1]["steps"] == STEPS
    assert steps[-1]["time_left_s"] == 0
    assert all({"loss", "dice", "time_left_s", "study_time_left_s"} <= event.keys() for event in steps[:-1])
    assert all(0 <= event["dice"] <= 1 for event in steps)
    predicted = [event for event in events if event["kind"] == "predicted"]
    assert [event["case"] for event in predicted] == list(trained.folds[0].held_out)


def test_each_run_has_a_results_folder_of_its_own_and_nothing_lies_elsewhere(trained: StudyFolder) -> None:
    for run in trained.runs:
        (results,) = (trained.run_folder(run) / "nnunet").glob("Dataset001_*/nnUNetTrainerNoMirroring__nnUNetPlans__2d")
        assert {"plans.json", "dataset.json", "fold_0"} <= {path.name for path in results.iterdir()}
        assert [path.name for path in results.glob("fold_*/*.pth")] == ["checkpoint_final.pth"]
    assert not list(trained.root.rglob("*.npy")), "arrays on the way into the study are removed"


def test_another_seed_is_another_training(trained: StudyFolder) -> None:
    first, second = predictions(trained, 0), predictions(trained, 1)
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first if name.endswith(".nrrd"))


def test_a_run_stopped_within_an_epoch_ends_with_the_bytes_of_an_undisturbed_one(
    planned_for_nnunet: StudyFolder, trained: StudyFolder, tmp_path: Path
) -> None:
    study = StudyFolder(tmp_path / "study")
    shutil.copytree(planned_for_nnunet.root, study.root)
    run = study.runs[0]
    command = [sys.executable, "-m", "SegVarianceLib.study.run_process"]
    command += [str(study.root), run.configuration, str(run.fold), str(run.seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        next(line for line in process.stdout or () if json.loads(line)["kind"] == "step")
        assert process.stdin
        process.stdin.close()
        assert process.wait(120) == 3
    state = read_json(study.run_folder(run) / "nnunet" / "state.json")
    assert 0 < state["step"] < STEPS
    assert state["file"] == "checkpoint_latest.pth"

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait(120) == 0
    assert study.record(run).resumed
    assert predictions(study, run.seed) == predictions(trained, run.seed)


def test_predicting_with_one_run_gives_what_the_run_predicted(
    trained: StudyFolder, segvariance: Callable, tmp_path: Path
) -> None:
    run, case_id = trained.runs[1], trained.folds[0].held_out[0]
    images = tmp_path / "images"
    images.mkdir()
    shutil.copyfile(trained.case(case_id).images[0], images / f"{case_id}.nii.gz")
    predict = ["predict", trained.run_folder(run), "--images", images, "--output", tmp_path / "out"]
    predict += ["--probabilities", "--device", "cpu", "--threads", 1]
    predicted = segvariance(*predict)
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "out" / f"{case_id}.nii.gz").read_bytes() == trained.prediction(run, case_id).read_bytes()
    ours = read_probabilities(tmp_path / "out" / "probabilities" / f"{case_id}.nrrd")[0]
    assert np.array_equal(ours, read_probabilities(trained.probabilities(run, case_id))[0])


def test_a_checkpoint_that_its_run_did_not_write_is_never_opened(
    trained: StudyFolder, segvariance: Callable, tmp_path: Path
) -> None:
    study = StudyFolder(shutil.copytree(trained.root, tmp_path / "study"))
    (checkpoint,) = study.run_folder(study.runs[0]).rglob("checkpoint_final.pth")
    checkpoint.write_bytes(checkpoint.read_bytes() + b"\0")
    images = Path(study.dataset.folder) / "imagesTr"
    refused = segvariance("predict", study.root, "--images", images, "--output", tmp_path / "out", "--device", "cpu")
    assert refused.returncode == 2
    assert "is not the file that its run.json describes" in refused.stderr
    assert "nnunet.log" in refused.stderr


def test_another_torch_than_planned_does_not_continue_the_study(
    planned_for_nnunet: StudyFolder, segvariance: Callable, tmp_path: Path
) -> None:
    study = StudyFolder(shutil.copytree(planned_for_nnunet.root, tmp_path / "study"))
    content = read_json(study.plan_path)
    content["configurations"][0]["training"]["torch"] = "2.8.0"
    write_json(study.plan_path, content)
    ran = segvariance("run", study.root)
    assert ran.returncode == 2
    said = [event["message"] for event in read_events(study.events_path) if event["kind"] == "run_refused"]
    assert "the study was planned with torch 2.8.0" in said[0]
