"""Which regions hold each voxel, in one number a voxel: whatever is asked of the regions becomes a look-up."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..core.arrays import slabs


class RegionPatterns:
    """``numbers`` [z, y, x] and ``table`` bool [pattern, region]: region r holds a voxel where ``table[number, r]``.

    Up to 8 regions take one byte a voxel. More regions take one byte too as long as at most 256 of their patterns occur,
    then two, then four.
    """

    def __init__(self, masks: Iterable[np.ndarray]):
        """From one boolean mask [z, y, x] a region, read one after the other and not kept; there is at least one."""
        table = np.zeros((1, 0), dtype=bool)
        numbers: np.ndarray | None = None
        for mask in masks:
            if numbers is None:
                numbers = np.zeros(mask.shape, dtype=np.uint8)
            if 2 * len(table) > np.iinfo(numbers.dtype).max + 1:
                numbers, table = _only_those_present(numbers, table)
                numbers = numbers.astype(np.min_scalar_type(2 * len(table) - 1), copy=False)
            numbers += mask * numbers.dtype.type(len(table))
            table = np.block([[table, np.zeros((len(table), 1), bool)], [table, np.ones((len(table), 1), bool)]])
        assert numbers is not None, "there is at least one region"  # noqa: S101
        self.numbers = numbers
        self.table = table
        self._number_of = {row.tobytes(): number for number, row in enumerate(table)}

    def looked_up(self, meaning: np.ndarray) -> np.ndarray:
        """``meaning[number]`` of every voxel, [z, y, x], from one value a pattern."""
        found = np.empty(self.numbers.shape, dtype=meaning.dtype)
        for slab in slabs(found.shape):  # else the numbers are copied as 8-byte indices, all at once
            np.take(meaning, self.numbers[slab], out=found[slab], mode="clip")
        return found

    def toggle(self, places: np.ndarray, region: int) -> tuple[np.ndarray, np.ndarray]:
        """Put the voxels at flat indices ``places`` into a region, or out of it; their numbers [n] before and after."""
        before = self.numbers.ravel()[places]
        other = np.zeros(len(self.table), dtype=np.intp)
        for number in np.flatnonzero(np.bincount(before, minlength=len(self.table))):
            row = self.table[number].copy()
            row[region] = not row[region]
            other[number] = self._number(row)
        if len(self.table) - 1 > np.iinfo(self.numbers.dtype).max:
            self.numbers = self.numbers.astype(np.min_scalar_type(len(self.table) - 1))
        after = other[before].astype(self.numbers.dtype)
        self.numbers.ravel()[places] = after
        return before, after

    def _number(self, row: np.ndarray) -> int:
        """The number of a pattern; a new one joins the table."""
        key = row.tobytes()
        if key not in self._number_of:
            self._number_of[key] = len(self.table)
            self.table = np.concatenate([self.table, row[np.newaxis]])
        return self._number_of[key]


def _only_those_present(numbers: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    present = np.bincount(numbers.ravel(), minlength=len(table)) > 0
    renumbered = (np.cumsum(present) - 1).clip(0).astype(numbers.dtype)
    return renumbered[numbers], table[present]
