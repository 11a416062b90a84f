"""Slice views side by side, what they show, and pictures of it that were looked at."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicer
from offscreen import Offscreen3D, OffscreenSlice

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_image, read_label_map
from SegVarianceLib.ensemble.label_votes import vote as vote_on
from SegVarianceLib.review.places import worst_place
from SegVarianceLib.scene.arrays import ras_mm
from SegVarianceLib.scene.layers import CaseLayers, Folder
from SegVarianceLib.scene.maps import AGREEMENT
from SegVarianceLib.scene.segmentations import show_surfaces
from SegVarianceLib.scene.views import (
    fit,
    jump_to,
    layout_xml,
    restore_layout,
    show_layout,
    show_only_in,
    show_volumes,
    side_by_side,
    slice_node,
)

STORED = Path(__file__).parent / "pictures"


@pytest.fixture
def layout(mrml):
    """A layout logic, which makes the view nodes that a layout names, as in the application."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(mrml.scene)
    yield logic
    logic.SetMRMLScene(None)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_a_layout_has_a_view_for_each_label_three_in_a_row(count):
    views = side_by_side([f"<{number}>" for number in range(count)])
    root = ElementTree.fromstring(layout_xml(views, with_3d=True))  # noqa: S314 (our own text)
    cells = root.findall(".//view[@class='vtkMRMLSliceNode']")
    assert [cell.get("singletontag") for cell in cells] == [view.tag for view in views]
    assert [cell.find("property[@name='viewlabel']").text for cell in cells] == [f"<{n}>" for n in range(count)]
    assert len(root.findall(".//view[@class='vtkMRMLViewNode']")) == 1
    rows = [root] if root.get("type") == "horizontal" else root.findall("item/layout")
    assert max(len(row.findall("item")) for row in rows) <= 3
    assert sum(len(row.findall("item")) for row in rows) == count + 1


def test_showing_a_layout_makes_its_views_and_the_old_one_can_be_restored(mrml, layout):
    layout.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    before = show_layout(mrml.scene, side_by_side(["a", "b"]))
    assert before == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    nodes = [slice_node(mrml.scene, view) for view in side_by_side(["a", "b"])]
    assert [node.GetLayoutLabel() for node in nodes] == ["a", "b"]
    assert nodes[0].GetLayoutColor() != nodes[1].GetLayoutColor()
    two = layout.GetLayoutNode().GetViewArrangement()
    show_layout(mrml.scene, side_by_side(["a", "b", "c"]))
    assert layout.GetLayoutNode().GetViewArrangement() != two
    assert slice_node(mrml.scene, side_by_side("abc")[2]) is not None
    show_layout(mrml.scene, side_by_side(["a", "b"]))
    assert layout.GetLayoutNode().GetViewArrangement() == two, "the same arrangement keeps its id"
    restore_layout(mrml.scene, before)
    assert layout.GetLayoutNode().GetViewArrangement() == before


def test_views_are_linked_and_all_jump_to_a_point_of_the_patient(mrml, geometry, tumour, label_map):
    views = side_by_side(["a", "b", "c"])
    shown = [OffscreenSlice(mrml, view) for view in views]
    layers = CaseLayers(mrml.scene, "case", geometry, tumour)
    image = layers.add_image("T1", label_map.astype(np.float32))
    overlay = layers.add_map(AGREEMENT, np.ones(label_map.shape))
    show_volumes(mrml.application, views, image, overlay)
    fit(mrml.application, views)
    for view in shown:
        composite = view.logic.GetSliceCompositeNode()
        assert composite.GetLinkedControl()
        assert composite.GetBackgroundVolumeID() == image.GetID()
        assert composite.GetForegroundVolumeID() == overlay.GetID()
        to_ras = view.logic.GetSliceNode().GetSliceToRAS()
        normal = [to_ras.GetElement(row, 2) for row in range(3)]
        along = np.abs(ras_mm(geometry.direction_matrix.T) @ normal)
        assert along.max() == pytest.approx(1, abs=1e-6), "slices are the image's own, not cut across them"
        assert 20 < min(view.logic.GetSliceNode().GetFieldOfView()[:2]) < 40, (
            "the image, 21 to 23 mm wide, fills the view"
        )
    point = geometry.index_to_lps_mm(np.array((20, 9, 6)))
    jump_to(mrml.scene, point)
    for view in shown:
        matrix = view.logic.GetSliceNode().GetSliceToRAS()
        centre = [matrix.GetElement(row, 3) for row in range(3)]
        assert centre == pytest.approx(ras_mm(point).tolist(), abs=1e-6)


