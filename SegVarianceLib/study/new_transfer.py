"""From a target and sources to a planned transfer study: who learns from whom, for how long, and against what it is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..backends.backend import jobs_at_once
from ..core.errors import SegVarianceError
from ..core.files import safe_name, write_json
from ..core.labels import LabelSet, Structure
from ..core.records import to_json
from ..core.words import counted
from ..dataset.checks import require_clean
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import take_fingerprint
from ..dataset.splits import read_groups, split
from ..plan.fine_tuning import MEAN, NO_INFLATION, FineTuning
from ..plan.planning import plan_configuration
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import LABELS, REGIONS, SCHEMA, Configuration, StudyPlan
from ..plan.transfer import SCRATCH, SCRATCH_TARGET, SCRATCH_TOTAL, cell_name
from .new_sources import WEIGHTS, SourcePlanner, SourceWish, check_source, plan_weights, set_apart
from .new_study import Progress, remembered, steps_of_budget

SOURCE_BUDGET = "500 steps"


@dataclass(frozen=True)
class TransferWishes:
    """What the user chooses. ``source_seeds``: pretrainings of each source (default: as many as ``seeds``). ``source_cases``: of
    the target's dataset, set apart for sources (default: half). Both budgets are in steps or time of the target's network: every
    source gets as many steps of its own as take equally long, so that one training from scratch is the measure of all; that of
    sources is by default ``SOURCE_BUDGET``. ``channels``, ``inflation``, ``frozen_share`` and ``rate_decay`` are those of
    ``FineTuning``, for all sources. ``labels`` are the target's, in place of the dataset's own; regions are trained on as such."""

    sources: tuple[SourceWish, ...]
    target_cases: tuple[int, ...]
    seeds: int = 4
    source_seeds: int | None = None
    source_cases: int | None = None
    split: str = "holdout"
    split_seed: int = 0
    groups: Path | None = None
    group_column: str = "group"
    budget: str = "500 steps"
    source_budget: str | None = None
    channels: str = MEAN
    inflation: str = NO_INFLATION
    frozen_share: float = 0.0
    rate_decay: float = 1.0
    labels: LabelSet | None = None
    device: str = "auto"
    threads_per_run: int = 1
    tolerance_mm: float = 1.0
    title: str | None = None


@dataclass(frozen=True)
class TransferEstimate:
    """Core time: of one pretraining, of a fine-tuning; and of the whole study on ``jobs`` trainings side by side. ``weights`` says
    of each source that comes from elsewhere what fits, and what is known of it."""

    pretrainings: int
    runs: int
    source_s: float
    target_s: float
    jobs: int
    study_s: float
    weights: dict[str, str]
    warnings: tuple[str, ...]


def target_labels(structures: Mapping[str, tuple[int, ...]]) -> LabelSet:
    """A target of these structures, large ones before those within them. What several labels are painted with, where they are
    one structure, is the least of them that no later structure holds.

    Raises:
        SegVarianceError: later structures leave nothing of one.
    """
    order, names = [], list(structures)
    for number, name in enumerate(names):
        later = {value for other in names[number + 1 :] for value in structures[other]}
        if not (left := set(structures[name]) - later):
            raise SegVarianceError(
                f"Nothing is left of {name!r} once the structures after it are painted. Name large structures before those within them."
            )
        order.append(min(left))
    labels = LabelSet(tuple(Structure(name, tuple(values)) for name, values in structures.items()))
    return replace(labels, regions_class_order=tuple(order)) if labels.has_regions else labels


def plan_targets(
    folder: Path, root: Path, targets: Mapping[str, LabelSet], wishes: TransferWishes, progress: Progress
) -> dict[str, tuple[StudyFolder, TransferEstimate]]:
    """A study for each target, label sets of one dataset, side by side in ``root``: the same cases, budgets and pretrainings, each
    of which is made by whichever study is run first and taken over by the others.

    Raises:
        SegVarianceError: as ``plan_transfer``, a target asks for a label that the dataset lacks, or targets need other networks.
    """
    known = set(open_dataset(folder).labels.foreground_values)
    for name, labels in targets.items():
        safe_name(name, "name of a target")
        if unlike := known ^ set(labels.foreground_values):
            raise SegVarianceError(
                f"Target {name!r} is made of the labels {', '.join(map(str, labels.foreground_values))}, and {folder} has "
                f"{', '.join(map(str, sorted(known)))}: label {min(unlike)} is in one of them alone. Each target divides all labels of the dataset."
            )
    made: dict[str, tuple[StudyFolder, TransferEstimate]] = {}
    for name, labels in targets.items():
        like = next((study.plan for study, _ in made.values()), None)
        made[name] = plan_transfer(folder, root / name, replace(wishes, labels=labels), progress, like)
    return made


def plan_transfer(
    folder: Path, root: Path, wishes: TransferWishes, progress: Progress, like: StudyPlan | None = None
) -> tuple[StudyFolder, TransferEstimate]:
    """Write a new study folder; nothing is trained but the few steps that are timed.

    Args:
        like: the plan of another target of the same dataset by the same wishes, whose budgets and pretrainings are taken.

    Raises:
        SegVarianceError: a dataset has problems, the folder holds a study already, a wish is not possible, or a source shares a
            case with the target.
    """
    from ..backends.catalog import BACKENDS  # torch takes seconds to load; only planning and training need it
    from ..model.device import open_device

    study = StudyFolder(root)
    if study.plan_path.exists():
        raise SegVarianceError(
            f"{root} holds a study already. Run it with: segvariance run {root}, or choose another folder."
        )
    _check(wishes)
    own_labels = open_dataset(folder)
    dataset = own_labels
    if wishes.labels is not None:
        dataset = replace(dataset, labels=replace(wishes.labels, ignore_value=dataset.labels.ignore_value))
    trains = REGIONS if dataset.labels.has_regions else LABELS
    warnings = require_clean(dataset, lambda done, of: progress("Checking cases", done, of))
    groups = None if wishes.groups is None else read_groups(wishes.groups, wishes.group_column)
    pretrained = [source for source in wishes.sources if source.task != WEIGHTS]
    ids = [case.id for case in dataset.cases]
    wanted = len(ids) // 2 if wishes.source_cases is None else wishes.source_cases
    own = any(source.dataset is None for source in pretrained)
    apart = set_apart(ids, wanted, wishes.split_seed, groups) if own else ()
    left = [case.id for case in dataset.cases if case.id not in apart]
    folds = split(left, wishes.split, wishes.split_seed, groups)
    if (smallest := min(len(fold.training) for fold in folds)) < max(wishes.target_cases):
        raise SegVarianceError(
            f"{max(wishes.target_cases)} target cases are wanted and {smallest} are left to train on: {len(apart)} of {len(dataset.cases)} are set "
            "apart for sources, and a part is held out. Give fewer, or --source-cases."
        )
    fingerprint = take_fingerprint(dataset, lambda done, of: progress("Measuring cases", done, of))
    progress("Timing a few training steps", 0, 1)
    draft = plan_configuration("draft", fingerprint, dataset.labels, 1, trains)
    cost = BACKENDS.function("builtin")().measure(dataset, draft, wishes.device, wishes.threads_per_run, study.root)
    progress("Timing a few training steps", 1, 1)
    batch, pace = draft.training.batch_size, cost.seconds_per_step
    target = [case for case in dataset.cases if case.id not in apart]
    if like is None:
        target_steps = steps_of_budget(wishes.budget, pace, batch, max(wishes.target_cases))
        source_steps = steps_of_budget(wishes.source_budget or SOURCE_BUDGET, pace, batch, max(wishes.target_cases))
        device = open_device(cost.device, wishes.threads_per_run)
        source_seeds = wishes.source_seeds or wishes.seeds
        planned = SourcePlanner(own_labels, fingerprint, draft, apart, source_seeds, device, progress)
        pretrainings = tuple(planned.pretraining(source, source_steps * pace) for source in pretrained)
        planned.require_no_overlap(target, groups)
    else:
        pretrainings, (target_steps, source_steps) = like.pretrainings, _budgets_of(like, wishes.target_cases[0])
        _require_same_network(like, draft)
    rules = {source.name: _rules(source, wishes) for source in wishes.sources}
    elsewhere = [
        plan_weights(source, rules[source.name], draft, dataset, target, groups)
        for source in wishes.sources
        if source.task == WEIGHTS
    ]
    rules |= {found.name: found.rules for found in elsewhere}

    def recipe(source: str, steps: int, cases: int, rules: FineTuning | None = None) -> Configuration:
        planned = plan_configuration(cell_name(source, cases), fingerprint, dataset.labels, steps, trains)
        return replace(planned, training_cases=cases, fine_tuning=rules)

    configurations = [
        each
        for cases in sorted(wishes.target_cases)
        for each in (
            *(recipe(source.name, target_steps, cases, rules[source.name]) for source in wishes.sources),
            recipe(SCRATCH_TARGET, target_steps, cases),
            *([recipe(SCRATCH_TOTAL, target_steps + source_steps, cases)] if pretrainings else []),
        )
    ]
    plan = StudyPlan(
        schema=SCHEMA,
        title=wishes.title
        or f"{dataset.name}{_target_in_words(wishes)}: {counted(len(wishes.sources), 'source')}, {counted(wishes.seeds, 'seed')} a cell",
        dataset_folder=str(Path(folder).resolve()),
        dataset_digest=fingerprint.digest,
        split=wishes.split,
        split_seed=wishes.split_seed,
        seeds=tuple(range(wishes.seeds)),
        configurations=tuple(configurations),
        device=cost.device,
        threads_per_run=wishes.threads_per_run,
        keep_probabilities=False,
        clean_up="keep_largest",
        tolerance_mm=wishes.tolerance_mm,
        pretrainings=pretrainings,
    )
    write_json(study.dataset_path, to_json(remembered(dataset)))
    write_json(study.fingerprint_path, fingerprint.to_json())
    write_json(study.splits_path, to_json(folds))
    if groups is not None:
        write_json(study.patients_path, {case.id: groups[case.id] for case in dataset.cases})
    plan.write(study.plan_path)  # last: a folder with a plan is a study
    held_out_s = len(folds[0].held_out) * cost.seconds_per_case
    runs_s = sum(each.training.steps * pace + held_out_s for each in configurations) * wishes.seeds * len(folds)
    source_s = source_steps * pace
    number = 0 if like else sum(len(each.seeds) for each in pretrainings)
    jobs = jobs_at_once(wishes.threads_per_run, cost.device)
    return study, TransferEstimate(
        pretrainings=number,
        runs=len(study.runs),
        source_s=round(source_s, 1),
        target_s=round(target_steps * pace + held_out_s, 1),
        jobs=jobs,
        study_s=round(math.ceil(runs_s + number * source_s) / jobs, 1),
        weights={found.name: found.sentence for found in elsewhere},
        warnings=tuple(map(str, warnings)),
    )


def _target_in_words(wishes: TransferWishes) -> str:
    return "" if wishes.labels is None else f" ({', '.join(each.name for each in wishes.labels.structures)})"


def _budgets_of(plan: StudyPlan, cases: int) -> tuple[int, int]:
    """Steps of a fine-tuning, and those that a source is worth; 0 where nothing is pretrained."""
    target = plan.steps_of(cell_name(SCRATCH_TARGET, cases))
    return target, plan.steps_of(cell_name(SCRATCH_TOTAL, cases)) - target if plan.pretrainings else 0


def _require_same_network(like: StudyPlan, draft: Configuration) -> None:
    for pretraining in like.pretrainings:
        theirs = pretraining.plan.network
        if replace(draft.network, in_channels=theirs.in_channels, out_channels=theirs.out_channels) != theirs:
            raise SegVarianceError(
                f"The targets need networks that differ in more than their head, so pretraining {pretraining.name!r} cannot serve all of them. "
                "Plan each target as a study of its own, without --target."
            )


def _rules(source: SourceWish, wishes: TransferWishes) -> FineTuning:
    """How a source is taken; of weights from elsewhere, the file is filled in when it has been read.

    Raises:
        SegVarianceError: a share or a rate is out of bounds.
    """
    try:
        return FineTuning(
            weights=str(source.weights or ""),
            part=source.taken,
            channels=wishes.channels,
            inflation=wishes.inflation,
            frozen_share=wishes.frozen_share,
            rate_decay=wishes.rate_decay,
            pretraining=None if source.weights else source.name,
        )
    except ValueError as error:
        raise SegVarianceError(f"Source {source.name!r}: {error}") from None


def _check(wishes: TransferWishes) -> None:
    names = [source.name for source in wishes.sources]
    if not names or len(set(names)) < len(names) or set(names) & set(SCRATCH):
        raise SegVarianceError(
            f"Expected one source or more, each with a name of its own that is none of {', '.join(SCRATCH)}; found {', '.join(names) or 'none'}."
        )
    for source in wishes.sources:
        safe_name(source.name, "name of a source")
        check_source(source)
        _rules(source, wishes)
    kinds = {source.task == WEIGHTS for source in wishes.sources}
    if False not in kinds and (wishes.source_budget, wishes.source_seeds, wishes.source_cases) != (None, None, None):
        raise SegVarianceError(
            "Nothing is pretrained here: all sources are weights from elsewhere. Leave out --source-budget, --source-seeds and --source-cases."
        )
    if True not in kinds and wishes.inflation != NO_INFLATION:
        raise SegVarianceError("--inflation is for 2-D weights from elsewhere, and no source is weights. Leave it out.")
    if (
        not wishes.target_cases
        or min(wishes.target_cases) < 1
        or len(set(wishes.target_cases)) < len(wishes.target_cases)
    ):
        raise SegVarianceError("Give numbers of target cases, each once and at least 1, such as 5 10 20.")
    if wishes.seeds < 1 or wishes.threads_per_run < 1 or (wishes.source_seeds is not None and wishes.source_seeds < 1):
        raise SegVarianceError("Give at least one seed, one pretraining and one thread.")
    for budget in (wishes.budget, wishes.source_budget or SOURCE_BUDGET):
        steps_of_budget(budget, 1e-3, 1, 10**6)
