"""Labels rebuilt from regions, as something to look into: step through the order, move thresholds, see what changes.

nnU-Net's semantics (MIC-DKFZ/nnU-Net 2.8, ``LabelManager.convert_probabilities_to_segmentation``): where the probability of
the i-th declared region is strictly above its threshold, ``regions_class_order[i]`` is painted, later over earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.arrays import PROBABILITY_STEPS, slabs
from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LabelSet
from ..core.nesting import parents
from ..metrics.overlap import positions
from .label_votes import first_and_rest, require_same
from .region_patterns import RegionPatterns
from .region_rules import (
    DEFAULT_THRESHOLD,
    largest_label,
    nested_probabilities,
    require_order,
    require_probabilities,
    threshold_limits,
)

_VOXEL_TO_ML = 1e-3


class Flips(NamedTuple):
    """Voxels that a new threshold put into a region, or out of it: flat indices, and their volumes."""

    appeared: np.ndarray
    vanished: np.ndarray
    appeared_ml: float
    vanished_ml: float


class Reconstruction:
    """The labels of one case, rebuilt from its regions, at every step of the order and at any thresholds.

    Held are the probabilities as they were given (not copied), one byte a voxel besides (``RegionPatterns``), and one or two
    for a reference; nothing of an earlier step. ``counts`` [pattern, reference label] are always those of the present
    thresholds; without a reference there is one column. Columns are ``reference_values``.
    """

    def __init__(
        self,
        masks: Iterable[np.ndarray],
        labels: LabelSet,
        voxel_volume_mm3: float,
        reference: np.ndarray | None = None,
    ):
        """From a boolean mask [z, y, x] a region, in declared order; thresholds cannot be moved.

        ``of_probabilities``, ``of_votes`` and ``of_label_map`` are what is usually wanted.

        Args:
            reference: label map [z, y, x] on the same grid.

        Raises:
            SegVarianceError: regions without an order, or a reference of another shape or with unknown labels.
        """
        self.order = require_order(labels)
        self.labels = labels
        self.voxel_volume_mm3 = voxel_volume_mm3
        self.thresholds: tuple[float, ...] | None = None
        self._patterns = RegionPatterns(masks)
        self._probabilities: np.ndarray | None = None
        self._steps = 1
        self.reference_values: tuple[int, ...] = (BACKGROUND,)
        self.reference: np.ndarray | None = None
        if reference is not None:
            self._take_reference(reference)
        self.counts = self._count()

    @classmethod
    def of_probabilities(
        cls,
        probabilities: np.ndarray,
        labels: LabelSet,
        voxel_volume_mm3: float,
        reference: np.ndarray | None = None,
        thresholds: Sequence[float] | None = None,
        steps: int = PROBABILITY_STEPS,
    ) -> Reconstruction:
        """From probabilities [region, z, y, x]: fractions, or unsigned whole numbers of which ``steps`` mean 1.

        Raises:
            SegVarianceError: another number of channels, values outside 0 to 1 or NaN, a threshold outside 0 to 1; or as in
                the class.
        """
        require_probabilities(probabilities, labels, steps)
        chosen = (DEFAULT_THRESHOLD,) * len(probabilities) if thresholds is None else thresholds
        limits = threshold_limits(chosen, probabilities, steps)
        masks = (channel > limit for channel, limit in zip(probabilities, limits, strict=True))
        made = cls(masks, labels, voxel_volume_mm3, reference)
        made._probabilities, made._steps, made.thresholds = probabilities, steps, tuple(chosen)
        return made

    @classmethod
    def of_votes(
        cls,
        label_maps: Iterable[np.ndarray],
        labels: LabelSet,
        voxel_volume_mm3: float,
        reference: np.ndarray | None = None,
    ) -> Reconstruction:
        """From members' label maps [z, y, x], read one after the other: a region's probability is the share that drew it.

        At the default threshold this is the vote by region: more than half of the members.

        Raises:
            SegVarianceError: there is no member, or their shapes differ; or as in the class.
        """
        first, rest = first_and_rest(label_maps)
        votes = np.stack([structure.mask(first) for structure in labels.structures]).astype(np.uint16)
        members = 1
        for members, label_map in enumerate(rest, start=2):
            require_same(first.shape, label_map.shape, members)
            for count, structure in zip(votes, labels.structures, strict=True):
                count += structure.mask(label_map)
        small = votes.astype(np.min_scalar_type(members))
        return cls.of_probabilities(small, labels, voxel_volume_mm3, reference, steps=members)

    @classmethod
    def of_label_map(
        cls, label_map: np.ndarray, labels: LabelSet, voxel_volume_mm3: float, reference: np.ndarray | None = None
    ) -> Reconstruction:
        """From one label map [z, y, x], whose regions are certain: there is no threshold to move and nested regions have no orphans."""
        masks = (structure.mask(label_map) for structure in labels.structures)
        return cls(masks, labels, voxel_volume_mm3, reference)

    @property
    def label_map(self) -> np.ndarray:
        """Label map [z, y, x] after the whole order."""
        return self.step(len(self.order))

    def step(self, painted: int) -> np.ndarray:
        """Label map [z, y, x] after the first ``painted`` regions, a new array; 0 gives background everywhere."""
        return self._patterns.looked_up(self.painted_labels[:, painted])

    def region_mask(self, name: str) -> np.ndarray:
        """Boolean [z, y, x]: the region itself, before anything is painted over it."""
        return self._patterns.looked_up(self.table[:, self._position(name)])

    def region_probability(self, name: str) -> np.ndarray:
        """float32 [z, y, x] from 0 to 1, to lay over the image; of a label map 0 and 1."""
        if self._probabilities is None:
            return self.region_mask(name).astype(np.float32)
        channel = self._probabilities[self._position(name)]
        return channel.astype(np.float32) / np.float32(self._steps if channel.dtype.kind == "u" else 1)

    def nested(self) -> tuple[Reconstruction, int]:
        """The same with ``nested_probabilities``, of which it holds a copy, and how many voxels these changed."""
        if self._probabilities is None:
            return self, 0
        lowered, changed = nested_probabilities(self._probabilities, self.labels, self._steps)
        arguments = lowered, self.labels, self.voxel_volume_mm3, self.reference, self.thresholds, self._steps
        return Reconstruction.of_probabilities(*arguments), changed

    def largest_label(self) -> np.ndarray:
        """Label map [z, y, x] of the largest label probability, whatever the thresholds; errors as in ``region_rules``."""
        if self._probabilities is None:
            return self.label_map
        return largest_label(self._probabilities, self.labels, self._steps)

    def orphan_mask(self, name: str | None = None) -> np.ndarray:
        """Boolean [z, y, x]: inside the region (without ``name``: any) but outside a region that should hold it."""
        orphaned = self._orphaned
        return self._patterns.looked_up(
            np.logical_or.reduce(orphaned, axis=1) if name is None else orphaned[:, self._position(name)]
        )

    @property
    def orphans_ml(self) -> dict[str, float]:
        """Volume of each region's orphans, in ml, by name."""
        voxels = self.counts.sum(axis=1) @ self._orphaned
        return {structure.name: self._ml(n) for structure, n in zip(self.labels.structures, voxels, strict=True)}

    def volumes_ml(self, painted: int | None = None) -> dict[int, float]:
        """Volume of each label that is painted by then, in ml; after the whole order unless said otherwise."""
        after = self.painted_labels[:, len(self.order) if painted is None else painted]
        voxels = self.counts.sum(axis=1)
        return {value: self._ml(voxels[after == value].sum()) for value in dict.fromkeys(self.order)}

    def overwritten_ml(self, painted: int) -> dict[int, float]:
        """What the ``painted``-th region (from 1) took from which label, background among them, in ml."""
        before, inside = self.painted_labels[:, painted - 1], self.table[:, painted - 1]
        voxels = self.counts.sum(axis=1)
        taken = {
            value: self._ml(voxels[inside & (before == value)].sum())
            for value in (BACKGROUND, *self.order[: painted - 1])
        }
        return {value: volume for value, volume in taken.items() if volume}

    def set_threshold(self, name: str, threshold: float) -> Flips:
        """Move the threshold of a region, and say which voxels it gained and lost; only those are worked on.

        Raises:
            SegVarianceError: there are no probabilities, no such region, or the threshold is not from 0 to 1.
        """
        region = self._position(name)
        if self._probabilities is None or self.thresholds is None:
            raise SegVarianceError(
                f"Region {name!r} comes from a label map, which has no threshold. Open probabilities, or several members to vote."
            )
        channel = self._probabilities[region]
        moved = (*self.thresholds[:region], float(threshold), *self.thresholds[region + 1 :])
        old, new = (
            threshold_limits(thresholds, self._probabilities, self._steps)[region]
            for thresholds in (self.thresholds, moved)
        )
        low, high = min(old, new), max(old, new)
        flipped = _places_between(channel, low, high)
        self.thresholds = moved
        before, after = self._patterns.toggle(flipped, region)
        self._recount(flipped, before, after)
        nothing, volume = flipped[:0], self._ml(len(flipped))
        return Flips(flipped, nothing, volume, 0.0) if new < old else Flips(nothing, flipped, 0.0, volume)

    @property
    def table(self) -> np.ndarray:
        """Bool [pattern, region]: what the rows of ``counts`` mean."""
        return self._patterns.table

    @property
    def painted_labels(self) -> np.ndarray:
        """The label of each pattern after 0, 1, 2 and so on regions, [pattern, 1 + regions]."""
        return painted_labels(self.table, self.order)

    @property
    def _orphaned(self) -> np.ndarray:
        """Bool [pattern, region]: inside the region, outside one of its direct parents."""
        outside = [~self.table[:, list(outer)].all(axis=1) for outer in parents(self.labels.structures)]
        return self.table & np.stack(outside, axis=1)

    def _take_reference(self, reference: np.ndarray) -> None:
        if reference.shape != self._patterns.numbers.shape:
            raise SegVarianceError(
                f"The reference has {reference.shape} voxels [z, y, x], the regions {self._patterns.numbers.shape}. "
                "Give both on one grid: resample one to the other."
            )
        self.reference_values = tuple(sorted(self.labels.known_values))
        for slab in slabs(reference.shape):
            positions(reference[slab], self.reference_values, "reference")
        self.reference = reference

    def _count(self) -> np.ndarray:
        counts = np.zeros((len(self.table), len(self.reference_values)), dtype=np.int64)
        for slab in slabs(self._patterns.numbers.shape):
            columns = None if self.reference is None else self.reference[slab].ravel()
            counts += self._counted(self._patterns.numbers[slab].ravel(), columns)
        return counts

    def _recount(self, places: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        new_patterns = len(self.table) - len(self.counts)
        self.counts = np.pad(self.counts, ((0, new_patterns), (0, 0)))
        columns = None if self.reference is None else self.reference.ravel()[places]
        self.counts += self._counted(after, columns) - self._counted(before, columns)

    def _counted(self, numbers: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
        """Voxels [pattern, reference label] of patterns [n] at reference labels [n]."""
        width = len(self.reference_values)
        cells = numbers if reference is None else numbers * np.intp(width) + self._columns(reference)
        return np.bincount(cells, minlength=len(self.table) * width).reshape(-1, width)

    def _columns(self, reference: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.reference_values, reference)

    def _position(self, name: str) -> int:
        names = [structure.name for structure in self.labels.structures]
        if name not in names:
            raise SegVarianceError(f"There is no region {name!r}. There are: {', '.join(names)}.")
        return names.index(name)

    def _ml(self, voxels: int) -> float:
        return float(voxels) * self.voxel_volume_mm3 * _VOXEL_TO_ML


def painted_labels(held: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Labels after 0, 1, 2 and so on regions, [n, 1 + regions], of n voxels of which ``held`` [n, region] says where they are."""
    painted = np.zeros((len(held), 1 + len(order)), dtype=np.min_scalar_type(max(order)))
    for step, value in enumerate(order):
        painted[:, step + 1] = np.where(held[:, step], value, painted[:, step])
    return painted


def _places_between(channel: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Flat indices of the voxels of [z, y, x] above ``low`` and not above ``high``."""
    found = [np.empty(0, dtype=np.intp)]
    for slab in slabs(channel.shape):
        part = channel[slab]
        found.append(np.flatnonzero((part > low) & (part <= high)) + slab.start * channel[0].size)
    return np.concatenate(found)
