"""``summary.json``, which nnU-Net v2 writes beside predictions it has scored, and the mean at its head."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import SegVarianceError
from ..core.files import read_json
from ..core.labels import LabelSet, Structure
from ..dataset.image_io import IMAGE_ENDINGS
from .evaluate import CaseScore, note_of
from .score_table import Score

_METRICS = {"Dice": "dice", "IoU": "iou"}


class ForegroundMean(NamedTuple):
    """``value`` is None where nnU-Net has NaN: the structures ``lost`` are in no case, neither drawn nor predicted."""

    value: float | None
    lost: tuple[str, ...]

    @property
    def words(self) -> str:
        if self.value is not None:
            return f"{self.value:.4f}"
        return (
            f"NaN, because {' and '.join(self.lost)} {'are' if len(self.lost) > 1 else 'is'} in no case; "
            "our means are over the structures that are there"
        )


def read_summary(path: Path, labels: LabelSet) -> dict[str, list[CaseScore]]:
    """Dice and IoU of each case and structure; where neither side has the structure (NaN there), a note says so.

    Raises:
        SegVarianceError: the file cannot be read, is no summary of nnU-Net v2, or scores other structures than ``labels``.
    """
    content = read_json(path)
    try:
        return {_case_of(entry): list(_scores(entry["metrics"], labels)) for entry in content["metric_per_case"]}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise SegVarianceError(
            f"{path} is no summary of nnU-Net v2 for the structures {', '.join(s.name for s in labels.structures)}. "
            "Score the predictions themselves: segvariance score."
        ) from None


def foreground_mean(scores: Iterable[Score], structures: Sequence[str], metric: str = "dice") -> ForegroundMean:
    """The ``foreground_mean`` that nnU-Net v2 would write for one member: over cases first, then ``structures``, each plainly.

    A case in which a structure is absent on both sides counts for the others only. A structure that is absent everywhere
    makes nnU-Net's mean NaN (``evaluate_predictions.py``, 2.2 to 2.8.1).
    """
    values: dict[str, list[float]] = {name: [] for name in structures}
    for score in sorted(scores, key=lambda score: score.case):
        if score.metric == metric and score.structure in values and score.value is not None:
            values[score.structure].append(score.value)
    lost = tuple(name for name, found in values.items() if not found)
    if lost:
        return ForegroundMean(None, lost)
    return ForegroundMean(float(np.mean([np.mean(found) for found in values.values()])), ())


def _case_of(entry: Mapping[str, Any]) -> str:
    name = re.split(r"[\\/]", entry["prediction_file"])[-1]
    return name.removesuffix(next((ending for ending in IMAGE_ENDINGS if name.endswith(ending)), ""))


def _scores(metrics: Mapping[str, Mapping[str, float]], labels: LabelSet) -> Iterable[CaseScore]:
    for structure in labels.structures:
        found = metrics[_key(structure)]
        note = note_of(bool(found["n_ref"]), bool(found["n_pred"]))
        for theirs, ours in _METRICS.items():
            absent = not found["n_ref"] and not found["n_pred"]
            value = None if absent else float(found[theirs])
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{theirs} is {value}")
            yield CaseScore(structure.name, ours, value, note)


def _key(structure: Structure) -> str:
    """How nnU-Net names a label or a region: ``3`` or ``(1, 2, 3)``."""
    return str(structure.values[0] if len(structure.values) == 1 else structure.values)
