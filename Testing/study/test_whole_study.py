"""A study from dataset folder to report, run as users run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import sha256_of_file
from SegVarianceLib.dataset.image_io import read_geometry, read_label_map
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder

pytestmark = pytest.mark.slow


def test_every_run_predicts_just_the_cases_that_it_never_saw(undisturbed: StudyFolder) -> None:
    for run in undisturbed.runs:
        predicted = {
            path.name.removesuffix(".nii.gz") for path in (undisturbed.run_folder(run) / "predictions").iterdir()
        }
        fold = undisturbed.folds[run.fold]
        assert predicted == set(fold.held_out)
        assert predicted.isdisjoint(fold.training)


def test_predictions_lie_where_their_image_lies_to_the_last_bit(undisturbed: StudyFolder) -> None:
    for run in undisturbed.runs:
        for case_id in undisturbed.folds[run.fold].held_out:
            image = undisturbed.case(case_id).images[0]
            assert read_geometry(undisturbed.prediction(run, case_id)) == read_geometry(image)


def test_probabilities_agree_with_the_label_map_they_gave(undisturbed: StudyFolder) -> None:
    run = undisturbed.runs[0]
    case_id = undisturbed.folds[0].held_out[0]
    probabilities, geometry, names = read_probabilities(undisturbed.probabilities(run, case_id))
    label_map = read_label_map(undisturbed.prediction(run, case_id))
    assert names[0] == "background"
    assert geometry.difference(label_map.geometry) is None
    assert np.abs(probabilities.sum(0, dtype=int) - 255).max() <= len(names)
    chosen = np.take_along_axis(probabilities, label_map.array[None].astype(int), 0)[0]
    assert (chosen.astype(int) >= probabilities.max(0).astype(int) - 1).all()


def test_seeds_differ_and_the_ensemble_is_a_member_of_its_own(undisturbed: StudyFolder) -> None:
    hashes = {sha256_of_file(undisturbed.weights(run)) for run in undisturbed.runs}
    assert len(hashes) == len(undisturbed.runs)
    scores = ScoreTable.read(undisturbed.scores_path)
    ensembles = {"mean_probability", "mean_probability_clean", "majority", "majority_clean"}
    assert set(scores.unique("member")) == {"seed_0", "seed_1"} | ensembles
    assert set(scores.unique("metric")) == {"dice", "iou", "hd95_mm", "surface_dice_1mm"}


def test_the_recorded_dice_is_that_of_the_files(undisturbed: StudyFolder) -> None:
    run, structure = undisturbed.runs[1], undisturbed.labels.structures[0]
    case_id = undisturbed.folds[0].held_out[0]
    found, expected = (
        read_label_map(path).array == structure.values[0]
        for path in (undisturbed.prediction(run, case_id), undisturbed.reference(case_id))
    )
    dice = 2 * (found & expected).sum() / (found.sum() + expected.sum())
    scores = ScoreTable.read(undisturbed.scores_path)
    (score,) = scores.where(member="seed_1", case=case_id, structure=structure.name, metric="dice").scores
    assert score.value == pytest.approx(dice, abs=1e-12)


def test_events_tell_the_whole_story_in_order(undisturbed: StudyFolder) -> None:
    events = list(read_events(undisturbed.events_path))
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "study_started"
    assert kinds[-1] == "study_finished"
    stages = [event["stage"] for event in events if event["kind"] == "stage"]
    assert stages == ["train", "ensemble", "clean", "score", "compare", "report"]
    steps = [event for event in events if event["kind"] == "step"]
    assert {"configuration", "fold", "seed", "step", "steps", "loss", "dice", "time_left_s"} <= steps[0].keys()
    assert kinds.count("run_finished") == len(undisturbed.runs)


def test_running_a_finished_study_again_trains_nothing_and_changes_nothing(
    undisturbed: StudyFolder, segvariance: Callable, results: Callable
) -> None:
    before = results(undisturbed), undisturbed.scores_path.stat().st_mtime_ns
    assert segvariance("resume", undisturbed.root).returncode == 0
    assert (results(undisturbed), undisturbed.scores_path.stat().st_mtime_ns) == before


def test_a_second_study_of_the_same_plan_gives_the_same_bytes(
    undisturbed: StudyFolder, planned: Callable, segvariance: Callable, results: Callable, tmp_path: Path
) -> None:
    again = planned(tmp_path / "again")
    ran = segvariance("run", again.root, "--jobs", 1)
    assert ran.returncode == 0, ran.stderr
    assert results(again) == results(undisturbed)


def test_with_folds_every_case_is_predicted_once_a_seed(
    planned: Callable, segvariance: Callable, tmp_path: Path
) -> None:
    study = planned(tmp_path / "folds", split="2-fold", seeds=2, budget="4 steps", keep_probabilities=False)
    ran = segvariance("run", study.root)
    assert ran.returncode == 0, ran.stderr
    scores = ScoreTable.read(study.scores_path).where(metric="dice", structure=study.labels.structures[0].name)
    for seed in study.plan.seeds:
        assert sorted(score.case for score in scores.where(seed=seed).scores) == sorted(study.dataset.images)
    assert set(scores.unique("member")) == {"seed_0", "seed_1", "majority", "majority_clean"}
    assert not list(study.root.rglob("probabilities"))


def test_status_in_json_says_that_all_is_done(undisturbed: StudyFolder, segvariance: Callable) -> None:
    found = json.loads(segvariance("status", undisturbed.root, "--json").stdout)
    assert found["state"] == "finished"
    assert found["worker"] is None
    assert [run["state"] for run in found["runs"]] == ["done", "done"]
    assert all(0 <= run["dice"] <= 1 for run in found["runs"])


def test_one_seed_makes_no_ensemble_and_the_report_says_that_luck_cannot_be_seen(
    planned: Callable, segvariance: Callable, tmp_path: Path
) -> None:
    study = planned(tmp_path / "one", seeds=1, budget="4 steps")
    ran = segvariance("run", study.root)
    assert ran.returncode == 0, ran.stderr
    assert "nothing can separate the recipe from the luck of one training" in ran.stdout
    assert ScoreTable.read(study.scores_path).unique("member") == ("seed_0",)
    assert not (study.root / "ensembles").exists()
    assert "luck of one training" in study.report_path.read_text(encoding="utf-8")
