"""One case's regions as an inspector looks at them: by a rule, at thresholds, after so many steps, and what that changes.

The comparison is always with painting in order at one half, as nnU-Net does, after as many steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ..core.errors import SegVarianceError
from ..ensemble.region_recipe import PAINT, REBUILDS, RegionRecipe
from ..ensemble.region_rules import DEFAULT_THRESHOLD
from ..ensemble.regions import Reconstruction
from ..evaluation.region_steps import Borders, RegionSteps, region_steps

GAINED, LOST, RELABELLED = 1, 2, 3
_VOXEL_TO_ML = 1e-3


class Picture(NamedTuple):
    """``changes`` uint8 [z, y, x] holds GAINED (was background), LOST (is background now) and RELABELLED; volumes in ml."""

    label_map: np.ndarray
    changes: np.ndarray
    gained_ml: float
    lost_ml: float
    relabelled_ml: float


class Inspection:
    """``shown`` is the reconstruction by the rule at the present thresholds, ``painted`` the number of regions painted.

    Besides the given reconstruction it holds two bytes a voxel, and by the rule ``nested`` other probabilities.
    """

    def __init__(self, given: Reconstruction):
        """``given`` at its default thresholds; they are moved here."""
        self._given = self.shown = given
        self.rule = PAINT
        self.painted = len(given.order)
        masks = (given.region_mask(region.name) for region in given.labels.structures)
        self._before = Reconstruction(masks, given.labels, given.voxel_volume_mm3, given.reference)
        self._map_before = self._before.label_map
        self._borders = None if given.reference is None else Borders(given.reference)
        self.scores_before = self._scores_of(self._before)

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """One a region; None where there is none to move."""
        return self.shown.thresholds

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of ``REBUILDS``; a label map can only be painted."""
        return (PAINT,) if self._given.thresholds is None else tuple(REBUILDS.ids)

    def take_over(self, rule: str, thresholds: Mapping[str, float]) -> None:
        """Rule and thresholds of another inspection, as far as they fit this one."""
        for region in self._given.labels.structures if len(self.rules) > 1 else ():
            self._given.set_threshold(region.name, thresholds.get(region.name, DEFAULT_THRESHOLD))
        with suppress(SegVarianceError):  # other regions may not be nested
            self.use_rule(rule if rule in self.rules else PAINT)

    def use_rule(self, rule: str) -> None:
        """An id of ``REBUILDS``; thresholds stay.

        Raises:
            SegVarianceError: the rule needs nested regions, and these are not; all is then as before.
        """
        given = self._given
        for region, threshold in zip(given.labels.structures, self.thresholds or (), strict=False):
            given.set_threshold(region.name, threshold)
        if rule == "nested":
            self.shown, _ = given.nested()
        elif rule == "label_probability":
            largest = given.largest_label()
            self.shown = Reconstruction.of_label_map(largest, given.labels, given.voxel_volume_mm3, given.reference)
        else:
            self.shown = given
        self.rule = rule

    def set_threshold(self, name: str, threshold: float) -> None:
        """Errors as ``Reconstruction.set_threshold``."""
        self.shown.set_threshold(name, threshold)

    def reset(self) -> None:
        """Paint in order at one half, all regions."""
        self.shown = self._given
        self.take_over(PAINT, {})
        self.paint(len(self._given.order))

    def paint(self, regions: int) -> None:
        """Stop after the first ``regions`` of the order; fewer than none and more than all are none and all."""
        self.painted = min(max(regions, 0), len(self._given.order))
        self._map_before = self._before.step(self.painted)

    def picture(self) -> Picture:
        label_map, before = self.shown.step(self.painted), self._map_before
        places = np.flatnonzero(label_map.ravel() != before.ravel())
        was, now = before.ravel()[places], label_map.ravel()[places]
        kinds = np.where(was == 0, GAINED, np.where(now == 0, LOST, RELABELLED)).astype(np.uint8)
        changes = np.zeros(label_map.size, dtype=np.uint8)
        changes[places] = kinds
        ml = self._given.voxel_volume_mm3 * _VOXEL_TO_ML
        volumes = (np.bincount(kinds, minlength=RELABELLED + 1) * ml).tolist()
        return Picture(label_map, changes.reshape(label_map.shape), volumes[GAINED], volumes[LOST], volumes[RELABELLED])

    def probability(self, region: str) -> np.ndarray:
        """float32 [z, y, x] from 0 to 1, by the rule."""
        return (self._given if self.thresholds is None else self.shown).region_probability(region)

    def scores(self) -> RegionSteps | None:
        """Dice of every step now; None without a reference."""
        return self._scores_of(self.shown)

    def recipe(self) -> RegionRecipe:
        """What is shown after the whole order, to be applied to other probabilities."""
        return RegionRecipe(self._given.labels, self.rule, self.thresholds or self._given.thresholds)

    def _scores_of(self, rebuilt: Reconstruction) -> RegionSteps | None:
        return None if rebuilt.reference is None else region_steps(rebuilt, self._borders)
