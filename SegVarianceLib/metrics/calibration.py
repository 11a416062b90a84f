"""Whether a probability of 0.8 is right in 8 of 10 voxels: expected and average calibration error of one structure.

Far background would make every model look calibrated, so only voxels near the structure count. Bins hold equally many voxels as
far as equal probabilities allow, which stay together: probabilities are told apart in 8 bits, as they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import PROBABILITY_STEPS, foreground_box

BINS = 15
MARGIN_MM = 5.0
"""How far around the structure voxels count."""


@dataclass(frozen=True)
class ProbabilityLevels:
    """For each 8-bit probability: voxels, the sum of their probabilities, and how many are truly of the structure; [256].

    Those of several cases add up: ``a + b``.
    """

    voxels: np.ndarray
    confidence: np.ndarray
    positives: np.ndarray

    def __add__(self, other: ProbabilityLevels) -> ProbabilityLevels:
        return ProbabilityLevels(
            self.voxels + other.voxels, self.confidence + other.confidence, self.positives + other.positives
        )


@dataclass(frozen=True)
class Calibration:
    """``ece``: mean over voxels of the gap between probability and frequency of their bin; ``ace``: mean over bins.

    ``voxels``, ``confidence`` (mean probability) and ``frequency`` are those of the bins, by growing probability.
    """

    ece: float
    ace: float
    voxels: np.ndarray
    confidence: np.ndarray
    frequency: np.ndarray


def probability_levels(
    probability: np.ndarray,
    truth: np.ndarray,
    spacing_zyx_mm: tuple[float, float, float],
    counted: np.ndarray | None = None,
) -> ProbabilityLevels:
    """Count the voxels within ``MARGIN_MM`` of the structure, where it is or where its probability is above one half.

    Args:
        probability: float32 from 0 to 1, or 8-bit, [z, y, x].
        truth: boolean [z, y, x], where the structure really is.
        counted: boolean [z, y, x], False where the reference says nothing; everywhere True by default.
    """
    scale = PROBABILITY_STEPS if probability.dtype == np.uint8 else 1
    near = near_structure(truth | (probability > 0.5 * scale), spacing_zyx_mm)
    if counted is not None:
        near &= counted
    p = probability[near] / np.float64(scale)
    level = np.rint(p * PROBABILITY_STEPS).astype(np.intp)
    counts = [np.bincount(level, weights, PROBABILITY_STEPS + 1) for weights in (None, p, truth[near])]
    return ProbabilityLevels(*counts)


def near_structure(mask: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> np.ndarray:
    """Voxels within ``MARGIN_MM`` of a mask's, boolean [z, y, x]; nothing near an empty one."""
    near = np.zeros(mask.shape, dtype=bool)
    box = foreground_box(mask)
    if box is None:
        return near
    from scipy import ndimage  # slow to load, and only needed here

    reach = (int(np.ceil(MARGIN_MM / mm)) for mm in spacing_zyx_mm)
    part = tuple(slice(max(0, side.start - r), side.stop + r) for side, r in zip(box, reach, strict=True))
    near[part] = ndimage.distance_transform_edt(~mask[part], sampling=spacing_zyx_mm) <= MARGIN_MM * (1 + 1e-6)
    return near


def calibration(levels: ProbabilityLevels, bins: int = BINS) -> Calibration | None:
    """Calibration over ``bins`` bins of equal mass; None where no voxel counts.

    A level's middle by rank says in which bin it lies, so that fewer bins remain where many voxels share one probability.
    """
    total = levels.voxels.sum()
    if not total:
        return None
    middle = (np.cumsum(levels.voxels) - levels.voxels / 2) / total
    bin_of = np.minimum((middle * bins).astype(np.intp), bins - 1)
    found = [np.bincount(bin_of, of, bins) for of in (levels.voxels, levels.confidence, levels.positives)]
    voxels, summed, positives = (of[found[0] > 0] for of in found)
    confidence, frequency = summed / voxels, positives / voxels
    gaps = np.abs(confidence - frequency)
    return Calibration(float((gaps * voxels).sum() / total), float(gaps.mean()), voxels, confidence, frequency)
