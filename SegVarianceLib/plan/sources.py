"""The data of a study's pretrainings: which files they may open, and that none of them is a case of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file
from ..core.labels import LabelSet
from ..dataset.case import Case, Dataset
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import dataset_digest
from .fine_tuning import FineTuning
from .pretraining_plan import Pretraining
from .runs import Run
from .study_folder import StudyFolder
from .study_plan import Configuration
from .transfer import weights_of


def cases_alone(dataset: Dataset, case_ids: Iterable[str], labelled: bool) -> Dataset:
    """These cases of a dataset, in the order given; without ``labelled`` nothing leads to their references."""
    known = {case.id: case for case in dataset.cases}
    if missing := [case_id for case_id in case_ids if case_id not in known]:
        raise SegVarianceError(f"{dataset.folder} has no case {missing[0]!r} any more. Restore the data, or plan anew.")
    chosen = [known[case_id] for case_id in case_ids]
    return replace(dataset, cases=tuple(case if labelled else replace(case, label=None) for case in chosen))


def source_dataset(pretraining: Pretraining) -> Dataset:
    """What a pretraining learns from, as it was planned.

    Raises:
        SegVarianceError: the folder is no dataset any more, or lacks a case.
    """
    dataset = open_dataset(Path(pretraining.dataset_folder))
    if pretraining.labels is not None:
        dataset = replace(dataset, labels=LabelSet.from_json(pretraining.labels))
    return cases_alone(dataset, pretraining.cases, labelled=pretraining.labels is not None)


def require_sources(study: StudyFolder) -> None:
    """Refuse pretrainings whose data has changed since they were planned, or that would see a case of the target.

    Raises:
        SegVarianceError: the first such source, with its case.
    """
    target = [study.case(case_id) for fold in study.folds for case_id in (*fold.training, *fold.held_out)]
    digest_of = cache(sha256_of_file)
    for pretraining in study.plan.pretrainings:
        dataset = source_dataset(pretraining)
        if dataset_digest(dataset) != pretraining.dataset_digest:
            raise SegVarianceError(
                f"{dataset.folder} has changed since pretraining {pretraining.name!r} was planned. Restore the data, or plan anew."
            )
        same = dataset.folder.resolve() == Path(study.dataset.folder).resolve()
        require_no_overlap(pretraining.name, dataset.cases, target, study.patients if same else None, same, digest_of)
    for name, rules in weights_of(study.plan).items():
        require_unseen(name, rules, target, Path(study.dataset.folder), study.patients)


def run_of_weights(weights: Path) -> tuple[StudyFolder, Run] | None:
    """The study, and its run or pretraining, whose weights a file is, by where it lies; None where it lies in no study."""
    file = Path(weights).resolve()
    for folder in file.parents:
        study = StudyFolder(folder)
        try:
            runs = (*study.pretraining_runs, *study.runs) if study.plan_path.is_file() else ()
        except SegVarianceError:  # a plan.json of something else
            continue
        if found := next((run for run in runs if study.weights(run) == file), None):
            return study, found
    return None


def require_unseen(
    name: str, rules: FineTuning, target: Sequence[Case], target_folder: Path, patients: Mapping[str, str] | None
) -> None:
    """Refuse weights of a study's run that has learned from a case of the target, itself or through what it started from. Nothing
    is known of weights that lie in no study.

    Raises:
        SegVarianceError: the first such case, or the images of the other study are gone.
    """
    if (known := run_of_weights(Path(rules.weights))) is None:
        return
    digest_of = cache(sha256_of_file)
    for folder, cases, theirs in _seen(*known):
        if gone := next((path for case in cases for path in case.images if not path.is_file()), None):
            raise SegVarianceError(
                f"Source {name!r} is of {known[1]} in {known[0].root}, whose image {gone} is gone: whether it has seen cases of the target "
                "cannot be checked. Bring the data back, or copy the weights out of the study and use them as of unknown origin."
            )
        same = folder.resolve() == target_folder.resolve()
        who = patients or theirs if same else None
        require_no_overlap(name, cases, target, who, same, digest_of)


def _seen(study: StudyFolder, run: Run) -> Iterator[tuple[Path, tuple[Case, ...], Mapping[str, str] | None]]:
    """Dataset, cases and patients that a run has learned from, and those of what it started from, and so on."""
    known: tuple[StudyFolder, Run] | None = study, run
    passed = set()
    while known and (known[0].root, known[1]) not in passed:  # plans that name each other's weights come to an end
        study, run = known
        passed.add((study.root, run))
        folder = Path(study.dataset.folder)
        if pretraining := study.plan.pretraining(run.configuration):
            dataset = source_dataset(pretraining)
            own = dataset.folder.resolve() == folder.resolve()
            yield dataset.folder, dataset.cases, study.patients if own else None
            return
        yield folder, tuple(map(study.case, study.fold_of(run).training)), study.patients
        configuration = study.plan.configuration(run.configuration)
        rules = configuration.fine_tuning if isinstance(configuration, Configuration) else None
        source = study.started_from(run)
        known = (study, source) if source else run_of_weights(Path(rules.weights)) if rules else None


def require_no_overlap(
    name: str,
    source: Iterable[Case],
    target: Iterable[Case],
    patients: Mapping[str, str] | None,
    same_dataset: bool,
    digest_of: Callable[[Path], str],
) -> None:
    """Refuse a source that shares a case, a patient or the bytes of an image with the target.

    Args:
        target: all cases that any fold trains on or holds out.
        patients: of the cases of both, in one dataset; None: each case is a patient of its own.
        digest_of: of a file's bytes, which are compared in every case: datasets are copied and renamed.

    Raises:
        SegVarianceError: the first such pair of cases.
    """
    owners: dict[str, str] = {}
    for case in target:
        owners |= dict.fromkeys(_identities(case, patients, same_dataset, digest_of), case.id)
    for case in source:
        for key in _identities(case, patients, same_dataset, digest_of):
            if key in owners:
                raise SegVarianceError(
                    f"Source {name!r} learns from case {case.id!r}, which shares its {key.split(':')[0]} with case {owners[key]!r} of the "
                    "target: what it is worth could not be told. Take the case out of one of them."
                )


def _identities(
    case: Case, patients: Mapping[str, str] | None, same_dataset: bool, digest_of: Callable[[Path], str]
) -> list[str]:
    named = [f"name:{case.id}"] if same_dataset else []
    patient = [f"patient:{patients[case.id]}"] if patients is not None else []
    return [*named, *patient, *(f"image:{digest_of(path)}" for path in case.images)]
