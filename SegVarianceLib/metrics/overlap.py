"""Overlap of two label maps, all labels in one pass. Regions come from the same counts, by adding rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, Structure

_WORDS_AT_ONCE = 1 << 16
"""Of eight bytes: half a megabyte of each label map, which stays in the processor's cache."""


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
    first, second = _words(reference, values, "reference"), _words(prediction, values, "prediction")
    kind = np.promote_types(first.dtype, second.dtype)
    first, second = (np.ascontiguousarray(each, dtype=kind).reshape(-1) for each in (first, second))
    count = _Counter(values, kind)
    whole = first.size - first.size % count.voxels_a_word
    words, others = first[:whole].view(np.uint64), second[:whole].view(np.uint64)
    for start in range(0, len(words), _WORDS_AT_ONCE):
        count.words(words[start : start + _WORDS_AT_ONCE], others[start : start + _WORDS_AT_ONCE])
    count.voxels(first[whole:], second[whole:])
    if count.unknown.any():  # the slow way, for its sentence
        positions(reference, values, "reference")
        positions(prediction, values, "prediction")
    return count.known(reference.size)


class _Counter:
    """Joint counts of two label maps' values, in words of eight bytes where that is enough.

    A word that is background in both is not looked at again; one that holds a single value in both, as most others do, counts
    as one.
    """

    def __init__(self, values: Sequence[int], kind: np.dtype):
        self.voxels_a_word = 8 // kind.itemsize
        self._kind = kind
        self._side = len(values) + 1  # the last row and column are for values that nobody knows
        self._column = np.full(np.iinfo(kind).max + 1, len(values), dtype=np.intp)
        for position, value in enumerate(values):
            if value < len(self._column):  # what the type cannot hold, no voxel has
                self._column[value] = position
        self._row = self._column * self._side
        self._mask = np.uint64(np.iinfo(kind).max)
        self._repeated = np.uint64(sum(1 << 8 * kind.itemsize * place for place in range(self.voxels_a_word)))
        self._counts = np.zeros(self._side**2, dtype=np.int64)

    def words(self, first: np.ndarray, second: np.ndarray) -> None:
        occupied = np.flatnonzero((first | second) != 0)
        first, second = first[occupied], second[occupied]
        value = first & self._mask
        alike = (first == second) & (first == value * self._repeated)
        agreed = np.bincount(self._column[value[alike]] * (self._side + 1), minlength=len(self._counts))
        self._counts += self.voxels_a_word * agreed
        self.voxels(first[~alike].view(self._kind), second[~alike].view(self._kind))

    def voxels(self, first: np.ndarray, second: np.ndarray) -> None:
        self._counts += np.bincount(self._row[first] + self._column[second], minlength=len(self._counts))

    @property
    def unknown(self) -> np.ndarray:
        counts = self._counts.reshape(self._side, self._side)
        return np.concatenate([counts[-1], counts[:, -1]])

    def known(self, size: int) -> np.ndarray:
        """Of a label map of ``size`` voxels; what was passed over is background in both."""
        counts = self._counts.reshape(self._side, self._side)[:-1, :-1].copy()
        background = self._column[BACKGROUND]
        counts[background, background] += size - counts.sum()
        return counts


def _words(label_map: np.ndarray, values: Sequence[int], what: str) -> np.ndarray:
    """The label map as uint8 or uint16; from another type only after its values were found to be known."""
    if label_map.dtype in (np.uint8, np.uint16):
        return label_map
    positions(label_map, values, what)
    return label_map.astype(np.uint16)


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
