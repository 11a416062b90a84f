"""What a run says of its held-out cases while it predicts them, whoever trains."""

from __future__ import annotations

import numpy as np

from ..core.labels import LabelSet
from ..dataset.image_io import read_label_map
from ..metrics.metric import Pair, dice
from ..metrics.overlap import confusion_matrix, overlap
from ..model.trained import class_values
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from .backend import Report


class HeldOutProgress:
    """Says each predicted case, with the mean Dice so far; ``evaluation`` makes the scores."""

    def __init__(self, study: StudyFolder, run: Run, report: Report):
        self._study, self._run, self._report = study, run, report
        self._of, self._done = len(study.folds[run.fold].held_out), 0
        self._dice: list[float] = []

    def predicted(self, case_id: str) -> None:
        reference = read_label_map(self._study.reference(case_id)).array
        label_map = read_label_map(self._study.prediction(self._run, case_id)).array
        score = _case_dice(label_map, reference, self._study.labels)
        self._dice += [] if score is None else [score]
        self._done += 1
        so_far = _mean(self._dice)
        dice_so_far = None if so_far is None else round(so_far, 4)
        self._report("predicted", case=case_id, done=self._done, of=self._of, dice=dice_so_far)


def _case_dice(label_map: np.ndarray, reference: np.ndarray, labels: LabelSet) -> float | None:
    """Mean Dice over the structures that reference or prediction has; None if there is none."""
    if labels.ignore_value is not None:
        counted = reference != labels.ignore_value
        reference, label_map = reference * counted, label_map * counted
    values = class_values(labels)
    counts = confusion_matrix(reference, label_map, values)
    found = [dice(Pair(overlap(counts, values, structure), None)) for structure in labels.structures]
    return _mean([value for value in found if value is not None])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
