"""The ensemble rules: from several members' predictions to one label map."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.catalog import Catalog, Facts
from ..core.errors import SegVarianceError
from ..core.labels import LabelSet
from ..core.stepwise import result_of
from ..dataset.labelling import regions_of
from .label_votes import VOTES, Vote, vote
from .member_maps import MemberMaps
from .probability_rules import labels_from_probabilities, mean_logit_steps, mean_or_sum_steps
from .staple import STAPLE, staple

Steps = Generator[int, None, np.ndarray]
"""Yields how many members are taken in, and returns a label map [z, y, x]."""
Combine = Callable[[Iterable[np.ndarray], LabelSet, Sequence[float] | None], Steps]


@dataclass(frozen=True)
class Rule:
    """An ensemble rule: reads ``"probabilities"`` or ``"labels"`` of each member, gives a label map [z, y, x].

    A ``weighted`` rule needs one weight for each member, the others take none. All but ``streams=False`` look at one member
    after the other, in memory that does not grow with their number.
    """

    reads: str
    combine: Combine
    weighted: bool = False
    streams: bool = True

    def __call__(
        self, members: Iterable[np.ndarray], labels: LabelSet, weights: Sequence[float] | None = None
    ) -> np.ndarray:
        return result_of(self.steps(members, labels, weights))

    def steps(self, members: Iterable[np.ndarray], labels: LabelSet, weights: Sequence[float] | None = None) -> Steps:
        """The same in steps: member by member where they are looked at one after the other and are large, else in one."""
        if self.weighted != (weights is not None):
            raise SegVarianceError(
                "This rule needs a weight for each member. Give them, or take the mean probability."
                if self.weighted
                else "This rule takes no weights. Leave them out, or take weighted_mean_probability."
            )
        return self.combine(members, labels, weights)


def _by_vote(by: Vote) -> Rule:
    def steps(members: Iterable[np.ndarray], labels: LabelSet, weights: Sequence[float] | None) -> Steps:
        yield 0
        return vote(members, labels, by).label_map

    return Rule("labels", steps)


def _mean(members: Iterable[np.ndarray], labels: LabelSet, weights: Sequence[float] | None) -> Steps:
    found, certain = yield from mean_or_sum_steps(members, weights)
    return labels_from_probabilities(found, labels, certain)


def _logits(members: Iterable[np.ndarray], labels: LabelSet, weights: Sequence[float] | None) -> Steps:
    mean = yield from mean_logit_steps(members, labels)
    return labels_from_probabilities(mean, labels)


def _staple(members: Iterable[np.ndarray], labels: LabelSet, weights: Sequence[float] | None) -> Steps:
    yield 0
    return staple(MemberMaps.of_all(members), labels)


_FIRST = "Ties: the smallest label value, background before all; a region at exactly one half is not drawn"

RULES: Catalog[Rule] = Catalog(
    "ensemble rule",
    ("members", "labels", "weights"),
    [
        (
            Facts("mean_probability", "Mean probability", f"Isensee et al. 2021, Nat Methods 18:203-211. {_FIRST}"),
            Rule("probabilities", _mean),
        ),
        (
            Facts("mean_logit", "Mean logit", f"nnU-Net v2, over the folds of one prediction. {_FIRST}"),
            Rule("probabilities", _logits),
        ),
        (
            Facts(
                "weighted_mean_probability",
                "Weighted mean probability",
                f"Mean probability with a weight for each member, such as its Dice on validation cases. {_FIRST}",
            ),
            Rule("probabilities", _mean, weighted=True),
        ),
        (
            Facts(
                "majority",
                "Majority vote",
                "Heckemann et al. 2006, NeuroImage 33:115-126; plurality for each label, or the vote for each region where labels "
                "are regions. Ties: the smallest label value, background before all; a region is not drawn",
            ),
            _by_vote(VOTES["majority"]),
        ),
        (
            Facts(
                "plurality",
                "Plurality vote for each label",
                "Heckemann et al. 2006, NeuroImage 33:115-126. Ties: the smallest label value, background before all",
            ),
            _by_vote(VOTES["plurality"]),
        ),
        (
            Facts(
                "absolute_majority",
                "Absolute majority for each label",
                "More than half of all members. Ties: background, as wherever no label has more than half",
            ),
            _by_vote(VOTES["absolute_majority"]),
        ),
        (
            Facts(
                "region_vote",
                "Majority for each region",
                "More than half of all members for each region, then regions are painted in regions_class_order, later ones "
                "over earlier ones. Ties: the region is not drawn",
            ),
            _by_vote(VOTES["region_vote"]),
        ),
        (
            Facts(
                STAPLE,
                "STAPLE",
                "Warfield et al. 2004, IEEE Trans Med Imaging 23:903-921; several labels at once: Rohlfing et al. 2003, LNCS "
                "2732:210-221. Ties: the smallest label value; a region at exactly one half is not drawn. Needs all members at once",
            ),
            Rule("labels", _staple, streams=False),
        ),
    ],
)

STUDY_RULES = ("mean_probability", "majority")
"""What a study applies to its own seeds."""


def distinct_rules(labels: LabelSet, reads: str | None = None) -> tuple[str, ...]:
    """The rules that can be told apart on these labels: ``majority`` is another one's name, and a vote by region needs regions.

    ``reads`` keeps those that read ``"labels"`` or ``"probabilities"``; weighted ones are left out, since they need weights.
    """
    left_out = {"majority", *(() if regions_of(labels) else ("region_vote",))}
    return tuple(
        facts.id
        for facts in RULES
        if facts.id not in left_out
        and not RULES.function(facts.id).weighted
        and reads in (None, RULES.function(facts.id).reads)
    )
