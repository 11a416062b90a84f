"""Power against simulation with the test that is planned for, against the noncentral t where that is exact, and in words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.stats.power import (
    CONTOUR_CASES,
    Cost,
    contour,
    cost,
    detectable_difference,
    equivalence_power,
    pilot_of_one,
    power,
    to_settle,
)
from SegVarianceLib.stats.power_plan import PowerPlan, hours_text, plan_findings, power_plan
from SegVarianceLib.stats.seed_matrix import SeedMatrix
from SegVarianceLib.stats.two_way import two_way
from SegVarianceLib.stats.variance_components import PilotVariances, pilot_variances


def pilot(seed: float, case_difference: float, residual: float) -> PilotVariances:
    """From standard deviations."""
    return PilotVariances(seed**2, case_difference**2, residual**2)


HIPPOCAMPUS = pilot(0.0015, 0.01, 0.012)
TUMOUR = pilot(0.005, 0.05, 0.05)
SEEDS_ALONE = pilot(0.01, 0.0, 0.001)
CASES_ALONE = pilot(0.0, 0.02, 0.0)
RESIDUAL_ALONE = pilot(0.0, 0.0, 0.05)


@pytest.mark.parametrize(
    ("variances", "seeds", "cases", "difference"),
    [
        (HIPPOCAMPUS, (3, 3), 52, 0.008),
        (TUMOUR, (2, 2), 40, 0.05),
        (SEEDS_ALONE, (2, 2), 30, 0.035),
        (SEEDS_ALONE, (3, 3), 30, 0.025),
        (RESIDUAL_ALONE, (3, 3), 20, 0.025),
        (TUMOUR, (3, 8), 60, 0.03),
    ],
)
def test_the_power_is_what_the_two_way_t_shows_in_simulated_studies(
    variances: PilotVariances, seeds: tuple[int, int], cases: int, difference: float
) -> None:
    rng, repeats = np.random.default_rng(7), 800
    found = equivalent = 0
    for _ in range(repeats):
        a, b = (
            rng.normal(0, variances.seed**0.5, (k, 1)) + rng.normal(0, variances.residual**0.5, (k, cases))
            for k in seeds
        )
        a += rng.normal(0, variances.case_difference**0.5, cases)
        test = two_way(a, b)
        different, inside = replace(test, difference=test.difference + difference).interval(), test.interval(0.90)
        found += different.low > 0 or different.high < 0
        equivalent += -difference < inside.low and inside.high < difference
    # 4.5 points are 2.5 standard errors; a noncentral t with the expected error is off by 6 to 30 points in these settings
    assert power(variances, seeds, cases, difference) == pytest.approx(found / repeats, abs=0.045)
    assert equivalence_power(variances, seeds, cases, difference) == pytest.approx(equivalent / repeats, abs=0.045)


@pytest.mark.parametrize(("cases", "difference"), [(5, 0.03), (20, 0.01), (100, 0.006)])
def test_where_only_cases_vary_it_is_the_power_of_the_paired_t_test(cases: int, difference: float) -> None:
    critical, shift = stats.t.ppf(0.975, cases - 1), difference / (0.02 / np.sqrt(cases))
    textbook = stats.nct.sf(critical, cases - 1, shift) + stats.nct.cdf(-critical, cases - 1, shift)
    assert power(CASES_ALONE, 5, cases, difference) == pytest.approx(textbook, abs=0.002)
    assert power(CASES_ALONE, 5, cases, 1e-9) == pytest.approx(0.05, abs=0.001)


def test_the_seeds_needed_are_those_of_the_closed_form_in_known_settings() -> None:
    needed = [to_settle(HIPPOCAMPUS, 3, 3, 52, difference).seeds for difference in (0.002, 0.005, 0.01, 0.02)]
    assert needed == [None, 9, 3, 2]
    assert [to_settle(TUMOUR, 3, 3, 97, difference).seeds for difference in (0.01, 0.02)] == [None, 5]


spreads = st.floats(0.001, 0.1)


@settings(max_examples=40)
@given(spreads, spreads, spreads, st.integers(2, 12), st.integers(2, 12), st.integers(3, 300), st.floats(0.1, 10))
def test_power_knows_no_unit_and_no_order_of_the_recipes_and_grows_with_the_difference(
    seed: float, case: float, residual: float, a: int, b: int, cases: int, scale: float
) -> None:
    here, there = pilot(seed, case, residual), pilot(scale * seed, scale * case, scale * residual)
    chances = [power(here, (a, b), cases, difference) for difference in (0.001, 0.01, 0.1, 1.0)]
    assert chances == sorted(chances)
    assert chances[0] >= 0
    assert chances[-1] <= 1
    assert power(there, (a, b), cases, 0.01 * scale) == pytest.approx(chances[1], rel=1e-6, abs=1e-9)
    assert power(here, (b, a), cases, 0.01) == pytest.approx(chances[1], abs=0.01)
    assert power(here, (a, b), cases, detectable_difference(here, (a, b), cases)) == pytest.approx(0.8, abs=1e-6)


def test_what_settles_a_difference_is_the_least_that_does() -> None:
    need = to_settle(HIPPOCAMPUS, 3, 5, 52, 0.005)
    assert need.seeds is not None and need.cases is not None and need.both is None
    assert power(HIPPOCAMPUS, need.seeds, 52, 0.005) >= 0.8 > power(HIPPOCAMPUS, need.seeds - 1, 52, 0.005)
    assert power(HIPPOCAMPUS, (3, 5), need.cases, 0.005) >= 0.8 > power(HIPPOCAMPUS, (3, 5), need.cases - 1, 0.005)
    equivalent = to_settle(HIPPOCAMPUS, 3, 5, 52, 0.005, equivalence_power).seeds
    assert equivalent is not None
    assert (
        equivalence_power(HIPPOCAMPUS, equivalent, 52, 0.005)
        >= 0.8
        > equivalence_power(HIPPOCAMPUS, equivalent - 1, 52, 0.005)
    )


def test_trainings_do_not_replace_cases_nor_cases_trainings() -> None:
    assert to_settle(CASES_ALONE, 10, 10, 20, 0.005).seeds is None
    assert to_settle(CASES_ALONE, 10, 10, 20, 0.005).cases == 128
    assert to_settle(SEEDS_ALONE, 3, 3, 50, 0.01).cases is None
    assert to_settle(TUMOUR, 3, 3, 30, 0.01).seeds is to_settle(TUMOUR, 3, 3, 30, 0.01).cases is None
    seeds, cases = to_settle(TUMOUR, 3, 3, 30, 0.01).both or (0, 0)
    assert cases == 10 * seeds
    assert power(TUMOUR, seeds, cases, 0.01) >= 0.8 > power(TUMOUR, seeds - 1, 10 * (seeds - 1), 0.01)
    assert to_settle(TUMOUR, 3, 3, 30, 0.0001).both is None


def test_without_any_variance_every_difference_is_found() -> None:
    assert power(pilot(0, 0, 0), 2, 3, 1e-6) == equivalence_power(pilot(0, 0, 0), 2, 3, 1e-6) == 1
    assert detectable_difference(pilot(0, 0, 0), 2, 3) == 0


def test_the_contour_is_the_power_cell_by_cell_and_its_line_lies_where_it_passes_the_wanted_one() -> None:
    found = contour(HIPPOCAMPUS, 0.005)
    assert found.power[3][8] == power(HIPPOCAMPUS, found.seeds[3], found.cases[8], 0.005)
    for row, (seeds, passes) in enumerate(zip(found.seeds, found.line, strict=True)):
        if passes is None:
            assert max(found.power[row]) < found.wanted
        elif passes > CONTOUR_CASES[0]:
            assert power(HIPPOCAMPUS, seeds, round(passes), 0.005) == pytest.approx(found.wanted, abs=0.02)
        else:
            assert found.power[row][0] >= found.wanted
    assert {type(passes) for passes in found.line} == {float, type(None)}


def test_a_pilot_of_one_recipe_knows_its_seeds_and_nothing_of_how_recipes_differ_by_case() -> None:
    lucks, difficulties = np.array([0.0, 0.01, 0.05]), np.array([0.9, 0.5, 0.7, 0.8])
    assert pilot_of_one(np.add.outer(lucks, difficulties)).seed == pytest.approx(lucks.var(ddof=1))
    noisy = np.random.default_rng(3).normal(0.8, 0.1, (6, 20))
    assert pilot_of_one(noisy).case_difference == 0
    assert pilot_of_one(noisy).residual == pytest.approx(pilot_variances(noisy, noisy).residual)


def test_a_seed_of_a_cross_validation_costs_all_its_folds() -> None:
    assert cost(3, 2, 5, 0.5) == Cost(30, 15.0)
    assert cost(3, 2, 1, None) == Cost(6, None)


def matrices(seeds: tuple[int, ...], cases: int, sd_case: float, folds: int = 1) -> list[SeedMatrix]:
    rng = np.random.default_rng(5)
    fold_of_case = None if folds == 1 else [case % folds for case in range(cases)]
    return [
        SeedMatrix.of_array(
            rng.normal(0.8, 0.002, (k, 1)) + rng.normal(0, sd_case, cases) + rng.normal(0, 0.01, (k, cases)),
            name,
            "dice",
            folds=fold_of_case,
        )
        for name, k in zip("ab", seeds, strict=False)
    ]


def planned(seeds: tuple[int, ...], cases: int, sd_case: float, folds: int = 1) -> PowerPlan:
    return power_plan(matrices(seeds, cases, sd_case, folds), 0.01, hours_per_training=0.25)


def test_the_first_sentence_names_trainings_and_hours() -> None:
    plan = planned((4, 4), 40, 0.005)
    k = plan.different.seeds
    assert plan_findings(plan)[0] == (
        f"To settle a difference of 0.01 Dice with 80 % power on these 40 cases: {k} trainings of each recipe "
        f"({2 * (k or 0)} in all, about {hours_text(0.5 * (k or 0))})."
    )
    assert plan_findings(plan)[1].startswith(
        "With the 8 trainings at hand, the smallest difference that could be settled"
    )
    json.dumps(plan.to_json(), allow_nan=False)


def test_one_recipe_gives_the_least_that_is_needed_and_says_so() -> None:
    plan = planned((10,), 40, 0.005)
    sentences = plan_findings(plan)
    assert f": at least {plan.different.seeds} trainings of each recipe" in sentences[0]
    assert "10 trainings at hand and as many of a second recipe" in sentences[1]
    assert "the least that is needed" in sentences[2]
    assert "up to 1.8 times" in sentences[-1]  # sqrt(9 / 2.70), the 2.5 % point of chi-squared with 9


def test_where_cases_are_the_limit_that_is_said_with_a_way_out() -> None:
    cases_would, both_would = planned((4, 4), 20, 0.02), planned((2, 2), 20, 0.02)
    assert (cases_would.different.seeds, both_would.different.seeds) == (None, None)
    assert f"It takes {cases_would.different.cases} cases with 4 trainings" in plan_findings(cases_would)[0]
    assert "It takes both" in plan_findings(both_would)[0]


def test_with_cross_validation_a_seed_is_a_pass_and_is_paid_fold_by_fold() -> None:
    plan = planned((3, 4), 40, 0.005, folds=5)
    k = plan.different.seeds or 0
    assert f"{k} passes of 5 trainings of each recipe ({10 * k} trainings in all" in plan_findings(plan)[0]


@pytest.mark.parametrize("wrong", [0.0, -0.01, float("nan"), float("inf")])
def test_a_difference_or_a_time_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(SegVarianceError, match="above 0"):
        power_plan(matrices((3, 3), 10, 0.01), wrong)
    with pytest.raises(SegVarianceError, match="hours of a training"):
        power_plan(matrices((3, 3), 10, 0.01), 0.01, hours_per_training=wrong)
