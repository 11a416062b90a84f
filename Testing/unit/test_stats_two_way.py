"""The two-way t against hand-made numbers, a mixed model fitted by REML, and its promise of 5 %."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from SegVarianceLib.stats.cross_validation import new_training_data
from SegVarianceLib.stats.intervals import share_interval
from SegVarianceLib.stats.tests import exact_permutation_p, paired_t_p
from SegVarianceLib.stats.two_way import two_way, two_way_of_one
from SegVarianceLib.stats.variance_components import pilot_variances
from SegVarianceLib.stats.variance_parts import variance_parts


def arms(
    rng: np.random.Generator,
    seeds: tuple[int, int],
    cases: int,
    sd_seed: float,
    sd_recipe_case: float,
    sd_residual: float = 1.0,
    fold_of_case: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Two recipes of one law [seed, case]; with folds, each fold of a seed has a luck of its own."""
    case = rng.normal(0, 5, cases)
    fold = np.zeros(cases, dtype=int) if fold_of_case is None else fold_of_case

    def arm(k: int) -> np.ndarray:
        own = rng.normal(0, sd_recipe_case, cases) if sd_recipe_case else 0.0
        return (
            case + own + rng.normal(0, sd_seed, (k, fold.max() + 1))[:, fold] + rng.normal(0, sd_residual, (k, cases))
        )

    return arm(seeds[0]), arm(seeds[1])


def test_two_seeds_on_three_cases_by_hand() -> None:
    a = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])  # seeds 2 apart on every case: no residual
    b = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])  # seeds alike
    found = two_way(a, b)
    # by case a - b = 2, 2, 5: variance 3, so V_case = 1; a's seed means 3 and 5: variance 2, so V_seed = 2 / 2 = 1
    assert (found.difference, found.case, found.seed, found.residual, found.variance) == pytest.approx((3, 1, 1, 0, 2))
    # 2^2 / (1^2 / 2 cases' freedom + 1^2 / 1 seed's freedom)
    assert found.freedom == pytest.approx(4 / 1.5)
    margin = stats.t.ppf(0.975, 4 / 1.5) * np.sqrt(2)
    assert (found.interval().low, found.interval().high) == pytest.approx((3 - margin, 3 + margin))
    assert found.p_different() == pytest.approx(2 * stats.t.sf(3 / np.sqrt(2), 4 / 1.5))


def test_a_difference_without_any_variance_is_certain_and_none_is_none() -> None:
    a = np.add.outer([0.0, 0.0], np.arange(5.0))
    surely, none = two_way(a + 0.5, a), two_way(a, a)
    assert (surely.p_different(), surely.interval().low, surely.interval().high) == (0.0, 0.5, 0.5)
    assert (none.p_different(), none.p_not_above(-0.1), none.p_not_above(0.1)) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("seeds", [(2, 2), (3, 7)])
def test_order_of_seeds_and_cases_the_ease_of_a_case_and_the_side_change_nothing(seeds: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    a, b = arms(rng, seeds, 12, 1.0, 1.0)
    found = two_way(a, b)
    cases = rng.permutation(12)
    shuffled = two_way(rng.permutation(a[:, cases]), rng.permutation(b[:, cases]))
    easier = rng.normal(0, 100, 12)
    for other in (shuffled, two_way(a + easier, b + easier)):
        assert (other.difference, other.variance, other.freedom) == pytest.approx(
            (found.difference, found.variance, found.freedom)
        )
    swapped = two_way(b, a)
    assert swapped.difference == pytest.approx(-found.difference)
    assert swapped.p_different() == pytest.approx(found.p_different())


def test_the_standard_error_is_that_of_a_mixed_model_fitted_by_reml() -> None:
    import pandas as pd
    from statsmodels.formula import api as formulas

    a, b = arms(np.random.default_rng(8), (4, 4), 14, 1.5, 1.5)
    rows = [
        {"y": value, "recipe": recipe, "case": f"c{case}", "seed": f"{recipe}{seed}", "both": f"{recipe}{case}"}
        for recipe, values in (("A", b), ("B", a))
        for (seed, case), value in np.ndenumerate(values)
    ]
    table = pd.DataFrame(rows).sample(frac=1, random_state=0)
    parts = {"case": "0 + C(case)", "both": "0 + C(both)", "seed": "0 + C(seed)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = formulas.mixedlm("y ~ recipe", table, groups=np.ones(len(table)), vc_formula=parts, use_sqrt=True)
        fitted = model.fit(reml=True, method="lbfgs")
    found = two_way(a, b)
    assert (
        found.variance == found.case + found.seed - found.residual
    )  # nothing is held at 0 here, so the two must agree
    assert fitted.params["recipe[T.B]"] == pytest.approx(found.difference, rel=1e-6)
    assert fitted.bse["recipe[T.B]"] == pytest.approx(found.standard_error, rel=2e-3)
    pilot = pilot_variances(a, b)
    by_name = dict(zip(model.exog_vc.names, fitted.vcomp, strict=True))
    assert by_name["seed"] == pytest.approx(pilot.seed, rel=0.02)
    assert 2 * by_name["both"] == pytest.approx(pilot.case_difference, rel=0.02)
    assert fitted.scale == pytest.approx(pilot.residual, rel=0.02)


@pytest.mark.parametrize(
    ("seeds", "cases", "sd_seed", "sd_recipe_case", "folds"),
    [((3, 3), 20, 0.0, 0.0, 1), ((3, 3), 60, 0.3, 0.0, 1), ((3, 10), 30, 0.6, 0.0, 1), ((8, 8), 40, 0.2, 1.0, 1), ((4, 4), 40, 0.5, 0.5, 5)],
)  # fmt: skip
def test_equal_recipes_are_called_different_in_about_one_study_of_twenty(
    seeds: tuple[int, int], cases: int, sd_seed: float, sd_recipe_case: float, folds: int
) -> None:
    rng = np.random.default_rng(1)
    fold = np.arange(cases) % folds
    alarms = np.mean(
        [
            two_way(*arms(rng, seeds, cases, sd_seed, sd_recipe_case, fold_of_case=fold)).p_different() < 0.05
            for _ in range(1500)
        ]
    )
    assert 0.01 <= alarms <= 0.07  # 1500 studies: standard error 0.6 points; the benchmark has the finer figures


def test_the_gain_of_groups_is_tested_against_zero_with_the_same_variance() -> None:
    rng = np.random.default_rng(2)
    gains = rng.normal(0.3, 1.0, (5, 30)) + rng.normal(0, 0.5, (5, 1))
    of_one, against_nothing = two_way_of_one(gains), two_way(gains, np.zeros((2, 30)))
    assert (of_one.difference, of_one.variance) == pytest.approx((against_nothing.difference, against_nothing.variance))


def test_p_values_are_uniform_where_a_test_claims_to_be_exact() -> None:
    rng = np.random.default_rng(3)
    differences = rng.normal(0, 1, (2000, 25))
    assert stats.kstest(paired_t_p(differences), "uniform").pvalue > 0.01
    permuted = np.array([exact_permutation_p(*rng.normal(0, 1, (2, 5))) for _ in range(2000)])
    for level in (2 / 252, 10 / 252, 50 / 252, 126 / 252):  # 252 ways to deal ten seeds, each twice as a mirror
        assert (permuted <= level + 1e-9).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 2000))


