"""What a study will cost, how long it will still take, and how its events read on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from SegVarianceLib.backends.backend import jobs_at_once
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study.new_study import Wishes, plan_study, steps_of_budget
from SegVarianceLib.study.progress_display import ProgressDisplay, duration_text
from SegVarianceLib.study.time_left import TimeLeft


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("2000 steps", 2000), ("1 step", 1), ("3 epochs", 240), ("2 minutes", 1200), ("0.5 min", 300)],
)
def test_a_budget_in_steps_epochs_or_minutes(budget: str, steps: int) -> None:
    assert steps_of_budget(budget, seconds_per_step=0.1, batch_size=2, training_cases=160) == steps


@pytest.mark.parametrize("budget", ["", "5", "5 hours", "minutes", "-5 minutes", "0 steps", "nan minutes"])
def test_another_budget_is_refused_with_examples(budget: str) -> None:
    with pytest.raises(SegVarianceError, match="Budget"):
        steps_of_budget(budget, 0.1, 2, 160)


def test_an_accelerator_takes_one_training_at_a_time() -> None:
    assert jobs_at_once(1, "cuda") == 1
    assert jobs_at_once(10_000, "cpu") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    folder = tmp_path_factory.mktemp("planned")
    dataset = make_phantom(folder / "dataset", seed=2, cases=5)
    wishes = Wishes(seeds=2, budget="100 steps", device="cpu", title="Two seeds")
    planned, estimate = plan_study(dataset, folder / "study", wishes, lambda what, done, of: None)
    assert estimate.runs == 2
    assert estimate.steps == 100
    # one held-out case is predicted in well under a second
    assert estimate.run_s == pytest.approx(100 * estimate.seconds_per_step, abs=1.0)
    assert 0 < estimate.disk_gib < 1
    return planned


def test_a_plan_is_all_that_planning_leaves(study: StudyFolder) -> None:
    assert sorted(path.name for path in study.root.iterdir()) == [
        "dataset.json",
        "fingerprint.json",
        "plan.json",
        "splits.json",
    ]
    assert study.plan.device == "cpu"
    assert study.plan.seeds == (0, 1)


def test_a_folder_that_holds_a_study_is_not_planned_over(study: StudyFolder) -> None:
    with pytest.raises(SegVarianceError, match="holds a study already"):
        plan_study(Path(study.plan.dataset_folder), study.root, Wishes(), lambda what, done, of: None)


def _step(seed: int, step: int, left_s: float) -> dict:
    return {
        "kind": "step",
        "configuration": "default",
        "fold": 0,
        "seed": seed,
        "step": step,
        "steps": 100,
        "time_left_s": left_s,
        "dice": 0.5,
        "loss": 1.0,
    }


def test_time_left_counts_the_steps_of_all_runs_at_the_pace_of_those_under_way(study: StudyFolder) -> None:
    time_left = TimeLeft(study)
    assert time_left.after({"kind": "run_started", "configuration": "default", "fold": 0, "seed": 0}) is None
    assert time_left.after(_step(0, 50, 25.0)) == 75.0  # 150 steps at 2 a second
    assert time_left.after(_step(1, 0, 50.0)) == 37.5  # two runs under way: 4 steps a second
    assert time_left.after({"kind": "run_finished", "configuration": "default", "fold": 0, "seed": 0}) == 50.0


def test_without_a_terminal_the_display_says_a_line_for_each_thing_that_matters(study: StudyFolder) -> None:
    text = io.StringIO()
    run = {"configuration": "default", "fold": 0, "seed": 1}
    with ProgressDisplay(Console(file=text, width=60)) as display:
        display({"kind": "study_started", "runs": 2, "done": 1})
        display({"kind": "stage", "stage": "train"})
        display(_step(1, 10, 3.0))
        display({"kind": "predicted", **run, "case": "a", "done": 1, "of": 1, "dice": 0.8768})
        display({"kind": "run_finished", **run})
    assert text.getvalue().splitlines() == [
        "Train",
        "2 of 2 trainings done: default · fold 0 · seed 1, held-out Dice 0.877",
    ]


def test_on_a_terminal_the_display_shows_runs_time_left_and_dice(study: StudyFolder) -> None:
    text = io.StringIO()
    with ProgressDisplay(Console(file=text, width=120, force_terminal=True)) as display:
        display({"kind": "study_started", "runs": 2, "done": 0})
        display({"kind": "stage", "stage": "train"})
        display(_step(0, 50, 25.0) | {"study_time_left_s": 75.0})
    shown = text.getvalue()
    assert "default · fold 0 · seed 0" in shown
    assert "training, 25 s left" in shown
    assert "about 1 min 15 s of training left" in shown
    assert "0.500" in shown
