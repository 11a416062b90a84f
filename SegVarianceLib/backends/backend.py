"""What every backend can do, whoever trains: the built-in one, or another tool in its own environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..core.machine import usable_cores
from ..dataset.case import Dataset
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import AnyConfiguration

Report = Callable[..., object]
"""``report(kind, **fields)``: one event of a run, as ``core.events.EventLog.write`` takes it."""


@dataclass(frozen=True)
class Cost:
    """Measured on a few steps of this recipe; ``device`` is what was found for the one asked for. ``weights_bytes`` is what
    a run keeps on disk beside its predictions."""

    device: str
    seconds_per_step: float
    seconds_per_case: float
    weights_bytes: int


def jobs_at_once(threads_per_run: int, device: str) -> int:
    """Trainings side by side: one for each core's share of threads; one alone on an accelerator."""
    return max(1, usable_cores() // threads_per_run) if device == "cpu" else 1


class Backend(Protocol):
    """Trains runs and predicts their held-out cases, into the study folder."""

    def measure(
        self, dataset: Dataset, configuration: AnyConfiguration, device: str, threads: int, cache: Path
    ) -> Cost:
        """Time a few training steps and one prediction; what the runs can use again may be left in ``cache``."""
        ...

    def train_and_predict(self, study: StudyFolder, run: Run, report: Report, should_stop: Callable[[], bool]) -> bool:
        """Bring one run to its ``run.json``, from wherever it stands; False if it stopped on request.

        A stopped or killed run, called again, ends with the same bytes as an undisturbed one.
        """
        ...
