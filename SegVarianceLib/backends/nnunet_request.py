"""What the child in nnU-Net's Python is told, and what is made of the arrays that it gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import quantise_probabilities
from ..core.errors import SegVarianceError
from ..core.files import read_json
from ..core.labels import LabelSet
from ..core.machine import usable_cores
from ..dataset.image_io import read_geometry, write_label_map
from ..dataset.probability_maps import write_probabilities
from ..model.trained import class_names
from ..plan.nnunet_plan import NnunetConfiguration, NnunetTrainingPlan
from ..plan.study_plan import AnyConfiguration
from .nnunet_data import own_values
from .nnunet_process import PYTHON_VARIABLE, ask


def recipe_of(configuration: AnyConfiguration) -> NnunetTrainingPlan:
    if not isinstance(configuration, NnunetConfiguration):
        raise SegVarianceError(
            f"Configuration {configuration.name!r} holds no recipe of nnU-Net. Plan the study again."
        )
    return configuration.training


def request_of(recipe: NnunetTrainingPlan, dataset: str, device: str, threads: int) -> dict[str, Any]:
    return {
        "nnunetv2": recipe.nnunetv2,
        "torch": recipe.torch,
        "dataset": dataset,
        "configuration": recipe.configuration,
        "planner": recipe.planner,
        "epochs": recipe.epochs,
        "iterations": recipe.steps_per_epoch,
        "mirroring": recipe.mirroring,
        "device": device,
        "threads": threads,
        "workers": max(1, usable_cores() // threads),
    }


def folders(cache: Path, results: Path, threads: int) -> dict[str, str]:
    """nnU-Net's environment: its folders inside the study, no compiling and no logging elsewhere."""
    raw, preprocessed = cache / "raw", cache / "preprocessed"
    count = str(threads)
    return {
        "nnUNet_raw": str(raw),
        "nnUNet_preprocessed": str(preprocessed),
        "nnUNet_results": str(results),
        "nnUNet_n_proc_DA": count,
        "nnUNet_def_n_proc": count,
        "nnUNet_compile": "f",
        "nnUNet_wandb_enabled": "0",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def ask_child(
    recipe: NnunetTrainingPlan,
    request: Mapping[str, Any],
    folder: Path,
    environment: Mapping[str, str],
    hear: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
) -> tuple[bool, float]:
    python = os.environ.get(PYTHON_VARIABLE) or recipe.python
    return ask(python, request, folder, environment, hear, should_stop)


def raw_images(raw: Path) -> dict[str, list[str]]:
    return {case_id: entry["images"] for case_id, entry in read_json(raw / "dataset.json")["dataset"].items()}


def keep_arrays(
    arrays: Path, case_id: str, like: Path, labels: LabelSet, prediction: Path, probabilities: Path | None
) -> None:
    """Write what the child predicted on the grid of the image ``like``; the label map last: where it lies, the case is done."""
    geometry = read_geometry(like)
    files = [arrays / f"{case_id}.npy", arrays / f"{case_id}.probabilities.npy"]
    if probabilities is not None:
        names = tuple(region.name for region in labels.structures) if labels.has_regions else class_names(labels)
        quantised = quantise_probabilities(np.load(files[1], allow_pickle=False))
        write_probabilities(probabilities, quantised, geometry, names, like=like)
    write_label_map(prediction, own_values(np.load(files[0], allow_pickle=False), labels), geometry, like=like)
    for file in files:
        file.unlink(missing_ok=True)
