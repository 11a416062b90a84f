"""Overlap of two label maps, all labels in one pass. Regions come from the same counts, by adding rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import foreground_box, slabs
from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, Structure


@dataclass(frozen=True)
class Overlap:
    """Voxels of one structure in the reference, in the prediction, and in both."""

    reference: int
    prediction: int
    both: int


def confusion_matrix(reference: np.ndarray, prediction: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Count voxels by their label in the reference (row) and in the prediction (column).

    Args:
        reference, prediction: integer label maps [z, y, x] of one shape.
        values: all label values that occur, background 0 among them; they order rows and columns.

    Returns:
        int64 counts, shape (len(values), len(values)).

    Raises:
        SegVarianceError: the shapes differ, or a label map holds another value.
    """
    if reference.shape != prediction.shape:
        raise SegVarianceError(
            f"The prediction has {prediction.shape} voxels [z, y, x], its reference {reference.shape}. "
            "Give label maps on one grid."
        )
    counts = np.zeros((len(values), len(values)), dtype=np.int64)
    background = list(values).index(BACKGROUND)
    counts[background, background] = reference.size
    box = foreground_box(reference | prediction)
    if box is None:
        return counts
    # The background outside the box is counted without being looked at.
    counts[background, background] -= reference[box].size
    for slab in slabs(reference[box].shape):
        rows = positions(reference[box][slab], values, "reference")
        columns = positions(prediction[box][slab], values, "prediction")
        counts += np.bincount((rows * len(values) + columns).ravel(), minlength=counts.size).reshape(counts.shape)
    return counts


def overlap(counts: np.ndarray, values: Sequence[int], structure: Structure) -> Overlap:
    """Overlap of a label or region from the counts of ``confusion_matrix`` with the same ``values``."""
    chosen = np.isin(values, structure.values)
    return Overlap(int(counts[chosen].sum()), int(counts[:, chosen].sum()), int(counts[np.ix_(chosen, chosen)].sum()))


def positions(label_map: np.ndarray, values: Sequence[int], what: str) -> np.ndarray:
    """Position of every voxel's value in ``values``, dtype intp, the same shape as ``label_map``.

    Raises:
        SegVarianceError: a value is not among ``values``; the sentence names ``what``.
    """
    unknown = len(values)
    position_of = np.full(max(values) + 2, unknown, dtype=np.intp)
    position_of[list(values)] = range(len(values))
    clipped = label_map
    if label_map.min(initial=0) < 0 or label_map.max(initial=0) >= len(position_of):
        clipped = np.where(label_map < 0, len(position_of) - 1, np.minimum(label_map, len(position_of) - 1))
    found = position_of[clipped]
    if found.max(initial=0) == unknown:
        strange = sorted(set(np.unique(label_map).tolist()) - set(values))
        raise SegVarianceError(
            f"The {what} holds the label values {strange}, expected only {sorted(values)}. "
            "Mend the label map or the dataset's list of labels."
        )
    return found
