"""The layers of one case in the MRML scene, by key: what the presenters of the review ask for. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet
from SegVarianceLib.scene.export import SEGMENTATION, export_label_map, export_segmentation
from SegVarianceLib.scene.layers import MOST_SHOWN, CaseLayers, Folder, remove_layers_left
from SegVarianceLib.scene.maps import AGREEMENT, ENTROPY, MapKind
from SegVarianceLib.scene.names import node_name
from SegVarianceLib.scene.segmentations import add_segmentation
from SegVarianceLib.scene.views import (
    SliceView,
    fit,
    jump_to,
    restore_layout,
    show_layout,
    show_only_in,
    show_volumes,
    side_by_side,
    slice_node,
)

_MAPS = {
    "agreement": AGREEMENT,
    "vote_entropy": ENTROPY,
    "predictive_entropy": MapKind("predictive entropy", 0.0, 1.0, 0.0, ENTROPY.colour_tables),
    "expected_entropy": MapKind("expected entropy", 0.0, 1.0, 0.0, ENTROPY.colour_tables),
    "mutual_information": MapKind("mutual information", 0.0, 0.5, 0.0, ENTROPY.colour_tables),
    "variance": MapKind("variance", 0.0, 0.25, 0.0, ENTROPY.colour_tables),
    "difference": MapKind("votes by label and by region differ", 0.0, 1.0, 0.0, ENTROPY.colour_tables),
    "rules_differ": MapKind("rules differ", 0.0, 2.0, 0.0, ENTROPY.colour_tables),
    "probability": MapKind(
        "region probability", 0.0, 1.0, 0.05, ENTROPY.colour_tables
    ),  # below it the image is to be seen
}
_MAP_OPACITY = 0.6


class ReviewScene:
    """``scene`` is a vtkMRMLScene, ``application`` the vtkMRMLApplicationLogic, which knows the slice views."""

    most_shown = MOST_SHOWN

    def __init__(self, scene: Any, application: Any):
        self.scene, self.application = scene, application
        self._layers: CaseLayers | None = None
        self._nodes: dict[str, Any] = {}
        self._views: list[tuple[str, tuple[str, ...]]] = []
        self._image: Any = None
        self._map: Any = None
        self._layout_before: int | None = None
        self._place: Sequence[float] | None = None

    def open(self, case: str, geometry: Geometry, labels: LabelSet) -> None:
        """Take the layers of the case before away, also those that came with a saved scene, and begin with another."""
        self._remove_layers()
        remove_layers_left(self.scene)
        self._layers = CaseLayers(self.scene, case, geometry, labels)

    def close(self) -> None:
        """Take all layers away and go back to the user's own views."""
        self._remove_layers()
        self._own_views()

    def forget(self) -> None:
        """The scene is closed and the nodes with it; the views are the user's own again."""
        if self._layers is not None:
            self._layers.let_go()
        self._own_views()
        self._layers = self._image = self._map = self._layout_before = self._place = None
        self._nodes, self._views = {}, []

    def set_image(self, title: str, array: np.ndarray) -> None:
        layers = self._open_layers()
        before, self._image = self._image, layers.add_image(title, array)
        if before is not None:
            layers.remove(before)
        self._show_volumes()
        if before is None:  # another case lies elsewhere
            self._fit()

    def has(self, key: str) -> bool:
        """Whether the layer is in the scene; the user may have taken it away."""
        return key in self._nodes and bool(self.scene.IsNodePresent(self._nodes[key]))

    def put(self, key: str, folder: str, title: str, label_map: np.ndarray) -> None:
        """Add a layer, or replace it where it stands."""
        layers = self._open_layers()
        node = layers.add_labels(Folder(folder), title, label_map)
        before, self._nodes[key] = self._nodes.get(key), node
        if before is not None:
            layers.remove(before)
            self._show_layers()

    def arrange(self, views: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Show the layers of each (label, keys) in a view of its own; of a single one in the user's own views."""
        before, wanted = self._side_by_side, _side_by_side([label for label, _ in views])
        if wanted:
            layout = show_layout(self.scene, wanted)
            if self._layout_before is None:
                self._layout_before = layout
        else:
            self._own_views()
        self._views = [(label, tuple(keys)) for label, keys in views]
        self._show_layers()
        self._show_volumes()
        if before != self._side_by_side:
            self._fit()

    def show_map(self, kind: str, values: np.ndarray | None) -> None:
        """Lay a map over the image, or none."""
        layers = self._open_layers()
        before, self._map = self._map, None
        if before is not None:
            layers.remove(before)
        if values is not None:
            self._map = layers.add_map(_MAPS[kind], values)
        self._show_volumes()

    def jump(self, lps_mm: Sequence[float]) -> None:
        self._place = lps_mm
        jump_to(self.scene, lps_mm)

    def keep(self, title: str, label_map: np.ndarray) -> None:
        """A segmentation node that stays when the case is closed."""
        layers = self._open_layers()
        name = node_name(layers.case, title)
        add_segmentation(self.scene, name, label_map, layers.geometry, layers.labels, layers.colours)

    def save(self, path: Path, title: str, label_map: np.ndarray) -> None:
        """Write a .seg.nrrd file, or a label map with its colour table."""
        layers = self._open_layers()
        with self._for_a_moment(title, label_map) as node:
            if path.name.endswith(SEGMENTATION):
                export_segmentation(node, path)
            else:
                export_label_map(node, path, layers.geometry, layers.labels)

    @contextmanager
    def _for_a_moment(self, title: str, label_map: np.ndarray) -> Iterator[Any]:
        layers = self._open_layers()
        node = layers.add_labels(Folder.ENSEMBLES, title, label_map)
        try:
            yield node
        finally:
            layers.remove(node)

    def _show_layers(self) -> None:
        """Show exactly the layers of the arrangement, each in its own view."""
        layers = self._open_layers()
        where = {
            self._nodes[key]: number
            for number, (_, keys) in enumerate(self._views)
            for key in keys
            if self.has(key)  # of another case just opened they come one after the other
        }
        for node in layers.shown:
            if node not in where:
                layers.hide(node)
        views = self._side_by_side
        for node, number in where.items():
            layers.show(node)
            show_only_in(node, [slice_node(self.scene, views[number])] if views else [])

    def _show_volumes(self) -> None:
        """The image, and the map over it, in every slice view."""
        if self._side_by_side:
            show_volumes(self.application, self._side_by_side, self._image, self._map, _MAP_OPACITY)
            return
        for number in range(self.scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
            composite = self.scene.GetNthNodeByClass(number, "vtkMRMLSliceCompositeNode")
            composite.SetBackgroundVolumeID(self._image.GetID() if self._image is not None else None)
            composite.SetForegroundVolumeID(self._map.GetID() if self._map is not None else None)
            composite.SetForegroundOpacity(_MAP_OPACITY)

    @property
    def _side_by_side(self) -> tuple[SliceView, ...]:
        """A slice view for each view of the arrangement; none where it is shown in the user's own views."""
        return _side_by_side([label for label, _ in self._views])

    def _fit(self) -> None:
        """Fill the views with the image, and look again at the place that was looked at."""
        if self._side_by_side:
            fit(self.application, self._side_by_side)
        else:
            logics = self.application.GetSliceLogics()  # None where the application runs without its main window
            for number in range(0 if logics is None else logics.GetNumberOfItems()):
                logics.GetItemAsObject(number).FitSliceToBackground()
        if self._place is not None:
            jump_to(self.scene, self._place)

    def _own_views(self) -> None:
        if self._layout_before is not None:
            restore_layout(self.scene, self._layout_before)
            self._layout_before = None

    def _remove_layers(self) -> None:
        if self._layers is not None:
            self._layers.close()
        self._layers = self._image = self._map = self._place = None
        self._nodes = {}

    def _open_layers(self) -> CaseLayers:
        if self._layers is None:
            raise SegVarianceError("No case is open. Open a folder first.")
        return self._layers


def _side_by_side(labels: Sequence[str]) -> tuple[SliceView, ...]:
    return side_by_side(labels) if len(labels) > 1 else ()
