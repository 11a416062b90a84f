"""From label maps to scores: one case, or folders of predictions against folders of references.

What an absent structure means is said once, by ``metrics.metric.Pair``; here it gets its note.
Ignored voxels (the reference holds the ignore value) are background on both sides before anything is counted. A structure
that reaches into them is cut off there in reference and prediction alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.arrays import values_present
from ..core.errors import Problem, ProblemsFound, SegVarianceError
from ..core.labels import BACKGROUND, LabelSet, Structure
from ..dataset.grids import grid_problems, read_or_note
from ..dataset.image_io import LabelMap, read_label_map
from ..metrics.lesions import Lesions, match_lesions
from ..metrics.metric import METRICS, ON_LESIONS, ON_SURFACES, USUAL_METRICS, Pair, column_name
from ..metrics.overlap import Overlap, confusion_matrix, overlap
from ..metrics.surface import Surface, surface_distances, surfaces
from .score_table import AGREED_ABSENT, FALSE_ALARM, MISSED, Score

Progress = Callable[[int, int], object]
"""Called with the number of cases done and of all cases."""


@dataclass(frozen=True)
class Member:
    """Who predicted: the columns of a score that are the same for a whole folder."""

    configuration: str
    member: str
    seed: int | None = None
    fold: int | None = None


class CaseScore(NamedTuple):
    """One value of one case; ``value`` is None where nothing can be measured, and ``note`` says why."""

    structure: str
    metric: str
    value: float | None
    note: str


@dataclass(frozen=True)
class ReferenceCase:
    """A reference with everything that every prediction of the case is compared with: made once, used by all seeds."""

    label_map: np.ndarray
    counted: np.ndarray | None
    labels: LabelSet
    spacing_zyx_mm: tuple[float, float, float]
    metrics: tuple[str, ...]
    surfaces: dict[str, Surface]

    @classmethod
    def of(
        cls,
        label_map: np.ndarray,
        labels: LabelSet,
        spacing_zyx_mm: tuple[float, float, float],
        metrics: Sequence[str] = USUAL_METRICS,
    ) -> ReferenceCase:
        """From a label map [z, y, x]; ignored voxels become background. With regions, labels are scored beside them.

        ``metrics`` are ids of ``METRICS``; where none of them needs surfaces, none are looked for.
        """
        labels = labels.on_both_levels
        counted = None if labels.ignore_value is None else label_map != labels.ignore_value
        label_map = _keep(label_map, counted)
        found = surfaces(label_map, labels, spacing_zyx_mm) if ON_SURFACES & set(metrics) else {}
        return cls(label_map, counted, labels, spacing_zyx_mm, tuple(metrics), found)

    def score(self, prediction: np.ndarray, tolerance_mm: float) -> list[CaseScore]:
        """The metrics of all structures; arguments and errors as in ``score_case``."""
        prediction = _keep(prediction, self.counted)
        values = sorted(self.labels.known_values)
        counts = confusion_matrix(self.label_map, prediction, values)
        predicted = surfaces(prediction, self.labels, self.spacing_zyx_mm) if self.surfaces else {}
        scores: list[CaseScore] = []
        for structure in self.labels.structures:
            shared = overlap(counts, values, structure)
            lesions = self._lesions(structure, prediction) if ON_LESIONS & set(self.metrics) else None
            scores += self._score_structure(structure, shared, predicted.get(structure.name), lesions, tolerance_mm)
        return scores

    def _lesions(self, structure: Structure, prediction: np.ndarray) -> Lesions:
        return match_lesions(np.isin(self.label_map, structure.values), np.isin(prediction, structure.values))

    def _score_structure(
        self,
        structure: Structure,
        shared: Overlap,
        predicted: Surface | None,
        lesions: Lesions | None,
        tolerance_mm: float,
    ) -> Iterable[CaseScore]:
        distances = None
        if predicted is not None and shared.reference and shared.prediction:
            distances = surface_distances(self.surfaces[structure.name], predicted)
        pair = Pair(shared, distances, lesions)
        for facts in map(METRICS.facts, self.metrics):
            wanted = {"tolerance_mm": tolerance_mm} if facts.parameters else {}
            settings = METRICS.settings(facts.id, wanted)
            value = METRICS.function(facts.id)(pair, **settings)
            yield CaseScore(
                structure.name,
                column_name(facts.id, settings),
                value,
                note_of(bool(shared.reference), bool(shared.prediction)),
            )


def score_case(
    prediction: np.ndarray,
    reference: np.ndarray,
    labels: LabelSet,
    spacing_zyx_mm: tuple[float, float, float],
    tolerance_mm: float,
) -> list[CaseScore]:
    """Score one prediction against its reference; with several predictions of a case, keep its ``ReferenceCase``.

    Args:
        prediction, reference: integer label maps [z, y, x] on one grid.
        tolerance_mm: largest distance that surface Dice counts as agreement; the metric's name carries it.

    Raises:
        SegVarianceError: the shapes differ, a label map holds an unknown value, or the tolerance is out of bounds.
    """
    return ReferenceCase.of(reference, labels, spacing_zyx_mm).score(prediction, tolerance_mm)


def score_folder(
    predictions: Mapping[str, Path],
    references: Mapping[str, Path],
    labels: LabelSet,
    member: Member,
    tolerance_mm: float,
    progress: Progress | None = None,
) -> tuple[Score, ...]:
    """Score one member's predictions; ``score_members`` for one member."""
    return score_members({member: predictions}, references, labels, tolerance_mm, progress)


