"""The two tests that papers use on paired case scores, for many pairs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations

import numpy as np
from scipy import special, stats

SIGNIFICANCE_LEVEL = 0.05

_MOST_WAYS = 200_000  # 10 seeds against 10 have 184 756

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
    its enumeration of signs takes half a second a pair, and its approximation is too slow for thousands of pairs.
    """
    n = differences.shape[1]
    magnitudes = np.sort(np.abs(differences), axis=1)
    zero = magnitudes[:, -1] == 0
    tied = (magnitudes[:, 0] == 0) | (np.diff(magnitudes, axis=1) == 0).any(axis=1)
    p = np.ones(len(differences))
    exact = ~tied & (n <= _EXACT_UP_TO)
    enumerated = tied & ~zero & (n <= _ENUMERATE_UP_TO)
    untied, approximate = ~tied & ~exact, tied & ~zero & ~enumerated
    if exact.any():
        p[exact] = stats.wilcoxon(differences[exact], axis=1, method="exact").pvalue
    if untied.any():
        p[untied] = _untied_p(differences[untied])
    if approximate.any():
        p[approximate] = _approximate_p(differences[approximate])
    for pair in np.flatnonzero(enumerated):
        p[pair] = _enumerated_p(differences[pair][differences[pair] != 0])
    return p


def _untied_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p by the normal approximation, where no two magnitudes of ``differences`` [pair, case] are equal."""
    n = differences.shape[1]
    ordered = np.take_along_axis(differences, np.argsort(np.abs(differences), axis=1), axis=1)
    score = (ordered > 0) @ np.arange(1.0, n + 1) - n * (n + 1) / 4
    return 2 * special.ndtr(-np.abs(score) / np.sqrt(n * (n + 1) * (2 * n + 1) / 24))


def _approximate_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p by the normal approximation with ties, zeros dropped, for ``differences`` [pair, case]."""
    pairs, n = differences.shape
    order = np.argsort(np.abs(differences), axis=1)
    ordered = np.take_along_axis(differences, order, axis=1)
    magnitudes = np.abs(ordered)
    starts = np.ones((pairs, n), dtype=bool)  # of a run of equal magnitudes, which share their mean rank
    starts[:, 1:] = magnitudes[:, 1:] != magnitudes[:, :-1]
    run = np.cumsum(starts) - 1
    length = np.bincount(run).astype(float)
    zeros = (magnitudes == 0).sum(axis=1)
    first = np.flatnonzero(starts) % n + 1 - np.repeat(zeros, starts.sum(axis=1))
    rank = (first + (length - 1) / 2)[run].reshape(pairs, n)
    tied = np.where(starts & (magnitudes > 0), (length**3 - length)[run].reshape(pairs, n), 0.0).sum(axis=1)
    counted = n - zeros
    spread = np.sqrt(counted * (counted + 1) * (2 * counted + 1) / 24 - tied / 48)
    score = np.where(ordered > 0, rank, 0.0).sum(axis=1) - counted * (counted + 1) / 4
    return 2 * special.ndtr(-np.abs(score) / spread)


def _enumerated_p(differences: np.ndarray) -> float:
    """Two-sided p over all sign patterns of few non-zero differences, ties sharing their mean rank."""
    ranks = stats.rankdata(np.abs(differences))
    patterns = np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks)) & 1
    sums = patterns @ ranks  # ranks are halves at the finest, so sums compare exactly
    found = ranks[differences > 0].sum()
    return float(min(1.0, 2 * min((sums >= found).mean(), (sums <= found).mean())))


def exact_permutation_p(first: np.ndarray, second: np.ndarray) -> float | None:
    """Two-sided p of the difference of two means of seed means, over all ways to deal the seeds to two recipes.

    Exact where both recipes make equally lucky trainings, for these very cases (Bosma et al. 2023, MIDL, PMLR 227). With 3
    against 3 seeds it cannot fall below 0.1. None where there are more than 200 000 ways.
    """
    ways = math.comb(len(first) + len(second), len(first))
    if ways > _MOST_WAYS:
        return None
    together = np.concatenate([first, second])
    sums = together[_all_subsets(len(together), len(first))].sum(axis=1)
    away = np.abs(sums - together.sum() * len(first) / len(together))
    found = abs(first.sum() - together.sum() * len(first) / len(together))
    return float((away >= found - 1e-9 * (np.abs(together).max() + found)).mean())


@cache
def _all_subsets(of: int, size: int) -> np.ndarray:
    """Indices [subset, member] of all subsets."""
    flat = np.fromiter(chain.from_iterable(combinations(range(of), size)), dtype=np.int8)
    return flat.reshape(-1, size)
