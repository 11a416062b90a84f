"""Results folders of nnU-Net v2 where the commands take folders of predictions or scores."""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.labels import LabelSet
from ..dataset.dataset_json import open_dataset
from ..dataset.label_declaration import regions_of_text
from ..evaluation.evaluate import CaseScore, Member, score_members
from ..evaluation.nnunet_summary import foreground_mean, read_summary
from ..evaluation.score_table import Score, ScoreTable
from ..review.description import Review, ReviewMember
from ..review.from_nnunet import trainer_folders
from ..review.opening import open_review
from .terminal import aside, out, progress_bar


def is_results(path: Path) -> bool:
    """Whether a folder holds ``Trainer__Plans__Configuration`` folders, itself or one to three levels below."""
    return path.is_dir() and bool(trainer_folders(path))


def score_results(arguments: Namespace) -> tuple[Score, ...]:
    """All metrics of every training's validation predictions, by the command line of ``score``.

    Raises:
        ProblemsFound, SegVarianceError: the results cannot be compared, a case has no reference, or as score_members.
    """
    references = None if arguments.references is None else Path(arguments.references)
    folders = [Path(folder) for folder in arguments.folders]
    review = open_review(folders, references=references, labels=labels_told(arguments))
    _require(review)
    label_of = {case.id: case.label for case in review.cases}
    if missing := [case_id for case_id, label in label_of.items() if label is None]:
        raise SegVarianceError(
            f"{len(missing)} of {len(label_of)} cases have no reference, the first is {missing[0]!r}. "
            "Give their folder (--references), or set nnUNet_raw as for nnU-Net."
        )
    scores: list[Score] = []
    batches = _batches(review.members)
    with progress_bar() as progress:
        for number, (cases, members) in enumerate(batches.items()):
            progress("Scores", number, len(batches))
            held_out = {case_id: path for case_id in cases if (path := label_of[case_id])}
            scores += score_members(members, held_out, review.labels, arguments.tolerance_mm, metrics=arguments.metrics)
    structures = [structure.name for structure in review.labels.structures]
    for member in review.members:
        own = [s for s in scores if (s.configuration, s.member) == (member.configuration, member.name)]
        out.print(
            f"{member.key}: foreground mean Dice as nnU-Net reckons it: {foreground_mean(own, structures).words}",
            markup=False,
        )
    return tuple(scores)


def labels_told(arguments: Namespace) -> LabelSet | None:
    """What the command line of ``score`` says that is to be scored: regions, or a dataset's labels."""
    if arguments.regions is not None:
        return regions_of_text(arguments.regions, arguments.order)
    return None if arguments.dataset is None else open_dataset(Path(arguments.dataset)).labels


def read_results(path: Path) -> ScoreTable:
    """Dice and IoU of every training as nnU-Net wrote them into its ``summary.json`` files; no image is read.

    Raises:
        ProblemsFound, SegVarianceError: the results cannot be compared, or a fold has no summary that can be read.
    """
    review = open_review(path)
    _require(review)
    aside.print(
        f"{path}: Dice and IoU are those of nnU-Net's summary.json; for distances use segvariance score.", markup=False
    )
    return ScoreTable(tuple(_summary_scores(review)))


def _require(review: Review) -> None:
    review.require_sound()
    for problem in review.problems:
        aside.print(str(problem), markup=False)


def _summary_scores(review: Review) -> Iterator[Score]:
    known: dict[Path, Mapping[str, list[CaseScore]]] = {}
    for member in review.members:
        for case_id, file in member.files.items():
            summary = file.parent / "summary.json"
            if summary not in known:
                known[summary] = read_summary(summary, review.labels)
            if case_id not in known[summary]:
                raise SegVarianceError(
                    f"{summary} does not score case {case_id!r}. Run nnUNetv2_train with --val again."
                )
            for found in known[summary][case_id]:
                yield Score(member.configuration, member.folds.get(case_id), member.seed, member.name, case_id, *found)


def _batches(members: Sequence[ReviewMember]) -> dict[tuple[str, ...], dict[Member, dict[str, Path]]]:
    """By the cases of a fold, every training's files: trainings on one split share the reading of their references."""
    batches: defaultdict[tuple[str, ...], dict[Member, dict[str, Path]]] = defaultdict(dict)
    for member in members:
        by_fold: defaultdict[int | None, dict[str, Path]] = defaultdict(dict)
        for case_id, file in member.files.items():
            by_fold[member.folds.get(case_id)][case_id] = file
        for fold, files in by_fold.items():
            who = Member(member.configuration, member.name, member.seed, fold)
            batches[tuple(sorted(files))][who] = files
    return dict(batches)
