"""What is open: a review, one case of it, and the votes of its members. The panels' presenters share it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from SegVarianceLib.core.errors import ProblemsFound, SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.words import counted
from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.review.description import Review, ReviewMember
from SegVarianceLib.review.open_case import OpenCase
from SegVarianceLib.review.places import structure_centre_mm
from SegVarianceLib.scene.names import member_title

from .case_opening import CaseOpening, Failed, ReadyCase, Then, attempted, nothing, raised
from .stepwise import Later

REFERENCE, VOTE = "reference", "vote"
"""Keys of layers beside those of members."""


class Scene(Protocol):
    """What the presenters ask of the scene; layers are named by key. ``review_scene.ReviewScene`` does it in MRML."""

    most_shown: int

    def open(self, case: str, geometry: Geometry, labels: LabelSet) -> None:
        """Take the layers of the case before away and begin with another."""

    def close(self) -> None:
        """Take all layers away."""

    def forget(self) -> None:
        """The scene was closed and the layers with it."""

    def set_image(self, title: str, array: np.ndarray) -> None: ...

    def has(self, key: str) -> bool: ...

    def put(self, key: str, folder: str, title: str, label_map: np.ndarray) -> None:
        """Add a layer to Reference, Members or Ensembles, or replace it where it stands."""

    def arrange(self, views: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Show the layers of each (label, keys) in a view of its own; of a single one in the user's own views."""

    def show_map(self, kind: str, values: np.ndarray | None) -> None: ...

    def jump(self, lps_mm: Sequence[float]) -> None: ...

    def keep(self, title: str, label_map: np.ndarray) -> None:
        """Make a segmentation node that stays when the case is closed."""

    def save(self, path: Path, title: str, label_map: np.ndarray) -> None:
        """Write a .seg.nrrd file, or a label map with its colour table."""


Progress = Callable[[str, int, int], object]
"""Called with what is being done, how much of it is done, and how much there is."""