def coloured(picture):
    """Where a picture is not grey."""
    return np.ptp(picture.astype(int), axis=-1) > 30


def test_a_segmentation_is_drawn_only_in_the_views_it_is_meant_for(mrml, geometry, tumour, label_map):
    views = side_by_side(["a", "b"])
    shown = [OffscreenSlice(mrml, view, (160, 160)) for view in views]
    layers = CaseLayers(mrml.scene, "case", geometry, tumour)
    show_volumes(mrml.application, views, layers.add_image("T1", label_map.astype(np.float32)))
    node = layers.add_labels(Folder.MEMBERS, "member", label_map)
    layers.show(node)
    fit(mrml.application, views)
    jump_to(mrml.scene, geometry.index_to_lps_mm(np.array((12, 9, 7))))
    show_only_in(node, [shown[1].logic.GetSliceNode()])
    assert not coloured(shown[0].picture()).any()
    assert coloured(shown[1].picture()).any()
    show_only_in(node, [])
    assert coloured(shown[0].picture()).any()
    layers.hide(node)
    assert not coloured(shown[1].picture()).any()


def test_views_of_the_real_patient_look_as_they_did_when_they_were_looked_at(mrml, real_data, tmp_path):
    """Left: the vote; middle: all five models as outlines; right: where they disagree; then the vote in 3D."""
    labels = LabelSet((Structure("necrosis", (1,)), Structure("edema", (2,)), Structure("enhancing", (4,))))
    case = real_data / "brats_ensemble" / "TCGA-DU-7294"
    image = read_image([case / "images" / "flair.nii.gz"])
    members = {path.name[:-7]: read_label_map(path).array for path in sorted((case / "members").iterdir())}
    votes = vote_on(members.values(), labels)

    views = side_by_side(["vote", "five", "differ"])
    shown = [OffscreenSlice(mrml, view, (300, 300)) for view in views]
    layers = CaseLayers(mrml.scene, "TCGA-DU-7294", image.geometry, labels)
    flair = layers.add_image("FLAIR", image.array[0])
    vote = layers.add_labels(Folder.ENSEMBLES, "majority", votes.label_map)
    drawn = [layers.add_labels(Folder.MEMBERS, name, array) for name, array in members.items()]
    agreement = layers.add_map(AGREEMENT, votes.agreement)
    show_volumes(mrml.application, views[:2], flair)
    show_volumes(mrml.application, views[2:], flair, agreement)
    fit(mrml.application, views)
    for node in (vote, *drawn):
        layers.show(node)
        show_only_in(node, [shown[node is not vote].logic.GetSliceNode()])
    place = worst_place(votes.label_map, members["isen-20"], labels.structures[1], image.geometry)
    assert place is not None
    jump_to(mrml.scene, place[1])
    for view in shown:
        view.logic.GetSliceNode().SetFieldOfView(80, 80, 1)
    pictures = [view.picture() for view in shown]
    show_only_in(vote, [])
    show_surfaces(vote, True)
    pictures.append(Offscreen3D(mrml, (300, 300)).picture())
    require_alike(np.concatenate(pictures, axis=1), STORED / "views.png", tmp_path)


def require_alike(picture, stored, folder):
    """Pictures in blocks of 10 x 10 pixels may differ by 16 of 255 on average, in one block of fifty by more.

    Another rasteriser moves a line by a pixel; a colour, a window or a view that is wrong moves whole blocks.
    SEGVARIANCE_STORE_PICTURES=1 stores what is drawn: look at it before it is committed.
    """
    image = sitk.GetImageFromArray(picture, isVector=True)
    if os.environ.get("SEGVARIANCE_STORE_PICTURES"):
        sitk.WriteImage(image, str(stored))
    sitk.WriteImage(image, str(folder / stored.name))
    before = sitk.GetArrayFromImage(sitk.ReadImage(str(stored)))
    assert before.shape == picture.shape
    rows, columns, _ = picture.shape
    blocks = np.abs(before.astype(float) - picture)[: rows // 10 * 10, : columns // 10 * 10]
    blocks = blocks.reshape(rows // 10, 10, columns // 10, 10, 3).mean(axis=(1, 3, 4))
    assert (blocks > 16).mean() < 0.02, f"compare {folder / stored.name} with {stored}"
