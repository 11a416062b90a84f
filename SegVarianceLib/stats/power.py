"""How many seeds and cases a comparison needs: the power of the two-way t, from the variances of a pilot.

The mean squares of a two-way layout with normal scores are independent chi-squared variables, and the difference is
independent of them all. So the power is computed as it is: the probability of the test's answer given the mean squares,
averaged over them. (A noncentral t with the expected error promises up to 25 points too much at 2 seeds, 10 at 3.)
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special
from scipy.stats import qmc

from .tests import SIGNIFICANCE_LEVEL
from .two_way import variance_and_freedom
from .variance_components import MeanSquares, PilotVariances

WANTED_POWER = 0.8
MIN_SEEDS, MAX_SEEDS = 2, 200
MIN_CASES, MAX_CASES = 3, 20_000

CONTOUR_SEEDS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)
CONTOUR_CASES = (10, 14, 18, 24, 32, 42, 56, 75, 100, 140, 180, 240, 320, 420, 560, 750, 1000)

Seeds = int | tuple[int, int]
"""Trainings of each recipe (passes, with cross-validation): as many of both, or of one and the other."""

_POINTS = 512
"""With 512 Sobol points a power is right to 0.1 percentage points; with 2 seeds on a handful of cases, to 0.5."""


def pilot_of_one(values: np.ndarray) -> PilotVariances:
    """What ``values`` [seed, case] of one recipe can say of a comparison: a case's own difference to another is put at 0.

    What follows from it is the least that can be needed.
    """
    squares = MeanSquares.of(values)
    return PilotVariances(max(0.0, (squares.seed - squares.residual) / squares.cases), 0.0, squares.residual)


def power(
    pilot: PilotVariances, seeds: Seeds, cases: int, difference: float, level: float = SIGNIFICANCE_LEVEL
) -> float:
    """Probability that the two-way t calls a true ``difference`` (above 0) different, with at least 2 seeds and 3 cases."""
    error, margins = _error_and_margins(pilot, seeds, cases, level / 2)
    lead = difference / error if error else math.inf
    return float((special.ndtr(lead - margins) + special.ndtr(-lead - margins)).mean())


def equivalence_power(
    pilot: PilotVariances, seeds: Seeds, cases: int, bound: float, level: float = SIGNIFICANCE_LEVEL
) -> float:
    """Probability that two recipes that do not differ are shown equivalent: both one-sided tests against ``bound`` at
    ``level``, which at 5 % is the 90 % interval inside +-``bound``."""
    error, margins = _error_and_margins(pilot, seeds, cases, level)
    room = (bound / error if error else math.inf) - margins
    return float(np.maximum(0.0, 2 * special.ndtr(room) - 1).mean())


def detectable_difference(pilot: PilotVariances, seeds: Seeds, cases: int, wanted: float = WANTED_POWER) -> float:
    """The true difference that is called different with probability ``wanted``."""
    error, margins = _error_and_margins(pilot, seeds, cases, SIGNIFICANCE_LEVEL / 2)
    if error == 0:
        return 0.0

    def lack(lead: float) -> float:
        return float((special.ndtr(lead - margins) + special.ndtr(-lead - margins)).mean()) - wanted

    return error * optimize.brentq(lack, 0.0, margins.max() + special.ndtri(wanted))


@dataclass(frozen=True)
class ToSettle:
    """What finds a true difference with probability ``wanted``.

    ``seeds``: of each recipe, on the cases at hand; ``cases``: with the seeds at hand. None where more of it alone (up to
    200 seeds, 20 000 cases) does not: the other is the limit. ``both`` (seeds, cases): where neither alone does, and
    both grow by one factor; else None. ``at_hand``: with the seeds and cases that there are.
    """

    wanted: float
    at_hand: float
    seeds: int | None
    cases: int | None
    both: tuple[int, int] | None


def to_settle(
    pilot: PilotVariances,
    a_seeds: int,
    b_seeds: int,
    cases: int,
    difference: float,
    chance: Callable[[PilotVariances, Seeds, int, float], float] = power,
) -> ToSettle:
    """What settles ``difference``, from ``a_seeds`` and ``b_seeds`` on ``cases`` at hand.

    With ``chance=equivalence_power``: what shows that two recipes are equivalent within it, if they do not differ.
    """

    def enough(seeds: Seeds, cases: int) -> bool:
        return chance(pilot, seeds, cases, difference) >= WANTED_POWER

    most = max(a_seeds, b_seeds)

    def grown(seeds: int) -> int:
        return min(MAX_CASES, math.ceil(cases * seeds / most))

    more_seeds = _smallest(lambda seeds: enough(seeds, cases), MIN_SEEDS, MAX_SEEDS)
    more_cases = _smallest(lambda cases: enough((a_seeds, b_seeds), cases), MIN_CASES, MAX_CASES)
    both = None
    if more_seeds is None and more_cases is None and most < MAX_SEEDS:
        seeds = _smallest(lambda seeds: enough(seeds, grown(seeds)), most + 1, MAX_SEEDS)
        both = None if seeds is None else (seeds, grown(seeds))
    at_hand = chance(pilot, (a_seeds, b_seeds), cases, difference)
    return ToSettle(WANTED_POWER, at_hand, more_seeds, more_cases, both)


@dataclass(frozen=True)
class Contour:
    """Power to find ``difference`` over ``seeds`` of each recipe x ``cases``: ``power`` [seeds][cases].

    ``line``: for each of ``seeds`` the number of cases where power passes ``wanted``, between those computed by straight
    lines over log cases; the first of ``cases`` where that is enough already, None where the last is not.
    """

    difference: float
    wanted: float
    seeds: tuple[int, ...]
    cases: tuple[int, ...]
    power: tuple[tuple[float, ...], ...]
    line: tuple[float | None, ...]


def contour(pilot: PilotVariances, difference: float) -> Contour:
    rows = tuple(tuple(power(pilot, k, n, difference) for n in CONTOUR_CASES) for k in CONTOUR_SEEDS)
    line = tuple(_passes(row) for row in rows)
    return Contour(difference, WANTED_POWER, CONTOUR_SEEDS, CONTOUR_CASES, rows, line)


@dataclass(frozen=True)
class Cost:
    """``hours``: one after the other on the pilot's machine; None where nobody knows what a training takes."""

    trainings: int
    hours: float | None


