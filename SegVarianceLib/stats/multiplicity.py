"""Correction for asking many questions at once."""

from __future__ import annotations

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p values along the last axis, in the order given (Holm 1979, Scand J Stat 6:65-70)."""
    p_values = np.asarray(p_values, dtype=float)
    order = np.argsort(p_values, axis=-1)
    remaining = np.arange(p_values.shape[-1], 0, -1)
    stepped = np.minimum(np.take_along_axis(p_values, order, axis=-1) * remaining, 1.0)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=-1), axis=-1)
    return adjusted
