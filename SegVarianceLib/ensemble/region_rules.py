"""Ways from region probabilities to labels besides painting at one half: nested probabilities, and label probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import PROBABILITY_STEPS
from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LabelSet
from ..core.nesting import OVERLAP, damaged_regions, parents, relations
from .label_votes import first_largest, paint

DEFAULT_THRESHOLD = 0.5
_ROUNDING = 1e-4


class Nested(NamedTuple):
    """``probabilities`` [region, z, y, x] of the given type, and how many voxels differ from what was given."""

    probabilities: np.ndarray
    changed_voxels: int


def nested_probabilities(probabilities: np.ndarray, labels: LabelSet, steps: int = PROBABILITY_STEPS) -> Nested:
    """Region probabilities [region, z, y, x] in which no region exceeds one that holds it.

    What exceeds is lowered to the smallest probability of all regions around it; so there are no orphans at equal
    thresholds. Regions that overlap in part do not bound each other.

    Raises:
        SegVarianceError: as ``require_probabilities``.
    """
    require_probabilities(probabilities, labels, steps)
    lowered = probabilities.copy()
    changed = np.zeros(probabilities.shape[1:], dtype=bool)
    outer = parents(labels.structures)
    for region in _from_large_to_small(labels):
        for parent in outer[region]:
            np.minimum(lowered[region], lowered[parent], out=lowered[region])
        changed |= lowered[region] < probabilities[region]
    return Nested(lowered, int(np.count_nonzero(changed)))


def region_probabilities(probabilities: np.ndarray, values: Sequence[int], labels: LabelSet) -> np.ndarray:
    """Region probabilities [region, z, y, x] of a model of labels: the sum of the labels that the region is made of.

    Args:
        probabilities: fractions [1 + label, z, y, x], background first.
        values: the labels' values, in the order of their channels.

    Raises:
        SegVarianceError: another number of channels, or a region with a value that is not among them.
    """
    lacking = sorted(set(labels.foreground_values) - set(values))
    if len(probabilities) != 1 + len(values) or lacking:
        wanted = ", ".join(structure.name for structure in labels.structures)
        raise SegVarianceError(
            f"The {len(probabilities)} probability channels are neither the regions {wanted}, in this order, nor the background and "
            f"the labels {', '.join(map(str, values))} that they are made of. Give the labels with which the model was trained."
        )
    at = {value: channel for channel, value in enumerate(values, start=1)}
    return np.stack(
        [probabilities[[at[value] for value in region.values]].sum(axis=0).clip(max=1) for region in labels.structures]
    )


def label_probabilities(
    probabilities: np.ndarray, labels: LabelSet, steps: int = PROBABILITY_STEPS
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Probability of each painted label, [1 + label, z, y, x], background first, and the labels' values.

    A label's is its region's minus those of the next finer regions, the background's 1 minus those of the largest regions.
    Together they are 1. They are negative where a finer region exceeds its parent; ``nested_probabilities`` mends that as
    far as single parents go. Whole numbers stay whole, with the same steps.

    Raises:
        SegVarianceError: regions overlap in part, or their order does not paint an ideal segmentation; or as
            ``require_probabilities``.
    """
    require_probabilities(probabilities, labels, steps)
    order = _require_nested(labels)
    whole = probabilities.dtype.kind == "u"
    kind, one = (np.int16 if steps <= PROBABILITY_STEPS else np.int32, steps) if whole else (probabilities.dtype, 1)
    values = sorted(order)
    found = np.empty((1 + len(order), *probabilities.shape[1:]), dtype=kind)
    found[0] = one
    for region, outer in enumerate(parents(labels.structures)):
        found[1 + values.index(order[region])] = probabilities[region]
        if not outer:
            found[0] -= probabilities[region]
    for region, outer in enumerate(parents(labels.structures)):
        for parent in outer:
            found[1 + values.index(order[parent])] -= probabilities[region]
    return found, (BACKGROUND, *values)


def largest_label(probabilities: np.ndarray, labels: LabelSet, steps: int = PROBABILITY_STEPS) -> np.ndarray:
    """Label map [z, y, x] of the largest label probability; of equal ones the smallest value, background before all.

    Raises:
        SegVarianceError: as ``label_probabilities``.
    """
    return first_largest(*label_probabilities(probabilities, labels, steps))


