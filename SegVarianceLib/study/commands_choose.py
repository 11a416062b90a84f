"""The command ``choose-clean-up``: which clean-up steps held-out predictions ask for, and what they are worth on other cases."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file, sha256_of_json
from ..core.labels import LabelSet
from ..dataset.splits import read_groups, split
from ..ensemble.clean_up_recipe import ChosenOn, CleanUpRecipe
from ..evaluation.clean_up_trials import CleanUpTrials, all_questions, nnunet_questions
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..stats.clean_up_gain import choose_clean_up
from ..stats.clean_up_words import clean_up_sentences
from .commands_folders import images_in, labels_of
from .terminal import out, print_json, progress_bar

_SPLIT_SEED = 0


@dataclass(frozen=True)
class HeldOut:
    """Predictions of cases that their models did not see: ``members`` are case id to file, one for each seed; ``folds`` None
    where they have to be made."""

    what: str
    members: tuple[dict[str, Path], ...]
    references: dict[str, Path]
    labels: LabelSet
    folds: tuple[Collection[str], ...] | None
    patients: Mapping[str, str] | None


def choose(arguments: Namespace) -> int:
    held_out = _of_study(arguments) if arguments.references is None else _of_folders(arguments)
    folds = held_out.folds or _made_folds(held_out, arguments.folds)
    questions = nnunet_questions if arguments.nnunet_rule else all_questions
    with progress_bar() as progress:
        passes = _Passes(progress)
        trials = CleanUpTrials(held_out.members, held_out.references, held_out.labels, passes)
        found = choose_clean_up(trials, questions(held_out.labels.structures), folds, held_out.patients)
    files = [*held_out.references.values(), *(path for each in held_out.members for path in each.values())]
    digest = sha256_of_json([sha256_of_file(path) for path in files])
    chosen_on = ChosenOn(held_out.what, len(trials.cases), trials.members, digest)
    path = Path(arguments.output)
    CleanUpRecipe.of(held_out.labels, found.choice.steps, chosen_on).write(path)
    if arguments.json:
        print_json({"recipe": str(path), "on": held_out.what, **found.to_json()})
        return 0
    out.print(held_out.what, style="bold", markup=False)
    for sentence in clean_up_sentences(found):
        out.print(f"  - {sentence}", markup=False)
    out.print(f"Recipe: {path}. Apply it with: segvariance clean FOLDER --recipe {path} --output CLEANED", markup=False)
    return 0


class _Passes:
    """Progress of several passes through the same cases, whose number nobody knows before."""

    def __init__(self, show: object):
        self._show, self._pass = show, 1

    def __call__(self, done: int, of: int) -> None:
        self._show(f"Clean-up tried, pass {self._pass}", done, of)  # type: ignore[operator]
        self._pass += done == of


def _of_study(arguments: Namespace) -> HeldOut:
    """The held-out predictions of a configuration's seeds, or those of an ensemble of all seeds."""
    if len(arguments.predictions) != 1:
        raise SegVarianceError("Give one study, or folders of predictions with --references.")
    study = StudyFolder.open(Path(arguments.predictions[0]))
    known = [configuration.name for configuration in study.plan.configurations]
    name = arguments.configuration or (known[0] if len(known) == 1 else None)
    if name not in known:
        raise SegVarianceError(f"Which configuration? Give --configuration, one of {', '.join(known)}.")
    cases = study.held_out_cases
    if arguments.ensemble:
        folder = study.ensemble(name, arguments.ensemble)
        members = [{case_id: folder / f"{case_id}{study.dataset.file_ending}" for case_id in cases}]
        what = f"{study.plan.title}: {name}, ensemble {arguments.ensemble}"
    else:
        fold_of = {case_id: fold for fold, each in enumerate(study.folds) for case_id in each.held_out}
        members = [
            {case_id: study.prediction(Run(name, fold_of[case_id], seed), case_id) for case_id in cases}
            for seed in study.plan.seeds
        ]
        what = f"{study.plan.title}: {name}, seeds {', '.join(map(str, study.plan.seeds))}"
    if missing := [path for files in members for path in files.values() if not path.exists()]:
        raise SegVarianceError(f"{missing[0]} is not there yet. Run the study first: segvariance run {study.root}")
    folds = tuple(fold.held_out for fold in study.folds) if len(study.folds) > 1 else None
    references = {case_id: study.reference(case_id) for case_id in cases}
    return HeldOut(
        f"{what}, {len(cases)} held-out cases", tuple(members), references, study.labels, folds, study.patients
    )


def _of_folders(arguments: Namespace) -> HeldOut:
    members = tuple(images_in(Path(folder)) for folder in arguments.predictions)
    references = images_in(Path(arguments.references))
    labels = labels_of(arguments.dataset, list(references.values()))
    predicted = {case_id for files in members for case_id in files}
    references = {case_id: path for case_id, path in references.items() if case_id in predicted}
    patients = None if arguments.groups is None else read_groups(Path(arguments.groups), arguments.group_column)
    what = f"{', '.join(Path(folder).name for folder in arguments.predictions)}, {len(references)} cases"
    return HeldOut(what, members, references, labels, None, patients)


def _made_folds(held_out: HeldOut, count: int) -> Sequence[Collection[str]]:
    made = split(list(held_out.references), f"{count}-fold", _SPLIT_SEED, held_out.patients)
    return [fold.held_out for fold in made]
