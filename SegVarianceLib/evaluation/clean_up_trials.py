"""What clean-up steps do to Dice on held-out predictions, and nnU-Net's rule by which they are accepted.

The rule (nnU-Net v2, ``determine_postprocessing``): first the largest component of all foreground together, accepted if the mean
over structures rises and no structure falls; then structure by structure in declared order, accepted if its own mean rises.
Ours tries several steps for each structure, of which the best counts (of equals for its own mean, the best for the mean of all,
since what removed voxels become is to others' good alone); a structure that no case has is left out of the mean,
where nnU-Net's mean is then not a number and nothing is ever accepted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import ProblemsFound, SegVarianceError
from ..core.files import sha256_of_json
from ..core.labels import LabelSet, Structure
from ..core.records import to_json
from ..dataset.grids import grid_problems
from ..dataset.image_io import read_label_map
from ..ensemble.clean_up import CleanUpStep, apply_steps
from ..ensemble.postprocessing import FOREGROUND
from ..metrics.overlap import confusion_matrix, overlap

MINIMUM_SIZES_MM3 = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)

Steps = tuple[CleanUpStep, ...]


@dataclass(frozen=True)
class Question:
    """``options`` of which at most one is accepted; ``about`` is the structure whose mean decides, or ``FOREGROUND``: the mean of
    all, and none may fall."""

    about: str
    options: Steps


def nnunet_questions(structures: Sequence[Structure]) -> tuple[Question, ...]:
    """Exactly what nnU-Net tries: largest component, ties stay, what goes becomes background."""
    names = tuple(structure.name for structure in structures)
    exact = {"ties": "all", "becomes": "background"}
    each = tuple(Question(name, (CleanUpStep("keep_largest", (name,), exact),)) for name in names if len(names) > 1)
    return (Question(FOREGROUND, (CleanUpStep("keep_largest_foreground", names, exact),)), *each)


def all_questions(structures: Sequence[Structure]) -> tuple[Question, ...]:
    """nnU-Net's, and for each structure minimum sizes, what goes as background or as what encloses it, and holes.

    Of options that do equally well the mildest counts: the smallest size first, the largest component last.
    """
    found = [nnunet_questions(structures)[0]]
    ways = ("background", "enclosing") if len(structures) > 1 else ("background",)
    for structure in structures:
        name = (structure.name,)
        sizes = [
            CleanUpStep("minimum_size", name, {"minimum_mm3": size, "becomes": way})
            for size in MINIMUM_SIZES_MM3
            for way in ways
        ]
        largest = [CleanUpStep("keep_largest", name, {"ties": "all", "becomes": way}) for way in ways]
        found.append(Question(structure.name, (*sizes, *largest)))
        found.append(Question(structure.name, (CleanUpStep("fill_holes", name),)))
    return tuple(found)


@dataclass(frozen=True)
class Answer:
    """The best of a question's options, the deciding mean Dice before and after it, and whether it was accepted."""

    about: str
    step: CleanUpStep
    before: float
    after: float
    accepted: bool


@dataclass(frozen=True)
class Choice:
    """``steps`` that were accepted, in order, and how each question was answered."""

    steps: Steps
    answers: tuple[Answer, ...]


