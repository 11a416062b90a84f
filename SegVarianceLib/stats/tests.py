"""The two tests that papers use on paired case scores, for many pairs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

SIGNIFICANCE_LEVEL = 0.05

_EXACT_UP_TO = 50  # scipy's own switch from the exact distribution of ranks to the normal approximation
_ENUMERATE_UP_TO = 13  # and, with ties or zeros, from all sign patterns to the normal approximation


@dataclass(frozen=True)
class PairwiseTests:
    """Every unordered pair of rows: ``first`` < ``second`` are row indices; all arrays have shape [pair]."""

    first: np.ndarray
    second: np.ndarray
    mean_difference: np.ndarray
    paired_t_p: np.ndarray
    wilcoxon_p: np.ndarray


def pairwise_tests(values: np.ndarray) -> PairwiseTests:
    """Compare all pairs of rows of ``values`` [row, case], case by case (``mean_difference`` is first - second)."""
    first, second = np.triu_indices(len(values), k=1)
    differences = values[first] - values[second]
    return PairwiseTests(
        first, second, differences.mean(axis=1), paired_t_p(differences), wilcoxon_signed_rank_p(differences)
    )


def paired_t_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p of Student's paired t-test for ``differences`` [pair, case]; 1 where all differences are zero."""
    n = differences.shape[1]
    mean = differences.mean(axis=1)
    error = differences.std(axis=1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(mean / error), n - 1)
    return np.where((differences == 0).all(axis=1), 1.0, p)


def wilcoxon_signed_rank_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p of Wilcoxon's signed-rank test for ``differences`` [pair, case]; 1 where all differences are zero.

    Equal to ``scipy.stats.wilcoxon`` called pair by pair. Its choice of method looks at all pairs it is given at once,
    so pairs with and without ties are handed over apart; and its enumeration of signs takes half a second a pair.
    """
    n = differences.shape[1]
    magnitudes = np.sort(np.abs(differences), axis=1)
    zero = magnitudes[:, -1] == 0
    tied = (magnitudes[:, 0] == 0) | (np.diff(magnitudes, axis=1) == 0).any(axis=1)
    p = np.ones(len(differences))
    exact = ~tied & (n <= _EXACT_UP_TO)
    enumerated = tied & ~zero & (n <= _ENUMERATE_UP_TO)
    approximate = ~(zero | exact | enumerated)
    if exact.any():
        p[exact] = stats.wilcoxon(differences[exact], axis=1, method="exact").pvalue
    if approximate.any():
        p[approximate] = stats.wilcoxon(differences[approximate], axis=1, method="asymptotic").pvalue
    for pair in np.flatnonzero(enumerated):
        p[pair] = _enumerated_p(differences[pair][differences[pair] != 0])
    return p


def _enumerated_p(differences: np.ndarray) -> float:
    """Two-sided p over all sign patterns of few non-zero differences, ties sharing their mean rank."""
    ranks = stats.rankdata(np.abs(differences))
    patterns = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums = patterns @ ranks  # ranks are halves at the finest, so sums compare exactly
    found = ranks[differences > 0].sum()
    return float(min(1.0, 2 * min((sums >= found).mean(), (sums <= found).mean())))
