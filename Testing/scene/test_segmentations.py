"""Label maps become segmentation nodes that Slicer understands, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from vtk.util.numpy_support import vtk_to_numpy

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.report.style import STYLE
from SegVarianceLib.scene.arrays import add_volume, ras_mm, volume_array
from SegVarianceLib.scene.colours import structure_colours
from SegVarianceLib.scene.segmentations import add_segmentation, label_map_of, show_surfaces


def test_a_label_map_comes_back_from_every_grid(scene, geometry, tumour, label_map):
    node = add_segmentation(scene, "member", label_map, geometry, tumour)
    assert np.array_equal(label_map_of(node, geometry, tumour), label_map)


def test_segments_have_names_values_colours_and_terminology(scene, geometry, tumour, label_map):
    segmentation = add_segmentation(scene, "member", label_map, geometry, tumour).GetSegmentation()
    assert segmentation.GetSegmentIDs() == ("necrosis", "edema", "enhancing")
    segments = [segmentation.GetNthSegment(number) for number in range(3)]
    assert [segment.GetName() for segment in segments] == ["necrosis", "edema", "enhancing"]
    assert [segment.GetLabelValue() for segment in segments] == [1, 2, 4]
    assert [segment.GetColor() for segment in segments] == list(structure_colours(["a", "b", "c"]).values())
    entry = slicer.vtkSlicerTerminologyEntry()
    reader = slicer.vtkSlicerTerminologiesModuleLogic()
    meanings = []
    for segment in segments:
        assert reader.DeserializeTerminologyEntry(segment.GetTerminology(), entry)
        meanings.append(entry.GetTypeObject().GetCodeMeaning())
    assert meanings == ["Necrosis", "Edema", "Mass"]


def test_a_structure_has_its_colour_of_the_report():
    for red, green, blue in structure_colours("abcdef").values():
        assert f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}" in STYLE
    many = structure_colours(str(number) for number in range(40))
    assert len(set(many.values())) == 40


def test_structures_without_overlap_share_one_cropped_layer(scene, geometry, tumour, label_map):
    segmentation = add_segmentation(scene, "member", label_map, geometry, tumour).GetSegmentation()
    assert segmentation.GetNumberOfLayers() == 1
    assert segmentation.GetSegment("edema").GetRepresentation("Binary labelmap").GetExtent() == (6, 26, 4, 17, 3, 13)


def test_regions_that_overlap_get_layers_of_their_own_and_come_back(scene, geometry, regions, label_map):
    node = add_segmentation(scene, "member", label_map, geometry, regions)
    assert node.GetSegmentation().GetNumberOfLayers() == 3
    image = add_volume(scene, "image", label_map, geometry)
    for structure in regions.structures:
        drawn = slicer.util.arrayFromSegmentBinaryLabelmap(node, structure.name, image)
        assert np.array_equal(drawn > 0, structure.mask(label_map)), structure.name
    assert np.array_equal(label_map_of(node, geometry, regions), label_map)


def test_slicers_own_export_gives_the_same_label_map(mrml, geometry, tumour, label_map):
    """An independent reader: the Segmentations module, on the grid that the node itself names."""
    node = add_segmentation(mrml.scene, "member", label_map, geometry, tumour)
    image = add_volume(mrml.scene, "image", label_map, geometry)
    exported = mrml.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "exported")
    assert mrml.segmentations.ExportAllSegmentsToLabelmapNode(
        node, exported, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    mine, theirs = volume_array(image), volume_array(exported, geometry)
    places = {value: theirs[mine == value] for value in (0, 1, 2, 4)}
    assert all(len(set(found.tolist())) == 1 for found in places.values())
    assert len({int(found[0]) for found in places.values()}) == 4


def test_what_slicer_imports_is_read_back(mrml, geometry, tumour, label_map):
    """The other way round: a node that Slicer's label map import made, as the peers make it."""
    labelled = mrml.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    image = add_volume(mrml.scene, "image", label_map, geometry)
    labelled.CopyContent(image)
    node = mrml.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "imported")
    assert mrml.segmentations.ImportLabelmapToSegmentationNode(labelled, node)
    for number, structure in enumerate(tumour.structures):
        node.GetSegmentation().GetNthSegment(number).SetName(structure.name)
    assert np.array_equal(label_map_of(node, geometry, tumour), label_map)


