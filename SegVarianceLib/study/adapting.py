"""One adaptation from its plan to its masks: the three stages in rounds, what they say of themselves, and what is kept in the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name every SimpleITK text uses)
from filelock import FileLock

from .. import __version__
from ..core.errors import SegVarianceError
from ..core.events import EventLog
from ..core.files import remove_half_written, sha256_of_file, sha256_of_json, write_json
from ..core.records import to_json
from ..dataset.image_io import read_image, write_label_map, write_map
from ..dataset.label_declaration import declaration
from ..dataset.probability_maps import write_probabilities
from ..evaluation.plausibility import moved, warnings_of
from ..model.device import open_device, peak_memory_mib
from ..model.trained import class_values, read_trained_facts
from ..plan.adaptation import SCHEMA, AdaptationPlan, training_digest
from ..plan.adaptation_folder import ADAPTED, INITIAL, AdaptationFolder, AdaptationRecord, Neighbour
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import Configuration
from ..prediction import inference_learning as learning
from ..prediction.augmented import predict_augmented
from ..prediction.inference_learning import Work
from ..training.cache import read_cache, write_cache
from ..training.patches import TrainingCase
from ..training.trainer import training_device
from .executors import Event
from .pipeline import Stopped
from .worker import sole_worker

Listener = Callable[[Event], None]


def run_adaptation(folder: AdaptationFolder, listen: Listener = lambda event: None) -> AdaptationRecord:
    """Adapt, or go on where a stopped or killed adaptation stood; done already, nothing is done.

    Stopped and resumed or not, it ends with the same bytes on the same device with the same number of threads.

    Raises:
        Stopped: on SIGINT, SIGTERM or ``segvariance stop``.
        SegVarianceError: another worker holds the folder, a file has changed since it was planned, or cannot be read.
    """
    if folder.is_done:
        return folder.record()
    with sole_worker(folder) as should_stop, EventLog(folder.events_path) as log:

        def report(kind: str, **fields: Any) -> None:
            listen(log.write(kind, **fields))

        remove_half_written(folder.root)
        report("adaptation_started", case=folder.plan.case)
        try:
            record = _adapt(folder, _with_time_left(report, folder.plan), should_stop)
        except Stopped:
            report("adaptation_stopped")
            raise
        except SegVarianceError as error:
            report("adaptation_failed", message=str(error))
            raise
        report("adaptation_finished", warnings=list(record.warnings))
        return record


def _adapt(folder: AdaptationFolder, report: learning.Report, should_stop: Callable[[], bool]) -> AdaptationRecord:
    started, resumed = (time.perf_counter(), time.process_time()), folder.work.exists()
    plan, study = folder.plan, StudyFolder.open(Path(folder.plan.study))
    work = work_of(folder, plan, study, report, should_stop)
    cases = cache(lambda: _training_cases(study, plan, work, should_stop))
    if not learning.begin(work):
        raise Stopped
    if plan.settings.augmented:
        if not predict_augmented(work):
            raise Stopped
        neighbours, last = list[Neighbour](), 1
    else:
        neighbours, last = _rounds(work, cases)
    report("stage_step", what="Writing", done=0, of=1)
    record = _finish(folder, study, work, cases(), neighbours, last, resumed, started)
    write_json(folder.record_path, to_json(record))
    shutil.rmtree(folder.work, ignore_errors=True)
    return record


def _rounds(work: Work, cases: Callable[[], list[TrainingCase]]) -> tuple[list[Neighbour], int]:
    """Deform and refine in turn; the neighbours of the last round, and how many predictions the averages hold.

    Where no neighbour can be aligned there is nothing to learn from: the mask stays what it was, and the record says so.
    """
    predictions, neighbours = 0, list[Neighbour]()
    for rounds in range(work.settings.rounds):
        if not learning.deform(work, rounds, cases):
            raise Stopped
        neighbours = learning.neighbours(work, rounds)
        if all(each.left_out for each in neighbours):
            break
        if not learning.refine(work, rounds):
            raise Stopped
        predictions += work.settings.predictions
    return neighbours, predictions


def work_of(
    folder: AdaptationFolder,
    plan: AdaptationPlan,
    study: StudyFolder,
    report: learning.Report,
    should_stop: Callable[[], bool],
) -> Work:
    weights = [study.root / start.weights for start in plan.starts]
    images = [Path(image) for image in plan.images]
    for path, digest in (
        *zip(weights, (start.sha256 for start in plan.starts), strict=True),
        *zip(images, plan.images_sha256, strict=True),
    ):
        if not path.is_file() or sha256_of_file(path) != digest:
            raise SegVarianceError(
                f"{path} is not what it was when the adaptation was planned. Restore it, or adapt anew."
            )
    facts = read_trained_facts(weights[0])
    configuration = study.plan.configuration(facts.configuration)
    if not isinstance(configuration, Configuration):
        raise SegVarianceError(
            f"{facts.configuration!r} is no recipe of the built-in backend any more. Restore {study.plan_path}."
        )
    device = training_device(open_device(plan.device, plan.threads), facts.network)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(plan.threads)
    return Work(
        work=folder.work,
        settings=plan.settings,
        weights=weights,
        facts=facts,
        labels=study.labels,
        training=configuration.training,
        volume=read_image(images),
        seed=plan.seed,
        device=device,
        key=sha256_of_json([plan.inputs, device.facts(), __version__]),
        report=report,
        should_stop=should_stop,
    )


def _training_cases(
    study: StudyFolder, plan: AdaptationPlan, work: Work, should_stop: Callable[[], bool]
) -> list[TrainingCase]:
    """On their own network grids, from a cache that all adaptations with these training cases share."""
    if unknown := sorted(set(plan.training_cases) - set(study.dataset.images)):
        raise SegVarianceError(
            f"{study.root} has no case {unknown[0]!r}, which the adaptation was planned with. Adapt anew."
        )
    cases = [study.case(case_id) for case_id in plan.training_cases]
    if training_digest(study, cases) != plan.training_digest:
        raise SegVarianceError(
            f"The training cases in {study.dataset.folder} have changed since the adaptation was planned. Restore them, or adapt anew."
        )
    made_from = sha256_of_json([plan.training_digest, to_json(work.facts.preprocessing)])
    where = study.cache(f"adaptation_{made_from[:16]}")
    where.mkdir(parents=True, exist_ok=True)

    def prepared(done: int, of: int) -> None:
        work.report("stage_step", what="Preparing training cases", done=done, of=of)

    with FileLock(where / "cache.lock"):
        if not write_cache(
            where, cases, study.labels, work.facts.preprocessing, plan.training_digest, prepared, should_stop
        ):
            raise Stopped
    return read_cache(where, plan.training_cases, work.classes)


def _finish(
    folder: AdaptationFolder,
    study: StudyFolder,
    work: Work,
    cases: Sequence[TrainingCase],
    neighbours: Sequence[Neighbour],
    last: int,
    resumed: bool,
    started: tuple[float, float],
) -> AdaptationRecord:
    """Write masks, probabilities, what moved and the neighbours; the record is for the caller, who writes it last."""
    plan, geometry, like = folder.plan, work.volume.geometry, Path(folder.plan.images[0])
    labels = study.labels
    initial = learning.on_input_grid(work, work.averages(0), keep_probabilities=False).label_map
    adapted = learning.on_input_grid(work, work.averages(last), keep_probabilities=True)
    for name, label_map in ((INITIAL, initial), (ADAPTED, adapted.label_map)):
        write_label_map(folder.mask(name), label_map, geometry, like)
        write_json(folder.masks(name) / "dataset.json", declaration(labels))
    write_label_map(folder.differences, _differences(initial, adapted.label_map), geometry, like)
    assert adapted.probabilities is not None, "asked for"  # noqa: S101 (for the type checker)
    write_probabilities(folder.probabilities, adapted.probabilities, geometry, work.facts.class_names, like)
    _show_neighbours(folder, work, [each.case for each in neighbours if not each.left_out])
    found = moved(initial, adapted.label_map, labels, geometry.voxel_volume_mm3)
    return AdaptationRecord(
        schema=SCHEMA,
        inputs=plan.inputs,
        key=work.key,
        machine=work.device.facts() | {"segvariance": __version__, "numpy": np.__version__, "sitk": sitk.__version__},
        neighbours=tuple(neighbours),
        moved=found,
        warnings=warnings_of(found, _volumes_ml(cases, study, work), neighbours, _lowest_dice(work, initial)),
        resumed=resumed,
        wall_s=round(time.perf_counter() - started[0], 2),
        cpu_s=round(time.process_time() - started[1], 2),
        peak_memory_mib=peak_memory_mib(),
    )


_ADDED, _REMOVED, _RELABELLED = 1, 2, 3


def _differences(initial: np.ndarray, adapted: np.ndarray) -> np.ndarray:
    changed = initial != adapted
    found = np.where(changed, _RELABELLED, 0).astype(np.uint8)
    found[changed & (initial == 0)] = _ADDED
    found[changed & (adapted == 0)] = _REMOVED
    return found


def _show_neighbours(folder: AdaptationFolder, work: Work, names: Sequence[str]) -> None:
    """First channel and labels of each neighbour, on the network's grid in the inference image's place, nearest first."""
    if not work.settings.deform:
        return  # they lie on grids of their own
    geometry = work.grid.geometry(work.volume.geometry)
    values = np.asarray(class_values(work.labels))
    cases = read_cache(work.deformed(work.settings.rounds - 1), names, work.classes)
    for number, case in enumerate(cases, start=1):
        counted = np.where(case.label_map < len(values), case.label_map, 0)
        name = f"{number:02d}_{case.id}"
        write_map(folder.neighbours / f"{name}{folder.plan.ending}", case.image[0], geometry)
        write_label_map(folder.neighbours / f"{name}_labels{folder.plan.ending}", values[counted], geometry)


def _volumes_ml(cases: Sequence[TrainingCase], study: StudyFolder, work: Work) -> dict[str, list[float]]:
    voxel_ml = float(np.prod(work.facts.preprocessing.spacing_zyx_mm)) / 1000
    values = class_values(study.labels)
    counts = [np.bincount(case.label_map.ravel(), minlength=256) for case in cases]
    return {
        structure.name: [
            float(sum(each[values.index(value)] for value in structure.values)) * voxel_ml for each in counts
        ]
        for structure in study.labels.structures
    }


def _lowest_dice(work: Work, initial: np.ndarray) -> dict[str, float]:
    if len(work.weights) < 2:
        return {}
    lowest: dict[str, float] = {}
    for member in range(len(work.weights)):
        own = learning.on_input_grid(work, [work.average(member, 0)], keep_probabilities=False).label_map
        for each in moved(initial, own, work.labels, 1.0):
            if each.dice is not None:
                lowest[each.structure] = min(each.dice, lowest.get(each.structure, 1.0))
    return lowest


def _with_time_left(report: learning.Report, plan: AdaptationPlan) -> learning.Report:
    """Adds ``round`` and, once both kinds of work have shown their pace, ``time_left_s``."""
    left = TimeLeft(plan)

    def forward(kind: str, **fields: Any) -> None:
        report(kind, **fields, **left.after(fields))

    return forward


class TimeLeft:
    """Alignments and steps that are left, at the pace at which each went here."""

    def __init__(self, plan: AdaptationPlan):
        settings = plan.settings
        self._of = {
            "Deforming neighbours": settings.rounds * settings.neighbours,
            "Learning": settings.rounds * settings.steps * len(plan.starts),
        }
        self._done = dict.fromkeys(self._of, 0)
        self._spent_s = dict.fromkeys(self._of, 0.0)
        self._last: tuple[str, float] | None = None

    def after(self, fields: dict[str, Any]) -> dict[str, float]:
        now, what = time.monotonic(), fields.get("what", "")
        if self._last and self._last[0] in self._of:
            self._spent_s[self._last[0]] += now - self._last[1]
            self._done[self._last[0]] += 1
        self._last = (what, now)
        if not all(self._done.values()):
            return {}
        left_s = sum(
            self._spent_s[kind] / self._done[kind] * max(0, self._of[kind] - self._done[kind]) for kind in self._of
        )
        return {"time_left_s": round(left_s, 1)}
