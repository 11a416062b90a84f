"""Agreement and entropy maps: coloured where members disagree, the bare image where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.scene.arrays import volume_array
from SegVarianceLib.scene.maps import AGREEMENT, ENTROPY, add_map


def opacity_of(node):
    """Opacity of every voxel as Slicer's own display pipeline colours it, [z, y, x] from 0 to 255."""
    display = node.GetDisplayNode()
    display.UpdateImageDataPipeline()
    display.GetImageDataConnection().GetProducer().Update()
    coloured = display.GetOutputImageData()
    return vtk_to_numpy(coloured.GetPointData().GetScalars())[:, 3].reshape(node.GetImageData().GetDimensions()[::-1])


def test_only_disagreement_is_coloured(scene, geometry):
    agreement = np.ones(geometry.shape_zyx, dtype=np.float32)
    agreement[4:8, 4:8, 4:8] = 0.6
    node = add_map(scene, "agreement", agreement, geometry, AGREEMENT)
    assert np.array_equal(opacity_of(node) > 0, agreement < 1)
    entropy = np.where(agreement < 1, 0.97, 0).astype(np.float32)
    node = add_map(scene, "entropy", entropy, geometry, ENTROPY)
    assert np.array_equal(opacity_of(node) > 0, entropy > 0)


def test_the_window_is_the_same_for_every_case(scene, geometry):
    for kind, window in ((AGREEMENT, (0.5, 1.0)), (ENTROPY, (0.0, 1.0))):
        for level in (0.0, 0.9):
            node = add_map(scene, kind.title, np.full(geometry.shape_zyx, level), geometry, kind)
            display = node.GetDisplayNode()
            assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx(window)
            assert not display.GetInterpolate(), "no share of members that nobody computed"
            assert np.allclose(volume_array(node), level)


def test_the_colours_of_the_application_come_first(scene, geometry):
    inferno = slicer.vtkMRMLColorTableNode()
    inferno.SetName("Inferno")
    scene.AddNode(inferno)
    flat = np.zeros(geometry.shape_zyx)
    assert add_map(scene, "entropy", flat, geometry, ENTROPY).GetDisplayNode().GetColorNode().GetName() == "Inferno"
    assert add_map(scene, "agreement", flat, geometry, AGREEMENT).GetDisplayNode().GetColorNode().GetName() == "Iron"


def test_what_is_no_number_and_a_scene_without_colours_are_refused(geometry):
    empty = slicer.vtkMRMLScene()
    with pytest.raises(SegVarianceError, match="NaN"):
        add_map(empty, "entropy", np.full(geometry.shape_zyx, np.nan), geometry, ENTROPY)
    with pytest.raises(SegVarianceError, match="none of the colour tables Inferno"):
        add_map(empty, "entropy", np.zeros(geometry.shape_zyx), geometry, ENTROPY)
    assert empty.GetNumberOfNodes() == 0
