"""From members' probabilities to one. Members stream through running sums: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence

import numpy as np

from ..core.arrays import PROBABILITY_ERROR_BOUND, PROBABILITY_STEPS
from ..core.errors import SegVarianceError
from ..core.labels import LabelSet
from ..core.stepwise import result_of
from .label_votes import first_and_rest, first_largest, paint, require_same

SMALLEST_PROBABILITY = 1e-6
"""Below it (and above 1 minus it, for regions) a float probability counts as this, so that one member that rounded to 0 has no
veto. For 8-bit probabilities it is half a step, ``PROBABILITY_ERROR_BOUND``."""
_MOST_IN_16_BITS = np.iinfo(np.uint16).max // PROBABILITY_STEPS
"""So many 8-bit members add up without overflow: 257."""


def mean_probability(members: Iterable[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Mean of the members' probabilities [c, z, y, x], as float32, weighted where there are ``weights``.

    Members are float32, or uint8 as ``core.arrays.quantise_probabilities`` makes them, whose unweighted sum is exact and
    therefore the same in any order.

    Raises:
        SegVarianceError: there is no member, their shapes or types differ, or the weights are not one for each member, finite,
            not negative and not all 0.
    """
    return result_of(mean_probability_steps(members, weights))


def mean_probability_steps(
    members: Iterable[np.ndarray], weights: Sequence[float] | None = None
) -> Generator[int, None, np.ndarray]:
    """``mean_probability``, a member at a time: yields how many are taken in."""
    found, certain = yield from mean_or_sum_steps(members, weights)
    if certain == 1:
        return found
    mean = found.astype(np.float32)
    mean /= certain
    return mean


def mean_or_sum_steps(
    members: Iterable[np.ndarray], weights: Sequence[float] | None = None
) -> Generator[int, None, tuple[np.ndarray, int]]:
    """The mean, and 1; or of 8-bit members without weights their sum, in integers, and what it is where all are certain."""
    first, rest = first_and_rest(members)
    shares = None if weights is None else _shares(weights)
    in_integers = shares is None and first.dtype == np.uint8
    total: np.ndarray = first.astype(np.uint16) if in_integers else first.astype(np.float32)
    if shares is not None:
        total *= shares[0]
    count = 1
    yield count
    for count, member in enumerate(rest, start=2):
        require_same((first.shape, first.dtype), (member.shape, member.dtype), count)
        if in_integers and count == _MOST_IN_16_BITS + 1:
            total = total.astype(np.uint32)
        total += member if shares is None else np.float32(shares[min(count, len(shares)) - 1]) * member
        yield count
    if shares is not None and len(shares) != count:
        raise SegVarianceError(
            f"There are {len(shares)} weights for {count} members. Give one for each, in their order."
        )
    certain = (count if shares is None else 1) * (PROBABILITY_STEPS if first.dtype == np.uint8 else 1)
    if in_integers:
        return total, certain
    total /= certain
    return total, 1


def mean_logit(members: Iterable[np.ndarray], labels: LabelSet) -> np.ndarray:
    """Probabilities [c, z, y, x], float32, of the members' mean logits: what nnU-Net does over the folds of one prediction.

    Labels: the mean of log p, then softmax (the logits' unknown constant drops out). Regions: the mean of log p - log(1 - p),
    then the logistic function. It is sharper than the mean probability, and a confident member weighs more. Stored
    probabilities are bounded first, see ``SMALLEST_PROBABILITY``.

    Raises:
        SegVarianceError: there is no member, or their shapes or types differ.
    """
    return result_of(mean_logit_steps(members, labels))


def mean_logit_steps(members: Iterable[np.ndarray], labels: LabelSet) -> Generator[int, None, np.ndarray]:
    """``mean_logit``, a member at a time: yields how many are taken in."""
    first, rest = first_and_rest(members)
    logit = _logit_of(first.dtype, labels.has_regions)
    total = logit(first)
    count = 1
    yield count
    for count, member in enumerate(rest, start=2):
        require_same((first.shape, first.dtype), (member.shape, member.dtype), count)
        total += logit(member)
        yield count
    total /= count
    if labels.has_regions:
        return 1 / (1 + np.exp(-total))
    total -= total.max(axis=0)
    np.exp(total, out=total)
    total /= total.sum(axis=0)
    return total


def labels_from_probabilities(
    probabilities: np.ndarray, labels: LabelSet, certain: int = PROBABILITY_STEPS
) -> np.ndarray:
    """Label map [z, y, x] from probabilities [c, z, y, x], or from integers of which ``certain`` stands for 1.

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
        in_fractions = probabilities.dtype.kind == "f"
        half = probabilities.dtype.type(0.5) if in_fractions else certain // 2
        return paint(probabilities > half, labels)
    return first_largest(probabilities, (0, *labels.foreground_values))


def _shares(weights: Sequence[float]) -> np.ndarray:
    """The weights over their sum, float32."""
    given = np.asarray(weights, dtype=float)
    if not (given.ndim == 1 and given.size and np.isfinite(given).all() and (given >= 0).all() and given.sum() > 0):
        raise SegVarianceError(f"The weights are {list(weights)}. Give a number from 0 up for each member, not all 0.")
    return (given / given.sum()).astype(np.float32)


def _logit_of(kind: np.dtype, of_regions: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Log p, or log p - log(1 - p) ``of_regions``, of probabilities of this type; 8 bits go through a table."""
    if kind == np.uint8:
        levels = np.arange(PROBABILITY_STEPS + 1) / PROBABILITY_STEPS
        table = _bounded_logit(levels, PROBABILITY_ERROR_BOUND, of_regions).astype(np.float32)
        return lambda probabilities: table[probabilities]
    return lambda p: _bounded_logit(p.astype(np.float32, copy=False), SMALLEST_PROBABILITY, of_regions)


def _bounded_logit(p: np.ndarray, smallest: float, of_regions: bool) -> np.ndarray:
    if of_regions:
        p = np.clip(p, smallest, 1 - smallest)
        return np.log(p) - np.log1p(-p)
    return np.log(np.maximum(p, smallest))
