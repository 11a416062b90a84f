"""The command ``choose-clean-up``: which clean-up steps held-out predictions ask for, and what they are worth on other cases."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..dataset.image_io import images_in
from ..dataset.splits import read_groups
from ..evaluation.clean_up_trials import all_questions, nnunet_questions
from ..plan.study_folder import StudyFolder
from ..review.clean_up_choice import FOLDS, HeldOut, choose_recipe, held_out_of_study
from ..stats.clean_up_words import clean_up_sentences
from .commands_folders import labels_of
from .terminal import out, print_json, progress_bar


def add_options(parser: ArgumentParser) -> None:
    """The options of ``choose-clean-up`` that no other command has."""
    parser.add_argument(
        "predictions", nargs="+", help="a study; or folders of predictions, one a seed, and --references"
    )
    parser.add_argument("--references", default=None, help="folder of reference label maps")
    parser.add_argument("--output", default="clean_up.json", help="the recipe, for segvariance clean --recipe")
    parser.add_argument("--configuration", default=None, help="of the study (default: its only one)")
    parser.add_argument(
        "--ensemble", default=None, help="choose for the study's ensemble of this rule (default: for seeds)"
    )
    parser.add_argument("--nnunet-rule", action="store_true", help="try only what nnU-Net tries: the largest component")
    parser.add_argument(
        "--folds", type=int, default=None, help=f"of the nested estimate, where a study gives none (default: {FOLDS})"
    )


def choose(arguments: Namespace) -> int:
    held_out = _of_study(arguments) if arguments.references is None else _of_folders(arguments)
    folds = held_out.with_folds(FOLDS if arguments.folds is None else arguments.folds)
    questions = nnunet_questions if arguments.nnunet_rule else all_questions
    path = Path(arguments.output)
    with progress_bar() as progress:
        recipe, found = choose_recipe(held_out, folds, questions(held_out.labels.structures), _Passes(progress))
    recipe.write(path)
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
    _refuse(arguments, ("dataset", "groups"), "a study has its own")
    if len(study.folds) > 1:
        _refuse(arguments, ("folds",), f"{study.root} has {len(study.folds)} of its own")
    known = [configuration.name for configuration in study.plan.configurations]
    name = arguments.configuration or (known[0] if len(known) == 1 else None)
    if name not in known:
        raise SegVarianceError(f"Which configuration? Give --configuration, one of {', '.join(known)}.")
    return held_out_of_study(study, name, arguments.ensemble)


def _refuse(arguments: Namespace, options: Sequence[str], why: str) -> None:
    """An option that would be ignored is a mistake."""
    if given := [f"--{name}" for name in options if getattr(arguments, name) is not None]:
        raise SegVarianceError(f"{given[0]} says nothing here: {why}. Leave it out.")


def _of_folders(arguments: Namespace) -> HeldOut:
    _refuse(arguments, ("configuration", "ensemble"), "it is of a study, and --references are given for folders")
    members = tuple(images_in(Path(folder)) for folder in arguments.predictions)
    references = images_in(Path(arguments.references))
    labels = labels_of(arguments.dataset, list(references.values()))
    predicted = {case_id for files in members for case_id in files}
    references = {case_id: path for case_id, path in references.items() if case_id in predicted}
    patients = None if arguments.groups is None else read_groups(Path(arguments.groups), arguments.group_column)
    what = f"{', '.join(Path(folder).name for folder in arguments.predictions)}, {len(references)} cases"
    return HeldOut(what, members, references, labels, None, patients)
