"""Windows, members and rows: the same result as with everything in memory, with hardly anything in memory."""

from __future__ import annotations

import itertools
import tracemalloc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.model.device import Device
from SegVarianceLib.model.sliding_window import sliding_rows, window_starts

CPU = Device("cpu", half=False, threads=1)
PATCH = (24, 40, 32)
ONE = (1, 1, 1)


class Local(torch.nn.Module):
    """Logits of three classes from each voxel alone, so that windows cannot matter."""

    def __init__(self, gain: float = 1.0):
        super().__init__()
        self.gain = gain

    def forward(self, image):
        x = image[:, :1]
        return torch.cat([0 * x, self.gain * x, self.gain * x.square() - 1], 1)


class PlaceInWindow(torch.nn.Module):
    """Logits that also depend on where in its window a voxel lies, differently along each axis: blending shows."""

    def forward(self, image):
        z, y, x = (torch.linspace(-1, 1, n) for n in image.shape[2:])
        tilt = 1.0 * z[:, None, None] + 0.5 * y[:, None] * y[:, None] - 0.7 * x
        return torch.cat([image[:, :1] + tilt, -image[:, :1]], 1)


def assemble(rows, shape) -> np.ndarray:
    """All rows as [c, z, y, x]; they must come in order and cover the volume once."""
    rows = list(rows)
    axis = rows[0].axis
    assert {piece.axis for piece in rows} == {axis}
    ends = np.cumsum([piece.probabilities.shape[1] for piece in rows])
    assert [piece.start for piece in rows] == [0, *ends[:-1]]
    whole = np.moveaxis(np.concatenate([piece.probabilities for piece in rows], 1), 1, axis + 1)
    assert whole.shape[1:] == shape
    return whole


def image_of(*shape: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=(channels, *shape)).astype(np.float32)


def softmax(network, image) -> np.ndarray:
    with torch.inference_mode():
        return torch.softmax(network(torch.from_numpy(image)[None]), 1)[0].numpy()


LONG_IN_TURN = [(110, 60, 50), (60, 110, 50), (50, 60, 110), (64, 64, 70)]
ODD = [(5, 250, 230), (1, 600, 500), (300, 3, 300), (9, 11, 7), (1, 40, 30), (64, 64, 64)]


@pytest.mark.parametrize("shape", LONG_IN_TURN + ODD)
def test_a_network_that_looks_at_one_voxel_gives_what_it_gives_on_the_whole_image(shape):
    image = image_of(*shape, channels=2)
    found = assemble(sliding_rows(image, [lambda: Local(2.0)], 3, PATCH, ONE, CPU), shape)
    np.testing.assert_allclose(found, softmax(Local(2.0), image), atol=1e-5)


@pytest.mark.parametrize("shape", LONG_IN_TURN)
def test_windows_are_blended_with_gaussian_weights_in_their_own_orientation(shape):
    """Against all windows of the whole volume summed at once."""
    image = image_of(*shape)
    found = assemble(sliding_rows(image, [PlaceInWindow], 2, PATCH, ONE, CPU), shape)

    bells = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in PATCH]
    bell = np.maximum(np.einsum("i,j,k", *bells), 1e-3)
    total, weight = np.zeros((2, *shape)), np.zeros(shape)
    for corner in itertools.product(*(window_starts(n, part) for n, part in zip(shape, PATCH, strict=True))):
        place = tuple(slice(a, a + n) for a, n in zip(corner, PATCH, strict=True))
        total[:, *place] += bell * softmax(PlaceInWindow(), np.ascontiguousarray(image[:, *place]))
        weight[place] += bell
    np.testing.assert_allclose(found, total / weight, atol=1e-5)


def test_a_small_image_is_one_window_padded_to_what_the_network_can_halve():
    seen = []

    class Watching(Local):
        def forward(self, image):
            seen.append(tuple(image.shape[2:]))
            return super().forward(image)

    image = image_of(9, 31, 18)
    found = assemble(sliding_rows(image, [Watching], 3, PATCH, (4, 8, 2), CPU), (9, 31, 18))
    assert set(seen) == {(12, 32, 18)}
    np.testing.assert_allclose(found, softmax(Local(), image), atol=1e-5)


@pytest.mark.parametrize("shape", [(20, 18, 22), (110, 60, 50)])
def test_members_are_averaged_as_probabilities_not_as_logits(shape):
    image = image_of(*shape)
    gains = (0.2, 3.0, -5.0)
    members = [lambda gain=gain: Local(gain) for gain in gains]
    found = assemble(sliding_rows(image, members, 3, PATCH, ONE, CPU), shape)
    expected = np.mean([softmax(Local(gain), image) for gain in gains], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


def drained_peak(image: np.ndarray, members: int) -> int:
    """Most bytes that numpy held while rows were made and dropped."""
    tracemalloc.start()
    try:
        for _ in sliding_rows(image, [Local] * members, 3, PATCH, ONE, CPU):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_members_need_the_memory_of_two_and_a_long_volume_that_of_a_short_one():
    image = image_of(90, 60, 60)
    two = drained_peak(image, 2)
    assert drained_peak(image, 10) == pytest.approx(two, rel=0.02)
    assert drained_peak(np.tile(image, (1, 3, 1, 1)), 2) == pytest.approx(two, rel=0.02)


def test_no_member_outlives_its_turn():
    alive: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
    most = []

    def member() -> torch.nn.Module:
        most.append(len(alive))
        network = Local()
        alive.add(network)
        return network

    for _ in sliding_rows(image_of(90, 60, 60), [member] * 6, 3, PATCH, ONE, CPU):
        pass
    assert max(most) <= 1


def test_a_window_is_no_thicker_than_the_image_needs():
    seen = []

    class Watching(Local):
        def forward(self, image):
            seen.append(tuple(image.shape[2:]))
            return super().forward(image)

    list(sliding_rows(image_of(5, 250, 230), [Watching], 3, PATCH, (4, 8, 8), CPU))
    assert set(seen) == {(8, 40, 32)}


def test_progress_grows_to_one():
    shares: list[float] = []
    list(sliding_rows(image_of(110, 60, 50), [Local], 3, PATCH, ONE, CPU, shares.append))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 3


@given(st.integers(1, 200), st.integers(0, 500))
def test_windows_cover_the_axis_and_overlap_by_half(window, more):
    size = window + more
    starts = window_starts(size, window)
    assert starts[0] == 0
    assert starts[-1] == size - window
    steps = np.diff(starts)
    assert (steps >= 1).all()
    assert (steps <= max(1, window / 2)).all()
