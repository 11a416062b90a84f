"""Where members agree and where they do not, as a coloured overlay that leaves what is certain to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from .arrays import add_volume

_NEARLY = 1e-4  # beside the value of what is certain: float32 sums of shares are not exactly 1


@dataclass(frozen=True)
class MapKind:
    """How a map is shown: the window ``low`` to ``high``, and from ``certain`` on nothing at all.

    Of ``colour_tables`` the first is taken that the scene has: the application brings them all, a bare scene the last.
    """

    title: str
    low: float
    high: float
    certain: float
    colour_tables: tuple[str, ...]


AGREEMENT = MapKind("agreement", 0.5, 1.0, 1.0, ("Viridis", "ColdToHotRainbow", "Iron"))
"""Share of the members that drew the outcome; half of them is as bad as a vote between two labels can be."""
ENTROPY = MapKind("entropy", 0.0, 1.0, 0.0, ("Inferno", "ColdToHotRainbow", "Iron"))
"""Entropy of the members' votes in bits: 1 where they are split in half between two labels."""


def add_map(scene: Any, name: str, values: np.ndarray, geometry: Geometry, kind: MapKind) -> Any:
    """A new scalar volume node (float32) that shows ``values`` [z, y, x] in colour where members disagree.

    Raises:
        SegVarianceError: the array does not fit the grid or is not finite, or the scene has none of the colour tables.
    """
    if not np.isfinite(values).all():
        raise SegVarianceError(
            f"{name} holds NaN or infinite values. Expected a number for every voxel: compute it again."
        )
    colours = _colour_node(scene, kind)
    node = add_volume(scene, name, values.astype(np.float32, copy=False), geometry)
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(kind.low, kind.high)
    display.SetInterpolate(False)  # a share of members belongs to its voxel
    display.SetAutoThreshold(False)
    if kind.certain == kind.high:
        display.SetThreshold(-np.inf, kind.certain - _NEARLY)
    else:
        display.SetThreshold(kind.certain + _NEARLY, np.inf)
    display.SetApplyThreshold(True)
    return node


def _colour_node(scene: Any, kind: MapKind) -> Any:
    found = (scene.GetFirstNodeByName(table) for table in kind.colour_tables)
    node = next((node for node in found if node is not None and node.IsA("vtkMRMLColorNode")), None)
    if node is None:
        raise SegVarianceError(
            f"The scene has none of the colour tables {', '.join(kind.colour_tables)}. Load the Colors module first."
        )
    return node
