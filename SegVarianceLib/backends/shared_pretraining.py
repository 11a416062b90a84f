"""A pretraining of a study, from its planned source to weights that many of the study's trainings start from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from .. import __version__
from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file, sha256_of_json, write_json
from ..core.labels import LabelSet
from ..core.records import to_json
from ..dataset.case import Dataset
from ..model import checkpoint
from ..model.device import Device, open_device, peak_memory_mib
from ..model.trained import SCHEMA, class_values
from ..plan.pretraining_plan import Pretraining
from ..plan.runs import Run, RunRecord
from ..plan.sources import source_dataset
from ..plan.study_folder import StudyFolder
from ..training.cache import cached_case, read_cache, write_cache
from ..training.trainer import Trainer, training_device
from .backend import Report, jobs_at_once
from .pretraining import pretrain, pretraining_task


def run_pretraining(study: StudyFolder, run: Run, report: Report, should_stop: Callable[[], bool]) -> bool:
    """Bring one pretraining to its ``pretraining.json``, from wherever it stands; False if it stopped on request.

    Raises:
        SegVarianceError: as ``pretrain``, or its data cannot be read.
    """
    started = time.perf_counter(), time.process_time()
    pretraining = study.plan.pretraining(run.configuration)
    if pretraining is None:
        raise SegVarianceError(f"The plan has no pretraining {run.configuration!r}.")
    device = training_device(open_device(study.plan.device, study.plan.threads_per_run), pretraining.plan.network)
    resumed = study.checkpoint(run).exists() or study.weights(run).exists()
    dataset = source_dataset(pretraining)
    labels = None if pretraining.labels is None else dataset.labels
    made_from = [pretraining.dataset_digest, to_json(pretraining.plan.preprocessing), pretraining.labels]
    cache = study.cache(f"source_{sha256_of_json(made_from)[:16]}")
    if not _prepare(cache, dataset, labels, pretraining, report, should_stop):
        return False
    classes = 1 if labels is None else len(class_values(labels))
    cases = read_cache(cache, pretraining.cases, classes, jobs_at_once(device.threads, device.kind))
    inputs, folder = study.run_inputs(run), study.run_folder(run)
    classes_of = pretraining.case_classes
    regions = _regions(labels, pretraining)
    if not pretrain(
        folder, pretraining.plan, cases, inputs, run.seed, device, report, should_stop, regions, classes_of
    ):
        return False
    record = RunRecord(
        schema=SCHEMA,
        run=run,
        inputs=inputs,
        key=checkpoint.facts(study.weights(run))["key"],
        machine=device.facts() | {"segvariance": __version__, "numpy": np.__version__},
        weights_sha256=sha256_of_file(study.weights(run)),
        resumed=resumed,
        wall_s=round(time.perf_counter() - started[0], 2),
        cpu_s=round(time.process_time() - started[1], 2),
        peak_memory_mib=peak_memory_mib(),
    )
    write_json(study.record_path(run), to_json(record))
    return True


def measure_pretraining(pretraining: Pretraining, dataset: Dataset, device: Device) -> float:
    """Seconds a step, the fastest of a few, on the first cases (of each class, where it is about classes)."""
    labels, classes = None if pretraining.labels is None else dataset.labels, pretraining.case_classes
    first = {classes.get(case.id, ""): case for case in reversed(dataset.cases)} if classes else {}
    some = [*first.values()] or dataset.cases[:2]
    cases = [cached_case(case, labels, pretraining.plan.preprocessing) for case in some]
    task = pretraining_task(pretraining.plan, cases, _regions(labels, pretraining), classes)
    trainer = Trainer(task, pretraining.training, 0, device)
    times = []
    for _ in range(8):
        begun = time.perf_counter()
        trainer.train_step()
        times.append(time.perf_counter() - begun)
    return min(times[3:])


def _prepare(
    cache: Path,
    dataset: Dataset,
    labels: LabelSet | None,
    pretraining: Pretraining,
    report: Report,
    should_stop: Callable[[], bool],
) -> bool:
    """Make the cache, which all seeds and all sources of the same data share."""

    def prepared(done: int, of: int) -> None:
        report("run_message", message=f"Preparing source case {done} of {of}")

    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "cache.lock"):
        digest, how = pretraining.dataset_digest, pretraining.plan.preprocessing
        return write_cache(cache, dataset.cases, labels, how, digest, prepared, should_stop)


def _regions(labels: LabelSet | None, pretraining: Pretraining) -> list[list[int]] | None:
    """Classes of each structure that is learned, where they may overlap; a source learns regions as a target does."""
    if labels is None or not (pretraining.structures or labels.has_regions):
        return None
    values = class_values(labels)
    learned = pretraining.structures or {structure.name: structure.values for structure in labels.structures}
    return [[values.index(value) for value in each] for each in learned.values()]
