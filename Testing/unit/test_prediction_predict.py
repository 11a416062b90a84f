"""From members and an image to label maps on the image's own grid, wherever that lies in the patient."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SegVarianceLib.core.arrays import PROBABILITY_ERROR_BOUND, dequantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import CanonicalAxes, Geometry
from SegVarianceLib.dataset.image_io import Volume, read_geometry, read_image, read_label_map, write_label_map
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.model.device import Device
from SegVarianceLib.model.network import build_network
from SegVarianceLib.model.preprocessing import NetworkGrid
from SegVarianceLib.model.sliding_window import Rows
from SegVarianceLib.model.trained import SCHEMA, TrainedFacts, save_trained
from SegVarianceLib.plan.study_plan import ChannelPlan, NetworkPlan, PreprocessingPlan
from SegVarianceLib.prediction.predict import Predictor, open_predictor, rows_on_canonical_grid

CPU = Device("cpu", half=False, threads=1)
NETWORK = NetworkPlan(1, 2, (16, 16, 16), (2, 2, 2), ((2, 2, 2),), (4, 8))
STRAIGHT = CanonicalAxes((0, 1, 2), (False, False, False))


def facts(spacing=(1.0, 1.0, 1.0), values=(0, 4), channels: int = 1, normalisation="z_score") -> TrainedFacts:
    channel = ChannelPlan("T1", normalisation, 0.0, 100.0, 50.0, 50.0)
    network = NetworkPlan(channels, len(values), (16, 16, 16), (2, 2, 2), ((2, 2, 2),), (4, 8))
    names = tuple(f"class {value}" for value in values)
    return TrainedFacts(
        SCHEMA, "default", 0, 0, "k", PreprocessingPlan(spacing, (channel,) * channels), network, values, names
    )


class Threshold(torch.nn.Module):
    """Foreground where the normalised first channel is above zero."""

    def __init__(self, gain: float = 20.0):
        super().__init__()
        self.gain = gain

    def forward(self, image):
        return torch.cat([-self.gain * image[:, :1], self.gain * image[:, :1]], 1)


@st.composite
def resampled(draw: st.DrawFn) -> tuple[np.ndarray, NetworkGrid, int, list[int]]:
    """Probabilities on the network's grid, the way back, the axis along which they come, and where rows are cut."""
    shape = draw(st.tuples(*[st.integers(1, 12)] * 3))
    native = draw(st.tuples(*[st.integers(1, 25)] * 3))
    axis = draw(st.integers(0, 2))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, shape[axis] - 1)), max_size=5)) - {shape[axis]})
    seed = draw(st.integers(0, 2**32))
    array = np.random.default_rng(seed).random((2, *shape)).astype(np.float32)
    return array, NetworkGrid(STRAIGHT, native, shape), axis, cuts


