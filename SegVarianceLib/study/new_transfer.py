"""From a target and sources to a planned transfer study: who learns from whom, for how long, and against what it is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..backends.backend import jobs_at_once
from ..core.errors import SegVarianceError
from ..core.files import safe_name, sha256_of_file, write_json
from ..core.records import to_json
from ..core.seeding import generator
from ..core.words import counted
from ..dataset.case import Dataset
from ..dataset.checks import require_clean
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import Fingerprint, dataset_digest, take_fingerprint
from ..dataset.splits import read_groups, split
from ..plan.fine_tuning import ALL, ENCODER, FineTuning
from ..plan.planning import plan_configuration
from ..plan.pretraining_plan import Pretraining, PretrainingPlan
from ..plan.sources import cases_alone, require_no_overlap
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import SCHEMA, Configuration, StudyPlan
from ..plan.transfer import SCRATCH, SCRATCH_TARGET, SCRATCH_TOTAL, cell_name
from .new_study import Progress, remembered, steps_of_budget

READ_LABELS = ("segmentation",)
TRAIN_A_DECODER = ("segmentation", "masked_volume")


@dataclass(frozen=True)
class SourceWish:
    """``dataset`` None: cases of the target's own dataset that are set apart. ``structures``: label values of each
    structure that a segmentation learns in place of the labels; ``classes``: a CSV with the columns case and class, for ``case_classes``."""

    name: str
    task: str
    dataset: Path | None = None
    structures: dict[str, tuple[int, ...]] | None = None
    classes: Path | None = None


@dataclass(frozen=True)
class TransferWishes:
    """What the user chooses. ``source_seeds``: pretrainings of each source (default: as many as ``seeds``). ``source_cases``: of
    the target's dataset, set apart for sources (default: half). Both budgets are in steps or time of the target's network: every
    source gets as many steps of its own as take equally long, so that one training from scratch is the measure of all."""

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
    source_budget: str = "500 steps"
    device: str = "auto"
    threads_per_run: int = 1
    tolerance_mm: float = 1.0
    title: str | None = None


@dataclass(frozen=True)
class TransferEstimate:
    """Core time: of one pretraining, of a fine-tuning; and of the whole study on ``jobs`` trainings side by side."""

    pretrainings: int
    runs: int
    source_s: float
    target_s: float
    jobs: int
    study_s: float
    warnings: tuple[str, ...]


def plan_transfer(
    folder: Path, root: Path, wishes: TransferWishes, progress: Progress
) -> tuple[StudyFolder, TransferEstimate]:
    """Write a new study folder; nothing is trained but the few steps that are timed.

    Raises:
        SegVarianceError: a dataset has problems, the folder holds a study already, a wish is not possible, or a source shares a
            case with the target.
    """
    from ..backends.catalog import BACKENDS  # torch takes seconds to load; only planning and training need it

    study = StudyFolder(root)
    if study.plan_path.exists():
        raise SegVarianceError(
            f"{root} holds a study already. Run it with: segvariance run {root}, or choose another folder."
        )
    _check(wishes)
    dataset = open_dataset(folder)
    warnings = require_clean(dataset, lambda done, of: progress("Checking cases", done, of))
    groups = None if wishes.groups is None else read_groups(wishes.groups, wishes.group_column)
    own = any(source.dataset is None for source in wishes.sources)
    apart = set_apart([case.id for case in dataset.cases], wishes, groups) if own else ()
    left = [case.id for case in dataset.cases if case.id not in apart]
    folds = split(left, wishes.split, wishes.split_seed, groups)
    if (smallest := min(len(fold.training) for fold in folds)) < max(wishes.target_cases):
        raise SegVarianceError(
            f"{max(wishes.target_cases)} target cases are wanted and {smallest} are left to train on: {len(apart)} of {len(dataset.cases)} are set "
            "apart for sources, and a part is held out. Give fewer, or --source-cases."
        )
    fingerprint = take_fingerprint(dataset, lambda done, of: progress("Measuring cases", done, of))
    progress("Timing a few training steps", 0, 1)
    draft = plan_configuration("draft", fingerprint, dataset.labels, 1)
    cost = BACKENDS.function("builtin")().measure(dataset, draft, wishes.device, wishes.threads_per_run, study.root)
    progress("Timing a few training steps", 1, 1)
    batch, pace = draft.training.batch_size, cost.seconds_per_step
    target_steps = steps_of_budget(wishes.budget, pace, batch, max(wishes.target_cases))
    source_steps = steps_of_budget(wishes.source_budget, pace, batch, max(wishes.target_cases))
    planned = _Sources(dataset, fingerprint, draft, apart, wishes, cost.device, progress)
    pretrainings = tuple(planned.pretraining(source, source_steps * pace) for source in wishes.sources)

    def recipe(source: str, steps: int, cases: int, rules: FineTuning | None = None) -> Configuration:
        planned = plan_configuration(cell_name(source, cases), fingerprint, dataset.labels, steps)
        return replace(planned, training_cases=cases, fine_tuning=rules)

    configurations = [
        each
        for cases in sorted(wishes.target_cases)
        for each in (
            *(recipe(p.name, target_steps, cases, _rules(p)) for p in pretrainings),
            recipe(SCRATCH_TARGET, target_steps, cases),
            recipe(SCRATCH_TOTAL, target_steps + source_steps, cases),
        )
    ]
    plan = StudyPlan(
        schema=SCHEMA,
        title=wishes.title
        or f"{dataset.name}: {counted(len(pretrainings), 'source')}, {counted(wishes.seeds, 'seed')} a cell",
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
    target = [case for case in dataset.cases if case.id not in apart]
    planned.require_no_overlap(target, groups)
    write_json(study.dataset_path, to_json(remembered(dataset)))
    write_json(study.fingerprint_path, fingerprint.to_json())
    write_json(study.splits_path, to_json(folds))
    if groups is not None:
        write_json(study.patients_path, {case.id: groups[case.id] for case in dataset.cases})
    plan.write(study.plan_path)  # last: a folder with a plan is a study
    held_out_s = len(folds[0].held_out) * cost.seconds_per_case
    runs_s = sum(each.training.steps * pace + held_out_s for each in configurations) * wishes.seeds * len(folds)
    source_s = source_steps * pace
    number = sum(len(each.seeds) for each in pretrainings)
    jobs = jobs_at_once(wishes.threads_per_run, cost.device)
    return study, TransferEstimate(
        pretrainings=number,
        runs=len(study.runs),
        source_s=round(source_s, 1),
        target_s=round(target_steps * pace + held_out_s, 1),
        jobs=jobs,
        study_s=round(math.ceil(runs_s + number * source_s) / jobs, 1),
        warnings=tuple(map(str, warnings)),
    )


def set_apart(case_ids: list[str], wishes: TransferWishes, groups: Mapping[str, str] | None) -> tuple[str, ...]:
    """Cases for sources, whole patients in an order that ``split_seed`` draws, until they are as many as wished; sorted.

    Raises:
        SegVarianceError: a case without a patient, or no case left for the target.
    """
    wanted = len(case_ids) // 2 if wishes.source_cases is None else wishes.source_cases
    if groups is not None and (missing := sorted(set(case_ids) - set(groups))):
        raise SegVarianceError(
            f"{len(missing)} cases have no group, the first is {missing[0]!r}. Add them to the groups file."
        )
    members: dict[str, list[str]] = {}
    for case_id in sorted(case_ids):
        members.setdefault(groups[case_id] if groups is not None else case_id, []).append(case_id)
    names, found = sorted(members), list[str]()
    for index in generator(wishes.split_seed, "source cases").permutation(len(names)):
        if len(found) >= wanted:
            break
        found += members[names[index]]
    if not 0 < len(found) < len(case_ids):
        raise SegVarianceError(
            f"{wanted} of {len(case_ids)} cases cannot be set apart for sources: both sources and target need some. Give --source-cases."
        )
    return tuple(sorted(found))


class _Sources:
    """Plans the pretrainings; a dataset that several use is opened and measured once."""

    def __init__(
        self,
        dataset: Dataset,
        fingerprint: Fingerprint,
        draft: Configuration,
        apart: tuple[str, ...],
        wishes: TransferWishes,
        device: str,
        progress: Progress,
    ):
        from ..model.device import open_device

        self._dataset, self._fingerprint, self._draft, self._apart = dataset, fingerprint, draft, apart
        self._wishes, self._progress = wishes, progress
        self._device = open_device(device, wishes.threads_per_run)
        self._measured: dict[Path, tuple[Dataset, Fingerprint]] = {}
        self._used: list[tuple[str, Dataset]] = []

    def pretraining(self, wish: SourceWish, seconds: float) -> Pretraining:
        """With as many steps as take these seconds, by its own measured pace."""
        from ..backends.shared_pretraining import measure_pretraining

        whole, fingerprint = self._source(wish)
        labelled = wish.task in READ_LABELS
        case_ids = self._apart if wish.dataset is None else tuple(sorted(case.id for case in whole.cases))
        dataset = cases_alone(whole, case_ids, labelled)
        labels, structures = dataset.labels, wish.structures
        if unknown := {v for values in (structures or {}).values() for v in values} - set(labels.foreground_values):
            raise SegVarianceError(
                f"Source {wish.name!r} is to learn label {min(unknown)}, which {whole.folder} does not have."
            )
        overlapping = structures or (labels.structures if labels.has_regions else None)
        network = replace(
            self._draft.network,
            in_channels=len(whole.channels),
            out_channels=len(overlapping) if overlapping else 1 + len(labels.foreground_values),
        )
        classes = None
        if wish.classes is not None:
            named = read_groups(wish.classes, "class")
            classes = {case_id: named.get(case_id, "") for case_id in case_ids}

        def made(steps: int, pace: float) -> Pretraining:
            recipe = plan_configuration(wish.name, fingerprint, whole.labels, steps)
            plan = PretrainingPlan(wish.name, wish.task, recipe.preprocessing, network, recipe.training, settings={})
            return Pretraining(
                plan=plan,
                dataset_folder=str(whole.folder.resolve()),
                dataset_digest=digest,
                cases=case_ids,
                labels=labels.to_json() if labelled else None,
                structures=structures,
                case_classes=classes,
                seeds=tuple(range(self._wishes.source_seeds or self._wishes.seeds)),
                seconds_per_step=pace,
            )

        digest = dataset_digest(dataset)
        self._used.append((wish.name, dataset))
        self._progress(f"Timing source {wish.name}", 0, 1)
        pace = measure_pretraining(made(1, 1.0), dataset, self._device)
        self._progress(f"Timing source {wish.name}", 1, 1)
        return made(max(1, round(seconds / pace)), round(pace, 6))

    def require_no_overlap(self, target: list, groups: Mapping[str, str] | None) -> None:
        digest_of = cache(sha256_of_file)
        for name, source in self._used:
            same = source.folder.resolve() == self._dataset.folder.resolve()
            require_no_overlap(name, source.cases, target, groups if same else None, same, digest_of)

    def _source(self, wish: SourceWish) -> tuple[Dataset, Fingerprint]:
        """The whole dataset of a source. One of the target's own is seen as the target is."""
        if wish.dataset is None:
            return self._dataset, self._fingerprint
        folder = wish.dataset.resolve()
        if folder not in self._measured:
            dataset = open_dataset(folder)
            require_clean(dataset, lambda done, of: self._progress(f"Checking {dataset.name}", done, of))
            told = take_fingerprint(dataset, lambda done, of: self._progress(f"Measuring {dataset.name}", done, of))
            self._measured[folder] = dataset, told
        return self._measured[folder]


