"""What a difference means for a patient or for the next training: shares of cases and of trainings, failures, what is left wrong.

Arrays are [seed, case]; higher is better throughout.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from .intervals import CONFIDENCE, Estimate, share_interval
from .resampling import Pigeonhole, pair_wins
from .two_way import two_way


def probability_better(first: np.ndarray, second: np.ndarray, redrawn: Pigeonhole) -> Estimate:
    """If both recipes are trained once more and tested on as many cases: how often the first has the better mean.

    Share of pairs of seed means that it wins, ties half; Wilson's interval with the effective number of pairs that the
    bootstrap's variance of the share means, never more than pairs of equal recipes are worth.
    """
    share = float(pair_wins(first.mean(axis=1), second.mean(axis=1)).mean())
    most = 3 * len(first) * len(second) / (len(first) + len(second) + 1)
    return share_interval(share, _effective(share, float(redrawn.probability_first_better().var()), most))


def cases_beyond(first: np.ndarray, second: np.ndarray, bound: float) -> tuple[Estimate, Estimate]:
    """Shares of (case, training of each) in which the first is better by more than ``bound``, and worse by more.

    Variance from structural components over cases and both recipes' seeds (Sen 1960), which counts the residual more
    than once; Wilson's interval with the effective number of cases, never more than there are.
    """
    differences = first[:, None] - second[None]  # [first's seed, second's seed, case]
    room = 1e-9 * max(1.0, bound)  # 0.85 - 0.84 must not be more than 0.01 by rounding
    better, worse = (
        _share(beyond, [beyond.mean(axis=(0, 1)), beyond.mean(axis=(1, 2)), beyond.mean(axis=(0, 2))])
        for beyond in (differences > bound + room, differences < -bound - room)
    )
    return better, worse


def failure_rate(failed: np.ndarray) -> Estimate:
    """Share of true cells of ``failed`` [seed, case]; variance from cases and seeds, Wilson's interval as above."""
    return _share(failed, [failed.mean(axis=0), failed.mean(axis=1)])


def error_ratio(first: np.ndarray, second: np.ndarray) -> Estimate | None:
    """What the first leaves wrong (1 - score) over what the second does: 0.8 is a fifth less. For scores between 0 and 1.

    The same question on a relative scale, where scores near 1 do not look alike. Interval by the two-way t on the errors
    divided by their means (delta method of the logarithm). None where one of them leaves nothing wrong.
    """
    errors = 1 - first, 1 - second
    means = [float(error.mean()) for error in errors]
    if min(means) <= 0:
        return None
    spread = two_way(*(error / mean for error, mean in zip(errors, means, strict=True)))
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, spread.freedom)) * spread.standard_error
    ratio = means[0] / means[1]
    return Estimate(ratio, ratio * float(np.exp(-margin)), ratio * float(np.exp(margin)))


def _share(found: np.ndarray, components: list[np.ndarray]) -> Estimate:
    """Share of true cells of ``found`` [..., case] from its means over all but one axis."""
    share = float(found.mean())
    variance = sum(float(part.var(ddof=1)) / len(part) for part in components if len(part) > 1)
    return share_interval(share, _effective(share, variance, found.shape[-1]))


def _effective(share: float, variance: float, most: float) -> float:
    """Number of yes-or-no observations whose share has this variance, between 1 and ``most``.

    A share of all or none is taken a little inside for this, else a variance however small would leave no observation.
    """
    inside = (share * most + 1) / (most + 2)
    return max(1.0, min(most, inside * (1 - inside) / variance)) if variance > 0 else most
