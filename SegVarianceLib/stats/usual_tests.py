"""The tests as people know them, and how often each calls two equal recipes different on this very study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .tests import SIGNIFICANCE_LEVEL, paired_t_p, wilcoxon_signed_rank_p

_TESTS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("paired t-test", paired_t_p),
    ("Wilcoxon's test", wilcoxon_signed_rank_p),
)
_HALVINGS = 200
_LEAST_TO_HALVE = 4


@dataclass(frozen=True)
class UsualTest:
    """One test over cases, p < 0.05.

    One training of each recipe (what most papers have): ``first_better`` and ``second_better`` are the shares of all pairs
    of trainings, one of each recipe, in which it would have called that recipe better; ``false_alarms`` the share of pairs of
    *equal* trainings that it calls different (``first_false_alarms``, ``second_false_alarms``: of one recipe alone). The p values of all these pairs are ``between_p`` and ``within_p``.

    On the mean of all trainings: ``averaged_p``; ``averaged_false_alarms`` is the share of random halvings of one
    recipe's trainings whose means it calls different, None with fewer than 4 of each.
    """

    name: str
    first_better: float
    second_better: float
    false_alarms: float
    first_false_alarms: float
    second_false_alarms: float
    averaged_p: float
    averaged_false_alarms: float | None
    between_p: np.ndarray = field(repr=False, compare=False)
    within_p: np.ndarray = field(repr=False, compare=False)


def usual_tests(a: np.ndarray, b: np.ndarray, halves: np.ndarray | None) -> tuple[UsualTest, ...]:
    """Both tests on ``a`` and ``b`` [seed, case], higher being better; ``halves`` from ``half_differences``."""
    between = (a[:, None] - b[None]).reshape(-1, a.shape[1])
    within = _pair_differences(a), _pair_differences(b)
    averaged = (a.mean(axis=0) - b.mean(axis=0))[None]
    return tuple(_one_test(name, test, between, within, averaged, halves) for name, test in _TESTS)


def half_differences(arms: Sequence[np.ndarray], generator: np.random.Generator) -> np.ndarray | None:
    """Mean of one random half of a recipe's seeds minus that of another, [recipe, halving, case]; None with fewer than 4 seeds."""
    if min(map(len, arms)) < _LEAST_TO_HALVE:
        return None
    return np.stack([_half_differences(values, generator) for values in arms])


def _one_test(
    name: str,
    test: Callable[[np.ndarray], np.ndarray],
    between: np.ndarray,
    within: tuple[np.ndarray, np.ndarray],
    averaged: np.ndarray,
    halves: np.ndarray | None,
) -> UsualTest:
    between_p, both_p = test(between), [test(differences) for differences in within]
    within_p = np.concatenate(both_p)
    called, ahead = between_p < SIGNIFICANCE_LEVEL, between.mean(axis=1)
    return UsualTest(
        name,
        first_better=float((called & (ahead > 0)).mean()),
        second_better=float((called & (ahead < 0)).mean()),
        false_alarms=float((within_p < SIGNIFICANCE_LEVEL).mean()),
        first_false_alarms=float((both_p[0] < SIGNIFICANCE_LEVEL).mean()),
        second_false_alarms=float((both_p[1] < SIGNIFICANCE_LEVEL).mean()),
        averaged_p=float(test(averaged)[0]),
        averaged_false_alarms=None
        if halves is None
        else float((test(halves.reshape(-1, halves.shape[2])) < SIGNIFICANCE_LEVEL).mean()),
        between_p=between_p,
        within_p=within_p,
    )


def _pair_differences(values: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(len(values), k=1)
    return values[first] - values[second]


def _half_differences(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mean of one random half of the seeds minus that of another, [halving, case]; of an odd number one seed sits out."""
    half = len(values) // 2
    order = generator.permuted(np.tile(np.arange(len(values)), (_HALVINGS, 1)), axis=1)
    return values[order[:, :half]].mean(axis=1) - values[order[:, half : 2 * half]].mean(axis=1)
