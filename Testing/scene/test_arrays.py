"""Voxels go into the scene and come back with their places, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import vtk
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import read_image, read_label_map
from SegVarianceLib.scene.arrays import add_volume, ras_mm, volume_array, volume_geometry
from SegVarianceLib.scene.lattice import laid_on, turn_between


def voxels(shape=(18, 24, 30), kind=np.float32):
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(kind)


def test_a_volume_comes_back_bit_for_bit_from_every_grid(scene, geometry):
    node = add_volume(scene, "image", voxels(), geometry)
    assert volume_geometry(node) == geometry
    assert np.array_equal(volume_array(node), voxels())
    assert np.array_equal(volume_array(node, geometry), voxels())


def test_slicer_and_the_library_put_a_voxel_at_the_same_place(scene, geometry):
    node = add_volume(scene, "image", voxels(), geometry)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    for index in ((0, 0, 0), (29, 0, 0), (3, 5, 7), (29, 23, 17)):
        in_slicer = matrix.MultiplyPoint((*index, 1))[:3]
        assert np.allclose(in_slicer, ras_mm(geometry.index_to_lps_mm(np.array(index))), atol=1e-12)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_type_of_the_voxels_stays(scene, kind):
    node = add_volume(
        scene, "image", voxels(kind=kind), Geometry((30, 24, 18), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    )
    assert volume_array(node).dtype == kind


def test_what_is_read_from_a_node_is_a_copy(scene, geometry):
    node = add_volume(scene, "image", voxels(), geometry)
    volume_array(node)[:] = 7
    assert np.array_equal(volume_array(node), voxels())


def test_a_left_handed_file_that_slicer_turned_around_is_turned_back(mrml, tmp_path, geometry):
    image = sitk.GetImageFromArray(voxels())
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    sitk.WriteImage(image, str(tmp_path / "image.nii.gz"))
    ours = read_image([tmp_path / "image.nii.gz"])
    node = mrml.volumes.AddArchetypeVolume(str(tmp_path / "image.nii.gz"), "image")
    mirrored = np.linalg.det(geometry.direction_matrix) < 0
    assert np.array_equal(volume_array(node), ours.array[0]) != mirrored
    assert np.array_equal(volume_array(node, ours.geometry), ours.array[0])


def test_a_volume_elsewhere_is_refused_with_a_sentence(scene, geometry):
    node = add_volume(scene, "image", voxels(), geometry)
    moved = Geometry(geometry.size, geometry.spacing_mm, (0.0, 0.0, 0.0), geometry.direction)
    smaller = Geometry((30, 24, 17), geometry.spacing_mm, geometry.origin_mm, geometry.direction)
    for elsewhere in (moved, smaller):
        with pytest.raises(SegVarianceError, match="does not lie on the grid"):
            volume_array(node, elsewhere)


def test_what_cannot_be_said_is_refused(scene, geometry):
    with pytest.raises(SegVarianceError, match="Give the array's own geometry"):
        add_volume(scene, "image", voxels((5, 5, 5)), geometry)
    with pytest.raises(SegVarianceError, match="complex128"):
        add_volume(scene, "image", voxels(kind=complex), geometry)
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0, "the scene is unchanged"
    with pytest.raises(SegVarianceError, match="no voxels"):
        volume_geometry(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))
    node = add_volume(scene, "image", voxels(), geometry)
    node.SetIJKToRASDirections(1, 0.3, 0, 0, 1, 0, 0, 0, 1)
    with pytest.raises(SegVarianceError, match="sheared"):
        volume_geometry(node)


def test_a_volume_below_a_transform_is_refused(scene, geometry):
    node = add_volume(scene, "image", voxels(), geometry)
    node.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved").GetID())
    with pytest.raises(SegVarianceError, match="harden the transform"):
        volume_array(node)


@given(order=st.permutations([0, 1, 2]), signs=st.tuples(*[st.sampled_from([-1, 1])] * 3), seed=st.integers(0, 9))
def test_any_order_of_the_axes_is_turned_back(order, signs, seed):
    """An independent way: SimpleITK permutes and flips the image, and tells where it then is."""
    array = np.random.default_rng(seed).integers(0, 99, (4, 3, 5)).astype(np.uint8)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.9, 1.3))
    image.SetOrigin((5, -7, 11))
    turned = sitk.PermuteAxes(image, order)
    turned = sitk.Flip(turned, [sign < 0 for sign in signs])
    there, here = (Geometry(i.GetSize(), i.GetSpacing(), i.GetOrigin(), i.GetDirection()) for i in (image, turned))
    assert np.array_equal(laid_on(sitk.GetArrayFromImage(turned), here, there), array)


def test_a_crop_is_laid_where_it_was_and_what_sticks_out_is_dropped(geometry):
    array = voxels()
    corner = tuple(geometry.index_to_lps_mm(np.array((4, 3, 2))).tolist())
    crop = Geometry((10, 30, 6), geometry.spacing_mm, corner, geometry.direction)  # y ends 9 voxels beyond the grid
    laid = laid_on(np.ones(crop.shape_zyx, dtype=np.uint8), crop, geometry)
    expected = np.zeros(array.shape, dtype=np.uint8)
    expected[2:8, 3:, 4:14] = 1
    assert np.array_equal(laid, expected)


def test_half_a_voxel_away_is_another_lattice(geometry):
    corner = tuple(geometry.index_to_lps_mm(np.array((0.5, 0, 0))).tolist())
    assert turn_between(Geometry(geometry.size, geometry.spacing_mm, corner, geometry.direction), geometry) is None


def test_the_real_patient_lies_on_one_grid_for_slicer_and_the_library(mrml, real_data):
    case = real_data / "brats_ensemble" / "TCGA-DU-7294"
    path = case / "members" / "isen-20.nii.gz"
    ours = read_label_map(path)
    node = mrml.volumes.AddArchetypeVolume(str(path), "member")
    assert np.array_equal(volume_array(node, ours.geometry), ours.array)
