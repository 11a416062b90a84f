"""The built-in backend: one run from cached cases to weights and held-out predictions."""

from __future__ import annotations

import shutil
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
from ..dataset.case import Case, Dataset
from ..dataset.image_io import read_image, write_label_map
from ..dataset.probability_maps import write_probabilities
from ..model.device import Device, open_device, peak_memory_mib
from ..model.foreign_weights import read_foreign_weights, weights_file
from ..model.trained import SCHEMA, TrainedFacts, class_names, class_values, read_trained_facts, save_trained
from ..model.transfer_weights import transfer
from ..plan.fine_tuning import FineTuning
from ..plan.runs import Run, RunRecord
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import REGIONS, AnyConfiguration, Configuration
from ..prediction.predict import Predictor, open_predictor
from ..training.cache import cached_case, read_cache, write_cache
from ..training.patches import TrainingCase
from ..training.task import Segmentation
from ..training.trainer import Trainer, training_device
from .backend import Cost, Report, jobs_at_once
from .held_out import HeldOutProgress
from .training_loop import train_to_end

_WEIGHTS_BYTES = 8 * 2**20


class Builtin:
    """Residual U-Nets of ``model.network``, trained by ``training.trainer``."""

    def measure(
        self, dataset: Dataset, configuration: AnyConfiguration, device: str, threads: int, cache: Path
    ) -> Cost:
        """Time training steps and one prediction on the first cases, alone on the machine; ``cache`` is not used."""
        configuration = _own(configuration)
        opened = open_device(device, threads)
        cases = [cached_case(case, dataset.labels, configuration.preprocessing) for case in dataset.cases[:2]]
        trainer = _trainer(cases, configuration, dataset.labels, 0, opened)
        steps = [_timed(trainer.train_step) for _ in range(8)]
        facts = _facts(configuration, dataset.labels, Run("", 0, 0), "")
        predictor = Predictor(facts, [trainer.average.eval], opened)
        volume = read_image(dataset.cases[0].images)
        case_s = min(_timed(lambda: predictor.predict(volume, keep_probabilities=False)) for _ in range(2))
        return Cost(opened.kind, min(steps[3:]), case_s, _WEIGHTS_BYTES)

    def train_and_predict(self, study: StudyFolder, run: Run, report: Report, should_stop: Callable[[], bool]) -> bool:
        """Train, save the weights, predict the held-out cases, write ``run.json``; each part is skipped where it is done."""
        started = time.perf_counter(), time.process_time()
        plan, configuration = study.plan, _own(study.plan.configuration(run.configuration))
        device = training_device(open_device(plan.device, plan.threads_per_run), configuration.network)
        resumed = study.checkpoint(run).exists() or study.weights(run).exists()
        inputs = study.run_inputs(run)
        key = sha256_of_json([inputs, device.facts(), __version__])
        if not _is_trained(study, run, key) and not self._train(
            study, run, configuration, device, key, report, should_stop
        ):
            return False
        if not _predict_held_out(study, run, device, report, should_stop):
            return False
        record = RunRecord(
            schema=SCHEMA,
            run=run,
            inputs=inputs,
            key=key,
            machine=device.facts() | {"segvariance": __version__, "numpy": np.__version__},
            weights_sha256=sha256_of_file(study.weights(run)),
            resumed=resumed,
            wall_s=round(time.perf_counter() - started[0], 2),
            cpu_s=round(time.process_time() - started[1], 2),
            peak_memory_mib=peak_memory_mib(),
            started_from=_source_of(study, run),
        )
        write_json(study.record_path(run), to_json(record))
        study.checkpoint(run).unlink(missing_ok=True)
        return True

    def _train(
        self,
        study: StudyFolder,
        run: Run,
        configuration: Configuration,
        device: Device,
        key: str,
        report: Report,
        should_stop: Callable[[], bool],
    ) -> bool:
        report("run_message", message="Reading cases")
        if not _prepare(study, configuration, report, should_stop):
            return False
        training = study.fold_of(run).training
        classes = len(class_values(study.labels))
        jobs = jobs_at_once(device.threads, device.kind)
        cases = read_cache(_cache(study, configuration), training, classes, jobs)
        trainer = _trainer(cases, configuration, study.labels, run.seed, device)
        path = study.checkpoint(run)
        if not trainer.resume(path, key):
            if path.exists():
                report("run_message", message="Started anew: the checkpoint belongs to another plan, device or version")
            for stale in ("predictions", "probabilities"):
                shutil.rmtree(study.run_folder(run) / stale, ignore_errors=True)
            if configuration.fine_tuning:
                _start_from(trainer, study, run, configuration.fine_tuning, report)
        if not train_to_end(trainer, lambda: trainer.save(path, key), report, should_stop):
            return False
        save_trained(study.weights(run), trainer.weights(), _facts(configuration, study.labels, run, key))
        return True


def _own(configuration: AnyConfiguration) -> Configuration:
    if not isinstance(configuration, Configuration):
        raise SegVarianceError(
            f"Configuration {configuration.name!r} holds a recipe of nnU-Net: its backend is 'nnunet'."
        )
    return configuration