def _rules(pretraining: Pretraining) -> FineTuning:
    part = ALL if pretraining.plan.task in TRAIN_A_DECODER else ENCODER
    return FineTuning(part=part, pretraining=pretraining.name)


def _check(wishes: TransferWishes) -> None:
    from ..training.pretraining import PRETRAINING

    names = [source.name for source in wishes.sources]
    if not names or len(set(names)) < len(names) or set(names) & set(SCRATCH):
        raise SegVarianceError(
            f"Expected one source or more, each with a name of its own that is none of {', '.join(SCRATCH)}; found {', '.join(names) or 'none'}."
        )
    for source in wishes.sources:
        safe_name(source.name, "name of a source")
        PRETRAINING.facts(source.task)
        if source.structures is not None and source.task not in READ_LABELS:
            raise SegVarianceError(
                f"Source {source.name!r} reads no labels, as its task is {source.task}. Leave out --source-labels."
            )
        if (source.classes is not None) != (source.task == "case_classes"):
            raise SegVarianceError(
                f"Source {source.name!r}: --source-classes belongs to the task case_classes, which needs it; its task is {source.task}."
            )
    if (
        not wishes.target_cases
        or min(wishes.target_cases) < 1
        or len(set(wishes.target_cases)) < len(wishes.target_cases)
    ):
        raise SegVarianceError("Give numbers of target cases, each once and at least 1, such as 5 10 20.")
    if wishes.seeds < 1 or wishes.threads_per_run < 1 or (wishes.source_seeds is not None and wishes.source_seeds < 1):
        raise SegVarianceError("Give at least one seed, one pretraining and one thread.")
    for budget in (wishes.budget, wishes.source_budget):
        steps_of_budget(budget, 1e-3, 1, 10**6)
