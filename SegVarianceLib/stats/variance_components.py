"""How much of the spread of scores is the case, the seed, and the rest: two-way analysis of variance, seeds x cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .intervals import CONFIDENCE, Estimate


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of ``values`` [seed, case] with one value a cell; their degrees of freedom follow from the counts."""

    seeds: int
    cases: int
    seed: float
    case: float
    residual: float

    @classmethod
    def of(cls, values: np.ndarray) -> MeanSquares:
        k, n = values.shape
        seed_means, case_means, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
        residuals = values - seed_means[:, None] - case_means + mean
        squares = (
            n * ((seed_means - mean) ** 2).sum() / (k - 1),
            k * ((case_means - mean) ** 2).sum() / (n - 1),
            (residuals**2).sum() / ((k - 1) * (n - 1)),
        )
        return cls(k, n, *(without_rounding(float(square), values) for square in squares))


def without_rounding(square: float, *scores: np.ndarray) -> float:
    """``square``, or 0 where it is what rounding alone leaves of ``scores`` that do not differ."""
    largest = max(float(np.abs(values).max()) for values in scores)
    return 0.0 if square <= (1e-12 * largest) ** 2 * max(values.size for values in scores) else square


def luck_ratio(squares: MeanSquares) -> Estimate | None:
    """lambda = n var_seed / var_residual: a seed's own effect against the noise of its mean over these n cases.

    F = MS_seed / MS_residual divided by 1 + lambda has an F distribution, so the interval is exact for normal scores;
    below 0 is given as 0. None where no residual varies (seeds that predict alike).
    """
    if squares.residual <= 1e-12 * (squares.case + squares.seed):
        return None  # rounding alone, or nothing; its ratio to anything means nothing
    ratio = squares.seed / squares.residual
    freedom = squares.seeds - 1, (squares.seeds - 1) * (squares.cases - 1)
    upper, lower = stats.f.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], *freedom)
    return Estimate(*(max(0.0, float(bound) - 1) for bound in (ratio, ratio / upper, ratio / lower)))


@dataclass(frozen=True)
class PilotVariances:
    """What makes the error of a difference of two recipes, per seed and case: the squared error with k seeds each and n
    cases is 2 seed / k + case_difference / n + 2 residual / (k n).

    ``seed``: of a training's own effect, ``residual``: of one training on one case; both are means of the two recipes (with
    cross-validation a training is a whole pass). ``case_difference``: of a case's own difference between the recipes.
    """

    seed: float
    case_difference: float
    residual: float


def pilot_variances(a: np.ndarray, b: np.ndarray) -> PilotVariances:
    """Method of moments from ``a`` and ``b`` [seed, case] on the same cases, at least 2 seeds each; negative ones as 0."""
    arms = [MeanSquares.of(values) for values in (a, b)]
    residual = float(np.mean([arm.residual for arm in arms]))
    seed = float(np.mean([(arm.seed - arm.residual) / arm.cases for arm in arms]))
    spread = without_rounding(float((a.mean(axis=0) - b.mean(axis=0)).var(ddof=1)), a, b)
    of_cases = spread - sum(arm.residual / arm.seeds for arm in arms)
    return PilotVariances(max(0.0, seed), max(0.0, float(of_cases)), residual)
