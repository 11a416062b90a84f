"""nnU-Net's fingerprint, plans and preprocessed cases, made once for all runs of a configuration; the parent holds a lock.

Imports of nnU-Net stand inside functions: it takes seconds to load, and is not there where the sources are checked.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_PREPARED = "segvariance_prepared.json"
"""Names nnU-Net's plans file; written when it is whole."""


def prepare(
    request: dict[str, Any], cases: list[str], say: Callable[..., None], should_stop: Callable[[], bool]
) -> bool:
    """Make what is not there yet for these cases; False if asked to stop."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments

    folder = _preprocessed(request)
    if not (folder / _PREPARED).exists() or _read_json(folder / _PREPARED)["planner"] != request["planner"]:
        say("message", message="nnU-Net measures all cases and plans")
        extractor = DatasetFingerprintExtractor(request["dataset"], request["workers"])
        extractor.show_progress_bar = False
        extractor.run(overwrite_existing=True)
        plans = plan_experiments([1], request["planner"])
        _write_json(folder / _PREPARED, {"plans": plans, "planner": request["planner"]})
    manager, configuration, _ = read_plans(request, say)
    target = folder / configuration.data_identifier
    beside = target.with_name(target.name + ".writing")
    target.mkdir(exist_ok=True)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    waiting = [case for case in cases if not (target / f"{case}.pkl").exists()]
    for done, case in enumerate(_preprocessed_one_by_one(request, waiting, manager.plans["plans_name"])):
        _take(beside, target, case)
        say("message", message=f"nnU-Net prepares case {len(cases) - len(waiting) + done + 1} of {len(cases)}")
        if should_stop():
            return False
    return True


def read_plans(request: dict[str, Any], say: Callable[..., None]) -> tuple[Any, Any, dict[str, Any]]:
    """nnU-Net's plans manager and configuration manager, and its dataset.json, of what ``prepare`` made."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    folder, name = _preprocessed(request), request["configuration"]
    plans = _read_json(folder / _PREPARED)["plans"]
    manager = PlansManager(str(folder / f"{plans}.json"))
    single = [each for each in manager.available_configurations if "cascade" not in each]
    if name not in single:
        say(
            "refused",
            message=f"nnU-Net plans no {name!r} for this dataset that trains by itself, only {', '.join(single)}",
        )
        raise SystemExit(2)
    return manager, manager.get_configuration(name), _read_json(folder / "dataset.json")


def _preprocessed(request: dict[str, Any]) -> Path:
    return Path(os.environ["nnUNet_preprocessed"]) / request["dataset"]  # noqa: SIM112 (nnU-Net's name)


def _preprocessed_one_by_one(request: dict[str, Any], cases: list[str], plans: str) -> Iterator[str]:
    """Preprocess into a folder beside the final one; each case's name when its files are whole."""
    workers = min(request["workers"], len(cases))
    jobs = [(request["dataset"], plans, request["configuration"], case) for case in cases]
    if workers <= 1:
        yield from map(_preprocess, jobs)
        return
    with _pool(workers) as pool:
        yield from (future.result() for future in as_completed([pool.submit(_preprocess, job) for job in jobs]))


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _preprocess(job: tuple[str, str, str, str]) -> str:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    dataset, plans, configuration_name, case = job
    raw, folder = (Path(os.environ[name]) / dataset for name in ("nnUNet_raw", "nnUNet_preprocessed"))
    manager = PlansManager(str(folder / f"{plans}.json"))
    configuration = manager.get_configuration(configuration_name)
    description = _read_json(raw / "dataset.json")
    files = get_filenames_of_train_images_and_targets(str(raw), description)[case]
    beside = folder / f"{configuration.data_identifier}.writing" / case
    configuration.preprocessor_class(verbose=False).run_case_save(
        str(beside), files["images"], files["label"], manager, configuration, description
    )
    return case


def _take(beside: Path, target: Path, case: str) -> None:
    """Move a whole case to where it is looked for; the file that tells that it is there comes last."""
    for ending in (".b2nd", "_seg.b2nd", ".pkl"):
        (beside / f"{case}{ending}").replace(target / f"{case}{ending}")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, content: Any) -> None:
    beside = path.with_name(f".{path.name}.writing")
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(path)
