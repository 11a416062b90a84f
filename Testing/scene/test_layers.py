"""A case's layers: names, folders, line styles, and nothing left when it is closed."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.scene.layers import MOST_SHOWN, CaseLayers, Folder, remove_layers_left
from SegVarianceLib.scene.maps import AGREEMENT, ENTROPY
from SegVarianceLib.scene.names import member_title, node_name
from SegVarianceLib.scene.segmentations import add_segmentation, show_surfaces


def hierarchy_of(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def tree(scene, item=None, depth=0):
    """The subject hierarchy as lines, indented by depth."""
    hierarchy = hierarchy_of(scene)
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID() if item is None else item, found, False)
    for child in (found.GetId(number) for number in range(found.GetNumberOfIds())):
        yield "  " * depth + hierarchy.GetItemName(child)
        yield from tree(scene, child, depth + 1)


def opened(scene, geometry, labels, label_map, members=3):
    layers = CaseLayers(scene, "patient_1", geometry, labels)
    layers.add_image("T1", label_map.astype(np.float32))
    layers.add_labels(Folder.REFERENCE, "reference", label_map)
    for seed in range(members):
        layers.add_labels(Folder.MEMBERS, member_title("default", seed=seed, fold=2), label_map)
    layers.add_labels(Folder.ENSEMBLES, "default · mean probability", label_map)
    layers.add_map(AGREEMENT, np.ones(label_map.shape), of="default")
    layers.add_map(ENTROPY, np.zeros(label_map.shape))
    return layers


def test_members_are_named_by_what_is_known():
    assert node_name("case_1", member_title("default", seed=7, fold=2)) == "case_1 · default · seed 07 · fold 2"
    assert member_title("default", name="seed_7", seed=7) == "default · seed 07"
    assert member_title("brats", name="isen-20") == "brats · isen-20"


def test_folders_and_names_stand_as_users_expect(scene, geometry, tumour, label_map):
    opened(scene, geometry, tumour, label_map)
    assert list(tree(scene)) == [
        "patient_1",
        "  patient_1 · T1",
        "  Reference",
        "    patient_1 · reference",
        "  Members",
        "    patient_1 · default · seed 00 · fold 2",
        "    patient_1 · default · seed 01 · fold 2",
        "    patient_1 · default · seed 02 · fold 2",
        "  Ensembles",
        "    patient_1 · default · mean probability",
        "  Maps",
        "    patient_1 · agreement of default",
        "    patient_1 · entropy",
    ]


def test_closing_a_case_leaves_the_scene_as_it_was(scene, geometry, tumour, label_map):
    items = hierarchy_of(scene).GetNumberOfItems()  # makes the hierarchy node if there is none
    before = scene.GetNumberOfNodes()
    layers = opened(scene, geometry, tumour, label_map)
    member = scene.GetFirstNodeByName("patient_1 · default · seed 01 · fold 2")
    layers.show(member)
    show_surfaces(member, True)
    member.AddDefaultStorageNode()
    assert scene.GetNumberOfNodes() == before + 2 * 8 + 1
    layers.close()
    assert scene.GetNumberOfNodes() == before
    assert hierarchy_of(scene).GetNumberOfItems() == items
    layers.close()
    assert scene.GetNumberOfNodes() == before, "closing twice does no harm"


def test_what_the_user_put_beside_stays(scene, geometry, tumour, label_map):
    layers = opened(scene, geometry, tumour, label_map)
    hierarchy = hierarchy_of(scene)
    mine = scene.AddNewNodeByClass("vtkMRMLTextNode", "my notes")
    hierarchy.CreateItem(hierarchy.GetItemByName("Members"), mine)
    layers.close()
    assert scene.IsNodePresent(mine)
    assert list(tree(scene)) == ["patient_1", "  Reference", "  Members", "    my notes", "  Ensembles", "  Maps"]


def test_one_layer_is_removed_and_made_anew(scene, geometry, tumour, label_map):
    """As an ensemble of other members is."""
    layers = opened(scene, geometry, tumour, label_map)
    nodes, lines = scene.GetNumberOfNodes(), list(tree(scene))
    ensemble = scene.GetFirstNodeByName("patient_1 · default · mean probability")
    layers.show(ensemble)
    layers.remove(ensemble)
    assert layers.shown == ()
    assert scene.GetNumberOfNodes() == nodes - 2
    assert "    patient_1 · default · mean probability" not in list(tree(scene))
    layers.add_labels(Folder.ENSEMBLES, "default · mean probability", label_map)
    assert list(tree(scene)) == lines


def test_a_removed_segmentation_does_not_clear_its_voxels_segment_by_segment(scene, geometry, tumour, label_map):
    """Which takes seconds of a large one; seen by the layer that its segments shared, which is left as it was."""
    layers = CaseLayers(scene, "patient_1", geometry, tumour)
    node = layers.add_labels(Folder.MEMBERS, "seed 1", label_map)
    name = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    shared = node.GetSegmentation().GetSegment("edema").GetRepresentation(name)
    voxels = vtk_to_numpy(shared.GetPointData().GetScalars())
    layers.remove(node)
    del node
    assert sorted(set(voxels.tolist())) == [1, 2, 4]


def test_before_the_scene_is_closed_layers_give_their_voxels_away_and_no_view_shows_them(
    scene, geometry, tumour, label_map
):
    layers = opened(scene, geometry, tumour, label_map)
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetLayoutName("Red")
    composite.SetBackgroundVolumeID(scene.GetFirstNodeByName("patient_1 · T1").GetID())
    layers.let_go()
    assert composite.GetBackgroundVolumeID() is None
    name = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
    reference = scene.GetFirstNodeByName("patient_1 · reference").GetSegmentation()
    assert [reference.GetNthSegment(number).GetRepresentation(name) for number in range(3)] == [None] * 3
    layers.close()
    assert list(tree(scene)) == []


def test_closing_after_the_user_removed_nodes_or_closed_the_scene(mrml, geometry, tumour, label_map):
    for taken_away in (lambda node: mrml.scene.RemoveNode(node), lambda _: mrml.scene.Clear(False)):
        layers = opened(mrml.scene, geometry, tumour, label_map)
        reference = mrml.scene.GetFirstNodeByName("patient_1 · reference")
        layers.show(reference)
        layers.show(mrml.scene.GetFirstNodeByName("patient_1 · default · seed 01 · fold 2"))
        taken_away(reference)
        layers.hide(reference)
        layers.close()
        assert list(tree(mrml.scene)) == []
        assert mrml.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_layers_that_a_saved_scene_brought_back_are_taken_away_and_what_the_user_made_stays(
    mrml, tmp_path, geometry, tumour, label_map
):
    opened(mrml.scene, geometry, tumour, label_map)
    hierarchy = hierarchy_of(mrml.scene)
    add_segmentation(mrml.scene, "patient_1 · cleaned", label_map, geometry, tumour)
    renamed, cloned = (mrml.scene.GetFirstNodeByName(f"patient_1 · default · seed 0{n} · fold 2") for n in (0, 1))
    renamed.SetName("mine")
    slicer.vtkSlicerSubjectHierarchyModuleLogic.CloneSubjectHierarchyItem(
        hierarchy, hierarchy.GetItemByDataNode(cloned), "clone"
    )
    assert mrml.scene.WriteToMRB(str(tmp_path / "saved.mrb"))
    mrml.scene.Clear(False)
    assert mrml.scene.ReadFromMRB(str(tmp_path / "saved.mrb"), False)
    remove_layers_left(mrml.scene)
    kinds = ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode")
    left = [mrml.scene.GetNthNodeByClass(n, k) for k in kinds for n in range(mrml.scene.GetNumberOfNodesByClass(k))]
    assert {node.GetName() for node in left} == {"patient_1 · cleaned", "mine", "clone"}
    for kind in ("vtkMRMLSegmentationDisplayNode", "vtkMRMLStorageNode"):
        assert mrml.scene.GetNumberOfNodesByClass(kind) == len(left), "helpers go with their nodes"
    assert [line for line in tree(mrml.scene) if "patient_1 ·" in line] == []
    assert {"patient_1", "  Members", "    mine"} <= set(tree(mrml.scene))
    for node in left:
        mrml.scene.RemoveNode(node)
    remove_layers_left(mrml.scene)
    assert "patient_1" not in list(tree(mrml.scene))


def test_six_are_shown_at_once_each_with_its_own_line_style_and_the_same_colours(scene, geometry, tumour, label_map):
    layers = CaseLayers(scene, "patient_1", geometry, tumour)
    nodes = [layers.add_labels(Folder.MEMBERS, f"member {number}", label_map) for number in range(MOST_SHOWN + 1)]
    assert not any(node.GetDisplayNode().GetVisibility() for node in nodes)
    for node in nodes[:MOST_SHOWN]:
        layers.show(node)
    displays = [node.GetDisplayNode() for node in nodes[:MOST_SHOWN]]
    styles = {(display.GetOpacity2DOutline(), display.GetSliceIntersectionThickness()) for display in displays}
    assert len(styles) == MOST_SHOWN
    assert len({node.GetSegmentation().GetSegment("edema").GetColor() for node in nodes}) == 1
    with pytest.raises(SegVarianceError, match="Hide one first"):
        layers.show(nodes[-1])
    freed = (displays[2].GetOpacity2DOutline(), displays[2].GetSliceIntersectionThickness())
    layers.hide(nodes[2])
    assert not displays[2].GetVisibility()
    layers.show(nodes[-1])
    last = nodes[-1].GetDisplayNode()
    assert (last.GetOpacity2DOutline(), last.GetSliceIntersectionThickness()) == freed
    assert nodes[2] not in layers.shown
    assert len(layers.shown) == MOST_SHOWN


def test_a_case_that_fails_to_open_can_be_closed(scene, geometry, tumour, label_map):
    before = scene.GetNumberOfNodes()
    layers = CaseLayers(scene, "patient_1", geometry, tumour)
    layers.add_labels(Folder.MEMBERS, "good", label_map)
    with pytest.raises(SegVarianceError, match="float"):
        layers.add_labels(Folder.MEMBERS, "bad", label_map.astype(float))
    layers.close()
    assert scene.GetNumberOfNodes() == before
    assert list(tree(scene)) == []


def test_a_hundred_cases_opened_and_closed_leave_nothing(scene, tumour):
    geometry = Geometry((60, 60, 60), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    label_map = np.zeros(geometry.shape_zyx, dtype=np.uint8)
    label_map[2:58, 2:58, 2:58] = 2  # the smallest node, 0.2 MB, leaked once a case would be 20 MB
    process, rss, nodes = psutil.Process(), [], []
    for _ in range(110):
        layers = opened(scene, geometry, tumour, label_map)
        layers.show(scene.GetFirstNodeByName("patient_1 · reference"))
        layers.close()
        rss.append(process.memory_info().rss / 1e6)
        nodes.append(scene.GetNumberOfNodes())
    assert len(set(nodes)) == 1
    assert hierarchy_of(scene).GetNumberOfItems() == 0
    assert rss[-1] - rss[10] < 10, f"{rss[10]:.0f} MB after ten cases, {rss[-1]:.0f} MB after 110"