def _trainer(
    cases: list[TrainingCase], configuration: Configuration, labels: LabelSet, seed: int, device: Device
) -> Trainer:
    regions = None
    if configuration.trains == REGIONS:
        values = class_values(labels)
        regions = [[values.index(value) for value in structure.values] for structure in labels.structures]
    task = Segmentation(cases, configuration.network, configuration.training, regions)
    return Trainer(task, configuration.training, seed, device, configuration.fine_tuning)


def _start_from(trainer: Trainer, study: StudyFolder, run: Run, rules: FineTuning, report: Report) -> None:
    """Put the given weights in place of drawn ones, and say of each tensor what became of it.

    Raises:
        SegVarianceError: the file holds no such weights, others than when the study was planned, or none that fit.
    """
    source = study.started_from(run)
    if source and not study.is_done(source):
        raise SegVarianceError(
            f"{source} is not pretrained as the plan says. Run the study: segvariance run {study.root}"
        )
    path, sha256 = Path(rules.weights), rules.sha256
    if source:
        path, sha256 = study.weights(source), study.record(source).weights_sha256
    if sha256_of_file(weights_file(path)) != sha256:
        raise SegVarianceError(
            f"{path} holds other weights than when the study was planned. Restore the file or plan anew."
        )
    names = _facts(_own(study.plan.configuration(run.configuration)), study.labels, run, "").class_names
    given = transfer(trainer.network.state_dict(), read_foreign_weights(path), rules, names)
    trainer.start_from(given.tensors)
    write_json(study.transfer(run), to_json(given.fates))
    report("run_message", message=f"Weights of {path.name}: {given.sentence}")


def _source_of(study: StudyFolder, run: Run) -> tuple[str, str] | None:
    """Folder and digest of the weights of the study's own pretraining that a run went on from."""
    if (source := study.started_from(run)) is None:
        return None
    return study.run_folder(source).relative_to(study.root).as_posix(), study.record(source).weights_sha256


def _cache(study: StudyFolder, configuration: Configuration) -> Path:
    """One for all configurations that see the same: that of the first."""
    for each in study.plan.configurations:
        if isinstance(each, Configuration) and each.preprocessing == configuration.preprocessing:
            return study.cache(each.name)
    return study.cache(configuration.name)


def _prepare(study: StudyFolder, configuration: Configuration, report: Report, should_stop: Callable[[], bool]) -> bool:
    """Make the shared cache; the first run does it while the others wait."""
    folder = _cache(study, configuration)
    folder.mkdir(parents=True, exist_ok=True)
    cases = [study.case(case_id) for case_id in sorted({case_id for fold in study.folds for case_id in fold.training})]

    def prepared(done: int, of: int) -> None:
        report("run_message", message=f"Preparing case {done} of {of}")

    with FileLock(folder / "cache.lock"):
        return write_cache(
            folder,
            cases,
            study.labels,
            configuration.preprocessing,
            study.plan.dataset_digest,
            prepared,
            should_stop,
        )


def _predict_held_out(
    study: StudyFolder, run: Run, device: Device, report: Report, should_stop: Callable[[], bool]
) -> bool:
    """Predict every held-out case that has no prediction yet; False if asked to stop."""
    predictor = open_predictor([study.weights(run)], device)
    progress = HeldOutProgress(study, run, report)
    for case_id in study.folds[run.fold].held_out:
        if should_stop():
            return False
        if not study.prediction(run, case_id).exists():
            _predict_case(predictor, study, run, study.case(case_id))
        progress.predicted(case_id)
    return True


def _predict_case(predictor: Predictor, study: StudyFolder, run: Run, case: Case) -> None:
    volume = read_image(case.images)
    prediction = predictor.predict(volume, study.plan.keep_probabilities)
    if prediction.probabilities is not None:
        path, names = study.probabilities(run, case.id), predictor.facts.class_names
        write_probabilities(path, prediction.probabilities, volume.geometry, names, like=case.images[0])
    # The label map last: where it lies, the case is done.
    write_label_map(study.prediction(run, case.id), prediction.label_map, volume.geometry, like=case.images[0])


def _is_trained(study: StudyFolder, run: Run, key: str) -> bool:
    try:
        return read_trained_facts(study.weights(run)).key == key
    except SegVarianceError:
        return False


def _facts(configuration: Configuration, labels: LabelSet, run: Run, key: str) -> TrainedFacts:
    regions = configuration.trains == REGIONS
    painted = labels.regions_class_order or ()
    return TrainedFacts(
        schema=SCHEMA,
        configuration=run.configuration,
        fold=run.fold,
        seed=run.seed,
        key=key,
        preprocessing=configuration.preprocessing,
        network=configuration.network,
        class_values=painted if regions else class_values(labels),
        class_names=tuple(region.name for region in labels.structures) if regions else class_names(labels),
        exclusive=not regions,
    )


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
