"""A clean-up chosen on held-out predictions, as a recipe that says what it gains; in a process of its own, since it takes minutes.

    python -m SegVarianceLib.review.clean_up_choice STUDY CONFIGURATION RECIPE

writes a line of JSON after each case, with what is done and the most there can be to do, and the recipe at the end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file, sha256_of_json
from ..core.labels import LabelSet
from ..dataset.splits import split
from ..ensemble.clean_up_recipe import ChosenOn, CleanUpRecipe
from ..evaluation.clean_up_trials import CleanUpTrials, Question, all_questions
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..stats.clean_up_gain import ChosenCleanUp, choose_clean_up
from ..stats.clean_up_words import clean_up_sentences

FOLDS = 5
"""Made for the nested estimate where the study has none of its own."""
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

    def with_folds(self, count: int) -> tuple[Collection[str], ...]:
        """Its own folds, or ``count`` that are made now.

        Raises:
            SegVarianceError: there are not as many cases, or patients, as folds to make.
        """
        if self.folds:
            return self.folds
        apart = len({case_id if self.patients is None else self.patients.get(case_id) for case_id in self.references})
        if not 2 <= count <= apart:
            who = "cases" if self.patients is None else "patients"
            raise SegVarianceError(
                f"{apart} {who} cannot be put into {count} folds. Give 2 to {apart}, or predict more."
            )
        made = split(list(self.references), f"{count}-fold", _SPLIT_SEED, self.patients)
        return tuple(fold.held_out for fold in made)


def held_out_of_study(study: StudyFolder, configuration: str, ensemble: str | None = None) -> HeldOut:
    """The held-out predictions of a configuration's seeds, or those of an ensemble of all seeds.

    Raises:
        SegVarianceError: there is no such ensemble, or a prediction is not there yet.
    """
    cases = study.held_out_cases
    if ensemble:
        folder = study.ensemble(configuration, ensemble)
        if not folder.is_dir():
            beside = study.ensemble(configuration, "")
            there = sorted(path.name for path in beside.glob("*") if path.is_dir())
            raise SegVarianceError(
                f"{study.root} has no ensemble {ensemble!r} of {configuration}. It has: {', '.join(there) or 'none yet'}."
            )
        members = [{case_id: folder / f"{case_id}{study.dataset.file_ending}" for case_id in cases}]
        what = f"{study.plan.title}: {configuration}, ensemble {ensemble}"
    else:
        fold_of = {case_id: fold for fold, each in enumerate(study.folds) for case_id in each.held_out}
        members = [
            {case_id: study.prediction(Run(configuration, fold_of[case_id], seed), case_id) for case_id in cases}
            for seed in study.plan.seeds
        ]
        what = f"{study.plan.title}: {configuration}, seeds {', '.join(map(str, study.plan.seeds))}"
    if missing := [path for files in members for path in files.values() if not path.exists()]:
        raise SegVarianceError(f"{missing[0]} is not there yet. Run the study first: segvariance run {study.root}")
    folds = tuple(fold.held_out for fold in study.folds) if len(study.folds) > 1 else None
    references = {case_id: study.reference(case_id) for case_id in cases}
    what = f"{what}, {len(cases)} held-out cases"
    return HeldOut(what, tuple(members), references, study.labels, folds, study.patients)


def choose_recipe(
    held_out: HeldOut,
    folds: Sequence[Collection[str]],
    questions: Sequence[Question],
    progress: Callable[[int, int], object] | None = None,
) -> tuple[CleanUpRecipe, ChosenCleanUp]:
    """The recipe of what was chosen, and what it gains; errors as in ``CleanUpTrials`` and ``choose_clean_up``."""
    trials = CleanUpTrials(held_out.members, held_out.references, held_out.labels, progress)
    found = choose_clean_up(trials, questions, folds, held_out.patients)
    files = [*held_out.references.values(), *(path for each in held_out.members for path in each.values())]
    digest = sha256_of_json([sha256_of_file(path) for path in files])
    _, *gains = clean_up_sentences(found)  # the first says the steps, which are in the recipe
    chosen_on = ChosenOn(held_out.what, len(trials.cases), trials.members, digest, tuple(gains))
    return CleanUpRecipe.of(held_out.labels, found.choice.steps, chosen_on), found


def main(arguments: Sequence[str]) -> int:
    study, configuration, path = arguments
    try:
        held_out = held_out_of_study(StudyFolder.open(Path(study)), configuration)
        folds, questions = held_out.with_folds(FOLDS), all_questions(held_out.labels.structures)
        # One pass for the predictions as they are, and at most one for each question, on all cases and without each fold.
        passes, ended = 1 + len(questions) * (1 + len(folds)), 0

        def told(done: int, of: int) -> None:
            nonlocal ended
            print(json.dumps({"done": ended * of + done, "of": passes * of}), flush=True)
            ended += done == of

        recipe, _ = choose_recipe(held_out, folds, questions, told)
        recipe.write(Path(path))
    except (SegVarianceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
