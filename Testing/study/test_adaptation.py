"""Adaptation to one case, end to end on the phantom: real networks, real processes; nobody reads the case's reference."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import sha256_of_file, write_json
from SegVarianceLib.dataset.image_io import read_image, read_label_map, write_map
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.adaptation import AdaptationPlan, AdaptationSettings, variant
from SegVarianceLib.plan.adaptation_folder import ADAPTED, INITIAL, AdaptationFolder
from SegVarianceLib.plan.runs import Run
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.study.adapting import run_adaptation
from SegVarianceLib.study.new_adaptation import AdaptationWishes, plan_adaptation
from SegVarianceLib.study.pipeline import Stopped

pytestmark = pytest.mark.slow
SETTINGS = AdaptationSettings(neighbours=2, rounds=2, steps=4, predictions=2)


def held_out(study: StudyFolder) -> str:
    return study.folds[0].held_out[0]


def planned_in(folder: Path, study: StudyFolder, model: Path | None = None, **changes: object) -> AdaptationFolder:
    wishes = AdaptationWishes(settings=SETTINGS, device="cpu", **changes)  # type: ignore[arg-type]
    images = study.case(held_out(study)).images
    return plan_adaptation(model or study.root, images, folder, wishes)


def results(folder: AdaptationFolder) -> dict[str, str]:
    """Digest of everything that is kept but times and machine."""
    files = (path for path in folder.root.rglob("*") if path.is_file())
    left_out = ("adaptation.json", "events.jsonl", "worker.lock", "adaptation_plan.json", "worker.log")
    return {str(path.relative_to(folder.root)): sha256_of_file(path) for path in files if path.name not in left_out}


@pytest.fixture(scope="module")
def trained(planned, segvariance, tmp_path_factory) -> StudyFolder:
    """Two seeds that have learnt enough to draw a mask worth aligning anything with."""
    study = planned(tmp_path_factory.mktemp("learnt") / "study", budget="200 steps")
    ran = segvariance("run", study.root)
    assert ran.returncode == 0, ran.stderr
    return study


@pytest.fixture(scope="module")
def adapted(trained, tmp_path_factory) -> AdaptationFolder:
    """Both seeds of the study adapted to its first held-out case, in one go."""
    folder = planned_in(tmp_path_factory.mktemp("adapted") / "case", trained)
    run_adaptation(folder)
    return folder


def test_an_adaptation_leaves_both_masks_on_the_images_own_grid_and_says_what_moved(trained, adapted):
    case = trained.case(held_out(trained))
    geometry = read_image(case.images).geometry
    initial, mask, differences = (
        read_label_map(path) for path in (adapted.mask(INITIAL), adapted.mask(ADAPTED), adapted.differences)
    )
    assert all(each.geometry == geometry for each in (initial, mask, differences))
    ensemble = trained.ensemble("default", "mean_probability") / adapted.mask(INITIAL).name
    apart = (read_label_map(ensemble).array != initial.array).mean()
    assert apart < 1e-3  # the study's own mean is of 8-bit probabilities
    assert np.array_equal(differences.array > 0, initial.array != mask.array)
    assert np.array_equal(differences.array == 1, (initial.array == 0) & (mask.array > 0))
    record, voxel_ml = adapted.record(), geometry.voxel_volume_mm3 / 1000
    for each, structure in zip(record.moved, trained.labels.structures, strict=True):
        before, after = structure.mask(initial.array).sum() * voxel_ml, structure.mask(mask.array).sum() * voxel_ml
        assert (each.initial_ml, each.adapted_ml) == pytest.approx((before, after), abs=1e-4)
        assert each.adapted_ml - each.initial_ml == pytest.approx(each.added_ml - each.removed_ml, abs=3e-4)
    probabilities, at, names = read_probabilities(adapted.probabilities)
    assert at == geometry and len(names) == len(probabilities)
    assert (np.asarray(probabilities).sum(0).astype(int) - 255).__abs__().max() <= 2
    assert not adapted.work.exists()


def test_its_neighbours_lie_where_the_image_lies_nearest_first(trained, adapted):
    record = adapted.record()
    closeness = [each.closeness for each in record.neighbours]
    assert closeness == sorted(closeness, reverse=True) and len(closeness) == 2
    assert {each.case for each in record.neighbours} <= set(trained.folds[0].training)
    label_maps = sorted(adapted.neighbours.glob("*_labels.nii.gz"))
    assert [path.name[3:].removesuffix("_labels.nii.gz") for path in label_maps] == [
        each.case for each in record.neighbours if not each.left_out
    ]
    mask, moved = read_label_map(adapted.mask(ADAPTED)), read_label_map(label_maps[0])

    def middle(label_map) -> np.ndarray:
        return label_map.geometry.index_to_lps_mm(np.argwhere(label_map.array > 0)[:, ::-1]).mean(0)

    assert np.linalg.norm(middle(mask) - middle(moved)) < 4  # mm, in the patient


def test_the_two_masks_open_as_members_of_one_review(adapted, trained):
    review = open_review([adapted.masks(INITIAL), adapted.masks(ADAPTED)])
    review.require_sound()
    assert [member.name for member in review.members] == ["initial", "adapted"] and len(review.cases) == 1
    assert review.labels.structures == trained.labels.structures


def test_no_reference_of_the_inference_case_is_needed_or_changes_anything(trained, adapted, tmp_path):
    """The same study on a copy of the data from which every held-out reference is gone."""
    data, root = tmp_path / "dataset", tmp_path / "study"
    shutil.copytree(trained.dataset.folder, data)
    shutil.copytree(trained.root, root)
    for path in (root / "dataset.json", root / "plan.json"):
        path.write_text(path.read_text().replace(str(trained.dataset.folder), str(data)))
    study = StudyFolder.open(root)
    for case_id in study.held_out_cases:
        study.reference(case_id).unlink()
    folder = planned_in(tmp_path / "case", study)
    assert "label" not in json.dumps(json.loads(folder.plan_path.read_text())["images"]).lower()
    run_adaptation(folder)
    assert results(folder) == results(adapted)


def test_stopped_at_any_place_it_ends_with_the_same_bytes(trained, adapted, tmp_path, monkeypatch):
    from SegVarianceLib.study import adapting

    folder, stops, work_of = planned_in(tmp_path / "case", trained), 0, adapting.work_of

    def stopping_soon(*arguments: object):
        """As a user who presses Stop again and again: each go may ask a few times whether to stop, and then has to."""
        asked = iter(range(1000))
        return replace(work_of(*arguments), should_stop=lambda: next(asked) >= 3)  # type: ignore[arg-type]

    monkeypatch.setattr(adapting, "work_of", stopping_soon)
    while not folder.is_done:
        try:
            run_adaptation(folder)
        except Stopped:
            stops += 1
        assert stops < 60
    assert stops >= 5 and folder.record().resumed
    assert results(folder) == results(adapted)


def test_killed_it_goes_on_and_ends_with_the_same_bytes(trained, adapted, tmp_path, segvariance):
    folder = planned_in(tmp_path / "case", trained)
    for moment in ("Deforming neighbours", "Learning"):
        process = subprocess.Popen([sys.executable, "-m", "SegVarianceLib.study", "run", str(folder.root)])
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if any(event.get("what") == moment for event in read_events(folder.events_path)):
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.02)
        assert process.returncode == -signal.SIGKILL
    told = segvariance("status", folder.root)
    assert told.returncode == 0 and "stopped" in told.stdout
    ran = segvariance("run", folder.root)
    assert ran.returncode == 0 and "networks adapted" in ran.stdout, ran.stderr
    assert results(folder) == results(adapted)


def test_the_command_tells_progress_stops_and_is_done_only_once(trained, adapted, tmp_path, segvariance):
    image = trained.case(held_out(trained)).images[0]
    run = trained.run_folder(Run("default", 0, 0))
    where = tmp_path / "case"
    given = ("adapt", run, "--case", image, "--output", where, "--neighbours", 2, "--budget", "5 steps")
    ran = segvariance(*given, "--detach")
    assert ran.returncode == 0, ran.stderr
    deadline = time.monotonic() + 120
    while not AdaptationFolder(where).is_done and time.monotonic() < deadline:
        time.sleep(0.2)
    told = segvariance("status", where, "--json")
    assert json.loads(told.stdout)["state"] == "finished"
    kinds = [event["kind"] for event in read_events(where / "events.jsonl")]
    assert kinds[0] == "adaptation_started" and kinds[-1] == "adaptation_finished"
    assert any("time_left_s" in event for event in read_events(where / "events.jsonl"))
    before = (where / "adaptation.json").stat().st_mtime_ns
    again = segvariance(*given)
    assert again.returncode == 0 and (where / "adaptation.json").stat().st_mtime_ns == before
    other = segvariance(*given[:-1], "6 steps", "--rounds", 1)
    assert other.returncode == 2 and "holds another adaptation" in other.stderr
    assert "Nobody is working" in segvariance("stop", where).stdout


def test_a_minutes_budget_is_measured_and_kept(trained, tmp_path):
    folder = planned_in(tmp_path / "case", trained, budget="1 minutes")
    steps = folder.plan.settings.steps
    assert steps > 50  # of a tiny network
    assert planned_in(tmp_path / "case", trained, budget="1 minutes").plan.settings.steps == steps


@pytest.mark.parametrize("name", ["no_deformation", "no_moving_average", "test_time_augmentation"])
def test_parts_can_be_switched_off(trained, tmp_path, name):
    settings = variant(name, SETTINGS)
    wishes = AdaptationWishes(settings=settings, variant=name, augmented=3, device="cpu")
    images = trained.case(held_out(trained)).images
    run = trained.run_folder(Run("default", 0, 0))
    folder = plan_adaptation(run, images, tmp_path / "case", wishes)
    record = run_adaptation(folder)
    assert len(record.neighbours) == (0 if settings.augmented else 2)
    initial, mask = (read_label_map(folder.mask(which)).array for which in (INITIAL, ADAPTED))
    dice = 2 * ((initial > 0) & (mask > 0)).sum() / ((initial > 0).sum() + (mask > 0).sum())
    assert 0.3 < dice < 1


def test_where_no_neighbour_can_be_aligned_the_first_mask_stays_and_the_record_says_so(trained, tmp_path):
    image = read_image(trained.case(held_out(trained)).images)
    noise = np.random.default_rng(0).normal(100, 30, image.array.shape[1:])
    path = tmp_path / "noise.nii.gz"
    write_map(path, noise, image.geometry)
    wishes = AdaptationWishes(settings=SETTINGS, device="cpu")
    folder = plan_adaptation(trained.root, [path], tmp_path / "case", wishes)
    record = run_adaptation(folder)
    assert all(each.left_out for each in record.neighbours)
    assert any("Not one of 2 neighbours" in warning for warning in record.warnings)
    assert sha256_of_file(folder.mask(INITIAL)) == sha256_of_file(folder.mask(ADAPTED))


def test_what_cannot_be_adapted_is_refused_in_a_sentence(trained, tmp_path, segvariance):
    training = trained.case(trained.folds[0].training[0]).images[0]
    image = trained.case(held_out(trained)).images[0]
    for arguments, says in (
        ((trained.root, "--case", training), "training case"),
        ((tmp_path, "--case", image), "neither a study nor a run"),
        ((trained.root, "--case", tmp_path / "none.nii.gz"), "does not exist"),
        ((trained.root, "--case", image, "--budget", "soon"), "is not understood"),
        ((trained.root, "--case", image, "--budget", "1 steps"), "too small"),
        ((trained.root, "--case", image, "--neighbours", 0), "above zero"),
        ((trained.root, "--case", image, image), "each once"),
        ((trained.root, "--held-out", 1), "--output"),
    ):
        ran = segvariance("adapt", *arguments)
        said = " ".join(ran.stderr.split())
        assert ran.returncode == 2 and says in said and "Traceback" not in said, said
    assert not (trained.root / "adaptations").exists()


def test_an_image_that_changed_since_it_was_planned_is_refused(trained, tmp_path, segvariance):
    image = tmp_path / "new.nii.gz"
    shutil.copy(trained.case(held_out(trained)).images[0], image)
    where = tmp_path / "case"
    assert segvariance("adapt", trained.root, "--case", image, "--output", where, "--plan-only").returncode == 0
    kept = image.read_bytes()
    shutil.copy(trained.case(trained.folds[0].training[0]).images[0], image)
    ran = segvariance("run", where)
    image.write_bytes(kept)
    assert ran.returncode == 2 and "is not what it was" in " ".join(ran.stderr.split())
    plan = json.loads((where / "adaptation_plan.json").read_text())
    for changed, says in (
        ({"settings": plan["settings"] | {"guide": "stars"}}, "stars"),
        ({"case": "../../elsewhere"}, "../../elsewhere"),
        ({"training_cases": ["nobody"]}, "nobody"),
        ({"starts": [plan["starts"][0] | {"weights": "../../weights.safetensors"}]}, "weights"),
    ):
        write_json(where / "adaptation_plan.json", plan | changed)
        ran = segvariance("run", where)
        assert ran.returncode == 2 and says in ran.stderr and "Traceback" not in ran.stderr


def test_with_folds_only_runs_that_never_saw_the_case_begin(planned, segvariance, tmp_path):
    study = planned(tmp_path / "folds", split="2-fold", seeds=2, budget="200 steps")
    assert segvariance("run", study.root).returncode == 0
    case_id = study.folds[1].held_out[0]
    folder = plan_adaptation(
        study.root, study.case(case_id).images, tmp_path / "case", AdaptationWishes(settings=SETTINGS, device="cpu")
    )
    plan = AdaptationPlan.read(folder.plan_path)
    assert [start.name for start in plan.starts] == [str(Run("default", 1, seed)) for seed in study.plan.seeds]
    assert set(plan.training_cases) == set(study.folds[1].training)

    output = tmp_path / "campaign"
    given = ("adapt", study.root, "--held-out", 4, "--variant", "adapted", "fine_tuning", "--output", output)
    given = (*given, "--neighbours", 2, "--rounds", 1, "--budget", "5 steps")
    ran = segvariance(*given)
    assert ran.returncode == 0, ran.stderr
    assert "default_adapted against default" in ran.stdout
    table = ScoreTable.read(output / "scores.csv")
    assert set(table.unique("configuration")) == {"default", "default_adapted", "default_fine_tuning"}
    assert len(table.unique("case")) == 8  # each by the fold that never saw it
    page = (output / "report.html").read_text()
    assert "What adaptation to the single case is worth" in page and "before" in page
    made = {path: path.stat().st_mtime_ns for path in output.rglob("adaptation.json")}
    assert len(made) == 2 * 2 * 8
    assert segvariance(*given).returncode == 0
    assert made == {path: path.stat().st_mtime_ns for path in output.rglob("adaptation.json")}
