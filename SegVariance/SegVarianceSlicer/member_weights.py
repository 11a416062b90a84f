"""How much each member counts in a weighted mean: as scored against references, or as the user says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .presenter_review import ReviewSession

_FROM_SCORES = "Each member counts by its mean Dice against the references, from the scores."
_EQUAL = "All members count the same: there are no scores of all of them against references yet."
_OWN = "Weights as you have set them."
_HOW = " Select a member in the table to change how much it counts."


class MemberWeights:
    """Weights by key of a member; what the user gives goes before scores."""

    def __init__(self, session: ReviewSession):
        self._session = session
        self._given: dict[str, float] = {}

    def give(self, key: str, weight: float) -> None:
        self._given[key] = weight

    def of(self, keys: Sequence[str]) -> tuple[float, ...]:
        """A weight for each, from 0."""
        scored = self._scored()
        return tuple(self._given.get(key, scored.get(key, 1.0)) for key in keys)

    @property
    def in_words(self) -> str:
        """Where the weights are from."""
        return (_OWN if self._given else _FROM_SCORES if self._scored() else _EQUAL) + _HOW

    def _scored(self) -> dict[str, float]:
        """Mean Dice by key; empty unless every member of the case has one against references."""
        if self._session.opened is None:
            return {}
        found = {member.key: self._dice(member.configuration, member.name) for member in self._session.opened.members}
        return {key: float(np.mean(dice)) for key, dice in found.items()} if all(found.values()) else {}

    def _dice(self, configuration: str, name: str) -> list[float]:
        lines = self._session.scores.groups.get((configuration, "dice"), ())
        return [line.value for line in lines if line.member == name and line.value is not None]
