"""Preprocessed cases on disk, made once for a study and shared by all its runs: in RAM if they fit, else memory-mapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

from ..core.errors import SegVarianceError
from ..core.files import read_json, sha256_of_json, write_beside_and_rename, write_json
from ..core.labels import LabelSet
from ..core.records import to_json
from ..dataset.case import Case
from ..dataset.image_io import read_image, read_label_map
from ..model.preprocessing import NetworkGrid, normalise
from ..model.trained import class_values
from ..plan.study_plan import PreprocessingPlan
from .losses import IGNORED
from .patches import TrainingCase, foreground_voxels

RAM_SHARE = 0.4
"""All trainings side by side may hold this share of the RAM that is free when a run starts; else cases are memory-mapped."""


def write_cache(
    folder: Path,
    cases: Sequence[Case],
    labels: LabelSet | None,
    plan: PreprocessingPlan,
    dataset_digest: str,
    progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Write every case on the network's grid: image float16 [c, z, y, x], class indices uint8 [z, y, x].

    Without ``labels`` no reference is opened, and all is background.
    Does nothing where ``folder`` already holds these cases made by this plan from this data. False if asked to stop.

    Raises:
        SegVarianceError: a file cannot be read, or image and reference lie on different grids.
    """
    made_from = sha256_of_json(
        [dataset_digest, to_json(plan), labels and labels.to_json(), sorted(case.id for case in cases)]
    )
    record = folder / "cache.json"
    if record.is_file() and read_json(record) == made_from:
        return True
    record.unlink(missing_ok=True)  # half of the files of one plan and half of another would otherwise pass for either
    for index, case in enumerate(cases):
        if should_stop():
            return False
        made = cached_case(case, labels, plan)
        write_case(folder, made)
        progress(index + 1, len(cases))
    write_json(record, made_from)
    return True


def write_case(folder: Path, case: TrainingCase) -> None:
    """Write one case so that ``read_cache`` finds it; its label map last."""
    _save(_path(folder, case.id, "image"), case.image)
    _save(_path(folder, case.id, "label"), case.label_map)


def cached_case(case: Case, labels: LabelSet | None, plan: PreprocessingPlan) -> TrainingCase:
    """One case as the cache holds it; raises as ``write_cache`` does."""
    volume = read_image(case.images)
    grid = NetworkGrid.of(volume.geometry, plan)
    image = normalise(grid.image(volume.array), plan.channels).astype(np.float16)
    if labels is None:
        return TrainingCase(case.id, image, np.zeros(image.shape[1:], np.uint8), ())
    if case.label is None:
        raise SegVarianceError(
            f"Case {case.id} has no reference label map. Add it, or take the case out of the dataset."
        )
    reference = read_label_map(case.label)
    if difference := volume.geometry.difference(reference.geometry):
        raise SegVarianceError(
            f"{case.label} does not lie where its image lies: {difference}. Resample it to the image."
        )
    classes = _class_indices(grid.label_map(reference.array), labels, case)
    return TrainingCase(case.id, image, classes, foreground_voxels(classes, 1 + len(labels.foreground_values)))


def read_cache(folder: Path, case_ids: Sequence[str], classes: int, jobs: int = 1) -> list[TrainingCase]:
    """The cached cases in the order of ``case_ids``; ``jobs`` runs share the machine's free RAM."""
    needed = sum(_path(folder, case_id, part).stat().st_size for case_id in case_ids for part in ("image", "label"))
    in_ram = needed * jobs <= RAM_SHARE * psutil.virtual_memory().available
    return [_read_case(folder, case_id, classes, in_ram) for case_id in case_ids]


def _class_indices(label_map: np.ndarray, labels: LabelSet, case: Case) -> np.ndarray:
    """Label values to class indices; the ignore label becomes ``IGNORED``."""
    classes = np.zeros(label_map.shape, np.uint8)
    for index, value in enumerate(class_values(labels)):
        classes[label_map == value] = index
    if labels.ignore_value is not None:
        classes[label_map == labels.ignore_value] = IGNORED
    unknown = set(np.unique(label_map).tolist()) - labels.known_values
    if unknown:
        raise SegVarianceError(
            f"{case.label} holds the values {sorted(unknown)}, which dataset.json does not name. Run: segvariance check"
        )
    return classes


def _read_case(folder: Path, case_id: str, classes: int, in_ram: bool) -> TrainingCase:
    mode: Literal["r"] | None = None if in_ram else "r"
    image = np.load(_path(folder, case_id, "image"), mmap_mode=mode, allow_pickle=False)
    label_map = np.load(_path(folder, case_id, "label"), mmap_mode=mode, allow_pickle=False)
    return TrainingCase(case_id, image, label_map, foreground_voxels(label_map, classes))


def _path(folder: Path, case_id: str, part: str) -> Path:
    return folder / f"{case_id}.{part}.npy"


def _save(path: Path, array: np.ndarray) -> None:
    def write(beside: Path) -> None:
        with open(beside, "wb") as file:
            np.save(file, array, allow_pickle=False)

    write_beside_and_rename(path, write)
