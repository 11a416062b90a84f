"""From region Dice to label Dice, step by step along the order in which regions are painted.

A label begins as its region, with the region's Dice. Each later region that is painted over it takes a part away, in the
prediction and in the reference alike, until the label is left. With S voxels in both masks together and E wrong ones,
Dice = 1 - E / S, so each change is exactly the sum of two parts:

    volume = E / S - E / S'      the same wrong voxels weigh more in what is left
    errors = (E - E') / S'       wrong voxels that came, or went, with the part that was taken away
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.arrays import foreground_box
from ..ensemble.regions import Reconstruction, painted_labels
from ..metrics.metric import Pair, dice
from ..metrics.overlap import Overlap

_VOXEL_TO_ML = 1e-3


@dataclass(frozen=True)
class LabelStep:
    """One label after ``painted_region``, the ``step``-th (from 1), was painted.

    ``dice`` compares it with the reference painted as far; at its first step it is the Dice of region ``region``, at its
    last one that of the label. ``volume_part`` and ``errors_part`` add up to the change since the step before; None at the
    first step and where a Dice is None. Volumes in ml; ``boundary_share`` is the share of reference voxels with a face neighbour
    outside, None without any. ``orphans_ml`` are those of the region painted here.
    """

    value: int
    region: str
    step: int
    painted_region: str
    dice: float | None
    volume_part: float | None
    errors_part: float | None
    reference_ml: float
    predicted_ml: float
    wrong_ml: float
    boundary_share: float | None
    orphans_ml: float
    cases: int = 1


@dataclass(frozen=True)
class RegionScore:
    """``dice`` of the region's own mask, and ``rebuilt_dice`` of the region taken from the rebuilt labels (as nnU-Net scores)."""

    region: str
    dice: float | None
    rebuilt_dice: float | None
    orphans_ml: float


@dataclass(frozen=True)
class RegionSteps:
    """One case, or the mean of several. ``cross_ml`` [reference label, rebuilt label] in ml, both in the order of ``values``."""

    regions: tuple[RegionScore, ...]
    steps: tuple[LabelStep, ...]
    values: tuple[int, ...]
    cross_ml: np.ndarray

    def of_label(self, value: int) -> tuple[LabelStep, ...]:
        return tuple(step for step in self.steps if step.value == value)


class Borders:
    """How much of each structure of a reference [z, y, x] is boundary; each is looked at once."""

    def __init__(self, reference: np.ndarray):
        box = foreground_box(reference)
        self._reference = np.zeros((1, 1, 1), np.uint8) if box is None else reference[box]
        self._shares: dict[frozenset[int], float | None] = {}

    def share(self, values: Iterable[int]) -> float | None:
        """Of the voxels with these labels together; None where there are none."""
        key = frozenset(values)
        if key not in self._shares:
            self._shares[key] = boundary_share(np.isin(self._reference, sorted(key)))
        return self._shares[key]


def region_steps(rebuilt: Reconstruction, borders: Borders | None = None) -> RegionSteps:
    """Follow every label of one case from its region's Dice to its own, at the present thresholds.

    Voxels of the ignore label count for nothing.

    Args:
        rebuilt: made with the case's reference.
        borders: of that reference, kept by who asks again and again while thresholds move.

    Raises:
        ValueError: ``rebuilt`` has no reference.
    """
    if rebuilt.reference is None:
        raise ValueError("a reconstruction without a reference has no Dice")
    borders = borders or Borders(rebuilt.reference)
    labels, order = rebuilt.labels, rebuilt.order
    counted = [column for column, value in enumerate(rebuilt.reference_values) if value != labels.ignore_value]
    values = tuple(rebuilt.reference_values[column] for column in counted)
    counts = rebuilt.counts[:, counted]
    holds = np.stack([structure.mask(np.array(values)) for structure in labels.structures], axis=1)
    predicted, expected = painted_labels(rebuilt.table, order), painted_labels(holds, order)
    ml = rebuilt.voxel_volume_mm3 * _VOXEL_TO_ML
    orphans = rebuilt.orphans_ml
    regions = tuple(
        RegionScore(
            structure.name,
            _dice(_overlap(counts, rebuilt.table[:, at], holds[:, at])),
            _dice(_overlap(counts, structure.mask(predicted[:, -1]), holds[:, at])),
            orphans[structure.name],
        )
        for at, structure in enumerate(labels.structures)
    )
    steps: list[LabelStep] = []
    for value in dict.fromkeys(order):
        before = None
        for at in range(order.index(value), len(order)):
            there = expected[:, at + 1] == value
            now = _overlap(counts, predicted[:, at + 1] == value, there)
            volume, errors = _parts(before, now)
            steps.append(
                LabelStep(
                    value,
                    labels.structures[order.index(value)].name,
                    at + 1,
                    labels.structures[at].name,
                    _dice(now),
                    volume,
                    errors,
                    now.reference * ml,
                    now.prediction * ml,
                    _wrong(now) * ml,
                    borders.share(value for value, here in zip(values, there, strict=True) if here),
                    orphans[labels.structures[at].name],
                )
            )
            before = now
    cross = np.stack([counts[predicted[:, -1] == value].sum(axis=0) for value in values], axis=1)
    return RegionSteps(regions, tuple(steps), values, cross * ml)


