"""Votes on one case as running sums, so that any k of N members are combined at once.

Voxels on which all members agree keep their label under every rule and every selection, and are never counted.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..core.errors import SegVarianceError
from ..core.labels import LabelSet, Structure
from .label_votes import VOTES, entropy_of_votes, plurality, region_vote, share_agreeing
from .member_maps import MemberMaps
from .staple import STAPLE, staple

LABEL_RULE = "Majority for each label: the value with most votes; of equally many the smallest, background before all."
REGION_RULE = (
    "Majority for each region: it needs more than half of the members, a draw makes none; then labels are painted in the "
    "regions' order, later ones over earlier ones."
)


class RunningVotes:
    """Votes of the selected members of one case; all at first. What it returns is of the whole image, [z, y, x]."""

    def __init__(self, maps: MemberMaps):
        self.maps = maps
        kind = np.uint8 if len(maps.names) <= np.iinfo(np.uint8).max else np.uint16
        self._counts = np.zeros((len(maps.values), maps.places.size), dtype=kind)
        self._selected: set[str] = set()
        self.select(maps.names)

    @property
    def selected(self) -> tuple[str, ...]:
        return tuple(name for name in self.maps.names if name in self._selected)

    def select(self, names: Iterable[str]) -> None:
        """Vote with these members; only those that come or go are counted.

        Raises:
            SegVarianceError: there is no such member, or none at all is left; the selection stays as it was.
        """
        wanted = set(names)
        rows = {name: self.maps.row(name) for name in wanted ^ self._selected}
        if not wanted:
            raise SegVarianceError("No member is selected. Select at least one.")
        for name, row in rows.items():
            change = np.add if name in wanted else np.subtract
            for counts, value in zip(self._counts, self.maps.values, strict=True):
                change(counts, self.maps.drawn[row] == value, out=counts)
        self._selected = wanted

    def label_map(self, regions: LabelSet | None = None) -> np.ndarray:
        """The vote by ``LABEL_RULE``, or with ``regions`` by ``REGION_RULE``: as ``label_votes.vote`` of the same members.

        Raises:
            SegVarianceError: ``regions`` have no regions_class_order.
        """
        return self.maps.whole(self.maps.filled(self.maps.shared, self._outcome(regions)))

    def by_rule(self, rule: str, labels: LabelSet) -> np.ndarray:
        """Label map [z, y, x] of the selected members by a rule of ``rules.RULES`` that reads label maps.

        Raises:
            SegVarianceError: the rule reads probabilities, or needs regions that ``labels`` do not have.
        """
        if rule == STAPLE:
            return staple(self.maps, labels, [self.maps.row(name) for name in self.selected])
        if rule not in VOTES:
            raise SegVarianceError(f"{rule!r} is no rule for label maps. Those are: {', '.join((*VOTES, STAPLE))}.")
        outcome = VOTES[rule](self._counts, self.maps.values, len(self._selected), labels)
        return self.maps.whole(self.maps.filled(self.maps.shared, outcome))

    def differing(self, regions: LabelSet) -> np.ndarray:
        """Boolean: where the vote for each region gives another label than the vote for each label."""
        nowhere = np.zeros(self.maps.shared.shape, dtype=bool)
        return self.maps.whole(self.maps.filled(nowhere, self._outcome(regions) != self._outcome(None)))

    def agreement(self, regions: LabelSet | None = None) -> np.ndarray:
        """float32: the share of members that drew the label of the vote, 1 where all agree."""
        share = share_agreeing(self._outcome(regions), self._counts, self.maps.values, len(self._selected))
        everywhere = np.ones(self.maps.shared.shape, dtype=np.float32)
        return self.maps.whole(self.maps.filled(everywhere, share), outside=1)

    def entropy(self) -> np.ndarray:
        """float32: entropy of the members' labels in bits, 0 where all agree, 1 where two labels share the votes."""
        nowhere = np.zeros(self.maps.shared.shape, dtype=np.float32)
        return self.maps.whole(self.maps.filled(nowhere, entropy_of_votes(self._counts, len(self._selected))))

    def entropy_of(self, structure: Structure) -> np.ndarray:
        """float32: entropy in bits between members who drew the structure (a label or a region) and members who did not."""
        votes = self._votes(structure)
        both = entropy_of_votes(np.array([votes, len(self._selected) - votes]), len(self._selected))
        return self.maps.whole(self.maps.filled(np.zeros(self.maps.shared.shape, dtype=np.float32), both))

    def votes(self, structure: Structure) -> np.ndarray:
        """uint8 or uint16: how many members drew the structure (a label or a region); ``>= k`` is what k of them share."""
        everyone = structure.mask(self.maps.shared) * self._counts.dtype.type(len(self._selected))
        return self.maps.whole(self.maps.filled(everyone, self._votes(structure)))

    def _votes(self, structure: Structure) -> np.ndarray:
        chosen = [number for number, value in enumerate(self.maps.values) if value in structure.values]
        return self._counts[chosen].sum(axis=0, dtype=self._counts.dtype)

    def _outcome(self, regions: LabelSet | None) -> np.ndarray:
        """The vote where members differ, [n]."""
        by, labels = (plurality, LabelSet(())) if regions is None else (region_vote, regions)
        return by(self._counts, self.maps.values, len(self._selected), labels)
