"""From a planned study to its report: the steps, in order."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import SegVarianceError
from ..core.events import EventLog
from ..core.files import remove_half_written, write_json
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import dataset_digest
from ..plan.runs import Run
from ..plan.sources import require_sources
from ..plan.study_folder import StudyFolder
from . import stages
from .environment import environment
from .executors import Event, LocalExecutor
from .neighbours import take_pretrainings
from .time_left import TimeLeft
from .worker import sole_worker

Listener = Callable[[Event], None]


class Stopped(Exception):  # noqa: N818 (a request was met, nothing went wrong)
    """The study was stopped on request; running it again goes on where it stood."""


def run_study(study: StudyFolder, jobs: int, listen: Listener = lambda event: None) -> Path:
    """Train what is not trained, then ensemble, clean, score, compare and report; returns the report's path.

    Every event goes to ``events.jsonl`` and to ``listen``. Run again after a stop or a crash to go on.

    Raises:
        Stopped: on SIGINT, SIGTERM or ``segvariance stop``.
        SegVarianceError: another worker holds the study, or trainings failed.
    """
    with sole_worker(study) as should_stop, EventLog(study.events_path) as log:
        step = _Steps(study, log, listen, should_stop)
        remove_half_written(study.root)
        write_json(study.environment_path, environment())
        everything = (*study.pretraining_runs, *study.runs)
        step.say("study_started", runs=len(everything), done=sum(map(study.is_done, everything)))
        try:
            stages.require_free_names(study)
            step.begin("train")
            train(study, jobs, step)
            step.begin("ensemble")
            stages.ensemble(study, step.progress)
            stages.ensemble_groups(study, step.progress)
            stages.uncertainty(study, step.progress)
            step.begin("clean")
            stages.clean(study, step.progress)
            step.begin("score")
            stages.score(study, step.progress)
            step.begin("compare")
            statistics = stages.compare(study)
            step.begin("report")
            path = stages.report(study, statistics)
        except Stopped:
            step.say("study_stopped")
            raise
        except SegVarianceError as error:
            step.say("study_failed", message=str(error))
            raise
        step.say("study_finished", report=path.name)
        return path


def train(study: StudyFolder, jobs: int, step: _Steps) -> None:
    """All pretrainings, then all runs, that have no record yet made from what the plan says now."""
    if not all(map(study.is_done, (*study.pretraining_runs, *study.runs))):
        _require_planned_data(study)
        require_sources(study)
        take_pretrainings(study, step.taken)
    for runs in (study.pretraining_runs, study.runs):
        waiting = [run for run in runs if not study.is_done(run)]
        failed = LocalExecutor(jobs).execute(study, waiting, step.forward, step.should_stop)
        step.check()
        if failed:
            raise SegVarianceError(_failure(study, failed, len(waiting)))
    shutil.rmtree(study.root / "cache", ignore_errors=True)


def _require_planned_data(study: StudyFolder) -> None:
    dataset = study.dataset
    found = replace(open_dataset(Path(dataset.folder)), labels=study.labels)  # the plan may have told other regions
    if dataset_digest(found) != study.plan.dataset_digest:
        raise SegVarianceError(
            f"{dataset.folder} has changed since this study was planned: runs before and after would not compare. "
            "Restore the data, or plan a new study."
        )


def _failure(study: StudyFolder, failed: Sequence[Run], of: int) -> str:
    first = failed[0]
    return (
        f"{len(failed)} of {of} trainings failed, the first is {first}. Its reason stands in {study.run_log(first)} and "
        f"in {study.events_path}. Mend it and run the study again: what is done stays done."
    )


class _Steps:
    """Says what happens, to the log and to the listener, and lets every step end when asked to."""

    def __init__(self, study: StudyFolder, log: EventLog, listen: Listener, should_stop: Callable[[], bool]):
        self._log, self._listen, self.should_stop = log, listen, should_stop
        self._time_left = TimeLeft(study)
        self._said = 0.0

    def say(self, kind: str, **fields: Any) -> None:
        self._listen(self._log.write(kind, **fields))

    def begin(self, stage: str) -> None:
        self.check()
        self.say("stage", stage=stage)

    def check(self) -> None:
        if self.should_stop():
            raise Stopped

    def progress(self, what: str, done: int, of: int) -> None:
        """Called between cases: the place where a step can end."""
        self.check()
        if done == of or time.monotonic() - self._said > 0.5:
            self._said = time.monotonic()
            self.say("progress", what=what, done=done, of=of)

    def taken(self, run: Run, other: StudyFolder) -> None:
        where = {"configuration": run.configuration, "fold": run.fold, "seed": run.seed}
        self.say("run_message", **where, message=f"Pretrained already, taken from {other.root}")

    def forward(self, event: Event) -> None:
        """An event of a run, with the study's time left beside the run's own."""
        fields = {name: value for name, value in event.items() if name not in ("schema", "time_s", "kind")}
        if (left_s := self._time_left.after(event)) is not None:
            fields["study_time_left_s"] = left_s
        self.say(event["kind"], **fields)
