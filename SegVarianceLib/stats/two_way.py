"""The two-way t: a difference of two recipes with the luck of seeds and the choice of cases both in its error.

Seeds are readers nested in a recipe, cases are shared by all: the multi-reader multi-case design (Obuchowski and Rockette 1995,
Commun Stat Simul 24:285; Gallas 2006, Acad Radiol 13:353), whose variance of a difference this is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from .intervals import CONFIDENCE, Estimate
from .variance_components import MeanSquares, without_rounding

KNOWN_RESIDUAL = 0.25
"""Share of the residual's part in the seeds' variance that is counted as known, since it is also measured, with many
degrees of freedom, by the residual itself. 0 is too cautious where seeds hardly differ (1 to 2 % false alarms at 5 % nominal),
1/2 too bold where they do (above 6 %). Chosen by simulation with ``Testing/benchmarks/comparison_calibration.py``'s command."""


@dataclass(frozen=True)
class TwoWay:
    """``difference`` with the parts of its variance: ``case`` and ``seed`` each hold the residual's part once.

    ``variance`` is what counts, ``freedom`` its degrees of freedom.
    """

    difference: float
    case: float
    seed: float
    residual: float
    variance: float
    freedom: float

    @property
    def standard_error(self) -> float:
        return float(np.sqrt(self.variance))

    def interval(self, confidence: float = CONFIDENCE) -> Estimate:
        """The difference with its interval; without any variance, the difference alone."""
        margin = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.standard_error
        return Estimate(self.difference, self.difference - margin, self.difference + margin)

    def p_different(self) -> float:
        """Two-sided p value of a difference of 0."""
        return min(1.0, 2 * min(self.p_not_above(0.0), self.p_not_below(0.0)))

    def p_not_above(self, bound: float) -> float:
        """One-sided p value of "the difference is ``bound`` or less": small where it is clearly above."""
        if self.variance == 0:
            return 0.5 if self.difference == bound else float(self.difference < bound)
        return float(stats.t.sf((self.difference - bound) / self.standard_error, self.freedom))

    def p_not_below(self, bound: float) -> float:
        """One-sided p value of "the difference is ``bound`` or more": small where it is clearly below."""
        return replace(self, difference=-self.difference).p_not_above(-bound)

    def p_not_beyond(self, bound: float) -> float:
        """Twice the one-sided p value of "the difference is ``bound`` or less, either way"."""
        return min(1.0, 2 * min(self.p_not_above(bound), self.p_not_below(-bound)))

    def p_not_equivalent(self, bound: float) -> float:
        """The larger of two one-sided p values of "the difference is not within ``bound``" (TOST)."""
        return max(self.p_not_above(-bound), self.p_not_below(bound))


def two_way(a: np.ndarray, b: np.ndarray) -> TwoWay:
    """Mean of ``a`` [seed, case] minus mean of ``b`` [seed, case], on the same cases in the same order, at least 2 seeds each.

    With folds, a seed is its whole cross-validated pass, and the claim holds for these splits.
    """
    return _combined(a.mean(axis=0) - b.mean(axis=0), (a, b))


def two_way_of_one(values: np.ndarray) -> TwoWay:
    """Mean of ``values`` [seed, case] against 0, for values that are differences already; at least 2 seeds."""
    return _combined(values.mean(axis=0), (values,))


def mean_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of ``values`` [seed or group, case] for other seeds and cases; of one row, for other cases (Student's t)."""
    if len(values) > 1:
        return two_way_of_one(values).interval(confidence)
    mean, cases = float(values.mean()), values.shape[1]
    margin = float(stats.t.ppf((1 + confidence) / 2, cases - 1) * values.std(ddof=1) / np.sqrt(cases))
    return Estimate(mean, mean - margin, mean + margin)


def _combined(case_differences: np.ndarray, arms: Sequence[np.ndarray]) -> TwoWay:
    n = len(case_differences)
    squares = [MeanSquares.of(values) for values in arms]
    counts = np.array([each.seeds for each in squares])
    case = without_rounding(float(case_differences.var(ddof=1)), *arms) / n
    seeds = np.array([each.seed / each.cases / each.seeds for each in squares])
    residual = float(sum(each.residual / each.cases / each.seeds for each in squares))
    variance, freedom = variance_and_freedom(case, seeds, residual, counts, n)
    difference = float(case_differences.mean())
    if without_rounding(difference**2, *arms) == 0:
        difference = 0.0
    return TwoWay(difference, case, float(seeds.sum()), residual, float(variance), float(freedom))


def variance_and_freedom(
    case: np.ndarray | float, seeds: np.ndarray, residual: np.ndarray | float, counts: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """The variance of the difference and its degrees of freedom by Satterthwaite, at least those of the smaller arm or of the cases.

    ``seeds`` [arm, ...] are the arms' parts, ``counts`` [arm] their numbers of seeds; everything else goes by element.
    Welch's degrees of freedom of the seeds are held at what they would be were all recipes equally lucky: with 3 seeds
    against 10, a small spread that the 3 have by chance must not look like knowledge.
    """
    seed = seeds.sum(axis=0)
    variance = np.maximum(case + seed - residual, np.maximum(case, seed))
    equal = (1 / counts).sum() ** 2 / (1 / (counts**2 * (counts - 1))).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        # 0 / 0 where nothing varies; fmin and fmax then take their other side.
        welch = seed**2 / ((1 / (counts - 1)) @ seeds**2)
        unknown_seed = np.maximum(seed - KNOWN_RESIDUAL * residual, 0.0)
        spread = np.maximum(case - residual, 0.0) ** 2 / (n - 1) + unknown_seed**2 / np.fmin(welch, equal)
        # Where neither part is above the residual, both measure the residual: the cases with n - 1, the seeds with as many or so.
        freedom = variance**2 / np.maximum(spread, variance**2 / (2.0 * (n - 1)))
    return variance, np.fmax(freedom, min(counts.min(), n) - 1.0)
