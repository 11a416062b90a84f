"""A number with its interval, and the interval of a share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def share_interval(share: float, count: float) -> Estimate:
    """``share`` of ``count`` independent yes-or-no observations with Wilson's 95 % interval (Wilson 1927, JASA 22:209).

    ``count`` may be an effective number: share (1 - share) / variance. Never of width 0: none of 40 is up to 9 %.
    """
    z2 = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    margin = np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return Estimate(share, max(0.0, float(middle - margin)), min(1.0, float(middle + margin)))
