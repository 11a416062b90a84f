"""The trainings of a study, one by one: configuration x fold x seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .study_plan import StudyPlan


@dataclass(frozen=True, order=True)
class Run:
    """One training: a configuration, on the training cases of one fold, with one seed; or a pretraining, whose fold is 0."""

    configuration: str
    fold: int
    seed: int

    @property
    def folder(self) -> PurePosixPath:
        """Where it lives, below the study folder."""
        return PurePosixPath("runs", self.configuration, f"fold_{self.fold}", f"seed_{self.seed}")

    @property
    def member(self) -> str:
        """Its name among the members of its configuration; with k folds, one member is a whole pass of k runs."""
        return f"seed_{self.seed}"

    def __str__(self) -> str:
        return f"{self.configuration} · fold {self.fold} · seed {self.seed}"


@dataclass(frozen=True)
class RunRecord:
    """``run.json``, written when a run is done.

    ``inputs`` is what the run follows from but the machine, ``key`` is both; ``machine`` names device, precision, threads and
    versions. Times are those of the last part alone where the run was resumed; ``peak_memory_mib`` is its process's.
    ``started_from``: folder and weights' digest of the pretraining that it went on from.
    """

    schema: int
    run: Run
    inputs: str
    key: str
    machine: dict[str, Any]
    weights_sha256: str
    resumed: bool
    wall_s: float
    cpu_s: float
    peak_memory_mib: float
    started_from: tuple[str, str] | None = None


def pretraining_runs_of(plan: StudyPlan) -> tuple[Run, ...]:
    return tuple(Run(each.name, 0, seed) for each in plan.pretrainings for seed in each.seeds)


def runs_of(plan: StudyPlan, folds: int) -> tuple[Run, ...]:
    """All runs in the order in which they are trained: whole passes first, so that early results can be compared."""
    return tuple(
        Run(configuration.name, fold, seed)
        for seed in plan.seeds
        for configuration in plan.configurations
        for fold in range(folds)
    )
