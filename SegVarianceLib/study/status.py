"""Where a study stands, read from its folder by any process, while it runs and after a crash."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.events import read_events
from ..plan.study_folder import StudyFolder
from .worker import WorkerRecord, worker_of


@dataclass(frozen=True)
class RunStatus:
    """``state`` is done, training, failed or waiting; ``dice`` the mean held-out Dice once predictions are there."""

    configuration: str
    fold: int
    seed: int
    state: str
    step: int
    steps: int
    dice: float | None


@dataclass(frozen=True)
class StudyStatus:
    """``state`` is running, finished, or stopped (also: crashed, or never started; running it goes on)."""

    study: str
    title: str
    state: str
    worker: WorkerRecord | None
    stage: str
    time_left_s: float | None
    message: str
    runs: tuple[RunStatus, ...]


def status_of(study: StudyFolder) -> StudyStatus:
    """Read plan, run records and events."""
    steps: dict[tuple[str, int, int], int] = {}
    dice: dict[tuple[str, int, int], float | None] = {}
    ended: dict[tuple[str, int, int], str] = {}
    stage, time_left_s, message, finished = "", None, "", False
    for event in read_events(study.events_path):
        kind = event["kind"]
        if kind == "stage":
            stage, finished = event["stage"], False
        elif kind in ("study_finished", "study_failed", "study_stopped"):
            finished, message = kind == "study_finished", event.get("message", "")
        elif "seed" in event:
            key = (event["configuration"], event["fold"], event["seed"])
            if kind == "step":
                steps[key] = event["step"]
            elif kind == "predicted":
                dice[key] = event["dice"]
            ended[key] = kind
            time_left_s = event.get("study_time_left_s", time_left_s)
            message = event.get("message", message)
    worker = worker_of(study)
    runs = []
    for run in (*study.pretraining_runs, *study.runs):
        key = (run.configuration, run.fold, run.seed)
        total = study.plan.steps_of(run.configuration)
        state = _state(study.is_done(run), ended.get(key), worker is not None)
        runs.append(RunStatus(*key, state, total if state == "done" else steps.get(key, 0), total, dice.get(key)))
    all_done = all(run.state == "done" for run in runs)
    state = "running" if worker else "finished" if finished and all_done else "stopped"
    return StudyStatus(
        study=str(study.root),
        title=study.plan.title,
        state=state,
        worker=worker,
        stage=stage if worker else "",
        time_left_s=time_left_s if worker and not all_done else None,
        message=message,
        runs=tuple(runs),
    )


def _state(done: bool, last_event: str | None, working: bool) -> str:
    if done:
        return "done"
    if last_event in ("run_failed", "run_refused"):
        return "failed"
    if last_event is None or last_event == "run_stopped" or not working:
        return "waiting"
    return "training"