def cost(seeds: int, recipes: int, folds: int, hours_per_training: float | None) -> Cost:
    """Of ``seeds`` whole passes of each recipe."""
    trainings = recipes * seeds * folds
    return Cost(trainings, None if hours_per_training is None else trainings * hours_per_training)


def _error_and_margins(pilot: PilotVariances, seeds: Seeds, cases: int, tail: float) -> tuple[float, np.ndarray]:
    """The true standard error, and the test's margin in such errors [point]: t quantile x the error as it will be seen."""
    counts = np.broadcast_to(np.asarray(seeds), 2)
    residuals = pilot.residual / (counts * cases)
    case = pilot.case_difference / cases + residuals.sum()
    true = float((pilot.seed / counts).sum() + case)
    if true == 0:
        return 0.0, np.zeros(_POINTS)
    spread = (counts - 1)[:, None]
    points = _points()
    variance, freedom = variance_and_freedom(
        case * _mean_square(points[0], cases - 1),
        (pilot.seed / counts + residuals)[:, None] * _mean_square(points[1:3], spread),
        (residuals[:, None] * _mean_square(points[3:], spread * (cases - 1))).sum(axis=0),
        counts,
        cases,
    )
    return math.sqrt(true), -special.stdtrit(freedom, tail) * np.sqrt(variance / true)


def _mean_square(share: np.ndarray, freedom: int | np.ndarray) -> np.ndarray:
    """Quantiles of a mean square of expectation 1."""
    half = np.asarray(freedom) / 2
    return special.gammaincinv(half, share) / half


@cache
def _points() -> np.ndarray:
    """Evenly spread in five dimensions: cases, seeds of both recipes, residuals of both. [dimension, point], never 0 or 1."""
    return (qmc.Sobol(5, scramble=False).random(_POINTS) + 0.5 / _POINTS).T


def _smallest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number from ``low`` to ``high`` that is enough.

    Found by halves, as if more were never less. With 2 or 3 seeds that is not quite so: more cases make the test lean on
    the seeds, of which it then knows less, and can cost a few points of power.
    """
    reached = low
    while not enough(reached):
        if reached == high:
            return None
        low, reached = reached + 1, min(2 * reached, high)
    return low + bisect_left(range(low, reached), True, key=enough)


def _passes(row: tuple[float, ...]) -> float | None:
    """Where a row of powers over ``CONTOUR_CASES`` passes the wanted one."""
    after = next((i for i, value in enumerate(row) if value >= WANTED_POWER), None)
    if not after:
        return None if after is None else float(CONTOUR_CASES[0])
    low, high = np.log(CONTOUR_CASES[after - 1 : after + 1])
    share = (WANTED_POWER - row[after - 1]) / (row[after] - row[after - 1])
    return float(np.exp(low + share * (high - low)))
