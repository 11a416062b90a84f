"""How much of the spread of single scores is the case, the recipe on that case, the seed, the fold, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.seeding import generator
from .intervals import CONFIDENCE, Estimate
from .variance_components import without_rounding

_DRAWS = 4000


@dataclass(frozen=True)
class VariancePart:
    """``variance`` of one source of a single score, and its share of all of them with a 95 % interval."""

    name: str
    variance: float
    share: Estimate


@dataclass(frozen=True)
class _MeanSquare:
    value: float
    freedom: float


def variance_parts(arms: Sequence[np.ndarray], fold_of_case: np.ndarray | None = None) -> tuple[VariancePart, ...]:
    """Parts of one or two recipes' scores, each [seed, case] on the same cases, with at least 2 seeds.

    Method of moments on a random-effects layout, negative parts as 0; intervals are generalised confidence intervals
    (Weerahandi 1993, JASA 88:899): the parts recomputed from mean squares divided by draws of their chi-square. Where
    ``fold_of_case`` names at least 2 folds, the fold and its seed are parts too. Empty where no score differs.
    """
    folds = [np.arange(arms[0].shape[1])] if fold_of_case is None else _cases_of(fold_of_case)
    squares = {**_seed_squares(arms, folds), **_case_squares(arms, folds)}
    split = _solver(len(arms), [len(values) for values in arms], folds)
    found = {name: max(0.0, value) for name, value in split({n: s.value for n, s in squares.items()}).items()}
    found = {name: without_rounding(value, *arms) for name, value in found.items()}
    total = sum(found.values())
    if total == 0:
        return ()
    rng = generator(0, "variance parts", *(s.freedom for s in squares.values()))
    drawn = split({n: s.value * s.freedom / rng.chisquare(s.freedom, _DRAWS) for n, s in squares.items()})
    positive = {name: np.maximum(value, 0.0) for name, value in drawn.items()}
    sums = np.maximum(sum(positive.values()), np.finfo(float).tiny)
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    bounds = {name: np.quantile(value / sums, tails) for name, value in positive.items()}
    return tuple(
        VariancePart(name, float(value), Estimate(float(value / total), *map(float, bounds[name])))
        for name, value in found.items()
    )


def _cases_of(fold_of_case: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(fold_of_case == fold) for fold in np.unique(fold_of_case)]


def _seed_squares(arms: Sequence[np.ndarray], folds: Sequence[np.ndarray]) -> dict[str, _MeanSquare]:
    """Mean squares of seeds, of seeds within folds and of the residual, pooled over recipes."""
    of_seed = of_fold = rest = 0.0
    for values in arms:
        means = np.stack([values[:, cases].mean(axis=1) for cases in folds], axis=1)  # [seed, fold]
        of_seed += len(folds) * ((means.mean(axis=1) - means.mean()) ** 2).sum()
        turned = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
        of_fold += (turned**2).sum()
        for cases in folds:
            part = values[:, cases]
            rest += ((part - part.mean(axis=1, keepdims=True) - part.mean(axis=0) + part.mean()) ** 2).sum()
    seeds, n = sum(len(values) - 1 for values in arms), sum(map(len, folds))
    squares = {"seed": _MeanSquare(of_seed / seeds, seeds)}
    if len(folds) > 1:
        squares["seed in fold"] = _MeanSquare(of_fold / (seeds * (len(folds) - 1)), seeds * (len(folds) - 1))
    return squares | {"residual": _MeanSquare(rest / (seeds * (n - len(folds))), seeds * (n - len(folds)))}


def _case_squares(arms: Sequence[np.ndarray], folds: Sequence[np.ndarray]) -> dict[str, _MeanSquare]:
    """Variances over cases (within folds) of the recipes' mean and difference, and over folds of the mean."""
    by_case = [values.mean(axis=0) for values in arms]
    mean = sum(by_case) / len(arms)
    freedom = mean.size - len(folds)

    def within(of: np.ndarray) -> _MeanSquare:
        return _MeanSquare(sum(((of[c] - of[c].mean()) ** 2).sum() for c in folds) / freedom, freedom)

    squares = {"mean of case": within(mean)}
    if len(arms) == 2:
        squares["difference of case"] = within(by_case[0] - by_case[1])
    if len(folds) > 1:
        fold_means = np.array([mean[cases].mean() for cases in folds])
        squares["mean of fold"] = _MeanSquare(fold_means.var(ddof=1), len(folds) - 1)
    return squares


def _solver(recipes: int, seeds: Sequence[int], folds: Sequence[np.ndarray]) -> Callable[[dict], dict]:
    """From mean squares (numbers or draws) to parts: each mean square's expectation, solved from the last to the first."""
    in_fold = len(folds) / sum(1 / len(cases) for cases in folds)  # unequal folds count as their harmonic mean
    per_seed = sum(1 / k for k in seeds) / recipes  # what averaging over seeds leaves of a part, mean of recipes

    def split(square: dict) -> dict:
        rest = square["residual"]
        parts = {}
        if len(folds) > 1:
            in_fold_part = square["seed in fold"] - rest / in_fold
            seed = (square["seed"] - square["seed in fold"]) / len(folds)
        else:
            in_fold_part, seed = 0.0, square["seed"] - rest / in_fold
        of_recipe = 0.0
        if recipes == 2:
            of_recipe = (square["difference of case"] - 2 * rest * per_seed) / 2
        case = square["mean of case"] - (of_recipe + rest * per_seed) / recipes
        parts["case"] = case
        if recipes == 2:
            parts["recipe on a case"] = of_recipe
        if len(folds) > 1:
            parts["fold"] = (
                square["mean of fold"] - square["mean of case"] / in_fold - in_fold_part * per_seed / recipes
            )
        parts["seed"] = seed
        if len(folds) > 1:
            parts["seed in a fold"] = in_fold_part
        return parts | {"residual": rest}

    return split
