"""The backend ``nnunet``: nnU-Net v2 trains and predicts in its own Python, and all that it gives lands in the study."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .. import __version__
from ..core.files import sha256_of_json, write_json
from ..core.records import to_json
from ..dataset.case import Dataset
from ..model.trained import SCHEMA
from ..plan.nnunet_plan import NnunetTrainingPlan
from ..plan.runs import Run, RunRecord
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import AnyConfiguration
from .backend import Cost, Report
from .held_out import HeldOutProgress
from .nnunet_data import dataset_name, write_raw
from .nnunet_request import ask_child, folders, keep_arrays, raw_images, recipe_of, request_of


class Nnunet:
    """nnU-Net's own trainer, seeded; one results folder of nnU-Net for each run, inside the run's folder."""

    def measure(
        self, dataset: Dataset, configuration: AnyConfiguration, device: str, threads: int, cache: Path
    ) -> Cost:
        """Have nnU-Net measure the dataset and plan, and time a few steps and one prediction; its plans stay in ``cache``."""
        recipe, name = recipe_of(configuration), dataset_name(dataset.name)
        shutil.rmtree(cache, ignore_errors=True)
        write_raw(cache / "raw" / name, dataset.cases, dataset.channels, dataset.labels)
        request = request_of(recipe, name, device, threads) | {
            "action": "measure",
            "fold": 0,
            "cases": raw_images(cache / "raw" / name),
            "probabilities": True,
        }
        found: dict[str, Any] = {}
        ask_child(recipe, request, cache, folders(cache, cache / "measured", threads), found.update, lambda: False)
        shutil.rmtree(cache / "measured", ignore_errors=True)
        return Cost(found["device"], found["seconds_per_step"], found["seconds_per_case"], found["weights_bytes"])

    def train_and_predict(self, study: StudyFolder, run: Run, report: Report, should_stop: Callable[[], bool]) -> bool:
        """Train, predict the held-out cases, write ``run.json``; where it was stopped it goes on from nnU-Net's checkpoint."""
        return _RunInChild(study, run, report).to_end(should_stop)


class _RunInChild:
    """One run: what the child is asked, and what is made of what it says."""

    def __init__(self, study: StudyFolder, run: Run, report: Report):
        self._study, self._run, self._report = study, run, report
        self._folder, self._cache = study.run_folder(run) / "nnunet", study.cache(run.configuration)
        self._progress = HeldOutProgress(study, run, report)
        self._lock = FileLock(self._cache / "cache.lock")
        self._said: dict[str, dict[str, Any]] = {}

    def to_end(self, should_stop: Callable[[], bool]) -> bool:
        begun, study, run = time.perf_counter(), self._study, self._run
        recipe = recipe_of(study.plan.configuration(run.configuration))
        self._cache.mkdir(parents=True, exist_ok=True)
        environment = folders(self._cache, self._folder, study.plan.threads_per_run)
        self._report("run_message", message="Starting nnU-Net")
        if not self._lock_cache(should_stop):
            return False
        try:
            request = self._prepared(recipe)
            done, peak_mib = ask_child(recipe, request, self._folder, environment, self._hear, should_stop)
        finally:
            self._lock.release(force=True)
        if not done:
            return False
        ended, started = self._said["done"], self._said["begun"]
        key = sha256_of_json([request["inputs"], started["machine"]])
        record = RunRecord(
            schema=SCHEMA,
            run=run,
            inputs=study.run_inputs(run),
            key=key,
            machine=started["machine"] | {"segvariance": __version__},
            weights_sha256=ended["sha256"],
            resumed=started["resumed"],
            wall_s=round(time.perf_counter() - begun, 2),
            cpu_s=ended["cpu_s"],
            peak_memory_mib=peak_mib,
        )
        write_json(study.record_path(run), to_json(record))
        shutil.rmtree(self._arrays, ignore_errors=True)
        return True

    def _lock_cache(self, should_stop: Callable[[], bool]) -> bool:
        """The first run prepares the cases while the others wait; False if asked to stop."""
        while not self._lock.is_locked:
            try:
                self._lock.acquire(timeout=1)
            except Timeout:
                if should_stop():
                    return False
        return True

    @property
    def _arrays(self) -> Path:
        return self._folder / "arrays"

    def _prepared(self, recipe: NnunetTrainingPlan) -> dict[str, Any]:
        study, run = self._study, self._run
        name = dataset_name(study.dataset.name)
        cases = [study.case(case_id) for case_id in study.dataset.references]
        write_raw(self._cache / "raw" / name, cases, study.dataset.channels, study.labels)
        splits = [{"train": list(fold.training), "val": list(fold.held_out)} for fold in study.folds]
        write_json(self._cache / "preprocessed" / name / "splits_final.json", splits)
        images = raw_images(self._cache / "raw" / name)
        held_out = {
            case_id: {"images": images[case_id], "done": study.prediction(run, case_id).exists()}
            for case_id in study.folds[run.fold].held_out
        }
        return request_of(recipe, name, study.plan.device, study.plan.threads_per_run) | {
            "action": "run",
            "inputs": sha256_of_json([study.run_inputs(run), __version__]),
            "fold": run.fold,
            "seed": run.seed,
            "prepare": list(images),
            "cases": held_out,
            "state": str(self._folder / "state.json"),
            "out": str(self._arrays),
            "probabilities": study.plan.keep_probabilities,
        }

    def _hear(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        self._said[kind] = event
        if kind == "prepared":
            self._lock.release(force=True)
        elif kind == "begun":
            self._begin(event["resumed"])
        elif kind == "case":
            self._keep(event["case"])
        elif kind == "message":
            self._report("run_message", message=event["message"])
        elif kind == "step":
            self._report("step", **{name: value for name, value in event.items() if name != "kind"})

    def _begin(self, resumed: bool) -> None:
        """Say the predictions that stand; those of another training go."""
        if not resumed:
            for stale in ("predictions", "probabilities"):
                shutil.rmtree(self._study.run_folder(self._run) / stale, ignore_errors=True)
        for case_id in self._study.folds[self._run.fold].held_out:
            if self._study.prediction(self._run, case_id).exists():
                self._progress.predicted(case_id)

    def _keep(self, case_id: str) -> None:
        study, run = self._study, self._run
        probabilities = study.probabilities(run, case_id) if study.plan.keep_probabilities else None
        keep_arrays(
            self._arrays,
            case_id,
            study.case(case_id).images[0],
            study.labels,
            study.prediction(run, case_id),
            probabilities,
        )
        self._progress.predicted(case_id)