@given(resampled())
def test_rows_resampled_one_by_one_equal_the_whole_array_resampled_at_once(drawn):
    array, grid, axis, cuts = drawn
    turned = np.moveaxis(array, axis + 1, 1)
    pieces = [Rows(axis, a, turned[:, a:b]) for a, b in zip([0, *cuts], [*cuts, turned.shape[1]], strict=True)]
    found = list(rows_on_canonical_grid(iter(pieces), grid))
    ends = np.cumsum([piece.probabilities.shape[1] for piece in found])
    assert [piece.start for piece in found] == [0, *ends[:-1]]
    assert {piece.axis for piece in found} == {axis}
    whole = np.moveaxis(np.concatenate([piece.probabilities for piece in found], 1), 1, axis + 1)
    expected = F.interpolate(torch.from_numpy(array)[None], grid.canonical_shape, mode="trilinear", align_corners=False)
    np.testing.assert_allclose(whole, expected[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("native", [400, 100])
def test_resampling_rows_holds_no_more_of_a_long_volume_than_of_a_short_one(native):
    def peak(length: int) -> int:
        def rows():
            for start in range(0, length, 4):
                yield Rows(0, start, np.ones((3, 4, 40, 40), np.float32))

        grid = NetworkGrid(STRAIGHT, (length * native // 200, 40, 40), (length, 40, 40))
        tracemalloc.start()
        for _ in rows_on_canonical_grid(rows(), grid):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(800) < 1.3 * peak(100)


def ellipsoid(geometry: Geometry) -> np.ndarray:
    """Inside of an ellipsoid that lies off the middle of the body, unlike in each direction, [z, y, x]."""
    z, y, x = np.indices(geometry.shape_zyx)
    point = geometry.index_to_lps_mm(np.stack([x, y, z], -1))
    return (((point - [5.0, -4.0, 6.0]) / [9.0, 6.0, 7.0]) ** 2).sum(-1) < 1


def centred(size, spacing, direction) -> Geometry:
    origin = -np.asarray(direction) @ ((np.array(size) - 1) / 2 * spacing)
    return Geometry(tuple(size), tuple(spacing), tuple(origin.tolist()), tuple(np.ravel(direction).tolist()))


SAGITTAL = [[0, 0, 1.0], [1.0, 0, 0], [0, -1.0, 0]]  # columns: x runs to P, y to I, z to L
GRIDS = {
    "straight": centred((40, 44, 36), (1.0, 1.0, 1.0), np.eye(3)),
    "left-handed": centred((40, 44, 36), (1.0, 1.0, 1.0), np.diag([-1.0, 1, 1])),
    "thick slices": centred((40, 44, 12), (1.0, 1.0, 3.0), np.eye(3)),
    "fine pixels": centred((80, 88, 18), (0.5, 0.5, 2.0), np.diag([-1.0, -1.0, 1.0])),
    "sagittal": centred((44, 36, 20), (1.0, 1.0, 2.0), SAGITTAL),
    "oblique": centred((40, 44, 36), (1.0, 1.0, 1.2), Rotation.from_euler("xz", [12, 20], degrees=True).as_matrix()),
    "oblique left-handed": centred(
        (40, 44, 24),
        (1.0, 1.0, 1.5),
        Rotation.from_euler("yz", [15, -25], degrees=True).as_matrix() @ np.diag([1, -1, 1]),
    ),
}


@pytest.mark.parametrize("geometry", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 0.8, 1.1)])
def test_a_prediction_lies_where_the_structure_lies_in_the_patient(geometry, spacing):
    expected = ellipsoid(geometry)
    volume = Volume(100 * expected[None].astype(np.float32), geometry)
    known = facts(spacing, normalisation="ct")  # half of the intensity becomes zero
    found = Predictor(known, [lambda: Threshold(0.5)], CPU).predict(volume, keep_probabilities=False).label_map
    assert set(np.unique(found)) == {0, 4}
    found = found == 4
    middle = [geometry.index_to_lps_mm(np.argwhere(mask)[:, ::-1]).mean(0) for mask in (found, expected)]
    np.testing.assert_allclose(*middle, atol=0.35)
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.9
    if not NetworkGrid.of(geometry, known.preprocessing).resamples:
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    return make_phantom(tmp_path_factory.mktemp("phantom"), seed=1, cases=6)


@pytest.mark.parametrize("case", [0, 1, 2, 5], ids=["straight", "thick slices", "left-handed", "oblique"])
def test_a_written_prediction_has_the_geometry_of_its_image_to_the_last_bit(tmp_path, phantom, case):
    image = phantom / "imagesTr" / f"phantom_{case:03d}_0000.nii.gz"
    volume = read_image([image])
    prediction = Predictor(facts((1.0, 1.0, 1.3)), [Threshold], CPU).predict(volume, keep_probabilities=False)
    write_label_map(tmp_path / "found.nii.gz", prediction.label_map, volume.geometry, like=image)
    assert read_geometry(tmp_path / "found.nii.gz") == read_geometry(image)
    np.testing.assert_array_equal(read_label_map(tmp_path / "found.nii.gz").array, prediction.label_map)
    bright = volume.array[0] > volume.array.mean()
    assert ((prediction.label_map == 4) == bright).mean() > 0.85


def test_probabilities_lie_with_their_labels_and_average_the_members():
    geometry = GRIDS["sagittal"]
    image = np.random.default_rng(0).normal(size=(1, *geometry.shape_zyx)).astype(np.float32)
    spacing = CanonicalAxes.of(geometry).spacing(geometry.spacing_zyx_mm)
    gains = (0.3, -0.1, 0.2)
    members = [lambda gain=gain: Threshold(gain) for gain in gains]
    found = Predictor(facts(spacing), members, CPU).predict(Volume(image, geometry), keep_probabilities=True)
    z = (image[0] - image.mean()) / image.std()
    expected = np.mean([1 / (1 + np.exp(-2 * gain * z)) for gain in gains], axis=0)
    probabilities = dequantise_probabilities(found.probabilities)
    assert probabilities.shape == (2, *geometry.shape_zyx)
    np.testing.assert_allclose(probabilities[1], expected, atol=PROBABILITY_ERROR_BOUND + 1e-4)
    np.testing.assert_array_equal(found.label_map == 4, expected > 0.5)


class TwoRegions(torch.nn.Module):
    """The first region where the image is above -0.5, the second where it is above 0.5: one inside the other."""

    def forward(self, image):
        return torch.cat([image[:, :1] + 0.5, image[:, :1] - 0.5], dim=1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.4, 1.0)])
