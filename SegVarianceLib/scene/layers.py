"""Everything that is shown of one case: made together, named and foldered alike, gone together."""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Any

import numpy as np
import slicer
import vtk

from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from ..core.labels import LabelSet
from .arrays import add_volume
from .colours import structure_colours
from .maps import MapKind, add_map
from .names import node_name
from .segmentations import add_segmentation, let_go
from .views import take_out_of_views

MOST_SHOWN = 6
"""Segmentations shown at once: more cannot be told apart, and scrolling gets slow (0.1 s a slice with ten)."""

_STYLES = tuple(product((1.0, 0.6), (2, 1, 4)))[:MOST_SHOWN]
"""Opacity and thickness (pixels) of the outlines of what is shown together; Slicer draws no dashes."""

_FILL = 0.15
"""Opacity of all fills together: six members must not paint over the image that one leaves to be seen."""

_SEGMENTATION = "vtkMRMLSegmentationNode"
_LAYER = "SegVariance.layer"
"""Attribute of what layers are made of, in a saved scene too. A node holds its own name there: what the user clones or
renames is the user's."""


class Folder(StrEnum):
    """Folders of a case in the subject hierarchy."""

    REFERENCE = "Reference"
    MEMBERS = "Members"
    ENSEMBLES = "Ensembles"
    MAPS = "Maps"


class CaseLayers:
    """The nodes of one case. Segmentations are hidden until they are shown; ``close`` leaves the scene as it was.

    ``geometry`` is that of every array, which are label maps or values [z, y, x].
    """

    def __init__(self, scene: Any, case: str, geometry: Geometry, labels: LabelSet):
        self.scene, self.case, self.geometry, self.labels = scene, case, geometry, labels
        self.colours = structure_colours(structure.name for structure in labels.structures)
        self._hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        self._item = self._make_folder(self._hierarchy.GetSceneItemID(), case)
        self._nodes: list[Any] = []
        self._style_of: dict[Any, int] = {}

    def add_image(self, title: str, array: np.ndarray) -> Any:
        """A channel of the image, in the folder of the case."""
        return self._keep(add_volume(self.scene, node_name(self.case, title), array, self.geometry), self._item)

    def add_labels(self, folder: Folder, title: str, label_map: np.ndarray) -> Any:
        """The reference, a member or an ensemble as a segmentation node, hidden. Errors as add_segmentation."""
        name = node_name(self.case, title)
        node = add_segmentation(self.scene, name, label_map, self.geometry, self.labels, self.colours)
        node.GetDisplayNode().SetVisibility(False)
        return self._keep(node, self._folder(folder))

    def add_map(self, kind: MapKind, array: np.ndarray, of: str = "") -> Any:
        """An agreement or entropy map, of all members or ``of`` one ensemble. Errors as maps.add_map."""
        title = f"{kind.title} of {of}" if of else kind.title
        node = add_map(self.scene, node_name(self.case, title), array, self.geometry, kind)
        return self._keep(node, self._folder(Folder.MAPS))

    def add(self, node: Any) -> Any:
        """A node that somebody else has made, in the folder of the case."""
        return self._keep(node, self._item)

    @property
    def shown(self) -> tuple[Any, ...]:
        """The segmentation nodes that are shown, as they were asked for."""
        return tuple(self._style_of)

    def show(self, node: Any) -> None:
        """Show a segmentation node of this case in a line style that no other shown one has.

        Raises:
            SegVarianceError: as many are shown as can be told apart.
        """
        self._share_fill()
        if node in self._style_of:
            return
        if len(self._style_of) == MOST_SHOWN:
            raise SegVarianceError(
                f"{MOST_SHOWN} segmentations of {self.case} are shown already, more cannot be told apart. "
                "Hide one first, or look at the agreement map of all."
            )
        style = min(set(range(MOST_SHOWN)) - set(self._style_of.values()))
        self._style_of[node] = style
        display = node.GetDisplayNode()
        opacity, thickness = _STYLES[style]
        display.SetOpacity2DOutline(opacity)
        display.SetSliceIntersectionThickness(thickness)
        display.SetVisibility(True)
        self._share_fill()

    def hide(self, node: Any) -> None:
        """Hide a segmentation node; its line style is free again."""
        if self._style_of.pop(node, None) is not None and self.scene.IsNodePresent(node):
            node.GetDisplayNode().SetVisibility(False)
        self._share_fill()

    def remove(self, node: Any) -> None:
        """Take one node of this case out of the scene, with its display and storage nodes and its hierarchy item."""
        self.hide(node)
        self._nodes.remove(node)
        _remove(self.scene, self._hierarchy, node)

    def close(self) -> None:
        """Remove every node of this case from the scene. The folders stay if the user has put something there."""
        for node in tuple(self._nodes):
            self.remove(node)
        if self._item in _below(self._hierarchy, self._hierarchy.GetSceneItemID()):
            _remove_empty_folder(self.scene, self._hierarchy, self._item)

    def let_go(self) -> None:
        """The user is closing the scene: have the nodes go at once, and no view keep an image."""
        for node in self._nodes:
            if self.scene.IsNodePresent(node):
                take_out_of_views(self.scene, node)
                if node.IsA(_SEGMENTATION):
                    let_go(node)

    def _share_fill(self) -> None:
        """Also forgets what the user has taken out of the scene, which frees its line style."""
        self._style_of = {node: style for node, style in self._style_of.items() if self.scene.IsNodePresent(node)}
        for node in self._style_of:
            node.GetDisplayNode().SetOpacity2DFill(_FILL / len(self._style_of))

    def _folder(self, folder: Folder) -> int:
        """Item of a folder of this case, made when it is first needed."""
        found = self._hierarchy.GetItemChildWithName(self._item, folder)
        return found or self._make_folder(self._item, folder)

    def _make_folder(self, parent: int, name: str) -> int:
        item = self._hierarchy.CreateFolderItem(parent, name)
        self._hierarchy.SetItemAttribute(item, _LAYER, name)
        return item

    def _keep(self, node: Any, folder: int) -> Any:
        """Put a node into its folder. The application has made an item for it by itself, a bare scene has not."""
        item = self._hierarchy.GetItemByDataNode(node)
        if item:
            self._hierarchy.SetItemParent(item, folder)
        else:
            self._hierarchy.CreateItem(folder, node)
        node.SetAttribute(_LAYER, node.GetName())
        self._nodes.append(node)
        return node


