"""Results of nnU-Net v2: the validation predictions of all folds of a training as one cross-validated member."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import Problem, SegVarianceError
from ..dataset.image_io import find_images, read_case_images
from ..dataset.nnunet_plans import dataset_name, on_own_axes
from .declared import Declared, declared_in
from .description import NNUNET, Found, ReviewMember
from .from_folders import probabilities_beside
from .patterns import number_in, without_seed

_TRAINER = re.compile(r"[^_].*?__.+__.+")
_FOLD = re.compile(r"fold_(\d+|all)")
_RAW_VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed")
"""Where nnU-Net itself looks for its data; asked after the folders beside the results."""


def trainer_folders(path: Path) -> list[Path]:
    """The ``Trainer__Plans__Configuration`` folders that a results folder holds, or several in folders of one each.

    ``path`` may also be a dataset's folder or a trainer's folder itself.
    """
    for pattern in ("", "*__*__*", "*/*__*__*", "*/Dataset*/*__*__*"):
        found = [path] if not pattern else sorted(path.glob(pattern))
        fitting = [each for each in found if _TRAINER.fullmatch(each.name) and _fold_folders(each)]
        if fitting:
            return fitting
    return []


def find_in_results(paths: Sequence[Path]) -> Found:
    """One member for each trainer folder with validation predictions, and the ensembles of nnU-Net beside them.

    nnU-Net knows no seeds. A training's number is that of ``seed_3`` in the name of its trainer's folder or of one of the two
    above (which is then no part of the configuration's name), or else the next free one of its configuration.
    References and images are looked for under the dataset's name in the folders beside the results (``nnUNet_raw``,
    ``nnUNet_preprocessed`` or whatever they are called), then where nnU-Net's environment variables say.

    Raises:
        SegVarianceError: the results are of several datasets, or hold no validation predictions.
    """
    trainers = [trainer for path in paths for trainer in trainer_folders(path)]
    datasets = sorted({dataset_name(trainer) for trainer in trainers})
    if len(datasets) > 1:
        where = ", ".join(map(str, paths))
        raise SegVarianceError(
            f"{where} holds results of several datasets: {', '.join(datasets)}. Open the folder of one of them."
        )
    problems: list[Problem] = []
    found = [(trainer, member) for trainer in trainers if (member := _member(trainer, problems)).files]
    if not found:
        raise SegVarianceError(
            f"{paths[0]} holds no validation predictions: expected {trainers[0].name}/fold_0/validation/<case>.nii.gz. "
            "Run nnUNetv2_train with --val, or open a folder of predictions."
        )
    members = _numbered(found)
    declared = declared_in(trainers, problems)
    above = list(dict.fromkeys(trainer.parent for trainer in trainers))
    ensembles = _ensembles(above, declared, problems)
    images, references = _raw_files(datasets[0], above, problems)
    cases = {case_id for member in members for case_id in member.files}
    return Found(
        kind=NNUNET,
        title=datasets[0],
        members=tuple(members),
        ensembles=tuple(ensembles),
        images={case_id: files for case_id, files in images.items() if case_id in cases},
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
    seeds = (number_in(path.name, "seed") for path in (trainer, *trainer.parents[:2]))
    seed = next((number for number in seeds if number is not None), None)
    return ReviewMember(
        without_seed(trainer.name) or trainer.name,
        name if seed is None else f"seed_{seed}",
        files,
        seed,
        of_fold,
        on_own_axes(probabilities_beside(files), problems),
    )


def _numbered(found: Sequence[tuple[Path, ReviewMember]]) -> list[ReviewMember]:
    """Give a number to trainings without one, and a name that tells them apart to those of one configuration."""
    members: list[ReviewMember] = []
    for trainer, member in found:
        alike = [each for _, each in found if each.configuration == member.configuration]
        if member.seed is None:
            taken = {each.seed for each in (*alike, *members) if each.configuration == member.configuration}
            seed = next(number for number in range(len(found)) if number not in taken)
            several = sum(each.seed is None for each in alike) > 1
            member = replace(member, seed=seed, name=_tree(trainer.parent) if several else member.name)
        members.append(member)
    return members


def _tree(above: Path) -> str:
    """Name of the results folder that holds trainers' folders, with the dataset's folder between them or not."""
    return next(path.name for path in (above, *above.parents) if not path.name.startswith("Dataset"))


def _ensembles(above: Sequence[Path], declared: Declared, problems: list[Problem]) -> Iterator[ReviewMember]:
    for path in above:
        place, found = path / "ensembles", 0
        for folder in sorted(each for each in place.iterdir() if each.is_dir()) if place.is_dir() else ():
            if files := find_images(folder):
                found += 1
                name = folder.name if len(above) == 1 else f"{_tree(path)}.{folder.name}"
                yield ReviewMember("ensembles", name, files, probabilities=probabilities_beside(files))
        if found and declared.labels is not None and declared.labels.has_regions:
            what = "nnU-Net 2.2 to 2.6.4 merged regions wrongly (a probability above 0 became foreground)."
            remedy = "If one of these made it, combine the members again by mean_probability."
            problems.append(Problem(str(place), what, remedy, fatal=False))


def _raw_files(
    dataset: str, above: Sequence[Path], problems: list[Problem]
) -> tuple[dict[str, tuple[Path, ...]], dict[str, Path]]:
    """Images and references under the dataset's name beside the results or by nnU-Net's variables; faulty ones are left out."""
    images: dict[str, tuple[Path, ...]] = {}
    references: dict[str, Path] = {}
    around = dict.fromkeys(place for path in above for place in path.parents[:2])
    beside = [path for place in around for path in sorted(place.iterdir()) if path.is_dir()]
    told = [Path(value) for name in _RAW_VARIABLES if (value := os.environ.get(name))]
    for folder in (path / dataset for path in (*beside, *told)):
        try:
            for labels in (folder / "labelsTr", folder / "gt_segmentations"):
                if not references and labels.is_dir():
                    references = find_images(labels)
            if not images and (folder / "imagesTr").is_dir():
                images = read_case_images(folder / "imagesTr")
        except SegVarianceError as error:
            problems.append(Problem(folder.parent.name, str(error), "It is left out.", fatal=False))
    return images, references