def test_an_edit_in_slicer_is_read_back(scene, geometry, tumour, label_map):
    node = add_segmentation(scene, "member", label_map, geometry, tumour)
    image = add_volume(scene, "image", label_map, geometry)
    drawn = slicer.util.arrayFromSegmentBinaryLabelmap(node, "enhancing", image)
    drawn[0, 0, 0:3] = 1  # far outside of the crop
    slicer.util.updateSegmentBinaryLabelmapFromArray(drawn, node, "enhancing", image)
    edited = label_map.copy()
    edited[0, 0, 0:3] = 4
    assert np.array_equal(label_map_of(node, geometry, tumour), edited)


@pytest.mark.parametrize("present", [(), (2,), (1, 4)])
def test_empty_structures_stay_as_empty_segments(scene, geometry, tumour, label_map, present):
    label_map[~np.isin(label_map, present)] = 0
    node = add_segmentation(scene, "member", label_map, geometry, tumour)
    assert node.GetSegmentation().GetSegmentIDs() == ("necrosis", "edema", "enhancing")
    assert np.array_equal(label_map_of(node, geometry, tumour), label_map)


def test_voxels_to_ignore_are_left_out(scene, geometry, label_map):
    labels = LabelSet((Structure("necrosis", (1,)), Structure("edema", (2,))), ignore_value=4)
    node = add_segmentation(scene, "member", label_map, geometry, labels)
    assert np.array_equal(label_map_of(node, geometry, labels), np.where(label_map == 4, 0, label_map))


def test_label_values_above_255_stay(scene, geometry, label_map):
    labels = LabelSet((Structure("a", (1000,)), Structure("b", (40000,))))
    high = np.select([label_map == 1, label_map == 2], [1000, 40000]).astype(np.uint16)
    node = add_segmentation(scene, "member", high, geometry, labels)
    assert np.array_equal(label_map_of(node, geometry, labels), high)


def test_an_image_of_fractions_is_no_segmentation(scene, geometry, tumour, label_map):
    nodes = scene.GetNumberOfNodes()
    with pytest.raises(SegVarianceError, match=r"float32 values. Expected a label map of whole numbers"):
        add_segmentation(scene, "member", label_map.astype(np.float32), geometry, tumour)
    with pytest.raises(SegVarianceError, match=r"label values \[3\], expected only \[0, 1, 2, 4\]"):
        add_segmentation(scene, "member", np.where(label_map == 1, 3, label_map).astype(np.uint8), geometry, tumour)
    with pytest.raises(SegVarianceError, match="Give the label map's own geometry"):
        add_segmentation(scene, "member", label_map[:-1], geometry, tumour)
    assert scene.GetNumberOfNodes() == nodes, "the scene is unchanged"


def test_segments_that_are_not_the_structures_are_refused(scene, geometry, tumour, regions, label_map):
    node = add_segmentation(scene, "member", label_map, geometry, tumour)
    with pytest.raises(SegVarianceError, match=r"expected \['whole', 'core', 'enhancing'\]"):
        label_map_of(node, geometry, regions)


def test_a_segmentation_between_the_voxels_is_refused(scene, geometry, tumour, label_map):
    node = add_segmentation(scene, "member", label_map, geometry, tumour)
    between = Geometry(
        geometry.size,
        geometry.spacing_mm,
        tuple(geometry.index_to_lps_mm(np.full(3, 0.5)).tolist()),
        geometry.direction,
    )
    with pytest.raises(SegVarianceError, match="does not lie on the voxels"):
        label_map_of(node, between, tumour)


def test_outlines_with_a_low_fill_and_no_surfaces_until_asked(scene, geometry, tumour, label_map):
    node = add_segmentation(scene, "member", label_map, geometry, tumour)
    display, segmentation = node.GetDisplayNode(), node.GetSegmentation()
    assert display.GetOpacity2DOutline() == 1
    assert 0 < display.GetOpacity2DFill() < 0.3
    assert not segmentation.ContainsRepresentation("Closed surface")
    show_surfaces(node, True)
    surface = segmentation.GetSegment("edema").GetRepresentation("Closed surface")
    points = vtk_to_numpy(surface.GetPoints().GetData())
    corners = np.array([(5, 3, 2), (27, 18, 14)])  # a voxel around the box, for smoothing
    inside = np.linalg.solve(
        geometry.direction_matrix * np.asarray(geometry.spacing_mm), (ras_mm(points) - geometry.origin_mm).T
    ).T
    assert (inside > corners[0]).all() and (inside < corners[1]).all()
    show_surfaces(node, False)
    assert not segmentation.ContainsRepresentation("Closed surface")
