"""Small array facts that several packages share."""

from __future__ import annotations

import numpy as np

PROBABILITY_STEPS = 255
PROBABILITY_ERROR_BOUND = 0.5 / PROBABILITY_STEPS
"""Largest difference between a probability and its 8-bit form: half a step, 0.00196."""


def quantise_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities in [0, 1], any shape, to uint8; off by at most ``PROBABILITY_ERROR_BOUND``."""
    return np.rint(np.clip(probabilities, 0.0, 1.0) * PROBABILITY_STEPS).astype(np.uint8)


def dequantise_probabilities(quantised: np.ndarray) -> np.ndarray:
    """uint8 to float32 probabilities."""
    return quantised.astype(np.float32) / np.float32(PROBABILITY_STEPS)
