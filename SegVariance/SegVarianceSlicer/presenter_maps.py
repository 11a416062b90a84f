"""How the members that vote disagree: maps over the image with what their colours mean, and numbers of each structure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import result_of, translated
from SegVarianceLib.dataset.labelling import regions_of
from SegVarianceLib.ensemble.disagreement import Measured
from SegVarianceLib.ensemble.uncertainty import MAPS, map_name
from SegVarianceLib.review.rules_of_case import maps_of_case, uncertainty_map_steps, uncertainty_numbers

from .presenter_review import ReviewSession
from .presenter_rules import DIFFERING
from .state_maps import DisagreementRow, MapsState
from .state_review import Choice
from .stepwise import Busy, Stepwise, Work

NO_MAP, AGREEMENT, DIFFERENCE = "none", "agreement", "difference"
_NONE, _DIFFERENCE = Choice(NO_MAP, "No map"), Choice(DIFFERENCE, "Where votes by label and by region differ")
_RULES_DIFFER = Choice(DIFFERING, "Where the compared rules differ")
_PLAIN = {
    AGREEMENT: "Agreement of the members",
    "vote_entropy": "Members split (entropy of the votes)",
    "predictive_entropy": "All doubt (predictive entropy)",
    "expected_entropy": "Each member's own doubt (expected entropy)",
    "mutual_information": "Doubt between members (mutual information)",
    "variance": "Variance of the probabilities",
}
_LEGENDS = {
    NO_MAP: "",
    AGREEMENT: "Dark: only half of the members drew what the vote says. Bright: nearly all did. Clear: all agree.",
    "vote_entropy": "Bright: the members are split in half (1 bit). Dark: nearly all agree. Clear: all agree.",
    "predictive_entropy": "Bright: the mean probability is undecided (1 bit). Dark: it is nearly sure.",
    "expected_entropy": "Bright: each member by itself is undecided (1 bit), as at unclear borders.",
    "mutual_information": "Bright: members are sure of different things; other trainings would help here.",
    "variance": "Bright: the members' probabilities lie far apart. Dark: close together.",
    DIFFERENCE: "Coloured: the vote for each label gives another label than the vote for each region.",
    DIFFERING: "Coloured: not all compared rules give the same label. Brighter: more different labels.",
}


class CaseMaps:
    """Keeps ``state`` and tells ``changed`` whenever it changes; ``failed`` hears what could not be read."""

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object],
        failed: Callable[[SegVarianceError | OSError], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._session, self._changed = session, changed
        self._reading = Stepwise(session.later, self._show_work, failed, clock)
        self._measuring = Stepwise(session.later, self._show_work, failed, clock)
        self._found: dict[str, np.ndarray] = {}
        self._differing: np.ndarray | None = None
        self._measured = False
        self.state = MapsState()

    def follow(self) -> None:
        """Another case is on screen, or none, or other members vote: everything is found anew."""
        self._reading.stop()
        self._measuring.stop()
        self._found = {}
        if self._session.opened is None:
            self._differing, self.state = None, MapsState()
            return
        self._offer(self.state.kind)
        self.choose(self.state.kind)
        if self._measured:
            self.measure(True)

    def structure_changed(self) -> None:
        """Of regions each has a map of its own."""
        if self._session.opened is not None and self._name() in self._found:
            self._show()

    def use_differing(self, values: np.ndarray | None) -> None:
        """Show where rules differ [z, y, x], or forget it."""
        was, self._differing = self.state.kind, values
        wanted = DIFFERING if values is not None else NO_MAP if was == DIFFERING else was
        if self._session.opened is not None:
            self._offer(wanted)
            if wanted != was or values is not None:
                self.choose(wanted)

    def choose(self, kind: str) -> None:
        """Lay a map over the image; probabilities are read file by file, which ``stop`` ends."""
        self._reading.stop()
        before, self.state = self.state, replace(self.state, kind=kind, legend=_LEGENDS.get(kind, ""))
        reads = {each.id: each.reads for each in MAPS}.get(kind)
        if reads is None or self._name() in self._found:
            self._show()
        elif reads == "labels":
            result_of(self._making(with_probabilities=False))
            self._show()
        else:
            self._reading.begin(self._making(with_probabilities=True), lambda: self._shown_or(before))

    def measure(self, wanted: bool) -> None:
        """Numbers of each structure, which take a moment; again whenever other members vote, until they are not wanted."""
        self._measured = wanted
        self._measuring.stop()
        if wanted and self._session.opened is not None:
            self._measuring.begin(self._numbers())

    def stop(self) -> None:
        self._reading.stop()

    def _offer(self, kind: str) -> None:
        opened, votes = self._session.opened, self._session.votes
        if opened is None or votes is None:
            return
        kinds = [_NONE, *(Choice(each.id, _PLAIN[each.id], each.unit) for each in maps_of_case(opened, votes))]
        kinds += [_DIFFERENCE] if regions_of(opened.labels) is not None else []
        kinds += [_RULES_DIFFER] if self._differing is not None else []
        kind = kind if kind in {each.id for each in kinds} else NO_MAP
        self.state = replace(
            self.state, kinds=tuple(kinds), kind=kind, has_reference=opened.reference is not None, rows=(), sentence=""
        )

    def _making(self, with_probabilities: bool) -> Work:
        opened, votes = self._session.opened, self._session.votes
        if opened is None or votes is None:
            return
        words = "Reading probabilities…"
        steps = uncertainty_map_steps(opened, votes, with_probabilities)
        self._found |= yield from translated(steps, lambda share: (words, share))

    def _name(self) -> str:
        """Of regions, the map of the one that is looked at."""
        of_region = map_name(self.state.kind, self._session.structure)
        return of_region if of_region in self._found else self.state.kind

    def _show(self) -> None:
        votes, opened, kind = self._session.votes, self._session.opened, self.state.kind
        if votes is None or opened is None:
            return
        values = self._found.get(self._name())
        if kind == DIFFERENCE and (regions := regions_of(opened.labels)):
            values = votes.differing(regions).astype(np.float32)
        elif kind == DIFFERING and self._differing is not None:
            values = self._differing.astype(np.float32)
        self._session.scene.show_map(kind, values)
        self._changed()

    def _shown_or(self, before: MapsState) -> None:
        """The map that was wanted; where reading it was stopped or failed, the one before."""
        if self._name() in self._found:
            self._show()
        else:
            self.state = replace(self.state, kind=before.kind, legend=before.legend)
            self._changed()

    def _numbers(self) -> Work:
        opened, votes = self._session.opened, self._session.votes
        if opened is None or votes is None:
            return
        yield "Measuring…", 0.0
        rows = _rows(uncertainty_numbers(opened, votes))
        self.state = replace(self.state, rows=rows, sentence=_sentence(rows, len(votes.selected)))

    def _show_work(self, busy: Busy | None) -> None:
        self.state = replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None)
        self._changed()


def _rows(measured: Sequence[Measured]) -> tuple[DisagreementRow, ...]:
    by_structure: dict[str, dict[str, float | None]] = {}
    for each in measured:
        by_structure.setdefault(each.structure, {})[each.measure] = each.value
    return tuple(
        DisagreementRow(
            structure,
            values["mean_pairwise_dice"],
            values.get("dice_to_reference", values["dice_to_vote"]),
            values.get("ged_squared"),
            values["volume_low_ml"] or 0.0,
            values["volume_high_ml"] or 0.0,
        )
        for structure, values in by_structure.items()
    )


def _sentence(rows: Sequence[DisagreementRow], members: int) -> str:
    if members < 2:
        return "One member alone cannot disagree. Let more vote."
    known = [(row.between, row) for row in rows if row.between is not None]
    if not known:
        return "No member drew anything here."
    least, row = min(known, key=lambda each: each[0])
    if least == 1:
        return "All members drew the same."
    return (
        f"Members agree least on {row.structure}: Dice {least:.2f} between two of them, and volumes from {row.low_ml:.2f} to "
        f"{row.high_ml:.2f} ml."
    )
