"""The Train panel without Qt: commands in real child processes, and the truth about a study read from its folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.events import EventLog
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.dataset.splits import Fold
from SegVarianceLib.plan.runs import Run, RunRecord
from SegVarianceLib.plan.study_folder import StudyDataset, StudyFolder
from SegVarianceLib.plan.study_plan import (
    SCHEMA,
    ChannelPlan,
    Configuration,
    NetworkPlan,
    PreprocessingPlan,
    StudyPlan,
    TrainingPlan,
)
from SegVarianceLib.study.cli import build_parser

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer import study_process
from SegVarianceSlicer.child_process import COULD_NOT_START, ChildProcesses, Ended
from SegVarianceSlicer.environment import Worker
from SegVarianceSlicer.presenter_training import NO_WORKER, TrainingPresenter, cost_text
from SegVarianceSlicer.state_training import (
    BUDGET_UNITS,
    CLEAN_UPS,
    DEVICES,
    TrainingState,
    TrainingWishes,
    arguments_of,
    wishes_of,
)
from SegVarianceSlicer.study_process import EventTail, FollowedStudy

PARSER = build_parser()
HERE = Worker(Path(sys.executable))
RECIPE = Configuration(
    "default",
    "builtin",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NetworkPlan(1, 2, (8, 8, 8), (2, 2, 2), (), (4,)),
    TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
)


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Seeds 1 and 2, ten steps each, case c held out; nothing is trained."""
    folder = StudyFolder(tmp_path / "study")
    plan = StudyPlan(
        SCHEMA, "Livers", "/data", "digest", "holdout", 0, (1, 2), (RECIPE,), "cpu", 1, True, "none", 1.0
    )  # fmt: skip
    plan.write(folder.plan_path)
    dataset = StudyDataset(
        folder=str(tmp_path / "data"),
        name="D",
        channels=("T1",),
        file_ending=".nii.gz",
        images={case: (f"imagesTr/{case}.nii.gz",) for case in "abc"},
        references={case: f"labelsTr/{case}.nii.gz" for case in "abc"},
        labels={"structures": {"liver": [1]}, "ignore_value": None, "regions_class_order": None},
    )
    write_json(folder.dataset_path, to_json(dataset))
    write_json(folder.splits_path, to_json((Fold(("a", "b"), ("c",)),)))
    return folder


@pytest.fixture
def runner() -> Iterator[ChildProcesses]:
    processes = ChildProcesses()
    yield processes
    processes.close()