def remove_layers_left(scene: Any) -> None:
    """Take away layers that no CaseLayers knows any more: those that a saved scene brought back.

    Folders stay if the user has put something there.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for kind in (_SEGMENTATION, "vtkMRMLScalarVolumeNode"):
        nodes = [scene.GetNthNodeByClass(number, kind) for number in range(scene.GetNumberOfNodesByClass(kind))]
        for node in nodes:
            if node.GetAttribute(_LAYER) == node.GetName():
                _remove(scene, hierarchy, node)
    items = _below(hierarchy, hierarchy.GetSceneItemID())
    for item in [item for item in items if hierarchy.HasItemAttribute(item, _LAYER)]:
        if item in _below(hierarchy, hierarchy.GetSceneItemID()):  # else it went with the folder above it
            _remove_empty_folder(scene, hierarchy, item)


def _remove(scene: Any, hierarchy: Any, node: Any) -> None:
    """With its display and storage nodes and its item; a node that the user has taken away may have left its item."""
    if scene.IsNodePresent(node):
        take_out_of_views(scene, node)
        helpers = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
        helpers += [node.GetNthStorageNode(number) for number in range(node.GetNumberOfStorageNodes())]
        for each in filter(None, helpers):  # displays first: what shows an image keeps it alive
            scene.RemoveNode(each)
        shown_anew = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
        for each in (node, *filter(None, shown_anew)):  # a view that has the image makes a display as soon as one lacks
            scene.RemoveNode(each)
        if node.IsA(_SEGMENTATION):
            let_go(node)
    if item := hierarchy.GetItemByDataNode(node):  # the application has removed it by itself
        hierarchy.RemoveItem(item, False, False)


def _remove_empty_folder(scene: Any, hierarchy: Any, folder: int) -> None:
    """Also with folders below it, unless something of the user's lies in one of them."""
    data = (hierarchy.GetItemDataNode(item) for item in _below(hierarchy, folder))
    if not any(node is not None and scene.IsNodePresent(node) for node in data):
        hierarchy.RemoveItem(folder, False, True)


def _below(hierarchy: Any, item: int) -> list[int]:
    """Everything in the tree under an item."""
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(item, found, True)
    return [found.GetId(number) for number in range(found.GetNumberOfIds())]
