"""Scores of one case on the fly: every member against the reference, or against what the members vote."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects

from ..core.errors import SegVarianceError
from ..core.labels import LabelSet, Structure
from ..core.stepwise import result_of
from ..dataset.image_io import read_label_map
from ..ensemble.running_votes import RunningVotes
from ..evaluation.evaluate import CaseScore, ReferenceCase
from ..evaluation.score_table import Score, ScoreTable
from .description import ReviewMember
from .open_case import OpenCase

_Box = tuple[slice, slice, slice]
_NOTHING: _Box = (slice(0, 1), slice(0, 1), slice(0, 1))
VOTE = "vote"
"""Name under which the vote of a configuration's members is scored."""
_HERE = 1
"""Value of a structure in the masks that are compared one structure at a time."""


@dataclass(frozen=True)
class Scored:
    """Somebody who drew the case: the columns of the score, and ``label_map``, which gives [z, y, x] when it is wanted."""

    configuration: str
    fold: int | None
    seed: int | None
    name: str
    label_map: Callable[[], np.ndarray]

    @property
    def key(self) -> str:
        """As ``ReviewMember.key``."""
        return f"{self.configuration}/{self.name}"


def members_scored(opened: OpenCase) -> tuple[Scored, ...]:
    """The members of a case, in their order."""
    return tuple(
        Scored(
            member.configuration,
            member.folds.get(opened.case.id),
            member.seed,
            member.name,
            lambda key=member.key: opened.maps.member(key),  # type: ignore[misc]
        )
        for member in opened.members
    )


def votes_scored(opened: OpenCase) -> tuple[Scored, ...]:
    """The vote of each configuration's members, where there are several; left out where a member has that name."""
    keys: dict[str, list[str]] = {}
    for member in opened.members:
        keys.setdefault(member.configuration, []).append(member.key)

    def vote(voters: list[str]) -> np.ndarray:
        votes = RunningVotes(opened.maps)
        votes.select(voters)
        return votes.label_map()

    return tuple(
        Scored(configuration, None, None, VOTE, lambda voters=voters: vote(voters))  # type: ignore[misc]
        for configuration, voters in keys.items()
        if len(voters) > 1 and f"{configuration}/{VOTE}" not in voters
    )


def ensembles_scored(opened: OpenCase, ensembles: Sequence[ReviewMember]) -> tuple[Scored, ...]:
    """The ensembles that have the case; each file is read when it is wanted."""
    return tuple(
        Scored(each.configuration, None, None, each.name, lambda path=path: read_label_map(path).array)  # type: ignore[misc]
        for each in ensembles
        if (path := each.files.get(opened.case.id))
    )


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
        labels: structures to score, such as regions, instead of those of the case; regions at both levels.
        progress: called with the number of members done and of all.

    Raises:
        SegVarianceError: a label value that ``labels`` do not know, or a tolerance out of its bounds.
    """
    labels = (labels or opened.labels).on_both_levels
    scored = members_scored(opened)
    members_done = 0

    def step_done(step: tuple[int, int]) -> None:
        nonlocal members_done
        if step[0] // len(labels.structures) > members_done:
            members_done += 1
            if progress is not None:
                progress(members_done, len(scored))

    return ScoreTable(result_of(score_steps(opened, scored, reference, tolerance_mm, labels), step_done))


def score_steps(
    opened: OpenCase, scored: Sequence[Scored], reference: np.ndarray, tolerance_mm: float, labels: LabelSet
) -> Generator[tuple[int, int], None, tuple[Score, ...]]:
    """``score_against`` of whoever is ``scored``, a structure at a time: yields how many are done and of how many."""
    labels = labels.on_both_levels
    wanted = len(scored) * len(labels.structures)
    counted = None if labels.ignore_value is None else reference != labels.ignore_value
    done, scores = 0, list[Score]()
    yield done, wanted
    right = _Drawn.of(reference, labels, "reference")
    for each in scored:
        yield done, wanted
        drawn = _Drawn.of(each.label_map(), labels, each.key)
        yield done, wanted
        for structure in labels.structures:
            part = right.around(structure, drawn)
            masks = right.mask(structure, part, counted), drawn.mask(structure, part, counted)
            found = _score_masks(structure, *masks, opened.geometry.spacing_zyx_mm, tolerance_mm)
            who = (each.configuration, each.fold, each.seed, each.name, opened.case.id)
            scores += (Score(*who, *one) for one in found)
            done += 1
            yield done, wanted
    return tuple(scores)


@dataclass(frozen=True)
class _Drawn:
    """A label map and the box of each of its values."""

    label_map: np.ndarray
    boxes: Mapping[int, _Box]

    @classmethod
    def of(cls, label_map: np.ndarray, labels: LabelSet, what: str) -> _Drawn:
        boxes = {value: box for value, box in enumerate(find_objects(label_map), start=1) if box is not None}
        if unknown := boxes.keys() - labels.known_values:
            raise SegVarianceError(
                f"The {what} holds the label values {sorted(unknown)}, expected only {sorted(labels.known_values)}. "
                "Mend the label map or the dataset's list of labels."
            )
        return cls(label_map, boxes)

    def around(self, structure: Structure, other: _Drawn) -> _Box:
        """The part of the image outside which neither has the structure."""
        boxes = [box for one in (self, other) for value in structure.values if (box := one.boxes.get(value))]
        sides = [slice(min(s.start for s in side), max(s.stop for s in side)) for side in zip(*boxes, strict=True)]
        return (sides[0], sides[1], sides[2]) if sides else _NOTHING

    def mask(self, structure: Structure, part: _Box, counted: np.ndarray | None) -> np.ndarray:
        mask = structure.mask(self.label_map[part])
        return (mask if counted is None else mask & counted[part]).view(np.uint8)


def _score_masks(
    structure: Structure,
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_zyx_mm: tuple[float, float, float],
    tolerance_mm: float,
) -> list[CaseScore]:
    """All metrics of one structure from its masks: outside their box it is nowhere, so these are those of the whole image."""
    alone = LabelSet((Structure(structure.name, (_HERE,)),))
    return ReferenceCase.of(reference, alone, spacing_zyx_mm).score(prediction, tolerance_mm)
