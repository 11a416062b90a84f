"""Calibration errors against counting voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.metrics.calibration import MARGIN_MM, calibration, near_structure, probability_levels

SPACING = (1.0, 1.0, 1.0)


def test_probabilities_that_come_true_as_often_as_they_say_have_no_error():
    probability = np.repeat([0.2, 0.8], 50).reshape(1, 10, 10).astype(np.float32)
    truth = np.concatenate([np.arange(50) < 10, np.arange(50) < 40]).reshape(1, 10, 10)
    found = calibration(probability_levels(probability, truth, SPACING))
    assert found.ece == pytest.approx(0, abs=1e-7)
    assert found.ace == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(found.confidence, [0.2, 0.8], rtol=1e-6)
    assert found.voxels.tolist() == [50, 50]


def test_a_model_that_is_always_sure_and_right_in_three_of_four_is_off_by_a_quarter():
    truth = (np.arange(40) < 30).reshape(1, 4, 10)
    found = calibration(probability_levels(np.ones((1, 4, 10), np.float32), truth, SPACING))
    assert (found.ece, found.ace) == (pytest.approx(0.25), pytest.approx(0.25))


def test_voxels_weigh_in_the_expected_error_and_bins_in_the_average_one():
    probability = np.r_[np.full(90, 0.0), np.full(10, 1.0)].reshape(1, 10, 10).astype(np.float32)
    truth = np.r_[np.zeros(95), np.ones(5)].astype(bool).reshape(1, 10, 10)
    found = calibration(probability_levels(probability, truth, (0.1, 0.1, 0.1)))
    assert found.ece == pytest.approx(0.1 * 0.5)
    assert found.ace == pytest.approx(0.5 / 2)


@given(st.integers(0, 2**32), st.booleans(), st.integers(2, 20))
def test_errors_are_those_of_sorting_voxels_into_bins_one_by_one(seed, quantised, bins):
    rng = np.random.default_rng(seed)
    probability = rng.random((3, 4, 5)).astype(np.float32) ** 2
    truth = rng.random((3, 4, 5)) < probability
    given_probability = quantise_probabilities(probability) if quantised else probability
    found = calibration(probability_levels(given_probability, truth, SPACING), bins)
    p = given_probability.ravel() / (255 if quantised else 1)
    levels = np.rint(np.asarray(p, float) * 255).astype(int)
    sorted_into: dict[int, list[int]] = {}
    for voxel, level in enumerate(levels):
        below, same = (levels < level).sum(), (levels == level).sum()
        sorted_into.setdefault(min(bins - 1, int((below + same / 2) / len(levels) * bins)), []).append(voxel)
    gaps = {b: abs(p[of].mean() - truth.ravel()[of].mean()) for b, of in sorted_into.items()}
    assert found.ece == pytest.approx(sum(gaps[b] * len(of) for b, of in sorted_into.items()) / len(levels), abs=1e-6)
    assert found.ace == pytest.approx(np.mean(list(gaps.values())), abs=1e-6)


def test_only_voxels_near_the_structure_count_in_millimetres():
    mask = np.zeros((1, 1, 30), bool)
    mask[0, 0, 10] = True
    assert np.flatnonzero(near_structure(mask, (1.0, 1.0, 2.5))).tolist() == [8, 9, 10, 11, 12]
    assert MARGIN_MM == 5
    assert not near_structure(0 * mask, SPACING).any()
    far = probability_levels(np.zeros(mask.shape, np.float32), mask, SPACING)
    assert far.voxels.sum() == 11


def test_voxels_that_do_not_count_are_left_out_and_cases_add_up():
    probability = np.full((1, 1, 8), 0.9, np.float32)
    truth = np.ones((1, 1, 8), bool)
    counted = np.arange(8).reshape(1, 1, 8) < 3
    some = probability_levels(probability, truth, SPACING, counted)
    assert some.voxels.sum() == 3
    assert (some + some).positives.sum() == 6
    assert calibration(some + some).ece == pytest.approx(0.1, abs=1e-6)


def test_a_structure_that_is_nowhere_has_no_calibration():
    empty = np.zeros((2, 2, 2))
    assert calibration(probability_levels(empty.astype(np.float32), empty.astype(bool), SPACING)) is None
