"""A small transfer study from one command to its report: killed in a pretraining, resumed, and the same bytes."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys

import pytest

from SegVarianceLib.backends.shared_pretraining import run_pretraining
from SegVarianceLib.core.files import read_json, sha256_of_file
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.runs import Run
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study import stages
from SegVarianceLib.study.status import status_of

pytestmark = pytest.mark.slow


def test_a_transfer_study_is_planned_killed_in_a_pretraining_resumed_and_reported(
    segvariance, wait_until, tmp_path, monkeypatch
):
    root, dataset = tmp_path / "study", make_phantom(tmp_path / "dataset", seed=1, cases=17)
    planned = segvariance(
        *("plan-transfer", dataset, root, "--source", "whole=segmentation", "--source-labels", "whole", "whole=1,2,3"),
        *("--source-seeds", 1, "--source-cases", 2, "--target-cases", 2, "--seeds", 2, "--device", "cpu"),
        *("--budget", "5 steps", "--source-budget", "40 steps"),
    )
    assert planned.returncode == 0, planned.stderr
    untouched = shutil.copytree(root, tmp_path / "untouched")
    study = StudyFolder.open(root)
    whole = Run("whole", 0, 0)

    worker = subprocess.Popen(
        [sys.executable, "-m", "SegVarianceLib.study", "run", str(root), "--jobs", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(study.checkpoint(whole).exists, 60)
    worker.kill()
    worker.wait(10)
    assert not study.record_path(whole).exists()
    assert [run.state for run in status_of(study).runs] == ["waiting"] * 7

    ran = segvariance("run", root)
    assert ran.returncode == 0, ran.stderr
    assert "Minus scratch" in ran.stdout
    assert all(study.is_done(run) for run in (*study.pretraining_runs, *study.runs))
    assert study.record(whole).resumed

    undisturbed = StudyFolder.open(untouched)
    undisturbed.run_folder(whole).mkdir(parents=True)
    assert run_pretraining(undisturbed, whole, lambda kind, **fields: None, lambda: False)
    assert undisturbed.weights(whole).read_bytes() == study.weights(whole).read_bytes()

    record = study.record(Run("whole_2", 0, 1))
    assert record.started_from == ("pretraining/whole/seed_0", sha256_of_file(study.weights(whole)))
    assert study.record(Run("scratch_total_2", 0, 1)).started_from is None

    with open(root / "report_tables" / "transfer.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Source"] for row in rows] == ["whole", "scratch_target", "scratch_total"]
    assert rows[0]["Verdict"] and rows[0]["Verdict at equal total budget"]
    assert all(row["mIoU"] and row["Lesion F1"] and row["False lesions a case"] for row in rows)
    compared = read_json(study.statistics_path)["comparisons"]["primary"]
    assert len(compared) == 2, "each source against each training from scratch, and no other pair"
    assert "What the sources are worth" in study.report_path.read_text()

    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
    assert segvariance("run", root).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")} == before

    scored = study.scores_path.read_bytes()
    assert b"lesion_sensitivity" in scored
    monkeypatch.setattr(stages, "DETECTION", ())  # a study that was scored before lesions were
    stages.score(study, lambda what, done, of: None)
    assert b"lesion" not in study.scores_path.read_bytes()
    monkeypatch.undo()
    stages.report(study, stages.compare(study))
    with open(root / "report_tables" / "transfer.csv", newline="") as file:
        assert {row["Lesion F1"] for row in csv.DictReader(file)} == {""}
    assert segvariance("run", root).returncode == 0
    assert study.scores_path.read_bytes() == scored, "scored again with lesions, and nothing trained again"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")} == before


def test_two_targets_share_a_pretraining_that_the_first_study_makes_and_weights_are_a_source_of_both(
    segvariance, tmp_path
):
    dataset = make_phantom(tmp_path / "dataset", seed=1, cases=17)
    donor, foreign = make_phantom(tmp_path / "donor_data", seed=2, cases=8), tmp_path / "foreign.safetensors"
    common = ("--target-cases", 2, "--device", "cpu", "--budget", "3 steps")
    made = segvariance("plan-transfer", donor, tmp_path / "donor", "--source", "p=masked_volume", "--seeds", 1, *common)
    assert made.returncode == 0, made.stderr
    pretrained = StudyFolder.open(tmp_path / "donor")
    source = Run("p", 0, 0)
    pretrained.run_folder(source).mkdir(parents=True)
    assert run_pretraining(pretrained, source, lambda kind, **fields: None, lambda: False)
    shutil.copy(pretrained.weights(source), foreign)

    planned = segvariance(
        *("plan-transfer", dataset, tmp_path / "targets", "--source", "filled=masked_volume", "--source-seeds", 1),
        *("--source", f"given=weights:{foreign}", "--source-part", "given", "encoder", "--frozen-share", 0.5),
        *("--source-cases", 2, "--seeds", 2, "--source-budget", "4 steps", *common),
        *("--target", "whole", "whole=1,2,3", "--target", "parts", "a=1; b=2; c=3"),
    )
    assert planned.returncode == 0, planned.stderr
    assert "nobody can check whether cases of the target were among it" in " ".join(planned.stdout.split())
    studies = [StudyFolder.open(tmp_path / "targets" / name) for name in ("whole", "parts")]
    for study in studies:
        ran = segvariance("run", study.root)
        assert ran.returncode == 0, ran.stderr
    first, second = studies
    (run,) = first.pretraining_runs
    assert first.record(run) == second.record(run), "made once"
    assert "Pretrained already, taken from" in second.events_path.read_text()
    for study in studies:
        fates = read_json(study.transfer(Run("given_2", 0, 0)))
        assert any(fate["fate"] == "loaded" for fate in fates)
        assert study.record(Run("given_2", 0, 0)).started_from is None
        with open(study.root / "report_tables" / "transfer.csv", newline="") as file:
            rows = {row["Source"]: row for row in csv.DictReader(file)}
        assert (
            rows["given"]["Verdict"] and rows["given"]["Verdict at equal total budget"] == "not compared: cost unknown"
        )
        assert rows["filled"]["Verdict at equal total budget"]
    assert {score.structure for score in ScoreTable.read(first.scores_path).scores} == {"whole"}
    assert {score.structure for score in ScoreTable.read(second.scores_path).scores} == {"a", "b", "c"}
