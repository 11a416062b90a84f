"""What a chosen clean-up gains: on the cases it was chosen on, which flatters it, and nested, on cases it was not chosen on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core.errors import SegVarianceError
from ..core.records import to_json
from ..evaluation.clean_up_trials import Choice, CleanUpTrials, Question, choose_steps
from .intervals import Estimate
from .patients import images_by_column, mean_over_images
from .seed_matrix import FOREGROUND_MEAN, MIN_CASES, mean_of_counted
from .two_way import mean_interval


@dataclass(frozen=True)
class CleanUpGain:
    """Dice ``before`` and ``after`` of one structure or ``FOREGROUND_MEAN``, and the ``gain`` with its 95 % interval.

    Over cases (patients, their number is ``cases``), and over seeds too where there are several. A (case, structure) counts
    if every seed has a value for it before and after. One that the clean-up left to be absent on both sides has none after:
    ``false_alarms_removed`` counts these over all seeds, and they are beside the gain. ``lost`` counts those whose whole
    structure was removed although the reference has it; they are in the gain, with Dice 0.
    """

    structure: str
    before: float
    after: float
    gain: Estimate
    cases: int
    seeds: int
    false_alarms_removed: int
    lost: int


@dataclass(frozen=True)
class ChosenCleanUp:
    """``choice`` on all cases. ``flattered``: its gain on these. ``nested``: every case cleaned as was chosen without its fold.

    Both begin with the mean over structures where there are several. ``by_fold`` is what was chosen without each fold.
    """

    choice: Choice
    flattered: tuple[CleanUpGain, ...]
    nested: tuple[CleanUpGain, ...]
    by_fold: tuple[Choice, ...]

    @property
    def chosen_in(self) -> dict[str, int]:
        """For each step that any fold chose, in words, in how many of ``by_fold`` it was chosen."""
        return dict(Counter(str(step) for choice in self.by_fold for step in choice.steps))

    def to_json(self) -> dict[str, Any]:
        return {
            "choice": to_json(self.choice),
            "flattered": [asdict(gain) for gain in self.flattered],
            "nested": [asdict(gain) for gain in self.nested],
            "folds": len(self.by_fold),
            "chosen_in": self.chosen_in,
        }


def choose_clean_up(
    trials: CleanUpTrials,
    questions: Sequence[Question],
    folds: Sequence[Collection[str]],
    patients: Mapping[str, str] | None = None,
) -> ChosenCleanUp:
    """Choose on all cases, and once without each of ``folds`` for the nested estimate.

    Args:
        folds: case ids, which together are those of the trials, each once (``dataset.splits`` makes some).
        patients: patient of each case, where patients have several images; one patient's should lie in one fold.

    Raises:
        SegVarianceError: fewer than 2 folds, or not all cases in exactly one; fewer than 3 cases.
    """
    position = {case_id: at for at, case_id in enumerate(trials.cases)}
    listed = [case_id for fold in folds for case_id in fold]
    if len(folds) < 2 or sorted(listed) != sorted(position) or not all(folds):
        raise SegVarianceError(
            f"A nested estimate needs at least 2 folds that hold each of the {len(position)} cases once; found {len(folds)} "
            f"folds of {len(listed)} cases."
        )
    columns = images_by_column(trials.cases, patients)
    if len(columns) < MIN_CASES:
        who = "cases" if patients is None else "patients"
        raise SegVarianceError(f"Clean-up is chosen on at least {MIN_CASES} {who}, found {len(columns)}. Predict more.")
    before = trials.dice()
    choice = choose_steps(trials, questions)
    nested = np.empty_like(before)
    by_fold = []
    for fold in folds:
        outer = np.array([position[case_id] for case_id in fold])
        inner = np.setdiff1d(np.arange(len(position)), outer)
        by_fold.append(choose_steps(trials, questions, inner))
        nested[:, outer] = trials.dice(by_fold[-1].steps)[:, outer]
    names = [structure.name for structure in trials.labels.structures]
    return ChosenCleanUp(
        choice,
        clean_up_gains(before, trials.dice(choice.steps), names, columns),
        clean_up_gains(before, nested, names, columns),
        tuple(by_fold),
    )


def clean_up_gains(
    before: np.ndarray, after: np.ndarray, structures: Sequence[str], columns: Mapping[str, Sequence[int]]
) -> tuple[CleanUpGain, ...]:
    """Gains of Dice [seed, case, structure]: the mean over structures first, where there are several, then each that enough cases have.

    ``columns``: for each patient the positions of its images (``images_by_column``).
    """
    counted = (np.isfinite(before) & np.isfinite(after)).all(axis=0)
    chosen = {FOREGROUND_MEAN: np.ones(len(structures), dtype=bool)} if len(structures) > 1 else {}
    chosen |= {name: np.array(structures) == name for name in structures}
    found = []
    for name, which in chosen.items():
        here = counted & which
        kept = list(here.any(axis=1).nonzero()[0])
        images = [[kept.index(case) for case in of if case in kept] for of in columns.values()]
        images = [of for of in images if of]
        if len(images) < MIN_CASES:
            continue
        was, now = (mean_over_images(mean_of_counted(dice[:, kept], here[kept]), images) for dice in (before, after))
        removed = np.isfinite(before) & np.isnan(after) & which
        lost = (before > 0) & (after == 0) & which
        found.append(
            CleanUpGain(
                name,
                float(was.mean()),
                float(now.mean()),
                mean_interval(now - was),
                len(images),
                len(before),
                int(removed.sum()),
                int(lost.sum()),
            )
        )
    return tuple(found)