def painted(
    probabilities: np.ndarray, labels: LabelSet, thresholds: Sequence[float], steps: int = PROBABILITY_STEPS
) -> np.ndarray:
    """Label map [z, y, x]: each region where its probability is strictly above its threshold, later over earlier (nnU-Net).

    Raises:
        SegVarianceError: as ``require_probabilities``, or not one threshold from 0 to 1 a region.
    """
    require_probabilities(probabilities, labels, steps)
    limits = threshold_limits(thresholds, probabilities, steps)
    return paint(np.stack([channel > limit for channel, limit in zip(probabilities, limits, strict=True)]), labels)


def threshold_limits(thresholds: Sequence[float], probabilities: np.ndarray, steps: int) -> list[Any]:
    """Each region's threshold in the probabilities' own type: above it is inside.

    Raises:
        SegVarianceError: not one threshold from 0 to 1 for each region.
    """
    if len(thresholds) != len(probabilities):
        raise SegVarianceError(
            f"{len(thresholds)} thresholds for {len(probabilities)} regions. Give one for each region."
        )
    for threshold in thresholds:
        if not 0 <= threshold <= 1:
            raise SegVarianceError(f"A threshold of {threshold!r} is not allowed. Give a number from 0 to 1.")
    kind = probabilities.dtype
    if kind.kind == "f":
        return [kind.type(threshold) for threshold in thresholds]
    # 0.2 of 255 steps is 51, in floating point 50.999999999999996 or the like
    return [kind.type(np.floor(threshold * steps + 1e-9)) for threshold in thresholds]


def require_order(labels: LabelSet) -> tuple[int, ...]:
    """The value that each region paints.

    Raises:
        SegVarianceError: regions have no order, or one of another length.
    """
    if labels.regions_class_order is None or len(labels.regions_class_order) != len(labels.structures):
        raise SegVarianceError(
            f"Regions need regions_class_order with {len(labels.structures)} values, it is {labels.regions_class_order}. "
            "Add it to dataset.json: the i-th value is what the i-th region paints."
        )
    return labels.regions_class_order


def require_probabilities(probabilities: np.ndarray, labels: LabelSet, steps: int = PROBABILITY_STEPS) -> None:
    """Refuse what are no probabilities of these regions.

    Raises:
        SegVarianceError: another number of channels than regions, values that are not from 0 to 1 (or 0 to ``steps``), or NaN.
    """
    regions = [structure.name for structure in labels.structures]
    if probabilities.ndim != 4 or len(probabilities) != len(regions):
        raise SegVarianceError(
            f"The probabilities have the shape {probabilities.shape}, expected {len(regions)} channels [region, z, y, x], one "
            f"each for {', '.join(regions)}. Give the regions with which the model was trained."
        )
    whole = probabilities.dtype.kind == "u"
    if not whole and probabilities.dtype.kind != "f":
        raise SegVarianceError(
            f"The probabilities are {probabilities.dtype}. Expected fractions, or unsigned whole numbers from 0 to {steps}."
        )
    low, high, most = probabilities.min(initial=0), probabilities.max(initial=0), steps if whole else 1
    if not (low >= -_ROUNDING and high <= most + _ROUNDING):  # NaN is refused too
        raise SegVarianceError(
            f"The probabilities go from {low:g} to {high:g}, expected 0 to {most}. If they are logits, apply the sigmoid first; "
            "if they hold NaN, predict again."
        )


def _from_large_to_small(labels: LabelSet) -> Iterator[int]:
    return iter(sorted(range(len(labels.structures)), key=lambda region: -len(labels.structures[region].values)))


def _require_nested(labels: LabelSet) -> tuple[int, ...]:
    """Raises SegVarianceError unless each label is what one region holds and no finer one does."""
    order = require_order(labels)
    overlapping = [pair for pair in relations(labels.structures) if pair.kind == OVERLAP]
    if overlapping:
        first, second, _ = overlapping[0]
        raise SegVarianceError(
            f"Regions {first.name!r} and {second.name!r} overlap in part, so no label has a probability of its own. "
            "Paint the regions with thresholds instead."
        )
    if damaged_regions(labels) or len(set(order)) < len(order):
        raise SegVarianceError(
            f"regions_class_order {list(order)} does not paint these regions as they are declared, so no label has a "
            "probability of its own. Mend the order first (segvariance regions says how)."
        )
    return order
