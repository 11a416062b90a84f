"""The data of a study's pretrainings: which files they may open, and that none of them is a case of the target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file
from ..core.labels import LabelSet
from ..dataset.case import Case, Dataset
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import dataset_digest
from .pretraining_plan import Pretraining
from .study_folder import StudyFolder


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
                    f"Source {name!r} would learn from case {case.id!r}, which shares its {key.split(':')[0]} with case {owners[key]!r} of the "
                    "target: what it is worth could not be told. Take the case out of the source."
                )


def _identities(
    case: Case, patients: Mapping[str, str] | None, same_dataset: bool, digest_of: Callable[[Path], str]
) -> list[str]:
    named = [f"name:{case.id}"] if same_dataset else []
    patient = [f"patient:{patients[case.id]}"] if patients is not None else []
    return [*named, *patient, *(f"image:{digest_of(path)}" for path in case.images)]
