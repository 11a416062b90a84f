"""Paired tests for many pairs at once, and Holm's correction, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from SegVarianceLib.stats.multiplicity import holm
from SegVarianceLib.stats.tests import paired_t_p, pairwise_tests, wilcoxon_signed_rank_p


@pytest.mark.parametrize("cases", [7, 9, 14, 50, 51, 80])
@pytest.mark.parametrize("step", [None, 0.01], ids=["continuous", "rounded: ties and zeros"])
def test_every_pair_has_the_p_values_that_scipy_gives_it_alone(cases: int, step: float | None) -> None:
    values = np.random.default_rng(cases).normal(0.9, 0.03, (5, cases))
    if step:
        values = np.round(values / step) * step
    tests = pairwise_tests(values)
    for pair, (a, b) in enumerate(zip(tests.first, tests.second, strict=True)):
        differences = values[a] - values[b]
        assert tests.mean_difference[pair] == pytest.approx(differences.mean())
        assert tests.paired_t_p[pair] == pytest.approx(stats.ttest_rel(values[a], values[b]).pvalue, rel=1e-9)
        assert tests.wilcoxon_p[pair] == pytest.approx(stats.wilcoxon(differences).pvalue, rel=1e-9)


def test_a_pair_with_and_one_without_ties_do_not_change_each_others_p() -> None:
    generator = np.random.default_rng(1)
    clean = generator.normal(0.2, 1, 20)
    tied = np.round(generator.normal(0.3, 1, 20))
    together = wilcoxon_signed_rank_p(np.stack([clean, tied]))
    assert together == pytest.approx([stats.wilcoxon(clean).pvalue, stats.wilcoxon(tied).pvalue], rel=1e-12)


@pytest.mark.parametrize("cases", [5, 60])
def test_seeds_that_predict_alike_are_never_different(cases: int) -> None:
    alike = np.zeros((1, cases))
    assert paired_t_p(alike) == [1.0]
    assert wilcoxon_signed_rank_p(alike) == [1.0]


def test_the_t_test_of_four_differences_by_hand() -> None:
    # mean 2.5, SD 1.29099, t = 2.5 / (1.29099 / 2) = 3.87298 with 3 degrees of freedom
    assert paired_t_p(np.array([[1.0, 2.0, 3.0, 4.0]])) == pytest.approx([0.030466], abs=1e-6)


def test_the_signed_ranks_of_five_gains_by_hand() -> None:
    # all five positive: one sign pattern of 32 on either side
    assert wilcoxon_signed_rank_p(np.array([[3.0, 1.0, 2.0, 5.0, 4.0]])) == pytest.approx([2 / 32])


def test_p_values_of_equal_seeds_are_uniform() -> None:
    differences = np.random.default_rng(0).normal(size=(3000, 60))
    assert stats.kstest(paired_t_p(differences), "uniform").pvalue > 0.01
    assert stats.kstest(wilcoxon_signed_rank_p(differences), "uniform").pvalue > 0.01


def test_holm_answers_in_the_order_of_the_question() -> None:
    # sorted .01 .02 .03 .04 -> 4x, 3x, 2x, 1x = .04 .06 .06 .04 -> never falling: .04 .06 .06 .06
    assert holm(np.array([0.03, 0.01, 0.04, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])


def holm_one_by_one(p_values: list[float]) -> list[float]:
    """Straight from the definition: the largest (m - j + 1) p_(j) over all p_(j) not above this one."""
    ranked = sorted(p_values)
    return [min(1.0, max((len(ranked) - j) * p for j, p in enumerate(ranked) if p <= own)) for own in p_values]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_equals_its_definition_on_unsorted_values(p_values: list[float]) -> None:
    assert holm(np.array(p_values)) == pytest.approx(holm_one_by_one(p_values))


def test_holm_takes_each_row_for_a_family_of_its_own() -> None:
    p_values = np.random.default_rng(3).uniform(size=(4, 9))
    assert np.array_equal(holm(p_values), np.stack([holm(row) for row in p_values]))
