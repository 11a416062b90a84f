"""Votes of label maps, by label or by region. Only voxels on which members differ are counted.

A vote is a function of ``counts`` [value, n] (how many of ``members`` drew each of the ascending ``values`` at n voxels) and the
labels; it gives the label of each voxel, [n]. The same functions serve members that stream by and ``running_votes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LabelSet
from ..dataset.labelling import regions_of
from ..metrics.overlap import positions

Vote = Callable[[np.ndarray, Sequence[int], int, LabelSet], np.ndarray]


class Votes(NamedTuple):
    """``label_map`` [z, y, x] and ``agreement`` float32 [z, y, x]: the share of members that drew that very label."""

    label_map: np.ndarray
    agreement: np.ndarray


def plurality(counts: np.ndarray, values: Sequence[int], members: int, labels: LabelSet) -> np.ndarray:
    """The value with most votes; of equally many the smallest, so that background comes first: a draw makes no structure.

    It is that of averaging one-hot votes and taking the first largest, does not depend on the members' order, and is always a
    value that a member drew at that voxel.
    """
    return first_largest(counts, values)


def absolute_majority(counts: np.ndarray, values: Sequence[int], members: int, labels: LabelSet) -> np.ndarray:
    """The value that more than half of the members drew; background where there is none, also in a draw."""
    outcome = np.full(counts.shape[1], BACKGROUND, dtype=_smallest_type(values))
    for value, votes in zip(values, counts, strict=True):
        outcome[votes > members // 2] = value
    return outcome


def region_vote(counts: np.ndarray, values: Sequence[int], members: int, labels: LabelSet) -> np.ndarray:
    """Each region by itself needs more than half of the members, a draw makes none; then regions are painted in their order.

    Voting over raw labels would lose a small region whose members disagree on the label but not on the region.

    Raises:
        SegVarianceError: the labels declare no regions, and their values are not those of brain tumours (1, 2 and 4).
    """
    regions = regions_of(labels)
    if regions is None:
        raise SegVarianceError(
            "These labels have no regions to vote on. Declare them in dataset.json (a label with several values, and "
            "regions_class_order), or take another rule."
        )
    chosen = [np.isin(values, region.values) for region in regions.structures]
    votes = np.array([counts[of_region].sum(axis=0, dtype=np.intp) for of_region in chosen])
    return paint(votes > members // 2, regions)


def majority(counts: np.ndarray, values: Sequence[int], members: int, labels: LabelSet) -> np.ndarray:
    """The vote that fits the labels: for each region where labels are declared as regions, else plurality."""
    return (region_vote if labels.has_regions else plurality)(counts, values, members, labels)


VOTES: dict[str, Vote] = {
    "majority": majority,
    "plurality": plurality,
    "absolute_majority": absolute_majority,
    "region_vote": region_vote,
}


def vote(members: Iterable[np.ndarray], labels: LabelSet, by: Vote = majority) -> Votes:
    """Vote of label maps [z, y, x], with the share of members that agree with the outcome.

    Where all members drew one label, it stays. Memory grows with disagreement, not with members or labels.

    Raises:
        SegVarianceError: there is no member, their shapes differ, they differ at a value that ``labels`` does not know, or
            there are no regions to vote on.
    """
    values = sorted(labels.known_values)
    first, rest = first_and_rest(members)
    agreed = first.ravel()
    contested = np.zeros(agreed.shape, dtype=bool)
    places = np.empty(0, dtype=np.intp)
    counts = np.empty((len(values), 0), dtype=np.uint16)
    number = 1
    for number, member in enumerate(rest, start=2):
        require_same(first.shape, member.shape, number)
        drawn = member.ravel()
        fresh = np.flatnonzero((drawn != agreed) & ~contested)
        contested[fresh] = True
        earlier = np.zeros((len(values), len(fresh)), dtype=np.uint16)
        earlier[positions(agreed[fresh], values, "first member"), np.arange(len(fresh))] = number - 1
        places, counts = np.concatenate([places, fresh]), np.concatenate([counts, earlier], axis=1)
        counts[positions(drawn[places], values, f"member {number}"), np.arange(len(places))] += 1
    outcome = by(counts, values, number, labels)
    label_map = agreed.astype(np.promote_types(agreed.dtype, outcome.dtype))
    label_map[places] = outcome
    agreement = np.ones(agreed.shape, dtype=np.float32)
    agreement[places] = share_agreeing(outcome, counts, values, number)
    return Votes(label_map.reshape(first.shape), agreement.reshape(first.shape))


def share_agreeing(outcome: np.ndarray, counts: np.ndarray, values: Sequence[int], members: int) -> np.ndarray:
    """The share of members that drew the label ``outcome`` [n], float32 [n]."""
    votes = np.zeros(len(outcome), dtype=counts.dtype)
    for value, of_value in zip(values, counts, strict=True):
        np.copyto(votes, of_value, where=outcome == value)
    return votes / np.float32(members)


def entropy_of_votes(counts: np.ndarray, members: int) -> np.ndarray:
    """Entropy of the members' labels in bits, float32 [n]: 0 where all agree, 1 where two labels share the votes."""
    shares = np.arange(members + 1) / members
    bits = np.zeros(members + 1, dtype=np.float32)
    bits[1:] = -shares[1:] * np.log2(shares[1:])
    total = np.zeros(counts.shape[1], dtype=np.float32)
    for votes in counts:
        total += bits[votes]
    return total


def first_largest(channels: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """The value of the largest channel, of equal ones the first; ``channels`` [value, ...]."""
    outcome = np.full(channels.shape[1:], values[0], dtype=_smallest_type(values))
    best = channels[0].copy()
    for value, channel in zip(values[1:], channels[1:], strict=True):
        outcome[channel > best] = value
        np.maximum(best, channel, out=best)
    return outcome


def paint(regions: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Label map from one boolean mask a region, [region, ...]: the i-th paints ``regions_class_order[i]``, later over earlier.

    Raises:
        SegVarianceError: the labels have no such order.
    """
    if labels.regions_class_order is None or len(labels.regions_class_order) != len(labels.structures):
        raise SegVarianceError(
            f"Regions need regions_class_order with {len(labels.structures)} values, it is {labels.regions_class_order}. "
            "Add it to dataset.json: the i-th value is what the i-th region paints."
        )
    label_map = np.zeros(regions.shape[1:], dtype=_smallest_type(labels.regions_class_order))
    for value, region in zip(labels.regions_class_order, regions, strict=True):
        label_map[region] = value
    return label_map


def first_and_rest(members: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Raises SegVarianceError where there is no member."""
    rest = iter(members)
    first = next(rest, None)
    if first is None:
        raise SegVarianceError("There is no member to combine. Give at least one.")
    return first, rest


def require_same(first: object, other: object, number: int) -> None:
    """Raises SegVarianceError where a member's shape or type is not that of the first."""
    if first != other:
        raise SegVarianceError(
            f"Member {number} is {other}, the first one is {first}. Expected one grid and one kind: resample or predict again."
        )


def _smallest_type(values: Iterable[int]) -> np.dtype:
    return np.min_scalar_type(max(values))