def mean_steps(cases: Sequence[RegionSteps]) -> RegionSteps:
    """The mean of cases of one set of regions.

    A label's steps are averaged over the cases in which each of its steps has a Dice, so that the parts still add up; the
    cross table and the regions' orphans are averaged over all.
    """
    first = cases[0]
    steps: list[LabelStep] = []
    for value in dict.fromkeys(step.value for step in first.steps):
        chains = [case.of_label(value) for case in cases]
        whole = [chain for chain in chains if all(step.dice is not None for step in chain)]
        for at, model in enumerate(first.of_label(value)):
            steps.append(_mean_step(model, [chain[at] for chain in whole]))
    regions = tuple(
        RegionScore(
            region.region,
            _mean(case.regions[at].dice for case in cases),
            _mean(case.regions[at].rebuilt_dice for case in cases),
            float(np.mean([case.regions[at].orphans_ml for case in cases])),
        )
        for at, region in enumerate(first.regions)
    )
    return RegionSteps(regions, tuple(steps), first.values, np.mean([case.cross_ml for case in cases], axis=0))


def _mean_step(model: LabelStep, steps: Sequence[LabelStep]) -> LabelStep:
    """``model`` says which step it is; ``steps`` are the same one of each case that counts."""
    return replace(
        model,
        dice=_mean(step.dice for step in steps),
        volume_part=_mean(step.volume_part for step in steps),
        errors_part=_mean(step.errors_part for step in steps),
        reference_ml=_mean(step.reference_ml for step in steps) or 0.0,
        predicted_ml=_mean(step.predicted_ml for step in steps) or 0.0,
        wrong_ml=_mean(step.wrong_ml for step in steps) or 0.0,
        boundary_share=_mean(step.boundary_share for step in steps),
        orphans_ml=_mean(step.orphans_ml for step in steps) or 0.0,
        cases=len(steps),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _overlap(counts: np.ndarray, predicted: np.ndarray, expected: np.ndarray) -> Overlap:
    """Of the patterns (bool [pattern]) and reference labels (bool [label]) that a mask is made of."""
    there, drawn = counts[:, expected].sum(), counts[predicted].sum()
    return Overlap(int(there), int(drawn), int(counts[np.ix_(predicted, expected)].sum()))


def _dice(shared: Overlap) -> float | None:
    return dice(Pair(shared, None))


def _wrong(shared: Overlap) -> int:
    return shared.reference + shared.prediction - 2 * shared.both


def _parts(before: Overlap | None, now: Overlap) -> tuple[float | None, float | None]:
    """The parts of the change of Dice that come from the volume and from the wrong voxels."""
    if before is None or not (before.reference or before.prediction) or not (now.reference or now.prediction):
        return None, None
    size_before, size = before.reference + before.prediction, now.reference + now.prediction
    volume = _wrong(before) / size_before - _wrong(before) / size
    return volume, (_wrong(before) - _wrong(now)) / size


def boundary_share(mask: np.ndarray) -> float | None:
    """Share of the voxels of a boolean mask [z, y, x] with a face neighbour outside; beyond the array is outside."""
    voxels = int(np.count_nonzero(mask))
    if not voxels:
        return None
    framed: np.ndarray = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(mask.ndim):
        for side in (0, 2):
            inner &= framed[
                tuple(slice(side, side + n) if at == axis else slice(1, 1 + n) for at, n in enumerate(mask.shape))
            ]
    return 1 - int(np.count_nonzero(inner)) / voxels
