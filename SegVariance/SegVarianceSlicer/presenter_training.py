"""Planning, starting, following and stopping a study: what the Train panel asks for and is told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.words import counted
from SegVarianceLib.plan.runs import Run

from . import study_process as study_states
from .child_process import Ended, Process, Runner
from .environment import Worker
from .state_training import RunRow, TrainingState, TrainingWishes, arguments_of, duration_text, wishes_of_study
from .study_process import FollowedStudy, RunProgress, kill_worker, refusal

STAGES = {
    "train": "Training",
    "ensemble": "Combining the predictions",
    "clean": "Cleaning up the ensembles",
    "score": "Scoring",
    "compare": "Comparing",
    "report": "Writing the report",
}
_RESUMABLE = (study_states.STOPPED, study_states.FAILED, study_states.DIED)
_PLANNING = "Checking the data and timing a few training steps"
_STOP_PATIENCE_S = 60.0
"""``segvariance stop`` itself asks for 15 s and then kills; beyond this it is stuck, and the worker is killed from here."""

NO_WORKER = (
    "There is no environment to train in yet. Build one, or choose a Python that has it, in section Environment."
)


class TrainingPresenter:
    """One study at a time. All calls come from one thread; a timer calls ``tick`` about once a second.

    ``worker`` gives the Python to train in, or None. ``landed`` hears of predictions made since the study was opened here.
    ``settings`` outlives Slicer: the study that was open last is followed again.
    """

    def __init__(
        self,
        runner: Runner,
        worker: Callable[[], Worker | None],
        show: Callable[[TrainingState], None] = lambda state: None,
        landed: Callable[[Run, tuple[str, ...]], None] = lambda run, cases: None,
        settings: MutableMapping[str, str] | None = None,
    ):
        self._runner, self._worker, self.show, self.landed = runner, worker, show, landed
        self._settings = {} if settings is None else settings
        self._followed: FollowedStudy | None = None
        self._command: Process | None = None
        self._doing = ""
        self._cancelled = False
        self._stop_until = float("inf")
        self.state = TrainingState()
        if (last := self._settings.get("study")) and (Path(last) / "plan.json").is_file():
            self.open_study(last)

    def wish(self, **changes: Any) -> None:
        """Change fields of ``TrainingWishes``."""
        self._say(wishes=replace(self.state.wishes, **changes))

    def plan(self) -> None:
        """Check the data and measure what the study will cost; nothing is trained before ``start``."""
        wishes = self.state.wishes
        self._run(_PLANNING, ["plan", *arguments_of(wishes), "--json"], lambda ended: self._planned(wishes, ended))

    def cancel(self) -> None:
        """Give up planning."""
        if self._command is not None and self._doing == _PLANNING:
            self._cancelled = True
            self._command.cancel()

    def open_study(self, folder: str | Path) -> None:
        """Follow a study, whoever started it: from here, from a terminal, or from a Slicer that was closed since."""
        try:
            followed = FollowedStudy(Path(folder))
            wishes = wishes_of_study(followed.study)
        except (SegVarianceError, OSError) as error:
            self._say(problem=str(error))
            return
        self._followed = followed
        self._settings["study"] = str(followed.study.root)
        self._say(problem="", cost="", wishes=wishes)

    def close_study(self) -> None:
        """Follow none; who trains goes on."""
        self._followed = None
        self._settings.pop("study", None)
        self._say(problem="", cost="")

    def start(self) -> None:
        """Start or resume in a process that outlives Slicer."""
        if self._followed is not None:
            self._run("Starting", ["run", str(self._followed.study.root), "--detach"], self._started)

    def stop(self) -> None:
        """Ask the worker to stop; it is killed if it does not, or if nothing is left to ask it with. Nothing is lost."""
        if self._followed is None or self._command is not None:
            return
        if self._worker() is None:
            kill_worker(self._followed.study)
        else:
            self._run("Stopping", ["stop", str(self._followed.study.root)], self._stopped)
            self._stop_until = time.monotonic() + _STOP_PATIENCE_S

    def tick(self) -> None:
        """Bring everything up to date with the commands and the study folder."""
        self._runner.poll()
        if self._command is not None and time.monotonic() > self._stop_until:
            self._command.cancel()
        self._update()
        self._say()

    def _run(self, doing: str, arguments: list[str], then: Callable[[Ended], None]) -> None:
        worker = self._worker()
        if worker is None:
            self._say(problem=NO_WORKER)
            return
        if self._command is not None:
            return

        def ended(how: Ended) -> None:
            self._command, self._doing = None, ""
            then(how)

        self._command = self._runner.start(worker.command(*arguments), worker.environment(), ended)
        self._doing, self._cancelled = doing, False
        self._say(problem="")

    def _planned(self, wishes: TrainingWishes, ended: Ended) -> None:
        """A plan counts when the command says so and its file is there."""
        if self._cancelled:
            self._say(problem="Planning was cancelled; nothing was written that stands in the way of planning again.")
        elif ended.code != 0:
            self._say(problem=refusal(ended))
        else:
            self.open_study(wishes.study)
            self._say(cost=cost_text(ended.out))

    def _started(self, ended: Ended) -> None:
        self._update()
        followed = self._followed
        if ended.code != 0 and followed and followed.state not in (study_states.RUNNING, study_states.FINISHED):
            self._say(problem=refusal(ended))

    def _stopped(self, ended: Ended) -> None:
        self._stop_until = float("inf")
        if self._followed is not None and ended.code != 0 and not kill_worker(self._followed.study):
            self._update()
            if self._followed and self._followed.state in (study_states.RUNNING, study_states.STOPPING):
                self._say(problem=refusal(ended))

    def _update(self) -> None:
        if self._followed is None:
            return
        try:
            landed = self._followed.update()
        except (SegVarianceError, OSError) as error:
            self._followed = None
            self._say(problem=str(error))
            return
        for run, cases in landed.items():
            self.landed(run, cases)

    def _say(self, **changes: Any) -> None:
        """Show the state with these changes and all that follows from the study, if anything differs from what is shown."""
        followed, wishes = self._followed, changes.get("wishes", self.state.wishes)
        busy, stands = self._command is not None, followed.state if followed else ""
        elsewhere = followed is None or Path(wishes.study or ".").resolve() != followed.study.root
        at_work = stands in (study_states.RUNNING, study_states.STOPPING)
        state = replace(
            self.state,
            **changes,
            sentence=f"{self._doing} …" if busy else sentence(followed) if followed else TrainingState.sentence,
            study=str(followed.study.root) if followed else "",
            runs=tuple(map(_row, followed.runs.values())) if followed else (),
            busy=busy,
            can_cancel=busy and self._doing == _PLANNING,
            can_plan=bool(wishes.dataset and wishes.study) and elsewhere and not busy and not at_work,
            can_start=stands in (study_states.PLANNED, *_RESUMABLE) and not busy,
            can_stop=stands == study_states.RUNNING and not busy,
            start_text="Resume" if stands in _RESUMABLE else "Start",
        )
        if state != self.state:
            self.state = state
            self.show(state)


def sentence(followed: FollowedStudy) -> str:
    """Where a study stands, and what to do next."""
    done, of = sum(run.state == "done" for run in followed.runs.values()), len(followed.runs)
    so_far = f"{done} of {counted(of, 'training')} done"
    left_s = followed.time_left_s
    left = f", about {duration_text(left_s)} left" if left_s is not None and done < of else ""
    return {
        study_states.PLANNED: f"Planned: {counted(of, 'training')}. Press Start.",
        study_states.RUNNING: f"{STAGES.get(followed.stage, 'Working')}: {so_far}{left}. You may close Slicer meanwhile.",
        study_states.STOPPING: f"Stopping after the current step: {so_far}.",
        study_states.STOPPED: f"Stopped: {so_far}. Nothing is lost; press Resume.",
        study_states.DIED: f"The training died (it was killed, or the computer went down): {so_far}. Nothing is lost; press Resume.",
        study_states.FAILED: f"Failed: {followed.message}",
        study_states.FINISHED: f"Finished: {counted(of, 'training')}, with ensembles, scores and report.",
    }[followed.state]


def cost_text(answer: str) -> str:
    """What ``segvariance plan --json`` estimated, in words; empty if it did not."""
    try:
        cost = json.loads(answer)
        lines = [
            f"{counted(cost['runs'], 'training')} of {cost['steps']} steps, {cost['jobs']} at a time: about "
            f"{duration_text(cost['run_s'])} each, {duration_text(cost['study_s'])} in all.",
            f"Disk: {_gib(cost['disk_gib'])} at most, of {cost['free_gib']:.0f} GiB that are free. "
            f"Memory: {_gib(cost['cache_gib'])} for the cases of each training, if that is free.",
            *(f"Note: {warning}" for warning in cost["warnings"]),
        ]
    except (ValueError, KeyError, TypeError):
        return ""
    return "\n".join(lines)


def _gib(size: float) -> str:
    return "less than 0.1 GiB" if size < 0.05 else f"{size:.1f} GiB"


def _row(progress: RunProgress) -> RunRow:
    return RunRow(
        name=str(progress.run),
        state=progress.state,
        step=progress.step,
        steps=progress.steps,
        dice=progress.dice,
        predicted=len(progress.predicted),
        curve=tuple(progress.curve),
    )