def score_members(
    predictions: Mapping[Member, Mapping[str, Path]],
    references: Mapping[str, Path],
    labels: LabelSet,
    tolerance_mm: float,
    progress: Progress | None = None,
    metrics: Sequence[str] = USUAL_METRICS,
) -> tuple[Score, ...]:
    """Score several members on the same references, reading and preparing each reference once; one prediction is held at a time.

    Args:
        predictions: label map file of each case, for each member.
        references: label map file of each case.
        metrics: ids of ``METRICS``. Overlap alone (``dice``, ``iou``) needs no surfaces and a tenth of the time.

    Returns:
        The scores by member, case, structure and metric, each in the order given.

    Raises:
        ProblemsFound: a case without prediction or reference, a prediction on another grid (both before any image is
            read), an unknown label value or an unreadable file; all of them at once.
    """
    METRICS.settings("surface_dice", {"tolerance_mm": tolerance_mm})
    _refuse([problem for member, files in predictions.items() for problem in _unpaired(member, files, references)])
    _refuse(grid_problems(references, predictions.values()))

    scores: dict[tuple[Member, str], list[CaseScore]] = {}
    problems: list[Problem] = []
    for done, (case_id, path) in enumerate(references.items(), start=1):
        drawn = _read_known(path, labels, problems)
        reference = None
        if drawn is not None and not problems:
            reference = ReferenceCase.of(drawn.array, labels, drawn.geometry.spacing_zyx_mm, metrics)
        for member, files in predictions.items():
            predicted = _read_known(files[case_id], labels, problems)
            # After a fault the rest is read only to list every other one.
            if predicted is not None and reference is not None and not problems:
                scores[member, case_id] = reference.score(predicted.array, tolerance_mm)
        if progress is not None:
            progress(done, len(references))
    _refuse(problems)
    return tuple(
        Score(member.configuration, member.fold, member.seed, member.member, case_id, *found)
        for member in predictions
        for case_id in references
        for found in scores[member, case_id]
    )


def discover_labels(paths: Iterable[Path]) -> LabelSet:
    """Structures ``label_1``, ``label_2`` and so on, from the values that the label maps hold.

    Raises:
        SegVarianceError: a file cannot be read, or all of them are background alone.
    """
    values = sorted({value for path in paths for value in values_present(read_label_map(path).array)} - {BACKGROUND})
    if not values:
        raise SegVarianceError(
            "No label map holds anything but background 0. Expected references with labelled voxels."
        )
    return LabelSet(tuple(Structure(f"label_{value}", (value,)) for value in values))


def _keep(label_map: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    if counted is None or counted.shape != label_map.shape:  # a wrong shape gets its sentence from confusion_matrix
        return label_map
    return np.where(counted, label_map, np.zeros((), dtype=label_map.dtype))


def note_of(reference: bool, prediction: bool) -> str:
    """The note of a structure by who has it; empty where both do."""
    if reference and prediction:
        return ""
    if reference:
        return MISSED
    return FALSE_ALARM if prediction else AGREED_ABSENT


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ProblemsFound("These predictions cannot be scored:", problems)


def _unpaired(member: Member, files: Mapping[str, Path], references: Mapping[str, Path]) -> Iterable[Problem]:
    who = f"{member.configuration}, {member.member}"
    for case_id in references:
        if case_id not in files:
            yield Problem(
                who,
                f"case {case_id!r} has a reference but no prediction.",
                "Predict it, or leave it out of the references.",
            )
    for case_id, path in files.items():
        if case_id not in references:
            yield Problem(
                str(path), f"case {case_id!r} has no reference.", "Remove the prediction, or add its reference."
            )


def _read_known(path: Path, labels: LabelSet, problems: list[Problem]) -> LabelMap | None:
    label_map = read_or_note(path, read_label_map, problems)
    unknown = set() if label_map is None else set(values_present(label_map.array)) - labels.known_values
    if unknown:
        what = f"unknown label values {sorted(unknown)}, expected {sorted(labels.known_values)}."
        problems.append(Problem(str(path), what, "Mend the label map or the dataset's list of labels."))
    return label_map
