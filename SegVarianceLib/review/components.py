"""The components of a structure, found once, and what a clean-up step would remove at any setting of it.

What goes is what ``ensemble.postprocessing`` removes: 26 neighbours, sizes in voxels of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from ..core.labels import Structure
from ..ensemble import components
from ..ensemble.postprocessing import CLEAN_UP, Removed, least_voxels, smaller_than_largest
from .places import centre_mm

_UNWANTED: Mapping[str, Callable[..., np.ndarray]] = {
    "keep_largest": lambda voxels, voxel_mm3, ties, becomes: smaller_than_largest(voxels, ties),
    "minimum_size": lambda voxels, voxel_mm3, minimum_mm3, becomes: voxels < least_voxels(minimum_mm3, voxel_mm3),
}
"""For each step, which components go, by their sizes in voxels in the order z, y, x of their first voxels."""

PREVIEWED = tuple(_UNWANTED)
"""The steps of ``CLEAN_UP`` that take components from one structure and can be previewed here."""


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
        self._found = components.Components.of(components.Runs.of(label_map), [structure])
        self.listed = self._list()

    def goes(self, step: str, settings: dict[str, Any] | None = None) -> tuple[Component, ...]:
        """What a step of ``PREVIEWED`` would remove at these settings, largest first, as ``listed``.

        Raises:
            SegVarianceError: an unknown step or setting, or a setting out of its bounds.
        """
        gone = self._gone(step, settings)
        return tuple(component for component in self.listed if gone[component.number - 1])

    def gone_mask(self, step: str, settings: dict[str, Any] | None = None) -> np.ndarray:
        """Boolean [z, y, x] of the whole image: the voxels that the step would make background, or what encloses them."""
        mask = np.zeros(self.geometry.shape_zyx, dtype=bool)
        gone = self._gone(step, settings)[self._found.component]
        self._found.runs.only(gone).paint(mask, np.ones(int(gone.sum()), dtype=bool))
        return mask

    def _gone(self, step: str, settings: dict[str, Any] | None) -> np.ndarray:
        chosen = CLEAN_UP.settings(step, settings or {})
        if step not in _UNWANTED:
            raise SegVarianceError(f"Clean-up {step!r} has no preview. Preview one of {', '.join(PREVIEWED)}.")
        if not len(self._found.voxels):
            return np.zeros(0, dtype=bool)
        return _UNWANTED[step](self._found.voxels, self.geometry.voxel_volume_mm3, **chosen)

    def _list(self) -> tuple[Component, ...]:
        """All components, largest first; of equally large ones the first met in the order z, y, x."""
        runs, voxels = self._found.runs, self._found.voxels
        centres = components.centres(runs.first_voxels(), runs.lengths, self._found.component)
        worlds = centre_mm(centres, self.geometry)
        order = np.argsort(-voxels, kind="stable")
        millilitres = voxels * self.geometry.voxel_volume_mm3 / 1000
        return tuple(
            Component(
                int(i) + 1,
                int(voxels[i]),
                float(millilitres[i]),
                _triple(centres[i], int),
                _triple(worlds[i], float),
            )
            for i in order
        )


def components_of(removed: Sequence[Removed], geometry: Geometry) -> tuple[Component, ...]:
    """What any steps removed or filled, as components, largest first."""
    ordered = sorted(removed, key=lambda each: -each.voxels)
    places = np.array([each.centre_index_zyx for each in ordered], dtype=int).reshape(-1, 3)
    worlds = centre_mm(places, geometry)
    return tuple(
        Component(number, each.voxels, each.volume_ml, each.centre_index_zyx, _triple(world, float))
        for number, (each, world) in enumerate(zip(ordered, worlds, strict=True), start=1)
    )


def _triple(values: np.ndarray, kind: type) -> tuple:
    return tuple(kind(value) for value in values)
