"""STAPLE: the labels and each member's reliability estimated together (Warfield et al. 2004, IEEE Trans Med Imaging 23:903-921).

Expectation-maximisation needs every member at every voxel, so it cannot stream. But all voxels with the same votes are
alike: the packed members hold each pattern of votes once, in double precision whatever their number, which also leaves no room
for float counters that stop at 2^24 voxels. Products over members are sums of logarithms, which do not run out of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.labels import LabelSet
from .label_votes import first_largest, paint
from .member_maps import MemberMaps

STAPLE = "staple"
MAXIMUM_ITERATIONS = 100
SMALLEST_CHANGE = 1e-5
"""The estimate stands when no member's probability of drawing one label for another changes by more."""

_KEY_BITS = 62


def staple(maps: MemberMaps, labels: LabelSet, rows: Sequence[int] | None = None) -> np.ndarray:
    """Label map [z, y, x] of the members in these ``rows`` (default: all) by STAPLE.

    Labels: all at once (Rohlfing et al. 2003, IPMI, LNCS 2732:210-221), the label of the largest posterior probability, of
    equal ones the smallest; never one that no member drew. Regions: each by itself, painted where its posterior is above one half.
    The prior is the labels' share of all voxels; it starts from the plurality vote and ends after ``MAXIMUM_ITERATIONS`` or at
    ``SMALLEST_CHANGE``. Among trainings of one recipe nobody is an independent rater, which STAPLE assumes: see the method page.
    """
    patterns, voxels, where = _patterns(maps, list(range(len(maps.names))) if rows is None else list(rows))
    values = np.array(maps.values)
    if labels.has_regions:
        above = []
        for region in labels.structures:
            inside = np.isin(values, region.values).astype(np.intp)
            above.append(_posterior(inside[patterns], voxels, 2)[1] > 0.5)
        outcome = paint(np.array(above), labels)
    else:
        outcome = first_largest(_posterior(patterns, voxels, len(values)), maps.values)
    unanimous = np.zeros(
        max(maps.values) + 1, dtype=outcome.dtype
    )  # what becomes of a label that all drew: as a rule itself
    unanimous[list(maps.values)] = outcome[: len(values)]
    return maps.whole(maps.filled(unanimous[maps.shared], outcome[where]), outside=int(unanimous[0]))


def _patterns(maps: MemberMaps, rows: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patterns of votes [pattern, member] as positions in ``maps.values``, the number of voxels of each, and the pattern of
    each voxel in ``maps.places``. The first ones are those of members that agree on one value, in the order of the values."""
    base = len(maps.values)
    key = np.zeros(maps.places.size, dtype=np.int64)
    highest = 1
    for row in rows:
        if highest > (1 << _KEY_BITS) // base:  # keys would overflow: number those there are, and go on from there
            key, highest = _numbered(key)
        key = key * base + np.searchsorted(maps.values, maps.drawn[row])
        highest *= base
    found, first, pattern = np.unique(key, return_index=True, return_inverse=True)
    mixed = np.searchsorted(maps.values, maps.drawn[rows][:, first]).T.reshape(len(found), len(rows))
    agreed = np.repeat(np.arange(base)[:, None], len(rows), axis=1)
    shared = np.ones(maps.shared.size, dtype=bool)
    shared[maps.places] = False
    alone = np.bincount(maps.shared.ravel()[shared], minlength=max(maps.values) + 1)[list(maps.values)]
    alone[0] += int(np.prod(maps.shape_zyx)) - maps.shared.size
    voxels = np.concatenate([alone, np.bincount(pattern, minlength=len(found))]).astype(float)
    return np.concatenate([agreed, mixed]), voxels, base + pattern.ravel()


def _numbered(key: np.ndarray) -> tuple[np.ndarray, int]:
    found, number = np.unique(key, return_inverse=True)
    return number.ravel().astype(np.int64), len(found)


def _posterior(patterns: np.ndarray, voxels: np.ndarray, classes: int) -> np.ndarray:
    """Posterior probability of each class for each pattern, [class, pattern]."""
    drawn = np.array([np.bincount(column, voxels, classes) for column in patterns.T])  # [member, class]
    prior = drawn.sum(axis=0) / drawn.sum()
    counts = np.array([(patterns == one).sum(axis=1) for one in range(classes)])
    posterior = (np.arange(classes)[:, None] == counts.argmax(axis=0)).astype(float)
    reliability = _reliability(patterns, voxels, posterior)
    for _ in range(MAXIMUM_ITERATIONS):
        posterior = _expected(patterns, prior, reliability)
        before, reliability = reliability, _reliability(patterns, voxels, posterior)
        if np.abs(reliability - before).max() < SMALLEST_CHANGE:
            break
    return _expected(patterns, prior, reliability)


def _expected(patterns: np.ndarray, prior: np.ndarray, reliability: np.ndarray) -> np.ndarray:
    with np.errstate(
        divide="ignore"
    ):  # the logarithm of 0: a class that nobody drew, or that a member never drew for another
        logs = np.repeat(np.log(prior)[:, None], len(patterns), axis=1)
        for member, drawn in zip(np.log(reliability), patterns.T, strict=True):
            logs += member[:, drawn]
    highest = logs.max(axis=0)
    possible = np.isfinite(highest)  # a pattern that no voxel has may have no class at all
    shares = np.exp(logs - np.where(possible, highest, 0))
    return np.divide(shares, shares.sum(axis=0), out=np.zeros_like(shares), where=possible)


def _reliability(patterns: np.ndarray, voxels: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """Probability that a member draws a label where another is true, [member, true, drawn]; 0 for a class that is nowhere."""
    weights = posterior * voxels
    classes = len(posterior)
    found = np.array([[np.bincount(drawn, of, classes) for of in weights] for drawn in patterns.T])
    total = found.sum(axis=2, keepdims=True)
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0)
