"""How long a study will still train, from the pace of the runs that are under way."""

from __future__ import annotations

from typing import Any

from ..plan.runs import Run
from ..plan.study_folder import StudyFolder


class TimeLeft:
    """Sums the steps that are left over all runs and divides by the steps that all jobs together make in a second."""

    def __init__(self, study: StudyFolder):
        everything = (*study.pretraining_runs, *study.runs)
        self._steps_left = {
            run: 0 if study.is_done(run) else study.plan.steps_of(run.configuration) for run in everything
        }
        self._seconds_per_step: dict[Run, float] = {}

    def after(self, event: dict[str, Any]) -> float | None:
        """Seconds left once this event is known; None until a run has shown its pace."""
        run = Run(event["configuration"], event["fold"], event["seed"])
        if event["kind"] == "step" and event["step"] < event["steps"]:
            left = event["steps"] - event["step"]
            self._steps_left[run] = left
            self._seconds_per_step[run] = event["time_left_s"] / left
        elif event["kind"] in ("run_finished", "run_failed", "run_stopped"):
            self._steps_left[run] = 0
            self._seconds_per_step.pop(run, None)
        pace = sum(1 / seconds for seconds in self._seconds_per_step.values() if seconds > 0)
        return round(sum(self._steps_left.values()) / pace, 1) if pace else None
