"""Scores of one case on the fly: every member against the reference, or against what the members vote."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.arrays import foreground_box
from ..core.errors import SegVarianceError
from ..core.labels import LabelSet
from ..evaluation.evaluate import ReferenceCase
from ..evaluation.score_table import Score, ScoreTable
from .open_case import OpenCase


def score_against_reference(
    opened: OpenCase,
    tolerance_mm: float,
    labels: LabelSet | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> ScoreTable:
    """``score_against`` the case's reference.

    Raises:
        SegVarianceError: it has none; or as ``score_against``.
    """
    if opened.reference is None:
        raise SegVarianceError(f"Case {opened.case.id!r} has no reference. Score against the vote, or add a reference.")
    return score_against(opened, opened.reference, tolerance_mm, labels, progress)


def score_against(
    opened: OpenCase,
    reference: np.ndarray,
    tolerance_mm: float,
    labels: LabelSet | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> ScoreTable:
    """All metrics of all structures of every member of the case.

    Args:
        reference: label map [z, y, x] of the whole image, such as ``RunningVotes.label_map()``.
        tolerance_mm: of surface Dice.
        labels: structures to score, such as regions, instead of those of the case.
        progress: called with the number of members done and of all.

    Raises:
        SegVarianceError: a label value that ``labels`` do not know, or a tolerance out of its bounds.
    """
    labels = labels or opened.labels
    # Nothing lies outside this part, so that scores there are those of the whole image.
    drawn = opened.maps.whole(np.ones(opened.maps.shared.shape, dtype=bool)) | (reference != 0)
    part = foreground_box(drawn) or opened.maps.box
    prepared = ReferenceCase.of(reference[part], labels, opened.geometry.spacing_zyx_mm)
    scores: list[Score] = []
    for done, member in enumerate(opened.members, start=1):
        who = (member.configuration, member.folds.get(opened.case.id), member.seed, member.name, opened.case.id)
        found = prepared.score(opened.maps.member(member.key)[part], tolerance_mm)
        scores += (Score(*who, *each) for each in found)
        if progress is not None:
            progress(done, len(opened.members))
    return ScoreTable(tuple(scores))
