"""Lesion-wise detection: which connected components of the reference a prediction found, and which it made up.

Components have 26 neighbours. A component of the reference and one of the prediction match where their IoU reaches a
threshold; pairs are taken from the largest IoU down, each component once (greedy one-to-one matching, as in panoptica's
naive threshold matching: Kofler et al. 2023, arXiv 2312.02608). BraTS 2023 counts otherwise: it dilates and merges
reference lesions, takes every predicted component that touches one, and leaves small lesions out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import foreground_box

LESION_IOU = 0.1
"""Of two components that count as the same lesion, at least: loose enough for small ones (nnDetection, Baumgartner et al. 2021)."""


@dataclass(frozen=True)
class Lesions:
    """Components of one structure in the reference and in the prediction, and the IoU of each matched pair, largest first."""

    reference: int
    prediction: int
    matched_iou: tuple[float, ...]

    @property
    def matched(self) -> int:
        return len(self.matched_iou)


def match_lesions(reference: np.ndarray, prediction: np.ndarray, minimum_iou: float = LESION_IOU) -> Lesions:
    """Components of two masks on one grid, matched one to one.

    Args:
        reference, prediction: bool [z, y, x].
        minimum_iou: of a matched pair, in (0, 1]; a pair that reaches it exactly matches. Of equal IoUs the component whose first
            voxel comes first in the order z, y, x goes first.
    """
    box = foreground_box(reference | prediction)
    if box is None:
        return Lesions(0, 0, ())
    ours, references = _components(reference[box])
    theirs, predictions = _components(prediction[box])
    pairs, shared = np.unique(np.stack([ours, theirs])[:, (ours > 0) & (theirs > 0)], axis=1, return_counts=True)
    iou = shared / (np.bincount(ours.ravel())[pairs[0]] + np.bincount(theirs.ravel())[pairs[1]] - shared)
    taken: tuple[set[int], set[int]] = (set(), set())
    matched = []
    for pair in np.lexsort((pairs[1], pairs[0], -iou)):
        first, second = pairs[:, pair].tolist()
        if iou[pair] >= minimum_iou and first not in taken[0] and second not in taken[1]:
            taken[0].add(first)
            taken[1].add(second)
            matched.append(float(iou[pair]))
    return Lesions(references, predictions, tuple(matched))


def _components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers from 1 by their first voxels, and how many there are."""
    from scipy import ndimage  # slow to load, and not needed by other metrics

    return ndimage.label(mask, np.ones((3, 3, 3)))
