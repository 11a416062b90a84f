"""What an adaptation moved, in ml and by structure, and whether that is still plausible: said in words before anybody uses the mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..core.labels import LabelSet
from ..metrics.metric import Pair, dice
from ..metrics.overlap import confusion_matrix, overlap
from ..plan.adaptation_folder import Moved, Neighbour

MOST_VOLUME_CHANGE = 0.3
"""A structure may grow or shrink by this share of its first volume before it is pointed out."""
LEAST_AGREEMENT = 0.75
"""Dice of the first and the adapted mask of a structure below which it is pointed out."""
BEYOND_TRAINING = 0.25
"""A volume may lie outside those of the training cases by this share before it is pointed out."""


def moved(initial: np.ndarray, adapted: np.ndarray, labels: LabelSet, voxel_mm3: float) -> tuple[Moved, ...]:
    """Both label maps [z, y, x]; a structure that neither has gets a Dice of None."""
    found = []
    values = (0, *labels.foreground_values)
    counts = confusion_matrix(initial, adapted, values)
    for structure in labels.structures:
        before, after = structure.mask(initial), structure.mask(adapted)
        kept = int((before & after).sum())
        sizes = int(before.sum()), int(after.sum())
        agreement = dice(Pair(overlap(counts, values, structure), None))
        initial_ml, adapted_ml, added_ml, removed_ml = (
            round(voxels * voxel_mm3 / 1000, 4) for voxels in (*sizes, sizes[1] - kept, sizes[0] - kept)
        )
        agreement = None if agreement is None else round(agreement, 4)
        found.append(Moved(structure.name, initial_ml, adapted_ml, added_ml, removed_ml, agreement))
    return tuple(found)


def warnings_of(
    found: Sequence[Moved],
    training_ml: Mapping[str, Sequence[float]],
    neighbours: Sequence[Neighbour],
    lowest_member_dice: Mapping[str, float],
) -> tuple[str, ...]:
    """Sentences on what departs implausibly; empty where nothing does, which is no proof that the mask is right.

    Args:
        training_ml: volumes of each structure in the training cases.
        lowest_member_dice: of each structure, the lowest Dice of any network's own first mask with their common one; empty for a
            single network.
    """
    sentences = []
    for each in found:
        sentences += _of_structure(each, training_ml.get(each.structure, ()), lowest_member_dice.get(each.structure))
    left_out = [neighbour for neighbour in neighbours if neighbour.left_out]
    if neighbours and len(left_out) == len(neighbours):
        sentences.append(
            f"Not one of {len(neighbours)} neighbours could be aligned with this image ({left_out[0].left_out}), so nothing was learnt from them and the mask is "
            "the one before. The image may show something else than the training cases do, or lie in another direction."
        )
    elif 2 * len(left_out) >= len(neighbours) > 0:
        sentences.append(
            f"{len(left_out)} of {len(neighbours)} neighbours could not be aligned with this image and were left out: it may differ from "
            "what the networks were trained on."
        )
    return tuple(sentences)


def _of_structure(each: Moved, training_ml: Sequence[float], lowest: float | None) -> list[str]:
    name, before, after = each.structure, each.initial_ml, each.adapted_ml
    if before == 0 or after == 0:
        if before == after:
            return []
        what = "appeared, which the first mask did not have" if before == 0 else "vanished"
        return [f"{name} {what} ({before:.2f} to {after:.2f} ml). Look at it before you use the mask."]
    sentences = []
    change = after / before - 1
    if abs(change) > MOST_VOLUME_CHANGE:
        way = "larger" if change > 0 else "smaller"
        sentences.append(
            f"{name} became {abs(change):.0%} {way} ({before:.2f} to {after:.2f} ml), more than the {MOST_VOLUME_CHANGE:.0%} that pass without notice."
        )
    if training_ml:
        low, high = min(training_ml) * (1 - BEYOND_TRAINING), max(training_ml) * (1 + BEYOND_TRAINING)
        if not low <= after <= high:
            sentences.append(
                f"{name} has {after:.2f} ml now; the training cases have {min(training_ml):.2f} to {max(training_ml):.2f} ml."
            )
    if each.dice is not None and each.dice < LEAST_AGREEMENT:
        sentences.append(f"The adapted mask of {name} agrees with the first one by a Dice of {each.dice:.2f} only.")
    elif each.dice is not None and lowest is not None and each.dice < lowest:
        sentences.append(
            f"The adapted mask of {name} differs more from the ensemble (Dice {each.dice:.2f}) than any of its members did ({lowest:.2f})."
        )
    return sentences