def wait_for(true: Callable[[], bool], tick: Callable[[], None], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain"
        time.sleep(0.05)
        tick()


def ended(runner: ChildProcesses, *script: str, on_line: Callable[[str], None] = lambda line: None) -> Ended:
    found: list[Ended] = []
    runner.start([sys.executable, "-c", *script], dict(os.environ), found.append, on_line)
    wait_for(lambda: bool(found), runner.poll, 20)
    return found[0]


def finish(study: StudyFolder, run: Run) -> None:
    record = RunRecord(SCHEMA, run, study.run_inputs(run), "k", {}, "w", False, 1.0, 1.0, 1.0)
    write_json(study.record_path(run), to_json(record))


def record_worker(study: StudyFolder, pid: int, started_s: float) -> None:
    write_json(study.worker_path, {"pid": pid, "started_s": started_s, "host": socket.gethostname()})


def a_run(run: Run, **more: Any) -> dict[str, Any]:
    return {"configuration": run.configuration, "fold": run.fold, "seed": run.seed, **more}


# Wishes and arguments

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
WISHES = st.builds(
    TrainingWishes,
    dataset=NAMES.map("/data/".__add__),
    study=NAMES.map("/studies/".__add__),
    configuration=NAMES.filter(bool),
    seeds=st.integers(1, 200),
    first_seed=st.integers(0, 10**6),
    folds=st.integers(1, 10),
    split_seed=st.integers(0, 10**6),
    groups=NAMES,
    group_column=NAMES.filter(bool),
    budget=st.integers(1, 10**7),
    budget_unit=st.sampled_from(BUDGET_UNITS),
    device=st.sampled_from(list(DEVICES)),
    threads=st.integers(1, 64),
    keep_probabilities=st.booleans(),
    clean_up=st.sampled_from(list(CLEAN_UPS)),
    tolerance_mm=st.floats(0.1, 10),
    title=NAMES,
)


@given(WISHES)
def test_wishes_come_back_from_their_arguments_field_by_field(wishes: TrainingWishes):
    assert wishes_of(arguments_of(wishes)) == wishes


@given(WISHES)
def test_the_command_understands_the_arguments_as_they_were_meant(wishes: TrainingWishes):
    parsed = PARSER.parse_args(["plan", *arguments_of(wishes), "--json"])
    for name in ("dataset", "study", "configuration", "seeds", "first_seed", "split_seed", "group_column", "device"):
        assert getattr(parsed, name) == getattr(wishes, name)
    assert (parsed.threads, parsed.clean_up, parsed.tolerance_mm) == (wishes.threads, wishes.clean_up, wishes.tolerance_mm)  # fmt: skip
    assert (parsed.groups or "", parsed.title or "") == (wishes.groups, wishes.title)
    assert parsed.split == ("holdout" if wishes.folds == 1 else f"{wishes.folds}-fold")
    assert parsed.budget == f"{wishes.budget} {wishes.budget_unit}"
    assert parsed.no_probabilities is not wishes.keep_probabilities


def test_every_wish_changes_the_arguments():
    plain, others = TrainingWishes("/d", "/s"), {"budget_unit": "steps", "device": "cpu", "clean_up": "minimum_size"}
    for field in fields(TrainingWishes):
        before = getattr(plain, field.name)
        after = others.get(field.name) or (not before if isinstance(before, bool) else before + type(before)(2))
        assert arguments_of(replace(plain, **{field.name: after})) != arguments_of(plain), field.name


def test_an_argument_that_the_panel_does_not_know_is_refused():
    with pytest.raises(SegVarianceError, match="--colour"):
        wishes_of(["/d", "/s", "--colour=red"])


# Child processes


def test_a_child_tells_every_line_and_its_exit_code(runner: ChildProcesses):
    lines: list[str] = []
    script = (
        "import sys; print('one'); print('two', file=sys.stderr); sys.stdout.write('three ends abruptly'); sys.exit(3)"
    )
    how = ended(runner, script, on_line=lines.append)
    assert sorted(lines) == ["one", "three ends abruptly", "two"]
    assert (how.code, how.err) == (3, "two\n")


def test_a_child_that_says_more_than_a_pipe_holds_does_not_block(runner: ChildProcesses):
    assert len(ended(runner, "print('x' * 10**6)").out) == 10**6 + 1


def test_a_cancelled_child_ends_with_its_children(runner: ChildProcesses):
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read(); import time; time.sleep(60)"
    lines: list[str] = []
    found: list[Ended] = []
    child = runner.start([sys.executable, "-c", script], dict(os.environ), found.append, lines.append)
    wait_for(lambda: bool(lines), runner.poll, 20)
    child.cancel()
    wait_for(lambda: bool(found), runner.poll, 20)
    assert found[0].code != 0
    wait_for(lambda: not runs(int(lines[0])), lambda: None, 5)


def test_a_program_that_is_not_there_ends_at_once_with_a_sentence(runner: ChildProcesses):
    found: list[Ended] = []
    runner.start(["/no/such/python"], {}, found.append)
    runner.poll()
    assert found[0].code == COULD_NOT_START
    assert "/no/such/python cannot be started" in found[0].err


def test_closing_ends_what_runs_and_tells_nobody():
    processes = ChildProcesses()
    told: list[Ended] = []
    child = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ), told.append)
    processes.close()
    processes.poll()
    assert child.ended() not in (None, 0)
    assert told == []


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# Following