class ReviewSession:
    """The review that was confirmed and the case that is shown. Where a case cannot be opened, nothing is changed.

    ``opening`` reads a case a step at a time, which ``later`` drives; unless given, all of it is done at once. ``when_idle``
    has the case read ahead that comes next; unless given, none is. Errors go to ``failed``, or to the caller.

    ``opened`` and ``votes`` are of the case on screen; ``structure`` is the name of the one that is looked at. ``scores`` are
    those of the review's predictions against references, as far as somebody has made or opened them. ``show_layer`` shows a
    layer by its key beside those that are shown.
    """

    def __init__(
        self,
        scene: Scene,
        progress: Progress = lambda what, done, total: None,
        later: Later = lambda act: act(),
        when_idle: Later | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.scene, self.progress, self.later = scene, progress, later
        self.opening = CaseOpening(later, when_idle, clock)
        self.scores = ScoreTable(())
        self.show_layer: Callable[[str], object] = lambda key: None
        self.review: Review | None = None
        self.opened: OpenCase | None = None
        self.votes: RunningVotes | None = None
        self.structure = ""
        self.result: np.ndarray | None = None
        self._listeners: list[Callable[[], object]] = []

    def listen(self, changed: Callable[[], object]) -> None:
        """Have ``changed`` called after another review or case was opened, or none is open any more."""
        self._listeners.append(changed)

    def use(self, review: Review, case_id: str | None = None, then: Then = nothing, failed: Failed = raised) -> None:
        """Open a review at a case, the first one unless it is given."""
        known = {case.id for case in review.cases}
        case = case_id if case_id in known else review.cases[0].id

        def begin() -> None:
            review.require_sound()
            self.opening.begin(review, case, lambda ready: self._show(review, ready), then, failed)

        attempted(begin, failed)

    def update(self, review: Review) -> None:
        """The same review with what has landed since; the case on screen stays as it is."""
        self.review = review
        self._tell()

    def use_scores(self, scores: ScoreTable) -> None:
        """Scores of what is open, against references; an empty table where there are none."""
        self.scores = scores
        self._tell()

    def open_case(self, case_id: str, then: Then = nothing, failed: Failed = raised) -> None:
        """Open another case of the review."""
        # Predictions may land while it is read: the review is the one that is open then.
        self.opening.begin(self._required(), case_id, lambda ready: self._show(self._required(), ready), then, failed)

    def when_open(self, case_id: str, then: Then, failed: Failed = raised) -> None:
        """Do something as soon as a case is open: at once if it is."""
        if self.opened is None or self.opened.case.id != case_id:
            self.open_case(case_id, then, failed)
        else:
            self.opening.cancel()
            attempted(then, failed)

    def go_to(
        self, case_id: str, structure: str, lps_mm: Sequence[float] | None = None, failed: Failed = raised
    ) -> None:
        """Open a case if it is not, choose a structure and look at a point, or at the middle of the structure."""
        self.when_open(case_id, lambda: self._look_at(structure, lps_mm), failed)

    def centre_of(self, name: str) -> tuple[float, float, float] | None:
        """LPS in mm; of the result on screen, or of the reference where the result lacks the structure."""
        if self.opened is None:
            return None
        structure = structure_named(self.opened.labels, name)
        maps = (label_map for label_map in (self.result, self.opened.reference) if label_map is not None)
        places = (structure_centre_mm(each, structure, self.opened.geometry) for each in maps)
        return next((place for place in places if place is not None), None)

    def show_layers(self, keys: Iterable[str]) -> None:
        """Put those layers into the scene that are not there yet."""
        for key in keys:
            if not self.scene.has(key):
                self.scene.put(key, *self._layer(key))

    def set_result(self, label_map: np.ndarray) -> None:
        """Another vote, or a cleaned one; its layer follows if it is in the scene."""
        self.result = label_map
        if self.scene.has(VOTE):
            self.scene.put(VOTE, *self._layer(VOTE))

    def close(self) -> None:
        """Close what is open and take its layers away."""
        self.opening.close()
        self.scene.close()
        self._clear()

    def scene_closed(self) -> None:
        """The user closed the scene: the nodes are gone already."""
        self.opening.close()
        self.scene.forget()
        self._clear()

    def _show(self, review: Review, ready: ReadyCase) -> None:
        opened = ready.opened
        self.scene.open(opened.case.id, opened.geometry, opened.labels)
        self.review, self.opened, self.votes, self.result = review, opened, ready.votes, ready.result
        names = [structure.name for structure in opened.labels.structures]
        if self.structure not in names:
            self.structure = names[0] if names else ""
        self._tell()

    def _look_at(self, structure: str, lps_mm: Sequence[float] | None) -> None:
        self.structure = structure
        place = self.centre_of(structure) if lps_mm is None else lps_mm
        if place is not None:
            self.scene.jump(place)
        self._tell()

    def _layer(self, key: str) -> tuple[str, str, np.ndarray]:
        """Folder, title and label map of a layer."""
        opened, review = self.opened, self._required()
        if opened is None or self.result is None:
            raise SegVarianceError("No case is open. Open a folder first.")
        if key == VOTE:
            return "Ensembles", "vote", self.result
        if key == REFERENCE:
            if opened.reference is None:
                raise SegVarianceError(f"Case {opened.case.id} has no reference.")
            return "Reference", "reference", opened.reference
        for ensemble in review.ensembles:
            if ensemble.key == key:
                return "Ensembles", title_of(ensemble), read_label_map(ensemble.files[opened.case.id]).array
        member = next(member for member in opened.members if member.key == key)
        return "Members", title_of(member), opened.maps.member(key)

    def _required(self) -> Review:
        if self.review is None:
            raise SegVarianceError("Nothing is open. Open a folder first.")
        return self.review

    def _clear(self) -> None:
        self.review = self.opened = self.votes = self.result = None
        self.structure = ""
        self._tell()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()


def sentences(error: SegVarianceError | OSError) -> tuple[str, ...]:
    """One sentence for each thing that is wrong."""
    return tuple(map(str, error.problems)) if isinstance(error, ProblemsFound) else (str(error),)


def in_short(error: SegVarianceError | OSError) -> str:
    """One sentence, and how many more there are: for a place where no list is."""
    said = sentences(error)
    return said[0] if len(said) == 1 else f"{said[0]} ({counted(len(said) - 1, 'more problem')}.)"


def title_of(member: ReviewMember) -> str:
    return member_title(member.configuration, member.name, member.seed, member.fold)


def structure_named(labels: LabelSet, name: str) -> Structure:
    """Among all that is scored: within regions labels too."""
    structures = labels.on_both_levels.structures
    for structure in structures:
        if structure.name == name:
            return structure
    known = ", ".join(structure.name for structure in structures)
    raise SegVarianceError(f"There is no structure {name!r}. Known: {known}.")
