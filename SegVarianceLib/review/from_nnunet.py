"""A results folder of nnU-Net v2: the validation predictions of all folds as one cross-validated member."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import Problem, SegVarianceError
from ..dataset.image_io import find_images, read_case_images
from .declared import declared_in
from .description import NNUNET, Found, ReviewMember
from .from_folders import probabilities_beside
from .patterns import number_in

_TRAINER = re.compile(r"[^_].*?__.+__.+")
_FOLD = re.compile(r"fold_(\d+|all)")


def trainer_folders(path: Path) -> list[Path]:
    """The ``Trainer__Plans__Configuration`` folders that a results folder, a dataset's folder or such a folder itself holds."""
    for pattern in ("", "*", "Dataset*/*", "*/Dataset*/*"):
        found = [path] if not pattern else sorted(path.glob(pattern))
        fitting = [each for each in found if _TRAINER.fullmatch(each.name) and _fold_folders(each)]
        if fitting:
            return fitting
    return []


def find_in_results(path: Path) -> Found:
    """One member for each trainer folder with validation predictions, and the ensembles of nnU-Net beside them.

    References and images are looked for under the dataset's name in the folders beside the results (``nnUNet_raw``,
    ``nnUNet_preprocessed`` or whatever they are called).

    Raises:
        SegVarianceError: the results are of several datasets, or hold no validation predictions.
    """
    trainers = trainer_folders(path)
    datasets = sorted({trainer.parent for trainer in trainers})
    if len(datasets) > 1:
        names = ", ".join(each.name for each in datasets)
        raise SegVarianceError(f"{path} holds results of several datasets: {names}. Open the folder of one of them.")
    problems: list[Problem] = []
    members = [member for trainer in trainers if (member := _member(trainer, problems)).files]
    if not members:
        raise SegVarianceError(
            f"{path} holds no validation predictions: expected {trainers[0].name}/fold_0/validation/<case>.nii.gz. "
            "Run nnUNetv2_train with --val, or open a folder of predictions."
        )
    declared = declared_in(trainers, problems)
    images, references = _raw_files(datasets[0], problems)
    cases = {case_id for member in members for case_id in member.files}
    return Found(
        kind=NNUNET,
        title=datasets[0].name,
        members=tuple(members),
        ensembles=tuple(_ensembles(datasets[0])),
        images={case_id: paths for case_id, paths in images.items() if case_id in cases},
        references={case_id: path for case_id, path in references.items() if case_id in cases},
        channels=declared.channels,
        labels=declared.labels,
        labels_from=str(declared.source or ""),
        problems=tuple(problems),
    )


def _fold_folders(trainer: Path) -> dict[str, Path]:
    """Number of the fold, or "all", to its folder."""
    names = (
        {match[1]: path for path in trainer.iterdir() if (match := _FOLD.fullmatch(path.name))}
        if trainer.is_dir()
        else {}
    )
    return dict(sorted(names.items(), key=lambda item: (len(item[0]), item[0])))


def _member(trainer: Path, problems: list[Problem]) -> ReviewMember:
    """The folds of one trainer; ``fold_all`` only where there is no other, because it has seen its validation cases."""
    folds = _fold_folders(trainer)
    if "all" in folds:
        what = "fold_all was trained on all cases, and has seen those of its validation."
        if len(folds) > 1:
            del folds["all"]
            what += " It is left out."
        problems.append(Problem(str(trainer), what, "Compare folds 0 to 4.", fatal=False))
    files: dict[str, Path] = {}
    of_fold: dict[str, int] = {}
    used = []
    for number, folder in folds.items():
        found = find_images(folder / "validation") if (folder / "validation").is_dir() else {}
        if not found:
            problems.append(Problem(str(folder), "no validation predictions yet.", "Wait for it to end.", fatal=False))
            continue
        used.append(number)
        if twice := sorted(set(found) & set(files)):
            what = f"case {twice[0]!r} is held out here and in fold {of_fold[twice[0]]}."
            problems.append(Problem(str(folder), what, "The folds overlap: train them on one split."))
        files = found | files
        of_fold = {case_id: int(number) for case_id in found if number != "all"} | of_fold
    name = f"fold{'s' if len(used) > 1 else ''}_{'_'.join(used)}"
    return ReviewMember(
        trainer.name, name, files, number_in(trainer.name, "seed"), of_fold, probabilities_beside(files)
    )


def _ensembles(dataset: Path) -> Iterator[ReviewMember]:
    above = dataset / "ensembles"
    for folder in sorted(path for path in above.iterdir() if path.is_dir()) if above.is_dir() else ():
        if files := find_images(folder):
            yield ReviewMember("ensembles", folder.name, files, probabilities=probabilities_beside(files))


def _raw_files(dataset: Path, problems: list[Problem]) -> tuple[dict[str, tuple[Path, ...]], dict[str, Path]]:
    """Images and references under the dataset's name in the folders beside the results; faulty ones are left out."""
    images: dict[str, tuple[Path, ...]] = {}
    references: dict[str, Path] = {}
    for beside in sorted(path / dataset.name for path in dataset.parent.parent.iterdir() if path.is_dir()):
        try:
            for labels in (beside / "labelsTr", beside / "gt_segmentations"):
                if not references and labels.is_dir():
                    references = find_images(labels)
            if not images and (beside / "imagesTr").is_dir():
                images = read_case_images(beside / "imagesTr")
        except SegVarianceError as error:
            problems.append(Problem(beside.name, str(error), "It is left out.", fatal=False))
    return images, references
