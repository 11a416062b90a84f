"""Slice views side by side: their layout, what each of them shows, and where all of them look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import slicer

from ..core.errors import SegVarianceError
from .arrays import ras_mm

_LAYOUT_ID = 7400  # the application's own end at about 500, and other extensions count up from there
_MOST_IN_A_ROW = 3
_COLOURS = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#cc79a7",
    "#f0e442",
    "#d55e00",
)  # Okabe and Ito: told apart by all readers


@dataclass(frozen=True)
class SliceView:
    """One slice view: its ``tag`` names it in the scene, ``label`` (one or two characters) stands in its corner."""

    tag: str
    label: str
    orientation: str = "Axial"
    colour: str = _COLOURS[0]


def side_by_side(labels: Sequence[str], orientation: str = "Axial") -> tuple[SliceView, ...]:
    """A view for each label, from ``SegVariance1`` on, each with a colour of its own up to six."""
    return tuple(
        SliceView(f"SegVariance{number + 1}", label, orientation, _COLOURS[number % len(_COLOURS)])
        for number, label in enumerate(labels)
    )


def layout_xml(views: Sequence[SliceView], with_3d: bool = False) -> str:
    """Slicer's description of a layout: up to three views a row, and a 3D view after the last one if asked."""
    cells = [_slice_cell(view) for view in views]
    if with_3d:
        cells.append('<item><view class="vtkMRMLViewNode" singletontag="1"/></item>')
    rows = [cells[start : start + _MOST_IN_A_ROW] for start in range(0, len(cells), _MOST_IN_A_ROW)]
    if len(rows) == 1:
        return _split("horizontal", rows[0])
    return _split("vertical", [f"<item>{_split('horizontal', row)}</item>" for row in rows])


def show_layout(scene: Any, views: Sequence[SliceView], with_3d: bool = False) -> int:
    """Make ``views`` the current layout and return the id of the layout before it, for ``restore_layout``.

    Raises:
        SegVarianceError: the application runs without its main window.
    """
    node = _layout_node(scene)
    if node is None:
        raise SegVarianceError(
            "Slicer runs without its main window, so there are no views to lay out. Show outlines over one another."
        )
    before = node.GetViewArrangement()
    xml = layout_xml(views, with_3d)
    # A description cannot be replaced while it is shown, so each arrangement gets an id of its own, once.
    layout = _LAYOUT_ID
    while node.IsLayoutDescription(layout) and node.GetLayoutDescription(layout) != xml:
        layout += 1
    if not node.IsLayoutDescription(layout):
        node.AddLayoutDescription(layout, xml)
    node.SetViewArrangement(layout)
    node.SetSaveWithScene(False)  # a Slicer that opens the saved scene may not know this layout, and would show no view
    return before


def restore_layout(scene: Any, layout: int) -> None:
    """Go back to the layout that ``show_layout`` returned, if the scene has views still."""
    if (node := _layout_node(scene)) is not None:
        node.SetViewArrangement(layout)
        node.SetSaveWithScene(True)


def slice_node(scene: Any, view: SliceView) -> Any:
    """The vtkMRMLSliceNode of a view; None before the layout has been shown."""
    return scene.GetSingletonNode(view.tag, "vtkMRMLSliceNode")


def show_only_in(node: Any, slice_nodes: Iterable[Any]) -> None:
    """Show a segmentation or model node only in these views; in every view where there is none."""
    display = node.GetDisplayNode()
    display.RemoveAllViewNodeIDs()
    for each in slice_nodes:
        display.AddViewNodeID(each.GetID())


def take_out_of_views(scene: Any, node: Any) -> None:
    """Have no slice view show a volume that is about to go: what a view still shows then keeps its voxels for ever."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = scene.GetNthNodeByClass(number, "vtkMRMLSliceCompositeNode")
        if composite.GetBackgroundVolumeID() == node.GetID():
            composite.SetBackgroundVolumeID(None)
        if composite.GetForegroundVolumeID() == node.GetID():
            composite.SetForegroundVolumeID(None)


def show_volumes(
    application: Any, views: Iterable[SliceView], image: Any, overlay: Any = None, opacity: float = 0.6
) -> None:
    """Set the image behind the outlines and a coloured map over it (nodes or None), and link the views.

    ``application`` is the vtkMRMLApplicationLogic, which knows the logic of each view.
    """
    for view in views:
        composite = application.GetSliceLogicByLayoutName(view.tag).GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(image.GetID() if image is not None else None)
        composite.SetForegroundVolumeID(overlay.GetID() if overlay is not None else None)
        composite.SetForegroundOpacity(opacity)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)  # while the mouse still moves


def fit(application: Any, views: Iterable[SliceView]) -> None:
    """Turn each view to the image's own planes, centre and fill it: new views start at different zooms."""
    for view in views:
        logic = application.GetSliceLogicByLayoutName(view.tag)
        logic.GetSliceNode().SetOrientation(view.orientation)
        logic.RotateSliceToLowestVolumeAxes(False)
        logic.FitSliceToBackground()
        logic.SnapSliceOffsetToIJK()


def jump_to(scene: Any, lps_mm: Sequence[float]) -> None:
    """Show a point of the patient (LPS, mm) in the middle of every slice view."""
    slicer.vtkMRMLSliceNode.JumpAllSlices(
        scene, *ras_mm(np.asarray(lps_mm)).tolist(), slicer.vtkMRMLSliceNode.CenteredJumpSlice
    )


def _layout_node(scene: Any) -> Any:
    return scene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def _split(direction: str, items: Sequence[str]) -> str:
    return f'<layout type="{direction}" split="true">{"".join(items)}</layout>'


def _slice_cell(view: SliceView) -> str:
    properties = {"orientation": view.orientation, "viewlabel": view.label, "viewcolor": view.colour}
    inner = "".join(
        f'<property name="{name}" action="default">{escape(value)}</property>' for name, value in properties.items()
    )
    return f'<item><view class="vtkMRMLSliceNode" singletontag={quoteattr(view.tag)}>{inner}</view></item>'