def test_regions_keep_a_probability_each_and_paint_later_over_earlier(spacing):
    geometry = centred((20, 18, 16), (1.0, 1.0, 1.0), np.diag([-1.0, -1.0, 1.0]))
    image = np.random.default_rng(0).normal(size=(1, *geometry.shape_zyx)).astype(np.float32)
    regions = replace(facts(spacing, values=(2, 1)), exclusive=False)
    found = Predictor(regions, [TwoRegions], CPU).predict(Volume(image, geometry), keep_probabilities=True)
    probabilities = dequantise_probabilities(found.probabilities)
    assert set(np.unique(found.label_map)) == {0, 1, 2}
    clear = np.abs(probabilities - 0.5).min(axis=0) > PROBABILITY_ERROR_BOUND
    painted = np.select([probabilities[1] > 0.5, probabilities[0] > 0.5], [1, 2], 0)
    np.testing.assert_array_equal(found.label_map[clear], painted[clear])
    if spacing == (1.0, 1.0, 1.0):
        z = (image[0] - image.mean()) / image.std()
        expected = 1 / (1 + np.exp(-np.stack([z + 0.5, z - 0.5])))
        np.testing.assert_allclose(probabilities, expected, atol=PROBABILITY_ERROR_BOUND + 1e-4)


@pytest.mark.parametrize("size", [(40, 30, 1), (1, 40, 30), (40, 1, 30), (1, 1, 1), (3, 2, 5)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.4, 1.0)])
def test_single_slices_and_images_smaller_than_the_patch_are_predicted(size, spacing):
    geometry = centred(size, (1.0, 1.0, 1.0), np.diag([-1.0, -1.0, -1.0]))
    image = np.random.default_rng(0).normal(size=(4, *geometry.shape_zyx)).astype(np.float32)
    found = Predictor(facts(spacing, values=(0, 1, 2, 300), channels=4), [FourClasses], CPU).predict(
        Volume(image, geometry), keep_probabilities=True
    )
    assert found.label_map.shape == geometry.shape_zyx
    assert found.label_map.dtype == np.uint16
    assert set(np.unique(found.label_map)) <= {0, 1, 2, 300}
    assert found.probabilities.shape == (4, *geometry.shape_zyx)


class FourClasses(torch.nn.Module):
    def forward(self, image):
        return 3 * image


def test_another_number_of_channels_than_trained_with_is_refused():
    volume = Volume(np.zeros((2, 4, 4, 4), np.float32), centred((4, 4, 4), (1, 1, 1), np.eye(3)))
    with pytest.raises(SegVarianceError, match="has 2 channels, the plan expects 1"):
        Predictor(facts(), [Threshold], CPU).predict(volume, keep_probabilities=False)


@pytest.fixture
def weights(tmp_path) -> list[Path]:
    paths = [tmp_path / f"seed_{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        network = build_network(NETWORK, torch.Generator().manual_seed(seed))
        save_trained(path, network.state_dict(), facts())
    return paths


def test_members_that_take_turns_in_one_network_give_the_mean_of_each_alone(weights):
    geometry = centred((20, 18, 16), (1.0, 1.0, 1.0), np.eye(3))
    volume = Volume(np.random.default_rng(0).normal(size=(1, 16, 18, 20)).astype(np.float32), geometry)
    alone = [open_predictor([path], CPU).predict(volume, True).probabilities for path in weights]
    together = open_predictor([*weights, weights[0]], CPU)
    assert len({id(member()) for member in together.members}) == 1
    expected = np.mean(dequantise_probabilities(np.stack([*alone, alone[0]])), axis=0)
    found = dequantise_probabilities(together.predict(volume, True).probabilities)
    np.testing.assert_allclose(found, expected, atol=2 * PROBABILITY_ERROR_BOUND + 1e-5)
    assert np.abs(found - dequantise_probabilities(alone[0])).max() > 0.02


def test_the_same_members_give_the_same_bytes_twice(weights):
    geometry = centred((20, 18, 16), (1.0, 1.0, 1.0), np.eye(3))
    volume = Volume(np.random.default_rng(0).normal(size=(1, 16, 18, 20)).astype(np.float32), geometry)
    predictor = open_predictor(weights, CPU)
    first, second = (predictor.predict(volume, True).probabilities for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (facts(spacing=(2.0, 1.0, 1.0)), "another preprocessing than"),
        (facts(values=(0, 3)), "another class values than"),
        (facts(values=(0, 1, 2)), "another network than"),
        (replace(facts(), exclusive=False), "another exclusive than"),
    ],
)
def test_members_of_different_kinds_are_refused(weights, other, words):
    save_trained(weights[2], build_network(other.network).state_dict(), other)
    with pytest.raises(SegVarianceError, match=words):
        open_predictor(weights, CPU)


def test_no_members_are_refused():
    with pytest.raises(SegVarianceError, match="No weights to predict with"):
        open_predictor([], CPU)