def _away(first: np.ndarray, second: np.ndarray) -> float:
    return abs(first.mean() - second.mean())


def test_the_exact_permutation_agrees_with_scipy_and_knows_its_limits() -> None:
    rng = np.random.default_rng(4)
    for first, second in ((rng.normal(0, 1, 4), rng.normal(1, 1, 6)), (np.array([1.0, 2, 3]), np.array([4.0, 5, 6]))):
        wanted = stats.permutation_test((first, second), _away, n_resamples=np.inf, alternative="greater").pvalue
        assert exact_permutation_p(first, second) == pytest.approx(wanted)
    assert exact_permutation_p(np.arange(3.0), np.arange(3.0) + 9) == pytest.approx(0.1)
    assert exact_permutation_p(np.zeros(15), np.ones(15)) is None


def test_new_training_data_is_nadeau_and_bengio_averaged_over_all_ways_to_pair_seeds() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 2, 9))
    fold = rng.permutation(np.arange(9) % 3)
    first, second = ([values[:, fold == f].mean(axis=1) for f in range(3)] for values in (a, b))
    ways = [
        [(i >> f) & 1 for f in range(3)] for i in range(8)
    ]  # which seed of b is paired with the first of a, by fold
    spread = np.mean(
        [
            np.var([d for f in range(3) for d in first[f] - (second[f][::-1] if way[f] else second[f])], ddof=1)
            for way in ways
        ]
    )
    t = (np.mean(first) - np.mean(second)) / np.sqrt((1 / 6 + 1 / 2) * spread)
    found = new_training_data(a, b, fold)
    assert found is not None
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 5))
    assert (found.folds, found.repetitions) == (3, 6)
    assert new_training_data(a, b, np.zeros(9)) is None


@pytest.mark.parametrize("folds", [1, 4])
def test_variance_parts_are_found_again_and_their_intervals_hold_them(folds: int) -> None:
    rng = np.random.default_rng(7)
    true = {"case": 4.0, "recipe on a case": 1.0, "seed": 1.0, "residual": 2.0}
    if folds > 1:
        true = {"case": 4.0, "recipe on a case": 1.0, "fold": 1.0, "seed": 1.0, "seed in a fold": 0.5, "residual": 2.0}
    total, found, held = sum(true.values()), [], []
    fold = np.arange(60) % folds
    for _ in range(150):
        case = rng.normal(0, 2, 60) + (rng.normal(0, 1, folds)[fold] if folds > 1 else 0.0)
        both = []
        for k in (6, 4):
            luck = rng.normal(0, 1, (k, 1)) + (rng.normal(0, np.sqrt(0.5), (k, folds))[:, fold] if folds > 1 else 0.0)
            both.append(case + rng.normal(0, 1, 60) + luck + rng.normal(0, np.sqrt(2), (k, 60)))
        parts = variance_parts(both, fold)
        assert [part.name for part in parts] == list(true)
        found.append([part.variance for part in parts])
        held.append([part.share.low <= true[part.name] / total <= part.share.high for part in parts])
    spread = np.std(found, axis=0) / np.sqrt(150)
    assert (np.abs(np.mean(found, axis=0) - list(true.values())) < 4 * spread).all()
    assert (np.mean(held, axis=0) > 0.87).all()


def test_none_of_forty_is_up_to_nine_per_cent() -> None:
    none = share_interval(0.0, 40)
    assert (none.low, none.high) == pytest.approx((0.0, 0.0876), abs=1e-4)
    some = share_interval(0.3, 50)
    wanted = stats.binomtest(15, 50).proportion_ci(method="wilson")
    assert (some.low, some.high) == pytest.approx((wanted.low, wanted.high))
