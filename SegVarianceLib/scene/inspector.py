"""What an inspector of regions lays over the image: the labels as they are painted now, what has changed, and orphans.

Three segmentation nodes for as long as the inspector is open; their layers span the whole image and are painted anew where they
are, so that moving a threshold makes no node, no layer and no surface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from ..core.labels import LabelSet, Structure
from .arrays import volume_array
from .colours import Colour
from .layers import CaseLayers
from .names import node_name
from .segmentations import add_segmentation, layer_voxels

CHANGES = LabelSet((Structure("gained", (1,)), Structure("lost", (2,)), Structure("another label", (3,))))
"""What a voxel that has changed was before and is now: background and a label, a label and background, or two labels."""
_CHANGE_COLOURS: dict[str, Colour] = {"gained": (1, 1, 1), "lost": (1, 0.1, 0.1), "another label": (1, 1, 0)}
ORPHANS = LabelSet((Structure("orphans", (1,)),))
_ORPHAN_COLOURS: dict[str, Colour] = {"orphans": (1, 0, 1)}
_RESULT_FILL = 0.3
_OUTLINE_PIXELS, _MARK_PIXELS = 2, 3


class _Live(NamedTuple):
    """A segmentation node whose one layer is painted anew."""

    node: Any
    image: Any
    voxels: np.ndarray

    def paint(self, array: np.ndarray) -> None:
        """``array`` [z, y, x], of the layer's own type or boolean."""
        painted = array.view(np.uint8) if array.dtype == bool else array
        if not np.array_equal(self.voxels, painted):  # else views would be drawn for nothing
            np.copyto(self.voxels, painted)
            self.image.GetPointData().GetScalars().Modified()
            self.image.Modified()


class InspectorScene:
    """``scene`` is a vtkMRMLScene. Nothing is in it before ``open`` and after ``close``."""

    def __init__(self, scene: Any):
        self.scene = scene
        self._layers: CaseLayers | None = None
        self._live: dict[str, _Live] = {}

    def open(self, case: str, geometry: Geometry, painted: LabelSet, colours: Mapping[str, Colour]) -> None:
        """Nodes for a case; ``painted`` are the labels that can be painted, one value each, and ``colours`` theirs by name."""
        self.close()
        self._layers = CaseLayers(self.scene, node_name(case, "regions"), geometry, painted)
        self._add("result", painted, colours)
        self._add("changes", CHANGES, _CHANGE_COLOURS)
        self._add("orphans", ORPHANS, _ORPHAN_COLOURS)
        self._live["result"].node.GetDisplayNode().SetOpacity2DFill(_RESULT_FILL)
        for name in ("changes", "orphans"):
            display = self._live[name].node.GetDisplayNode()
            display.SetVisibility2DFill(False)
            display.SetSliceIntersectionThickness(_MARK_PIXELS)

    def show(self, label_map: np.ndarray, changes: np.ndarray, orphans: np.ndarray) -> None:
        """Paint the labels [z, y, x], the values of ``CHANGES`` (uint8) and a boolean mask, all on the case's grid."""
        for name, array in (("result", label_map), ("changes", changes), ("orphans", orphans)):
            if name in self._live and self.scene.IsNodePresent(
                self._live[name].node
            ):  # the user may have taken it away
                self._live[name].paint(array)

    def outline(self, changes: bool, orphans: bool) -> None:
        """Show or hide the outlines of what has changed, and of orphans."""
        for name, shown in (("changes", changes), ("orphans", orphans)):
            if name in self._live and self.scene.IsNodePresent(self._live[name].node):
                self._live[name].node.GetDisplayNode().SetVisibility(shown)

    def fill(self, shown: bool) -> None:
        """Fill the labels, or leave what is inside their outlines to be seen."""
        if "result" in self._live and self.scene.IsNodePresent(self._live["result"].node):
            self._live["result"].node.GetDisplayNode().SetVisibility2DFill(shown)

    def probabilities(self, names: Sequence[str], geometry: Geometry) -> np.ndarray:
        """Volumes of the scene that are called as regions are, float32 [region, z, y, x] on ``geometry``.

        Raises:
            SegVarianceError: there is no volume of such a name, or it does not lie on the grid.
        """
        found: list[np.ndarray] = []
        for name in names:
            node = self.scene.GetFirstNode(name, "vtkMRMLScalarVolumeNode")
            if node is None:
                raise SegVarianceError(
                    f"No volume of the scene is called {name!r}. Load the probability of each region and call it as the region."
                )
            found.append(volume_array(node, geometry).astype(np.float32))
        return np.stack(found)

    def close(self) -> None:
        """Take the nodes away, also where the scene has been closed and took them along."""
        if self._layers is not None:
            self._layers.close()
        self._layers, self._live = None, {}

    def _add(self, title: str, labels: LabelSet, colours: Mapping[str, Colour]) -> None:
        assert self._layers is not None, "open comes first"  # noqa: S101
        geometry = self._layers.geometry
        kind = np.min_scalar_type(max(labels.foreground_values))
        nothing = np.zeros(geometry.shape_zyx, dtype=kind)
        name = node_name(self._layers.case, title)
        node = add_segmentation(self.scene, name, nothing, geometry, labels, colours, cropped=False)
        node.GetDisplayNode().SetSliceIntersectionThickness(_OUTLINE_PIXELS)
        self._live[title] = _Live(self._layers.add(node), *layer_voxels(node))
