"""What recipe follows from what data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.fingerprint import ChannelFacts, Fingerprint, StructureFacts
from SegVarianceLib.plan.planning import plan_configuration, plan_network

LABELS = LabelSet((Structure("a", (1,)), Structure("b", (2,)), Structure("c", (4,))))
MRI = ChannelFacts("T1", 100.0, 20.0, 30.0, 180.0, 0.0)
HIPPOCAMPUS = Fingerprint(
    digest="",
    cases={},
    spacing_zyx_mm=(1.0, 1.0, 1.0),
    shape_zyx=(36, 50, 35),
    channels=(MRI,),
    structures=(StructureFacts("a", 1.0, 1.7, 9.0), StructureFacts("b", 1.0, 1.5, 7.5)),
    mirror_axes=(2,),
    voxels_total=0,
    bytes_float32=0,
)


def configuration(**changes):
    return plan_configuration("default", replace(HIPPOCAMPUS, **changes), LABELS, steps=100)


def test_hippocampus_gets_a_patch_of_24_40_24_and_a_half_resolution_stem():
    network = configuration().network
    assert network.patch_zyx == (24, 40, 24)
    assert network.stem_stride == (2, 2, 2)


def test_a_class_is_planned_for_the_background_and_each_label_value():
    network = configuration(channels=(MRI,) * 4).network
    assert (network.in_channels, network.out_channels) == (4, 4)


shapes = st.tuples(*[st.integers(1, 600)] * 3)
spacings = st.tuples(*[st.floats(0.1, 20)] * 3)


@given(shapes, spacings, st.floats(0, 20))
def test_any_image_gets_a_patch_that_the_network_can_halve_and_memory_can_hold(shape, spacing, thickness):
    structure = StructureFacts("a", 1.0, 1.0, thickness)
    network = plan_network(
        replace(HIPPOCAMPUS, shape_zyx=shape, spacing_zyx_mm=spacing, structures=(structure,)), classes=3
    )
    halvings = np.prod([network.stem_stride, *network.strides], axis=0)
    deepest = np.array(network.patch_zyx) / halvings
    assert np.array_equal(deepest, deepest.astype(int))
    assert deepest.min() >= 1
    assert len(network.channels) == len(network.strides) + 1
    assert np.prod(network.patch_zyx) <= 96**3


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((30, 1024, 1024), (10.0, 0.2, 0.2)), ((5, 2000, 2000), (50.0, 0.1, 0.1)), ((1, 4000, 4000), (1.0, 0.01, 0.01))],
)
def test_planning_ends_where_the_longest_side_is_already_short(shape, spacing):
    patch = configuration(shape_zyx=shape, spacing_zyx_mm=spacing).network.patch_zyx
    assert np.prod(patch) <= 96**3
    assert patch[0] <= 8


def test_a_structure_thinner_than_three_voxels_keeps_the_stem_at_full_resolution():
    thin = (*HIPPOCAMPUS.structures, StructureFacts("c", 1.0, 0.1, 2.5))
    assert configuration(structures=thin).network.stem_stride == (1, 1, 1)


def test_a_structure_that_no_case_has_is_not_thin():
    absent = (*HIPPOCAMPUS.structures, StructureFacts("c", 0.0, 0.0, 0.0))
    assert configuration(structures=absent).network.stem_stride == (2, 2, 2)


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_a_coarse_axis_is_halved_only_once_the_others_are_as_coarse(coarse):
    spacing, shape = [0.5] * 3, [160] * 3
    spacing[coarse], shape[coarse] = 4.0, 24
    plan = configuration(spacing_zyx_mm=tuple(spacing), shape_zyx=tuple(shape))
    reached = np.array(spacing)
    for stride in (plan.network.stem_stride, *plan.network.strides):
        if reached[coarse] >= 2 * reached.min():
            assert stride[coarse] == 1
        reached *= stride
    assert plan.network.stem_stride[coarse] == 1
    assert plan.training.rotation_axes == (coarse,)


def test_isotropic_images_are_turned_about_all_axes_and_mirrored_only_as_the_labels_allow():
    training = configuration().training
    assert training.rotation_axes == (0, 1, 2)
    assert training.mirror_axes == (2,)
    assert training.steps == 100


def test_a_single_slice_is_neither_halved_nor_turned_out_of_its_plane():
    plan = configuration(shape_zyx=(1, 128, 128))
    assert plan.network.patch_zyx[0] == 1
    assert plan.training.rotation_axes == (0,)


@pytest.mark.parametrize(
    ("name", "zero_share", "expected"),
    [
        ("CT", 0.0, "ct"),
        (" ct ", 0.9, "ct"),
        ("T1", 0.0, "z_score"),
        ("FLAIR", 0.6, "z_score_nonzero"),
        ("contrast", 0.0, "z_score"),
    ],
)
def test_channels_are_normalised_as_their_kind_needs(name, zero_share, expected):
    channel = replace(MRI, name=name, zero_share=zero_share)
    planned = configuration(channels=(MRI, channel)).preprocessing.channels[1]
    assert planned.normalisation == expected
    assert (planned.low, planned.high, planned.mean, planned.std) == (30.0, 180.0, 100.0, 20.0)
