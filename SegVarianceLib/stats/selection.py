"""What picking the best of k seeds gives by itself: shares of "significant" wins and a flattering mean.

Model: k seeds of one recipe on n shared cases, normal residuals, and a seed effect of variance lambda x residual / n.
lambda = 0 means that seeds make no difference at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import integrate, special, stats

from .multiplicity import holm
from .tests import SIGNIFICANCE_LEVEL

REPETITIONS = 10_000
RANGE = (0.05, 0.95)


@dataclass(frozen=True)
class SelectionAlone:
    """Share of the other seeds that the best one beats with p < 0.05: mean and 5-95 % range over simulated studies."""

    mean: float
    low: float
    high: float
    holm_mean: float


def selection_alone(
    seeds: int, cases: int, luck_ratio: float, generator: np.random.Generator, repetitions: int = REPETITIONS
) -> SelectionAlone:
    """Simulate ``repetitions`` studies in which the best of ``seeds`` is compared with each other by paired t-test.

    No score is drawn: for normal residuals the mean of a seed and its deviations from that mean are independent, so
    which seed is best tells nothing of the deviations r. With b the best, |r_b|^2 is chi-square with n - 1 degrees
    of freedom and |r_b - r_o|^2 = (|r_b| - z)^2 + chi-square(n - 2), z standard normal. Exact, and k numbers a study
    instead of k x n. Holm's correction is over the k - 1 comparisons of the best.
    """
    shape = (repetitions, seeds - 1)
    means = generator.standard_normal((repetitions, seeds)) * np.sqrt((1 + luck_ratio) / cases)
    means.sort(axis=1)
    lead = means[:, -1:] - means[:, :-1]
    own = np.sqrt(generator.chisquare(cases - 1, (repetitions, 1)))
    squares = (own - generator.standard_normal(shape)) ** 2 + generator.chisquare(cases - 2, shape)
    p = 2 * special.stdtr(cases - 1, -lead / np.sqrt(squares / (cases - 1) / cases))
    beaten = (p < SIGNIFICANCE_LEVEL).mean(axis=1)
    low, high = np.quantile(beaten, RANGE)
    holm_beaten = (holm(p) < SIGNIFICANCE_LEVEL).mean()
    return SelectionAlone(float(beaten.mean()), float(low), float(high), float(holm_beaten))


def expected_share_of_random_pairs(luck_ratio: float, cases: int) -> float:
    """Share of pairs of seeds that a paired t-test calls different: 2 T(-t / sqrt(1 + lambda)), T with n - 1 degrees.

    With many cases this is 2 Phi(-1.96 / sqrt(1 + lambda)).
    """
    critical = stats.t.ppf(1 - SIGNIFICANCE_LEVEL / 2, cases - 1)
    return float(2 * stats.t.cdf(-critical / np.sqrt(1 + luck_ratio), cases - 1))


def expected_maximum(count: int) -> float:
    """m_k: the expected largest of ``count`` standard normal numbers, by quadrature."""

    def integrand(x: float) -> float:
        return count * x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * special.ndtr(x) ** (count - 1)

    return float(integrate.quad(integrand, -10, 10, epsabs=1e-10)[0])


def maximum_range(count: int) -> tuple[float, float]:
    """5 % and 95 % quantile of the largest of ``count`` standard normal numbers."""
    low, high = stats.norm.ppf(np.power(RANGE, 1 / count))
    return float(low), float(high)
