"""From several members' predictions to one. Members stream through running sums: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.arrays import PROBABILITY_STEPS
from ..core.catalog import Catalog, Facts
from ..core.errors import SegVarianceError
from ..core.labels import LabelSet
from ..metrics.overlap import positions


class Votes(NamedTuple):
    """``label_map`` [z, y, x] and ``agreement`` float32 [z, y, x]: the share of members that drew that very label."""

    label_map: np.ndarray
    agreement: np.ndarray


@dataclass(frozen=True)
class Rule:
    """An ensemble rule: reads ``"probabilities"`` or ``"labels"`` of each member, gives a label map [z, y, x]."""

    reads: str
    combine: Callable[[Iterable[np.ndarray], LabelSet], np.ndarray]

    def __call__(self, members: Iterable[np.ndarray], labels: LabelSet) -> np.ndarray:
        return self.combine(members, labels)


def mean_probability(members: Iterable[np.ndarray]) -> np.ndarray:
    """Mean of the members' probabilities [c, z, y, x], as float32.

    Members are float32, or uint8 as ``core.arrays.quantise_probabilities`` makes them, whose sum is exact and therefore the
    same in any order.

    Raises:
        SegVarianceError: there is no member, or their shapes or types differ.
    """
    first, rest = _first_and_rest(members)
    total = first.astype(np.float32)
    count = 1
    for count, member in enumerate(rest, start=2):
        _require_same((first.shape, first.dtype), (member.shape, member.dtype), count)
        total += member
    total /= count * (PROBABILITY_STEPS if first.dtype == np.uint8 else 1)
    return total


def labels_from_probabilities(probabilities: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Label map [z, y, x] from probabilities [c, z, y, x].

    Labels: channel 0 is background, then the label values ascending; the largest wins, of equal ones the first.
    Regions (nnU-Net): channel i is the i-th declared region; where its probability is strictly above 0.5 it paints
    ``regions_class_order[i]``, later regions over earlier ones.

    Raises:
        SegVarianceError: the number of channels does not fit the labels.
    """
    expected = len(labels.structures) if labels.has_regions else 1 + len(labels.foreground_values)
    if len(probabilities) != expected:
        raise SegVarianceError(
            f"There are {len(probabilities)} probability channels, expected {expected} for {len(labels.structures)} structures. "
            "Give the labels with which the members were trained."
        )
    if labels.has_regions:
        half = probabilities.dtype.type(0.5) if probabilities.dtype.kind == "f" else PROBABILITY_STEPS // 2
        return _paint(probabilities > half, labels)
    label_map = np.zeros(probabilities.shape[1:], dtype=_smallest_type(labels))
    best = probabilities[0].copy()
    for value, channel in zip(labels.foreground_values, probabilities[1:], strict=True):
        label_map[channel > best] = value
        np.maximum(best, channel, out=best)
    return label_map


def majority(members: Iterable[np.ndarray], labels: LabelSet) -> Votes:
    """Majority vote of label maps [z, y, x], with the share of members that agree with the outcome.

    Labels: the value with most votes; among values with equally many, the smallest, so that background comes first: a
    structure must win, a draw does not make one. The outcome is that of averaging one-hot votes and taking the first
    largest, does not depend on the members' order, and is always a value that a member drew at that voxel.
    Regions: each region by itself needs more than half of the members, then regions are painted as from probabilities
    (voting over raw labels would lose a small region whose members disagree on the label but not on the region).

    Only voxels on which members differ are counted, so memory grows with disagreement, not with members or labels.

    Raises:
        SegVarianceError: there is no member, their shapes differ, or they differ at a value that ``labels`` does not know.
    """
    values = sorted(labels.known_values)
    first, rest = _first_and_rest(members)
    agreed = first.ravel()
    contested = np.zeros(agreed.shape, dtype=bool)
    places = np.empty(0, dtype=np.intp)
    votes = np.empty((len(values), 0), dtype=np.uint16)
    count = 1
    for count, member in enumerate(rest, start=2):
        _require_same(first.shape, member.shape, count)
        drawn = member.ravel()
        fresh = np.flatnonzero((drawn != agreed) & ~contested)
        contested[fresh] = True
        earlier = np.zeros((len(values), len(fresh)), dtype=np.uint16)
        earlier[positions(agreed[fresh], values, "first member"), np.arange(len(fresh))] = count - 1
        places, votes = np.concatenate([places, fresh]), np.concatenate([votes, earlier], axis=1)
        votes[positions(drawn[places], values, f"member {count}"), np.arange(len(places))] += 1
    outcome = _outcome(votes, values, count, labels)
    label_map = agreed.astype(np.promote_types(agreed.dtype, outcome.dtype))
    label_map[places] = outcome
    agreement = np.ones(agreed.shape, dtype=np.float32)
    agreement[places] = votes[np.searchsorted(values, outcome), np.arange(len(places))] / np.float32(count)
    return Votes(label_map.reshape(first.shape), agreement.reshape(first.shape))


def _first_and_rest(members: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    rest = iter(members)
    first = next(rest, None)
    if first is None:
        raise SegVarianceError("There is no member to combine. Give at least one.")
    return first, rest


def _outcome(votes: np.ndarray, values: list[int], members: int, labels: LabelSet) -> np.ndarray:
    """The winning value of each contested voxel, [n], from votes [value, n]."""
    if not labels.has_regions:
        return np.array(values, dtype=_smallest_type(labels))[votes.argmax(axis=0)]
    for_region = [votes[np.isin(values, region.values)].sum(axis=0) for region in labels.structures]
    return _paint(2 * np.array(for_region) > members, labels)


def _paint(regions: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Label map from one boolean mask a region, [region, ...]."""
    if labels.regions_class_order is None or len(labels.regions_class_order) != len(labels.structures):
        raise SegVarianceError(
            f"Regions need regions_class_order with {len(labels.structures)} values, it is {labels.regions_class_order}. "
            "Add it to dataset.json: the i-th value is what the i-th region paints."
        )
    label_map = np.zeros(regions.shape[1:], dtype=_smallest_type(labels))
    for value, region in zip(labels.regions_class_order, regions, strict=True):
        label_map[region] = value
    return label_map


def _smallest_type(labels: LabelSet) -> np.dtype:
    return np.min_scalar_type(max(labels.known_values))


def _require_same(first: object, other: object, number: int) -> None:
    if first != other:
        raise SegVarianceError(
            f"Member {number} is {other}, the first one is {first}. Expected one grid and one kind: resample or predict again."
        )


RULES: Catalog[Rule] = Catalog(
    "ensemble rule",
    ("members", "labels"),
    [
        (
            Facts(
                "mean_probability",
                "Mean probability",
                "Isensee et al. 2021, Nat Methods 18:203-211. Ties: the smallest label value, background before all",
            ),
            Rule("probabilities", lambda members, labels: labels_from_probabilities(mean_probability(members), labels)),
        ),
        (
            Facts(
                "majority",
                "Majority vote",
                "Heckemann et al. 2006, NeuroImage 33:115-126. Ties: the smallest label value, background before all",
            ),
            Rule("labels", lambda members, labels: majority(members, labels).label_map),
        ),
    ],
)
