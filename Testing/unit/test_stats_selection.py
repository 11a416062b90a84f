"""What selection alone gives: the published table, a simulation that draws every score, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from SegVarianceLib.stats.selection import (
    expected_maximum,
    expected_share_of_random_pairs,
    maximum_range,
    selection_alone,
)
from SegVarianceLib.stats.tests import pairwise_tests
from SegVarianceLib.stats.variance_components import MeanSquares, luck_ratio
from SegVarianceLib.stats.variance_parts import variance_parts


@pytest.mark.parametrize(
    ("ratio", "mean", "low", "high", "holm_mean"),
    [
        (0, 0.30, 0.08, 0.61, 0.014),
        (0.25, 0.40, 0.14, 0.71, 0.04),
        (1, 0.59, 0.31, 0.88, 0.17),
        (4, 0.83, 0.63, 0.98, 0.60),
    ],
)
def test_the_best_of_fifty_on_52_cases_beats_this_many_of_its_siblings(
    ratio: float, mean: float, low: float, high: float, holm_mean: float
) -> None:
    # The table was made with fewer repetitions: its steps are 1/49 = 2 %.
    alone = selection_alone(50, 52, ratio, np.random.default_rng(7))
    assert alone.mean == pytest.approx(mean, abs=0.015)
    assert alone.low == pytest.approx(low, abs=0.025)
    assert alone.high == pytest.approx(high, abs=0.025)
    assert alone.holm_mean == pytest.approx(holm_mean, abs=0.012)


def study_of_equal_seeds(generator: np.random.Generator, seeds: int, cases: int, ratio: float) -> np.ndarray:
    own = generator.normal(0, np.sqrt(ratio / cases), (seeds, 1))
    return own + generator.normal(0, 1, (seeds, cases)) + 5 * generator.normal(size=cases)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_drawing_every_score_gives_the_same_shares(ratio: float) -> None:
    generator = np.random.default_rng(11)
    best_shares, pair_shares = [], []
    for _ in range(600):
        values = study_of_equal_seeds(generator, 8, 15, ratio)
        best = values.mean(axis=1).argmax()
        tests = pairwise_tests(values)
        of_best = (tests.first == best) | (tests.second == best)
        best_shares.append((tests.paired_t_p[of_best] < 0.05).mean())
        pair_shares.append((tests.paired_t_p < 0.05).mean())
    alone = selection_alone(8, 15, ratio, np.random.default_rng(5))
    error = np.std(best_shares) / np.sqrt(600)
    assert alone.mean == pytest.approx(np.mean(best_shares), abs=4 * error)
    assert expected_share_of_random_pairs(ratio, 15) == pytest.approx(np.mean(pair_shares), abs=0.02)


def test_the_same_generator_gives_the_same_share_and_another_one_another() -> None:
    first, again, other = (selection_alone(10, 30, 0, np.random.default_rng(seed), 500) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(("ratio", "share"), [(0, 0.05), (0.25, 0.08), (1, 0.17), (4, 0.38)])
def test_random_pairs_follow_the_closed_form(ratio: float, share: float) -> None:
    assert expected_share_of_random_pairs(ratio, 100_000) == pytest.approx(
        2 * stats.norm.cdf(-1.959964 / np.sqrt(1 + ratio)), abs=1e-4
    )
    assert expected_share_of_random_pairs(ratio, 100_000) == pytest.approx(share, abs=0.006)


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 0), (2, 1 / np.sqrt(np.pi)), (3, 0.846), (5, 1.163), (10, 1.539), (50, 2.249)]
)
def test_the_expected_best_of_k(count: int, expected: float) -> None:
    assert expected_maximum(count) == pytest.approx(expected, abs=5e-4)


def test_the_range_of_the_best_of_k_holds_nine_of_ten_draws() -> None:
    low, high = maximum_range(10)
    largest = np.random.default_rng(0).normal(size=(20_000, 10)).max(axis=1)
    assert ((low < largest) & (largest < high)).mean() == pytest.approx(0.9, abs=0.01)


def test_mean_squares_and_shares_of_a_small_table_by_hand() -> None:
    # row means 2, 4; column means 2, 2, 5; mean 3; residuals 0, 1, -1 and 0, -1, 1
    values = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 7.0]])
    squares = MeanSquares.of(values)
    assert (squares.seed, squares.case, squares.residual) == pytest.approx((6.0, 6.0, 2.0))
    parts = variance_parts([values])  # case (6-2)/2 = 2, seed (6-2)/3 = 4/3, residual 2; together 16/3
    assert [part.name for part in parts] == ["case", "seed", "residual"]
    assert [part.share.value for part in parts] == pytest.approx([3 / 8, 1 / 4, 3 / 8])
    ratio = luck_ratio(squares)
    assert ratio is not None and ratio.value == pytest.approx(6 / 2 - 1)


def test_the_interval_of_lambda_covers_the_truth_in_95_of_100_studies() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(1500):
        ratio = luck_ratio(MeanSquares.of(study_of_equal_seeds(generator, 6, 20, 0.8)))
        assert ratio is not None
        covered += ratio.low <= 0.8 <= ratio.high
    assert covered / 1500 == pytest.approx(0.95, abs=0.017)  # 3 standard errors


def test_seeds_that_predict_alike_have_no_lambda() -> None:
    values = np.tile(np.random.default_rng(0).uniform(size=12), (4, 1))
    assert luck_ratio(MeanSquares.of(values)) is None
    assert variance_parts([np.ones((3, 4))]) == ()
