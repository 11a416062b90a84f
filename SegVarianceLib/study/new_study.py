"""From a dataset folder to a planned study: check, describe, split, plan the recipe, measure what it will cost."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..backends.backend import Cost, jobs_at_once
from ..core.errors import Problem, SegVarianceError
from ..core.files import safe_name, write_json
from ..core.labels import LabelSet
from ..core.records import to_json
from ..core.words import counted
from ..dataset.case import Dataset
from ..dataset.checks import require_clean
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import Fingerprint, take_fingerprint
from ..dataset.splits import read_groups, split
from ..ensemble.postprocessing import CLEAN_UP
from ..metrics.metric import METRICS
from ..plan.nnunet_plan import EPOCH_STEPS, NnunetConfiguration, NnunetTrainingPlan, epochs_of_steps
from ..plan.planning import plan_configuration
from ..plan.study_folder import StudyDataset, StudyFolder
from ..plan.study_plan import LABELS, REGIONS, SCHEMA, AnyConfiguration, StudyPlan

BOTH = "both"
"""A study of two configurations that differ in what they train on, and in nothing else."""

_COMPRESSED_SHARE = 0.3
"""Rough size of label and probability maps on disk against their voxels; most of them are background."""

_NNUNET_EPOCHS = re.compile(r"\s*(\d+)\s*epochs?(?:\s+of\s+(\d+)\s*steps?)?\s*")
_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(steps?|epochs?|min(?:utes?)?)\s*")


@dataclass(frozen=True)
class Wishes:
    """What the user chooses; all else follows from the data. ``budget`` is "2000 steps", "50 epochs" or "5 minutes".
    ``labels`` are told in place of the dataset's own; ``trains`` is "labels", "regions" or "both", by default regions where
    there are any. For
    backend ``nnunet``, of which the last four fields speak, also "50 epochs of 100 steps"."""

    seeds: int = 10
    first_seed: int = 0
    split: str = "holdout"
    split_seed: int = 0
    groups: Path | None = None
    group_column: str = "group"
    budget: str = "5 minutes"
    configuration: str = "default"
    device: str = "auto"
    threads_per_run: int = 1
    keep_probabilities: bool = True
    clean_up: str = "keep_largest"
    tolerance_mm: float = 1.0
    title: str | None = None
    labels: LabelSet | None = None
    trains: str | None = None
    backend: str = "builtin"
    nnunet_python: str | None = None
    nnunet_configuration: str = "3d_fullres"
    nnunet_planner: str = "ExperimentPlanner"
    nnunet_mirroring: bool = True


@dataclass(frozen=True)
class Estimate:
    """What a study will cost. Times are for ``jobs`` trainings side by side; ``disk_gib`` is the most that it takes,
    ``cache_gib`` of it only while it trains, and that much RAM for each training if it is free."""

    runs: int
    steps: int
    seconds_per_step: float
    run_s: float
    jobs: int
    study_s: float
    disk_gib: float
    cache_gib: float
    free_gib: float
    warnings: tuple[str, ...]


Progress = Callable[[str, int, int], None]


def plan_study(folder: Path, root: Path, wishes: Wishes, progress: Progress) -> tuple[StudyFolder, Estimate]:
    """Write a new study folder; nothing is trained but the few steps that are timed.

    Raises:
        SegVarianceError: the dataset has problems (all are listed), the folder holds a study already, a wish is not possible.
    """
    study = StudyFolder(root)
    if study.plan_path.exists():
        raise SegVarianceError(
            f"{root} holds a study already. Run it with: segvariance run {root}, or choose another folder."
        )
    from ..backends.catalog import BACKENDS  # torch takes seconds to load; only planning and training need it

    _check_wishes(wishes)
    backend = BACKENDS.function(wishes.backend)()
    nnunet = nnunet_draft(wishes) if wishes.backend == "nnunet" else None
    dataset = open_dataset(folder)
    if wishes.labels is not None:
        dataset = replace(dataset, labels=replace(wishes.labels, ignore_value=dataset.labels.ignore_value))
    kinds = _trained_kinds(wishes, dataset.labels)
    warnings = require_clean(dataset, lambda done, of: progress("Checking cases", done, of))
    groups = None if wishes.groups is None else read_groups(wishes.groups, wishes.group_column)
    folds = split([case.id for case in dataset.cases], wishes.split, wishes.split_seed, groups)
    fingerprint = take_fingerprint(dataset, lambda done, of: progress("Measuring cases", done, of))

    progress("Timing a few training steps", 0, 1)
    draft = nnunet or plan_configuration(wishes.configuration, fingerprint, dataset.labels, 1, kinds[0])
    cache = study.cache(wishes.configuration)
    cost = backend.measure(dataset, draft, wishes.device, wishes.threads_per_run, cache)
    progress("Timing a few training steps", 1, 1)
    configurations: tuple[AnyConfiguration, ...]
    if isinstance(draft, NnunetConfiguration):
        configurations = (with_schedule(draft, wishes.budget, cost.seconds_per_step),)
    else:
        smallest = min(len(fold.training) for fold in folds)
        steps = steps_of_budget(wishes.budget, cost.seconds_per_step, draft.training.batch_size, smallest)
        configurations = tuple(
            plan_configuration(
                wishes.configuration if len(kinds) == 1 else f"{wishes.configuration}_{kind}",
                fingerprint,
                dataset.labels,
                steps,
                kind,
            )
            for kind in kinds
        )
    plan = StudyPlan(
        schema=SCHEMA,
        title=wishes.title or f"{dataset.name}: {counted(wishes.seeds, 'seed')}, {wishes.split}",
        dataset_folder=str(Path(folder).resolve()),
        dataset_digest=fingerprint.digest,
        split=wishes.split,
        split_seed=wishes.split_seed,
        seeds=tuple(range(wishes.first_seed, wishes.first_seed + wishes.seeds)),
        configurations=configurations,
        device=cost.device,
        threads_per_run=wishes.threads_per_run,
        keep_probabilities=wishes.keep_probabilities,
        clean_up=wishes.clean_up,
        tolerance_mm=wishes.tolerance_mm,
    )
    write_json(study.dataset_path, to_json(remembered(dataset)))
    write_json(study.fingerprint_path, fingerprint.to_json())
    write_json(study.splits_path, to_json(folds))
    if groups is not None:
        write_json(study.patients_path, {case.id: groups[case.id] for case in dataset.cases})
    plan.write(study.plan_path)  # last: a folder with a plan is a study
    held_out = sum(len(fold.held_out) for fold in folds)
    estimate = _estimate(plan, len(folds), held_out, cost, fingerprint, dataset.labels, study.root, warnings)
    return study, estimate


def _trained_kinds(wishes: Wishes, labels: LabelSet) -> tuple[str, ...]:
    """What the configurations are trained on, one configuration each."""
    trains = wishes.trains or (REGIONS if labels.has_regions else LABELS)
    if trains != LABELS and not labels.has_regions:
        raise SegVarianceError(
            f"--train {trains} needs regions, and every structure of this dataset is one label. "
            'Declare regions, such as --regions "whole=1,2; posterior=2", or train labels.'
        )
    if wishes.backend == "nnunet" and labels.has_regions and trains != REGIONS:
        raise SegVarianceError(f"nnU-Net trains on regions where there are any, so not --train {trains}. Leave it out.")
    return (LABELS, REGIONS) if trains == BOTH else (trains,)


def nnunet_draft(wishes: Wishes) -> NnunetConfiguration:
    """nnU-Net's recipe, its schedule still its own.

    Raises:
        SegVarianceError: the Python is missing, or has not the versions that this backend needs.
    """
    from ..backends.nnunet_process import PYTHON_VARIABLE, versions

    python = wishes.nnunet_python or os.environ.get(PYTHON_VARIABLE) or sys.executable
    found = shutil.which(python) or python
    nnunetv2, torch = versions(found)
    training = NnunetTrainingPlan(
        configuration=wishes.nnunet_configuration,
        planner=wishes.nnunet_planner,
        epochs=1,
        steps_per_epoch=EPOCH_STEPS,
        mirroring=wishes.nnunet_mirroring,
        python=str(Path(found).absolute()),
        nnunetv2=nnunetv2,
        torch=torch,
    )
    return NnunetConfiguration(wishes.configuration, "nnunet", training)


def with_schedule(draft: NnunetConfiguration, budget: str, seconds_per_step: float) -> NnunetConfiguration:
    """The recipe with the epochs that a budget means: "50 epochs" are nnU-Net's own, of 250 steps each.

    Raises:
        SegVarianceError: as steps_of_budget.
    """
    if match := _NNUNET_EPOCHS.fullmatch(budget):
        epochs, each = int(match[1]), int(match[2] or EPOCH_STEPS)
    else:
        epochs, each = epochs_of_steps(steps_of_budget(budget, seconds_per_step, 1, 1))
    if epochs < 1 or each < 1:
        raise SegVarianceError(f"Budget {budget!r} is less than one training step. Give more.")
    return replace(draft, training=replace(draft.training, epochs=epochs, steps_per_epoch=each))


def steps_of_budget(budget: str, seconds_per_step: float, batch_size: int, training_cases: int) -> int:
    """Training steps that a budget means.

    Raises:
        SegVarianceError: not a number and one of steps, epochs, minutes; or less than one step.
    """
    match = _BUDGET.fullmatch(budget)
    if not match:
        raise SegVarianceError(
            f"Budget {budget!r} is not understood. Give for example '2000 steps', '50 epochs' or '5 minutes'."
        )
    amount, unit = float(match[1]), match[2]
    if unit.startswith("step"):
        steps = amount
    elif unit.startswith("epoch"):
        steps = amount * training_cases / batch_size
    else:
        steps = amount * 60 / seconds_per_step
    if steps < 1:
        raise SegVarianceError(f"Budget {budget!r} is less than one training step. Give more.")
    return int(steps)


def _check_wishes(wishes: Wishes) -> None:
    safe_name(wishes.configuration, "configuration name")
    CLEAN_UP.facts(wishes.clean_up)
    METRICS.settings("surface_dice", {"tolerance_mm": wishes.tolerance_mm})
    if wishes.backend != "nnunet" and wishes.nnunet_python is not None:
        raise SegVarianceError("--nnunet-python is for nnU-Net. Give --backend nnunet too.")
    if wishes.backend != "nnunet" or not _NNUNET_EPOCHS.fullmatch(wishes.budget):
        steps_of_budget(wishes.budget, 1e-3, 1, 10**6)
    if wishes.seeds < 1 or wishes.threads_per_run < 1 or wishes.first_seed < 0:
        raise SegVarianceError("Give at least one seed and one thread, and a first seed of 0 or more.")


def remembered(dataset: Dataset) -> StudyDataset:
    def relative(path: Path) -> str:
        return path.resolve().relative_to(dataset.folder.resolve()).as_posix()

    return StudyDataset(
        folder=str(dataset.folder.resolve()),
        name=dataset.name,
        channels=dataset.channels,
        file_ending=dataset.file_ending,
        images={case.id: tuple(map(relative, case.images)) for case in dataset.cases},
        references={case.id: relative(case.label) for case in dataset.cases if case.label is not None},
        labels=dataset.labels.to_json(),
    )


def _estimate(
    plan: StudyPlan,
    folds: int,
    held_out: int,
    cost: Cost,
    fingerprint: Fingerprint,
    labels: LabelSet,
    root: Path,
    warnings: list[Problem],
) -> Estimate:
    runs = len(plan.configurations) * len(plan.seeds) * folds
    steps = plan.configurations[0].training.steps
    jobs = min(runs, jobs_at_once(plan.threads_per_run, plan.device))
    run_s = steps * cost.seconds_per_step + held_out / folds * cost.seconds_per_case
    # A case has as many voxels on its own grid as it has millimetres: near enough for a forecast.
    voxels = fingerprint.voxels_total / len(fingerprint.cases)
    maps = 1 + (1 + len(labels.foreground_values) if plan.keep_probabilities else 0)
    cache = fingerprint.voxels_total * (2 * len(fingerprint.channels) + 1)  # float16 channels, uint8 classes
    cache *= len(plan.configurations)
    predicted = len(plan.configurations) * len(plan.seeds) * held_out
    disk = cache + runs * cost.weights_bytes + predicted * voxels * maps * _COMPRESSED_SHARE
    return Estimate(
        runs=runs,
        steps=steps,
        seconds_per_step=round(cost.seconds_per_step, 4),
        run_s=round(run_s, 1),
        jobs=jobs,
        study_s=round(math.ceil(runs / jobs) * run_s, 1),
        disk_gib=round(disk / 2**30, 3),
        cache_gib=round(cache / 2**30, 3),
        free_gib=round(shutil.disk_usage(root).free / 2**30, 1),
        warnings=tuple(str(problem) for problem in warnings),
    )
