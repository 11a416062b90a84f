"""Where members disagree, voxel by voxel: maps from their label maps, and from probabilities where these were kept.

Entropies are in bits. Of labels they are over all classes at once; of regions (sigmoid) each region has its own, between drawn and
not drawn. Predictive entropy = expected entropy + mutual information: all there is to doubt = what each member doubts by itself
+ what the members disagree about (Depeweg et al. 2018, ICML; Kendall and Gal 2017, NeurIPS).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np
from scipy.special import entr

from ..core.arrays import PROBABILITY_STEPS
from ..core.labels import LabelSet
from ..core.stepwise import result_of
from .label_votes import first_and_rest, require_same
from .running_votes import RunningVotes


class MapFacts(NamedTuple):
    """A kind of map: ``reads`` is ``"labels"`` or ``"probabilities"``; ``low`` to ``high`` is the window to show it in."""

    id: str
    title: str
    unit: str
    reads: str
    low: float
    high: float


MAPS = (
    MapFacts("agreement", "Agreement", "share of members", "labels", 0, 1),
    MapFacts("vote_entropy", "Entropy of the votes", "bit", "labels", 0, 2),
    MapFacts("predictive_entropy", "Predictive entropy", "bit", "probabilities", 0, 2),
    MapFacts("expected_entropy", "Expected entropy of a member", "bit", "probabilities", 0, 2),
    MapFacts("mutual_information", "Mutual information", "bit", "probabilities", 0, 1),
    MapFacts("variance", "Variance between members", "summed over classes", "probabilities", 0, 0.5),
)


class ProbabilityMaps(NamedTuple):
    """``mean`` float32 [c, z, y, x] of the members' probabilities, and ``maps`` float32 [z, y, x] by name."""

    mean: np.ndarray
    maps: dict[str, np.ndarray]


def map_name(kind: str, region: str) -> str:
    """Name of a region's own map, which may become a file's or folder's: ``vote_entropy_tumour_core``."""
    return f"{kind}_{re.sub('[^A-Za-z0-9+-]+', '_', region).strip('_')}"


def maps_of_votes(votes: RunningVotes, labels: LabelSet) -> dict[str, np.ndarray]:
    """Agreement with the vote and entropy of the votes, float32 [z, y, x] by name; of regions the entropy of each one."""
    if not labels.has_regions:
        return {"agreement": votes.agreement(), "vote_entropy": votes.entropy()}
    return {"agreement": votes.agreement(labels)} | {
        map_name("vote_entropy", region.name): votes.entropy_of(region) for region in labels.structures
    }


def maps_of_probabilities(members: Iterable[np.ndarray], labels: LabelSet) -> ProbabilityMaps:
    """Predictive and expected entropy, mutual information and variance, and the mean, in one pass over the members.

    Members are float32 or 8-bit probabilities [c, z, y, x], channels as in ``labels_from_probabilities``; one is in memory at a
    time beside the sums. The variance is over members (divided by their number), summed over classes.

    Raises:
        SegVarianceError: there is no member, or their shapes or types differ.
    """
    return result_of(probability_map_steps(members, labels))


def probability_map_steps(members: Iterable[np.ndarray], labels: LabelSet) -> Generator[int, None, ProbabilityMaps]:
    """``maps_of_probabilities``, a member at a time: yields how many are taken in."""
    first, rest = first_and_rest(members)
    scale = PROBABILITY_STEPS if first.dtype == np.uint8 else 1
    groups = len(first) if labels.has_regions else 1
    mean = np.zeros(first.shape, dtype=np.float32)
    squares, entropies = (np.zeros((groups, *first.shape[1:]), dtype=np.float32) for _ in range(2))
    count = 0
    for count, member in enumerate(chain([first], rest), start=1):
        require_same((first.shape, first.dtype), (member.shape, member.dtype), count)
        mean += member
        for channel, probability in enumerate(member):
            p = probability.astype(np.float32)
            p /= scale
            group = channel if labels.has_regions else 0
            entropies[group] += _bits(p, labels.has_regions)
            p *= p
            squares[group] += p
        yield count
    mean /= count * scale
    predictive, squared_mean = np.zeros_like(entropies), np.zeros_like(squares)
    for channel, probability in enumerate(mean):
        group = channel if labels.has_regions else 0
        predictive[group] += _bits(probability, labels.has_regions)
        squared_mean[group] += probability**2
    entropies /= count
    found = {
        "predictive_entropy": predictive,
        "expected_entropy": entropies,
        # Both bounded by 0 in exact arithmetic; rounding may fall below it.
        "mutual_information": np.maximum(predictive - entropies, 0),
        "variance": np.maximum(squares / count - squared_mean, 0),
    }
    if not labels.has_regions:
        return ProbabilityMaps(mean, {name: values[0] for name, values in found.items()})
    regions = [structure.name for structure in labels.structures]
    named = {map_name(name, region): of[i] for name, of in found.items() for i, region in enumerate(regions)}
    return ProbabilityMaps(mean, named)


def _bits(p: np.ndarray, of_regions: bool) -> np.ndarray:
    """-p log2 p of a class; of a region the entropy between drawn and not drawn."""
    found = entr(p)
    if of_regions:
        found += entr(1 - p)
    found *= np.float32(1 / np.log(2))
    return found
