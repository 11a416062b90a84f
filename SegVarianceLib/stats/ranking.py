"""Which of several recipes is best, and how sure that order is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core.catalog import Facts
from ..core.seeding import generator
from .intervals import Estimate
from .resampling import Pigeonhole, canonical, percentile_interval
from .score_cube import higher_is_better
from .seed_matrix import SeedMatrix


@dataclass(frozen=True)
class Rank:
    """One recipe: its mean, its rank (1 is best) with the middle 95 % of its ranks in redrawn studies, and how often it is
    first there."""

    configuration: str
    mean: float
    rank: Estimate
    first_share: float


@dataclass(frozen=True)
class Ranking:
    """Recipes by the mean of ``metric``, best first. ``agreement``: Kendall's tau-b between this order and that of a redrawn study, on average."""

    metric: Facts
    ranks: tuple[Rank, ...]
    agreement: float

    def to_json(self) -> dict[str, Any]:
        return {"ranks": [asdict(rank) for rank in self.ranks], "agreement": self.agreement}


def rank_recipes(matrices: Sequence[SeedMatrix], random_seed: int = 0) -> Ranking:
    """Rank at least 2 recipes on the same cases (``seed_matrix.matched``) by their means; stability by redrawing seeds and
    cases together (pigeonhole bootstrap). Order and names of recipes change no number."""
    sign = 1.0 if higher_is_better(matrices[0].metric) else -1.0
    # The recipes too stand in an order that only their numbers give, so that each draws the same whatever it is called.
    ordered = sorted(matrices, key=lambda m: (-sign * m.values.mean(), *np.sort(m.values, axis=None)))
    arms, _ = canonical([sign * matrix.values for matrix in ordered])
    means = Pigeonhole.of(arms, generator(random_seed, "ranking")).means
    found = np.array([values.mean() for values in arms])
    ranks = _ranks(means)
    own = _ranks(found[:, None])[:, 0]
    return Ranking(
        matrices[0].metric,
        tuple(
            Rank(
                matrix.configuration,
                float(matrix.values.mean()),
                percentile_interval(float(own[row]), ranks[row]),
                float((ranks[row] == 1).mean()),
            )
            for row, matrix in enumerate(ordered)
        ),
        _agreement(found, means),
    )


def _ranks(means: np.ndarray) -> np.ndarray:
    """1 for the highest of each column of ``means`` [recipe, repetition]; ties share the better rank."""
    return (means[None] > means[:, None]).sum(axis=1) + 1.0


def _agreement(found: np.ndarray, means: np.ndarray) -> float:
    first, second = np.triu_indices(len(found), k=1)
    signs = np.sign(means[first] - means[second]) * np.sign(found[first] - found[second])[:, None]
    return float(signs.mean())
