"""The components of a structure, found once, and what a clean-up step would remove at any setting of it.

What goes is what ``ensemble.postprocessing`` removes: 26 neighbours, sizes in voxels of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ..core.arrays import foreground_box
from ..core.geometry import Geometry
from ..core.labels import Structure
from ..ensemble.postprocessing import CLEAN_UP
from .places import centre_mm

_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
_LEAST = 1 - 1e-6
"""As in ``minimum_size``: 3 voxels of 0.7 mm3 are 2.1 mm3 whatever the last bit says."""

_Goes = Callable[..., np.ndarray]
_UNWANTED: Mapping[str, _Goes] = {
    "keep_largest": lambda voxels, voxel_mm3: np.arange(len(voxels)) != voxels.argmax(),
    "minimum_size": lambda voxels, voxel_mm3, minimum_mm3: voxels < minimum_mm3 / voxel_mm3 * _LEAST,
}
"""For each clean-up step, which components go, by their sizes in voxels in the order z, y, x of their first voxels."""


@dataclass(frozen=True)
class Component:
    """``centre_mm`` is the middle of the component's own voxel nearest to its centre of mass, LPS; ``number`` names it."""

    number: int
    voxels: int
    volume_ml: float
    centre_index_zyx: tuple[int, int, int]
    centre_mm: tuple[float, float, float]


class Components:
    """The components of one structure of one label map."""

    def __init__(self, label_map: np.ndarray, structure: Structure, geometry: Geometry):
        """From a label map [z, y, x] on the grid ``geometry``."""
        self.structure, self.geometry = structure, geometry
        mask = structure.mask(label_map)
        self._box = foreground_box(mask) or (slice(0, 0), slice(0, 0), slice(0, 0))
        self._labelled, count = ndimage.label(mask[self._box], structure=_NEIGHBOURS)
        self._voxels = np.bincount(self._labelled.ravel(), minlength=count + 1)[1:]
        self.listed = self._list()

    def goes(self, step: str, settings: dict[str, Any] | None = None) -> tuple[Component, ...]:
        """What a step of ``CLEAN_UP`` would remove at these settings, largest first, as ``listed``.

        Raises:
            SegVarianceError: an unknown step or setting, or a setting out of its bounds.
        """
        gone = self._gone(step, settings)
        return tuple(component for component in self.listed if gone[component.number - 1])

    def gone_mask(self, step: str, settings: dict[str, Any] | None = None) -> np.ndarray:
        """Boolean [z, y, x] of the whole image: the voxels that the step would make background."""
        mask = np.zeros(self.geometry.shape_zyx, dtype=bool)
        mask[self._box] = np.concatenate([[False], self._gone(step, settings)])[self._labelled]
        return mask

    def _gone(self, step: str, settings: dict[str, Any] | None) -> np.ndarray:
        chosen = CLEAN_UP.settings(step, settings or {})
        if not len(self._voxels):
            return np.zeros(0, dtype=bool)
        return _UNWANTED[step](self._voxels, self.geometry.voxel_volume_mm3, **chosen)

    def _list(self) -> tuple[Component, ...]:
        """All components, largest first; of equally large ones the first met in the order z, y, x."""
        centres = self._centres() + [side.start for side in self._box]
        worlds = centre_mm(centres, self.geometry)
        order = np.argsort(-self._voxels, kind="stable")
        millilitres = self._voxels * self.geometry.voxel_volume_mm3 / 1000
        return tuple(
            Component(
                int(i) + 1,
                int(self._voxels[i]),
                float(millilitres[i]),
                _triple(centres[i], int),
                _triple(worlds[i], float),
            )
            for i in order
        )

    def _centres(self) -> np.ndarray:
        """For each component the index [z, y, x] in the box of its voxel nearest to its centre of mass."""
        indices = np.array(np.nonzero(self._labelled)).T
        owner = self._labelled[tuple(indices.T)] - 1
        order = np.argsort(owner, kind="stable")
        indices, owner = indices[order], owner[order]
        starts = np.concatenate([[0], np.cumsum(self._voxels)[:-1]]).astype(np.intp)
        if not len(indices):
            return indices
        means = np.add.reduceat(indices, starts) / self._voxels[:, None]
        apart = ((indices - means[owner]) ** 2).sum(axis=1)
        nearest = np.lexsort((np.arange(len(owner)), apart, owner))[starts]
        return indices[nearest]


def _triple(values: np.ndarray, kind: type) -> tuple:
    return tuple(kind(value) for value in values)
