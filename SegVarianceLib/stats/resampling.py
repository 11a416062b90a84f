"""The pigeonhole bootstrap: seeds and cases drawn anew together (Owen 2007, Ann Appl Stat 1:386)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .intervals import CONFIDENCE, Estimate

REPETITIONS = 2000


@dataclass(frozen=True)
class Pigeonhole:
    """Redrawn studies: ``seed_weights[arm]`` [repetition, seed] and the seeds' means over the redrawn cases,
    ``seed_means[arm]`` [repetition, seed]. Weights of a repetition add up to 1."""

    seed_weights: tuple[np.ndarray, ...]
    seed_means: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, arms: Sequence[np.ndarray], generator: np.random.Generator, repetitions: int = REPETITIONS
    ) -> Pigeonhole:
        """Redraw ``arms``, each [seed, case] on the same cases; in ``canonical`` order, names change no number."""
        cases = _drawn_shares(arms[0].shape[1], generator, repetitions)
        return cls(
            tuple(_drawn_shares(len(values), generator, repetitions) for values in arms),
            tuple(cases @ values.T for values in arms),
        )

    @property
    def means(self) -> np.ndarray:
        """Mean of each arm in each redrawn study, [arm, repetition]."""
        pairs = zip(self.seed_weights, self.seed_means, strict=True)
        return np.stack([(weights * means).sum(axis=1) for weights, means in pairs])

    def probability_first_better(self) -> np.ndarray:
        """Share of pairs of seeds in which the first arm's has the higher mean, ties half, [repetition]."""
        (first_weights, second_weights), (first, second) = self.seed_weights, self.seed_means
        wins = np.empty(len(first))
        for row in range(len(first)):  # one redrawn study at a time keeps 50 x 50 pairs small
            wins[row] = first_weights[row] @ pair_wins(first[row], second[row]) @ second_weights[row]
        return wins


def pair_wins(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 where ``first`` [i] is above ``second`` [j], 1/2 where equal but for rounding, [i, j]."""
    difference = np.subtract.outer(first, second)
    tie = np.abs(difference) <= 1e-12 * max(np.abs(first).max(), np.abs(second).max())
    return np.where(tie, 0.5, difference > 0)


def percentile_interval(value: float, redrawn: np.ndarray) -> Estimate:
    """``value`` with the middle 95 % of its redrawn ones."""
    low, high = np.quantile(redrawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


def canonical(arms: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """The same numbers in an order that the numbers alone give, so that no draw or sum hangs on names; and that order of cases.

    Cases and seeds are ranked by their scores, then again by scores and ranks of the other (colour refinement), until all
    are told apart or nothing more can be: what then still ties is alike to whatever is computed, but for rare symmetries.
    """
    levels = np.unique(np.concatenate([values.ravel() for values in arms]), return_inverse=True)[1]
    ranks = np.split(levels, np.cumsum([values.size for values in arms])[:-1])
    ranked = [rank.reshape(values.shape) for rank, values in zip(ranks, arms, strict=True)]
    case, seeds, told = np.zeros(arms[0].shape[1], dtype=int), [np.zeros(len(values), dtype=int) for values in arms], -1
    while (apart := int(case.max()) + sum(int(seed.max()) for seed in seeds)) > told:
        told = apart
        scale = 1 + max(len(case), *map(len, seeds))
        case = _groups(
            np.concatenate([np.sort(r * scale + s[:, None], axis=0) for r, s in zip(ranked, seeds, strict=True)]).T
        )
        seeds = [_groups(np.sort(r * scale + case, axis=1)) for r in ranked]
    order = np.argsort(case, kind="stable")
    return [values[np.argsort(seed, kind="stable")][:, order] for values, seed in zip(arms, seeds, strict=True)], order


def _groups(keys: np.ndarray) -> np.ndarray:
    """Rank of each row of ``keys`` among the distinct rows."""
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel()


def _drawn_shares(count: int, generator: np.random.Generator, repetitions: int) -> np.ndarray:
    """How often each of ``count`` is drawn in as many draws, as a share, [repetition, count]."""
    return generator.multinomial(count, np.full(count, 1 / count), size=repetitions) / count
