"""Several rules on the same members: where their results differ, and what each member and each vote changes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LabelSet
from ..core.stepwise import result_of, within
from ..metrics.overlap import confusion_matrix, overlap
from .running_votes import RunningVotes

ANY_LABEL = "any label"
"""Stands for a structure where voxels count that have another label at all."""


class Difference(NamedTuple):
    """Two label maps of one case: in how many voxels they differ about a structure, and its Dice between them.

    For ``ANY_LABEL`` the voxels with another label, and no Dice; ``dice`` is None where neither has the structure.
    """

    first: str
    second: str
    structure: str
    voxels: int
    volume_ml: float
    dice: float | None


class KOfN(NamedTuple):
    """What at least ``k`` members drew: its volume, and its Dice with the reference if there is one."""

    structure: str
    k: int
    volume_ml: float
    dice: float | None


class Influence(NamedTuple):
    """What the ensemble is without one member: changed voxels, Dice of the structure with and without it between each
    other, and of both with the reference if there is one."""

    member: str
    structure: str
    voxels: int
    volume_ml: float
    dice: float | None
    reference_with: float | None
    reference_without: float | None


def differences(
    label_maps: Mapping[str, np.ndarray], labels: LabelSet, voxel_volume_mm3: float, reference: np.ndarray | None = None
) -> list[Difference]:
    """Every pair of label maps [z, y, x], and each against the ``reference``, for any label and for each structure."""
    named = dict(label_maps) | ({} if reference is None else {"reference": reference})
    found: list[Difference] = []
    for first, second in combinations(named, 2):
        found += _between(first, named[first], second, named[second], labels, voxel_volume_mm3)
    return found


def where_rules_differ(label_maps: Mapping[str, np.ndarray]) -> np.ndarray:
    """uint8 [z, y, x]: how many different labels the maps give besides the first one's, 0 where all are the same."""
    ordered = list(label_maps.values())
    extra = np.zeros(ordered[0].shape, dtype=np.uint8)
    for number, label_map in enumerate(ordered[1:], start=1):
        fresh = label_map != ordered[0]
        for earlier in ordered[1:number]:
            fresh &= label_map != earlier
        extra += fresh
    return extra


def k_of_n(
    votes: RunningVotes, labels: LabelSet, voxel_volume_mm3: float, reference: np.ndarray | None = None
) -> list[KOfN]:
    """For each structure and each k up to the number of selected members, what at least k of them drew."""
    members, found = len(votes.selected), []
    for structure in labels.structures:
        drawn = votes.votes(structure)
        voxels = _at_least(np.bincount(drawn.ravel(), minlength=members + 1))
        shared = compared = None
        if reference is not None:
            shared = _at_least(np.bincount(drawn[structure.mask(reference)], minlength=members + 1))
            compared = _at_least(np.bincount(drawn[reference != labels.ignore_value], minlength=members + 1))
        for k in range(1, members + 1):
            dice = None
            if shared is not None and compared is not None and (total := compared[k] + shared[0]):
                dice = float(2 * shared[k] / total)
            found.append(KOfN(structure.name, k, float(voxels[k] * voxel_volume_mm3 / 1000), dice))
    return found


def leave_one_out(
    combine: Callable[[Sequence[str]], np.ndarray],
    members: Sequence[str],
    labels: LabelSet,
    voxel_volume_mm3: float,
    reference: np.ndarray | None = None,
) -> list[Influence]:
    """How much each member moves the ensemble: combined once with all and once without each.

    Args:
        combine: label map [z, y, x] of the members with these names, by any rule: ``combine_votes`` of packed members.

    Raises:
        SegVarianceError: fewer than two members.
    """

    def at_once(names: Sequence[str]) -> Generator[float, None, np.ndarray]:
        yield 0.0
        return combine(names)

    return result_of(leave_one_out_steps(at_once, members, labels, voxel_volume_mm3, reference))


def leave_one_out_steps(
    combine: Callable[[Sequence[str]], Generator[float, None, np.ndarray]],
    members: Sequence[str],
    labels: LabelSet,
    voxel_volume_mm3: float,
    reference: np.ndarray | None = None,
) -> Generator[float, None, list[Influence]]:
    """``leave_one_out``, where ``combine`` works in steps too: yields the share that is done."""
    if len(members) < 2:
        raise SegVarianceError("With a single member nothing can be left out. Give at least two.")
    each_takes, found = 1 / (len(members) + 1), []
    whole = yield from within(combine(members), 0.0, each_takes)
    reference_with = _dice(whole, reference, labels)
    for done, member in enumerate(members, start=1):
        others = [name for name in members if name != member]
        without = yield from within(combine(others), done * each_takes, (done + 1) * each_takes)
        reference_without = _dice(without, reference, labels)
        for each in _between("", whole, "", without, labels, voxel_volume_mm3):
            against = reference_with.get(each.structure), reference_without.get(each.structure)
            found.append(Influence(member, each.structure, each.voxels, each.volume_ml, each.dice, *against))
    return found


def combine_votes(votes: RunningVotes, rule: str, labels: LabelSet) -> Callable[[Sequence[str]], np.ndarray]:
    """``leave_one_out``'s ``combine`` for a rule that reads label maps; it selects the members in ``votes``."""

    def combine(names: Sequence[str]) -> np.ndarray:
        votes.select(names)
        return votes.by_rule(rule, labels)

    return combine


def _between(
    first: str, a: np.ndarray, second: str, b: np.ndarray, labels: LabelSet, voxel_volume_mm3: float
) -> list[Difference]:
    """How ``b`` differs from ``a``; voxels that ``b`` ignores, as a reference may, are the same in both."""
    values = sorted(labels.known_values)
    if labels.ignore_value is not None and (ignored := b == labels.ignore_value).any():
        a, b = (np.where(ignored, BACKGROUND, label_map).astype(label_map.dtype) for label_map in (a, b))
    counts = confusion_matrix(a, b, values)
    differing = int(counts.sum() - np.trace(counts))
    found = [Difference(first, second, ANY_LABEL, differing, differing * voxel_volume_mm3 / 1000, None)]
    for structure in labels.structures:
        shared = overlap(counts, values, structure)
        total = shared.reference + shared.prediction
        voxels, dice = total - 2 * shared.both, 2 * shared.both / total if total else None
        found.append(Difference(first, second, structure.name, voxels, voxels * voxel_volume_mm3 / 1000, dice))
    return found


def _dice(label_map: np.ndarray, reference: np.ndarray | None, labels: LabelSet) -> dict[str, float | None]:
    if reference is None:
        return {}
    return {each.structure: each.dice for each in _between("", label_map, "", reference, labels, 0.0)}


def _at_least(histogram: np.ndarray) -> np.ndarray:
    """How many have at least k, from how many have exactly k."""
    return histogram[::-1].cumsum()[::-1]