def test_events_are_read_once_and_a_torn_line_waits_or_is_passed_over(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert list(tail.new_events()) == []
    with EventLog(path) as log:
        log.write("stage", stage="train")
    assert [event["kind"] for event in tail.new_events()] == ["stage"]
    with open(path, "ab") as file:
        file.write(b'{"schema": 1, "kind": "st')
    assert list(tail.new_events()) == []
    with EventLog(path) as log:  # the next worker closes the torn line
        log.write("study_started", runs=1, done=0)
    assert [event["kind"] for event in tail.new_events()] == ["study_started"]
    assert list(tail.new_events()) == []
    path.write_text('{"schema": 1, "kind": "anew"}\n')
    assert [event["kind"] for event in tail.new_events()] == ["anew"]


def test_a_study_that_nobody_ran_is_planned(study: StudyFolder):
    assert FollowedStudy(study.root).state == study_process.PLANNED


@pytest.mark.parametrize(
    ("last", "state"),
    [
        ("study_stopped", study_process.STOPPED),
        ("study_failed", study_process.FAILED),
        ("stage", study_process.DIED),
    ],
)
def test_without_a_worker_the_last_event_says_how_it_ended(study: StudyFolder, last: str, state: str):
    with EventLog(study.events_path) as log:
        log.write("study_started", runs=2, done=0)
        log.write("step", **a_run(study.runs[0], step=4, steps=10, dice=0.5, loss=1.0, study_time_left_s=9.0))
        log.write(last, stage="train", message="Reason.")
    followed = FollowedStudy(study.root)
    assert followed.state == state
    assert [run.state for run in followed.runs.values()] == ["waiting", "waiting"]
    assert [run.step for run in followed.runs.values()] == [4, 0]


def test_a_worker_killed_before_its_first_event_is_dead_and_not_merely_planned(study: StudyFolder):
    record_worker(study, 2**22 - 1, 1.0)
    assert FollowedStudy(study.root).state == study_process.DIED


def test_finished_is_believed_only_where_every_run_has_its_record(study: StudyFolder):
    finish(study, study.runs[0])
    with EventLog(study.events_path) as log:
        log.write("study_started", runs=2, done=0)
        log.write("study_finished", report="report.html")
    followed = FollowedStudy(study.root)
    assert followed.state == study_process.STOPPED
    finish(study, study.runs[1])
    assert FollowedStudy(study.root).state == study_process.FINISHED


def test_a_living_worker_runs_and_a_process_number_used_again_is_not_believed(study: StudyFolder):
    mine = psutil.Process()
    record_worker(study, mine.pid, mine.create_time())
    followed = FollowedStudy(study.root)
    assert followed.state == study_process.RUNNING
    study.stop_path.write_text("stop\n")
    followed.update()
    assert followed.state == study_process.STOPPING
    record_worker(study, mine.pid, mine.create_time() - 60)
    followed.update()
    assert followed.state == study_process.DIED


def test_a_zombie_is_dead(study: StudyFolder):
    child = subprocess.Popen([sys.executable, "-c", ""])
    started_s = psutil.Process(child.pid).create_time()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    record_worker(study, child.pid, started_s)
    assert FollowedStudy(study.root).state == study_process.DIED
    child.wait()


def test_a_worker_of_another_machine_is_believed(study: StudyFolder):
    write_json(study.worker_path, {"pid": 1, "started_s": 1.0, "host": "elsewhere"})
    assert FollowedStudy(study.root).state == study_process.RUNNING
    assert not study_process.kill_worker(study)


def test_predictions_are_announced_once_and_not_again_after_a_resume(study: StudyFolder):
    first, second = study.runs
    with EventLog(study.events_path) as log:
        log.write("predicted", **a_run(first, case="a", done=1, of=2, dice=0.7))
        followed = FollowedStudy(study.root)
        log.write("predicted", **a_run(first, case="a", done=1, of=2, dice=0.7))
        log.write("predicted", **a_run(first, case="b", done=2, of=2, dice=0.8))
        log.write("predicted", **a_run(second, case="a", done=1, of=2, dice=None))
    assert followed.update() == {first: ("b",), second: ("a",)}
    assert followed.update() == {}
    assert followed.runs[first].dice == 0.8


def test_the_curve_of_a_resumed_run_goes_back_to_its_checkpoint_and_stays_short(study: StudyFolder):
    run = study.runs[0]
    with EventLog(study.events_path) as log:
        for step in (2, 4, 6, 5, 7):
            log.write("step", **a_run(run, step=step, steps=10, dice=step / 10, loss=1.0))
        followed = FollowedStudy(study.root)
        assert followed.runs[run].curve == [(2, 0.2), (4, 0.4), (5, 0.5), (7, 0.7)]
        for step in range(8, 3000):
            log.write("step", **a_run(run, step=step, steps=3000, dice=0.5, loss=1.0))
        followed.update()
    curve = followed.runs[run].curve
    assert (curve[0][0], curve[-1][0]) == (2, 2999)
    assert len(curve) <= 400


# The presenter


def test_without_an_environment_a_plan_says_where_to_make_one(runner: ChildProcesses):
    presenter = TrainingPresenter(runner, lambda: None, lambda state: None)
    presenter.wish(dataset="/d", study="/s")
    presenter.plan()
    assert presenter.state.problem == NO_WORKER
    assert not presenter.state.busy


def test_planning_needs_a_dataset_and_a_folder(runner: ChildProcesses):
    presenter = TrainingPresenter(runner, lambda: HERE, lambda state: None)
    assert not presenter.state.can_plan
    presenter.wish(dataset="/d")
    assert not presenter.state.can_plan
    presenter.wish(study="/s")
    assert presenter.state.can_plan
    assert not presenter.state.can_start
    assert not presenter.state.can_stop


def test_an_opened_study_shows_what_it_was_planned_with(runner: ChildProcesses, study: StudyFolder):
    presenter = TrainingPresenter(runner, lambda: HERE)
    presenter.wish(seeds=99, device="cuda", budget=7, budget_unit="epochs", title="Another")
    presenter.open_study(study.root)
    assert presenter.state.wishes == TrainingWishes(
        dataset="/data",
        study=str(study.root),
        seeds=2,
        first_seed=1,
        budget=10,
        budget_unit="steps",
        device="cpu",
        clean_up="none",
    )


@pytest.mark.parametrize("content", [None, "{", '{"schema": 99}'])
def test_a_folder_that_is_no_study_gives_one_sentence(runner: ChildProcesses, tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    presenter = TrainingPresenter(runner, lambda: HERE, lambda state: None)
    presenter.open_study(tmp_path)
    assert str(tmp_path) in presenter.state.problem
    assert not presenter.state.can_start


def test_a_refused_plan_shows_the_commands_own_sentence(runner: ChildProcesses, tmp_path: Path):
    presenter = TrainingPresenter(runner, lambda: HERE, lambda state: None)
    presenter.wish(dataset=str(tmp_path / "nowhere"), study=str(tmp_path / "study"))
    presenter.plan()
    assert presenter.state.busy
    wait_for(lambda: not presenter.state.busy, presenter.tick, 60)
    assert str(tmp_path / "nowhere") in presenter.state.problem
    assert "Traceback" not in presenter.state.problem
    assert not presenter.state.problem.startswith("segvariance")
    assert presenter.state.can_plan


def test_planning_that_is_cancelled_can_be_begun_again(runner: ChildProcesses, phantom: Path, tmp_path: Path):
    presenter = TrainingPresenter(runner, lambda: HERE)
    presenter.wish(dataset=str(phantom), study=str(tmp_path / "study"))
    presenter.plan()
    assert presenter.state.can_cancel
    presenter.cancel()
    wait_for(lambda: not presenter.state.busy, presenter.tick, 10)
    assert presenter.state.problem.startswith("Planning was cancelled")
    assert presenter.state.can_plan
    assert not presenter.state.can_start


def test_a_module_that_is_opened_again_finds_its_study_and_forgives_one_that_is_gone(
    runner: ChildProcesses, study: StudyFolder
):
    settings: dict[str, str] = {}
    TrainingPresenter(runner, lambda: None, settings=settings).open_study(study.root)
    again = TrainingPresenter(runner, lambda: None, settings=settings)
    assert again.state.study == str(study.root)
    assert again.state.can_start
    study.plan_path.unlink()
    gone = TrainingPresenter(runner, lambda: None, settings=settings)
    assert (gone.state.study, gone.state.problem) == ("", "")


def test_a_study_that_is_closed_is_not_followed_again(runner: ChildProcesses, study: StudyFolder):
    settings: dict[str, str] = {}
    presenter = TrainingPresenter(runner, lambda: None, settings=settings)
    presenter.open_study(study.root)
    presenter.close_study()
    assert presenter.state.study == "" and presenter.state.runs == () and not presenter.state.can_start
    assert presenter.state.sentence == TrainingState.sentence and settings == {}
    presenter.tick()
    assert TrainingPresenter(runner, lambda: None, settings=settings).state.study == ""


def test_following_a_study_needs_nothing_that_slicer_has_not():
    names = ["study_process", "environment", "presenter_training", "presenter_environment"]
    imports = "; ".join(f"import SegVarianceSlicer.{name}" for name in names)
    paths = [path for path in sys.path if path.endswith("SegVariance")]
    script = f"import sys; sys.path[:0] = {paths}; {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "psutil", "rich", "filelock", "SegVarianceLib.study", "qt", "slicer"}


def test_a_traceback_becomes_its_last_line():
    err = 'Traceback (most recent call last):\n  File "x", line 1\nModuleNotFoundError: No module named torch\n'
    assert study_process.refusal(Ended(1, "", err)) == "ModuleNotFoundError: No module named torch"
    assert "exit code 1" in study_process.refusal(Ended(1, "", ""))


def test_a_refusal_of_many_lines_is_kept_whole_without_the_commands_name():
    err = "UserWarning: segvariance is new\nsegvariance check: 2 problems:\n  - a\n  - b\n"
    assert study_process.refusal(Ended(2, "", err)) == "2 problems:\n  - a\n  - b"


def test_nothing_is_shown_twice(runner: ChildProcesses, study: StudyFolder):
    shown: list[object] = []
    presenter = TrainingPresenter(runner, lambda: HERE, shown.append)
    presenter.open_study(study.root)
    for _ in range(3):
        presenter.tick()
    assert len(shown) == 1


def test_a_study_whose_folder_vanishes_is_let_go_with_a_sentence(runner: ChildProcesses, study: StudyFolder):
    presenter = TrainingPresenter(runner, lambda: HERE, lambda state: None)
    presenter.open_study(study.root)
    with EventLog(study.events_path) as log:
        log.write("study_started", runs=2, done=0)
    finish(study, study.runs[0])
    study.record_path(study.runs[0]).write_text("{")
    presenter.tick()
    assert "run.json" in presenter.state.problem
    assert not presenter.state.can_start


@pytest.mark.parametrize("environment", [None, Worker(Path("/no/such/python"))])
def test_a_worker_is_stopped_even_when_its_environment_is_gone(
    runner: ChildProcesses, study: StudyFolder, environment: Worker | None
):
    script = "import subprocess; subprocess.Popen(['sleep', '60']).wait()"
    worker = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    wait_for(lambda: bool(psutil.Process(worker.pid).children()), lambda: None, 20)
    below = psutil.Process(worker.pid).children()[0]
    record_worker(study, worker.pid, psutil.Process(worker.pid).create_time())
    presenter = TrainingPresenter(runner, lambda: environment, lambda state: None)
    presenter.open_study(study.root)
    assert presenter.state.can_stop
    presenter.stop()
    presenter.tick()
    worker.wait(10)
    wait_for(lambda: not runs(below.pid), lambda: None, 5)
    presenter.tick()
    assert presenter.state.start_text == "Resume"
    assert presenter.state.can_start


def test_an_estimate_is_put_into_words_and_none_into_none():
    estimate = {"runs": 1, "steps": 9, "jobs": 1, "run_s": 4000, "study_s": 20, "disk_gib": 0.04, "free_gib": 9.0}
    said = cost_text(json.dumps({**estimate, "cache_gib": 1.26, "warnings": ["case_1 has no tumour."]}))
    assert said.startswith("1 training of 9 steps, 1 at a time: about 1 h 07 min each, less than a minute in all.")
    assert "Memory: 1.3 GiB" in said
    assert said.endswith("Note: case_1 has no tumour.")
    assert cost_text("") == cost_text("{}") == cost_text("[]") == ""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phantom(tmp_path_factory.mktemp("phantom") / "dataset", seed=1, cases=5)


def told_by_the_command(study: Path) -> dict[str, Any]:
    answer = subprocess.run(HERE.command("status", str(study), "--json"), capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


@pytest.mark.slow
def test_a_study_planned_here_survives_a_kill_and_is_finished_by_a_panel_that_opens_it_later(
    runner: ChildProcesses, phantom: Path, tmp_path: Path
):
    first = TrainingPresenter(runner, lambda: HERE, lambda state: None)
    root = tmp_path / "study"
    first.wish(dataset=str(phantom), study=str(root), seeds=2, budget=30, budget_unit="steps", device="cpu")
    first.plan()
    wait_for(lambda: not first.state.busy, first.tick, 90)
    assert first.state.problem == ""
    assert "2 trainings of 30 steps" in first.state.cost
    assert first.state.can_start
    assert not first.state.can_plan
    assert not (root / "runs").exists()

    planned = first.state.wishes
    assert wishes_of(arguments_of(planned)) == planned
    assert (planned.seeds, planned.folds, planned.budget, planned.device) == (2, 1, 30, "cpu")

    first.start()
    wait_for(lambda: any(run.step for run in first.state.runs), first.tick, 90)
    assert first.state.can_stop
    assert not first.state.can_start
    assert told_by_the_command(root)["state"] == "running"

    landed: dict[Run, list[str]] = {}
    second = TrainingPresenter(
        ChildProcesses(), lambda: HERE, lambda state: None, lambda run, cases: landed.setdefault(run, []).extend(cases)
    )
    second.open_study(root)
    assert second.state.can_stop, "a panel that was closed and opened again finds the worker"

    worker = study_process.worker_record(StudyFolder(root))
    assert worker is not None
    for process in [*psutil.Process(worker["pid"]).children(recursive=True), psutil.Process(worker["pid"])]:
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not first.state.can_stop, first.tick, 10)
    second.tick()
    for presenter in (first, second):
        assert "died" in presenter.state.sentence
        assert "Nothing is lost" in presenter.state.sentence
        assert (presenter.state.start_text, presenter.state.can_start) == ("Resume", True)
        assert {run.state for run in presenter.state.runs} <= {"waiting", "done"}

    second.start()
    wait_for(lambda: second.state.sentence.startswith("Finished"), second.tick, 120)
    first.tick()
    assert first.state.runs == second.state.runs
    assert first.state.sentence == second.state.sentence
    status = told_by_the_command(root)
    assert status["state"] == "finished"
    for row, run in zip(second.state.runs, status["runs"], strict=True):
        assert (row.state, row.step, row.steps, row.dice) == (run["state"], run["step"], run["steps"], run["dice"])
        assert row.curve[-1][0] == 30
    study = StudyFolder.open(root)
    for run in study.runs:
        assert set(landed[run]) <= set(study.folds[0].held_out)
        assert len(set(landed[run])) == len(landed[run])
        assert all(study.prediction(run, case).is_file() for case in landed[run])


@pytest.mark.slow
def test_a_study_stopped_here_says_so_and_offers_to_resume(runner: ChildProcesses, phantom: Path, tmp_path: Path):
    root = tmp_path / "study"
    presenter = TrainingPresenter(runner, lambda: HERE, lambda state: None)
    presenter.wish(dataset=str(phantom), study=str(root), seeds=1, budget=4000, budget_unit="steps", device="cpu")
    presenter.plan()
    wait_for(lambda: not presenter.state.busy, presenter.tick, 90)
    presenter.start()
    wait_for(lambda: any(run.step for run in presenter.state.runs), presenter.tick, 90)
    presenter.stop()
    assert presenter.state.busy
    wait_for(lambda: not presenter.state.busy and not presenter.state.can_stop, presenter.tick, 40)
    assert presenter.state.sentence.startswith("Stopped")
    assert presenter.state.problem == ""
    assert presenter.state.can_start
    assert not StudyFolder(root).worker_path.exists()