class CleanUpTrials:
    """Held-out predictions, whose Dice after any steps is computed once."""

    def __init__(
        self,
        members: Sequence[Mapping[str, Path]],
        references: Mapping[str, Path],
        labels: LabelSet,
        progress: Callable[[int, int], object] | None = None,
    ):
        """
        Args:
            members: case id to label map, one mapping for each seed (or other predictor); all have the cases of ``references``.
            progress: called with cases done and all, once through for each state of the predictions that is tried.

        Raises:
            SegVarianceError: no member or case, a case that a member lacks.
            ProblemsFound: a prediction that lies on another grid than its reference.
        """
        if not members or not references:
            raise SegVarianceError(
                "There is nothing to choose on: expected predictions and references of at least one case."
            )
        for files in members:
            if lacking := sorted(references.keys() ^ files.keys()):
                raise SegVarianceError(
                    f"Case {lacking[0]!r} has a prediction or a reference, and not both. Clean-up is chosen on cases that have both."
                )
        if problems := grid_problems(references, members):
            raise ProblemsFound("These predictions cannot be compared with their references:", problems)
        self.cases = tuple(references)
        self.members, self.labels = len(members), labels
        self._members, self._references, self._progress = members, references, progress
        self._known: dict[str, np.ndarray] = {}

    def dice(self, steps: Steps = ()) -> np.ndarray:
        """Dice [member, case, structure] after ``steps``; NaN where neither side has the structure."""
        return self.try_options(steps[:-1], steps[-1:])[0] if steps else self._pass((), [()])[0]

    def try_options(self, steps: Steps, options: Sequence[CleanUpStep]) -> list[np.ndarray]:
        """As ``dice``, after ``steps`` and then each one of ``options``; all in one pass through the files."""
        return self._pass(steps, [(option,) for option in options])

    def _pass(self, steps: Steps, then: Sequence[Steps]) -> list[np.ndarray]:
        keys = [_key((*steps, *each)) for each in then]
        wanted = [at for at, key in enumerate(keys) if key not in self._known]
        if wanted:
            shape = (len(wanted), self.members, len(self.cases), len(self.labels.structures))
            found = np.full(shape, np.nan)
            for case, case_id in enumerate(self.cases):
                reference = read_label_map(self._references[case_id]).array
                for member, files in enumerate(self._members):
                    read = read_label_map(files[case_id])
                    volume = read.geometry.voxel_volume_mm3
                    base = apply_steps(steps, read.array, self.labels.structures, volume).label_map
                    for row, at in enumerate(wanted):
                        cleaned = apply_steps(then[at], base, self.labels.structures, volume).label_map
                        try:
                            found[row, member, case] = dice_of(cleaned, reference, self.labels)
                        except SegVarianceError as error:
                            raise SegVarianceError(f"{files[case_id]}: {error}") from None
                if self._progress is not None:
                    self._progress(case + 1, len(self.cases))
            for row, at in enumerate(wanted):
                self._known[keys[at]] = found[row]
        return [self._known[key] for key in keys]


def choose_steps(trials: CleanUpTrials, questions: Sequence[Question], cases: np.ndarray | None = None) -> Choice:
    """Answer the questions in order by the rule, on the ``cases`` given as positions (default: all); the Dice of others is not looked at."""
    chosen = np.arange(len(trials.cases)) if cases is None else cases
    steps: Steps = ()
    answers = []
    names = [structure.name for structure in trials.labels.structures]
    for question in questions:
        before = mean_dice(trials.dice(steps)[:, chosen])
        after = [mean_dice(dice[:, chosen]) for dice in trials.try_options(steps, question.options)]
        decides = _foreground if question.about == FOREGROUND else _of(names.index(question.about))
        best = max(range(len(after)), key=lambda at: (_ordered(decides(after[at])), _ordered(_foreground(after[at]))))
        rises = bool(decides(after[best]) > decides(before))
        accepted = rises and not (question.about == FOREGROUND and bool((after[best] < before).any()))
        step = question.options[best]
        answers.append(Answer(question.about, step, float(decides(before)), float(decides(after[best])), accepted))
        steps = (*steps, step) if accepted else steps
    return Choice(steps, tuple(answers))


def mean_dice(dice: np.ndarray) -> np.ndarray:
    """Mean [structure] of Dice [member, case, structure] over the members and cases that have a value; NaN where none has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a structure that is absent everywhere
        return np.nanmean(dice, axis=(0, 1))


def dice_of(prediction: np.ndarray, reference: np.ndarray, labels: LabelSet) -> list[float]:
    """Dice of each structure; NaN where both lack it. Ignored voxels are background on both sides."""
    if labels.ignore_value is not None:
        ignored = reference == labels.ignore_value
        prediction, reference = np.where(ignored, 0, prediction), np.where(ignored, 0, reference)
    values = sorted(labels.known_values)
    counts = confusion_matrix(reference, prediction, values)
    shared = [overlap(counts, values, structure) for structure in labels.structures]
    return [2 * s.both / (s.reference + s.prediction) if s.reference + s.prediction else np.nan for s in shared]


def _foreground(means: np.ndarray) -> float:
    measured = means[np.isfinite(means)]
    return float(measured.mean()) if len(measured) else np.nan


def _of(structure: int) -> Callable[[np.ndarray], float]:
    return lambda means: float(means[structure])


def _ordered(mean: float) -> float:
    return -np.inf if np.isnan(mean) else mean


def _key(steps: Steps) -> str:
    return sha256_of_json(to_json(steps))
