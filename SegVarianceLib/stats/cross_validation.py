"""What a cross-validated difference says about new training data (Nadeau and Bengio 2003, Mach Learn 52:239)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .intervals import CONFIDENCE, Estimate


@dataclass(frozen=True)
class NewTrainingData:
    """``difference`` with its 95 % interval if the recipes were trained on other cases; ``repetitions`` = folds x seeds."""

    difference: Estimate
    p: float
    folds: int
    repetitions: float


def new_training_data(a: np.ndarray, b: np.ndarray, fold_of_case: np.ndarray) -> NewTrainingData | None:
    """Corrected resampled t of mean ``a`` minus mean ``b``, both [seed, case]; None without at least 2 folds.

    t = mean / sqrt((1/J + 1/(F-1)) s^2), J = folds x seeds, J - 1 degrees of freedom, s^2 the variance of the J differences
    of fold means. Seeds of two recipes are no pairs, so s^2 is its mean over all ways to pair them; with unequal numbers
    of seeds, J counts their harmonic mean.
    """
    folds = np.unique(fold_of_case)
    if len(folds) < 2:
        return None
    arms = [np.stack([values[:, fold_of_case == fold].mean(axis=1) for fold in folds]) for values in (a, b)]
    k = 2 / sum(1 / len(values) for values in (a, b))
    by_fold = arms[0].mean(axis=1) - arms[1].mean(axis=1)
    within = sum(float(arm.var(axis=1, ddof=1).mean()) for arm in arms)
    repetitions = len(folds) * k
    squares = k * (len(folds) - 1) * by_fold.var(ddof=1) + len(folds) * (k - 1) * within
    error = float(np.sqrt((1 / repetitions + 1 / (len(folds) - 1)) * squares / (repetitions - 1)))
    mean, freedom = (
        float(a.mean() - b.mean()),
        repetitions - 1,
    )  # the same centre as the two-way t, also of unequal folds
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
    return NewTrainingData(Estimate(mean, mean - margin, mean + margin), p, len(folds), repetitions)
