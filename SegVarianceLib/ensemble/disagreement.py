"""How much the members of a case disagree on each structure, in numbers: a map alone does not say it.

Members are packed: what all share is counted once, and only voxels on which they differ are compared, 64 of them in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..core.catalog import Facts
from ..core.labels import BACKGROUND, LabelSet, Structure
from .member_maps import MemberMaps

MEASURES = (
    Facts(
        "mean_pairwise_dice",
        "Mean Dice between two members",
        "Roy et al. 2019, NeuroImage 195:11-22; mean over all pairs of which one drew something",
        best=1,
        worst=0,
    ),
    Facts("dice_to_vote", "Expected Dice of a member with the vote", "Mean over members", best=1, worst=0),
    Facts("dice_to_reference", "Expected Dice of a member with the reference", "Mean over members", best=1, worst=0),
    Facts(
        "ged_squared",
        "Generalised energy distance, squared",
        "Kohl et al. 2018, NeurIPS; 2 E[1 - IoU(member, reference)] - E[1 - IoU(member, other member)], over pairs of two "
        "different members (unbiased, may fall below 0); two empty ones have distance 0",
        best=0,
        worst=2,
    ),
    Facts("volume_ml", "Mean volume", "Mean over members", unit="ml"),
    Facts("volume_cv", "Coefficient of variation of the volume", "Standard deviation (n - 1) over the mean", best=0),
    Facts("volume_low_ml", "Smallest volume", "Of all members", unit="ml"),
    Facts("volume_high_ml", "Largest volume", "Of all members", unit="ml"),
    Facts(
        "ece",
        "Expected calibration error",
        "Of the mean probability: metrics/calibration.py",
        best=0,
        worst=1,
    ),
    Facts("ace", "Average calibration error", "Of the mean probability: metrics/calibration.py", best=0, worst=1),
)


class Measured(NamedTuple):
    """One number of one structure; ``value`` is None where nothing can be measured. ``measure`` is an id of ``MEASURES``."""

    structure: str
    measure: str
    value: float | None


def disagreement(
    maps: MemberMaps, labels: LabelSet, voxel_volume_mm3: float, vote: np.ndarray, reference: np.ndarray | None = None
) -> list[Measured]:
    """All measures of all structures that label maps allow.

    Args:
        vote: label map [z, y, x] of the whole image, what the members give together.
        reference: label map [z, y, x] of the whole image; where it holds the ignore value nothing is compared with it.
    """
    found: list[Measured] = []
    counted = maps if reference is None else _without_ignored(maps, reference, labels)
    for structure in labels.structures:
        shared = intersections(maps, structure)
        volumes_ml = np.diag(shared) * voxel_volume_mm3 / 1000
        values = {
            "mean_pairwise_dice": mean_pairwise_dice(shared),
            "dice_to_vote": _mean(_dice_with(maps, structure, vote, np.diag(shared))),
        }
        if reference is not None:
            sizes = np.diag(shared) if counted is maps else np.diag(intersections(counted, structure))
            values["dice_to_reference"] = _mean(_dice_with(counted, structure, reference, sizes))
            values["ged_squared"] = ged_squared(counted, structure, reference)
        mean = float(volumes_ml.mean())
        spread = float(volumes_ml.std(ddof=1) / mean) if len(volumes_ml) > 1 and mean else None
        values |= {"volume_ml": mean, "volume_cv": spread}
        values |= {"volume_low_ml": float(volumes_ml.min()), "volume_high_ml": float(volumes_ml.max())}
        found += (Measured(structure.name, measure, value) for measure, value in values.items())
    return found


def intersections(maps: MemberMaps, structure: Structure) -> np.ndarray:
    """Voxels of the structure that each two members share, int64 [member, member]; the diagonal holds what each one drew."""
    bits = np.packbits(structure.mask(maps.drawn), axis=1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    words = padded.view(np.uint64)
    shared = np.empty((len(words), len(words)), dtype=np.int64)
    for row, word in enumerate(words):
        shared[row, row:] = np.bitwise_count(words[row:] & word).sum(axis=1, dtype=np.int64)
        shared[row:, row] = shared[row, row:]
    return shared + _unanimous(maps, structure.mask(maps.shared))


def mean_pairwise_dice(shared: np.ndarray) -> float | None:
    """Mean Dice over all pairs, from ``intersections``; a pair that both drew nothing has none. None without any pair."""
    pairs = np.triu_indices(len(shared), 1)
    sizes = np.add.outer(np.diag(shared), np.diag(shared))[pairs]
    drawn = sizes > 0
    return float((2 * shared[pairs][drawn] / sizes[drawn]).mean()) if drawn.any() else None


def ged_squared(maps: MemberMaps, structure: Structure, reference: np.ndarray) -> float | None:
    """Generalised energy distance of the members to one reference, squared; None with a single member."""
    if len(maps.names) < 2:
        return None
    shared = intersections(maps, structure)
    sizes = np.diag(shared)
    pairs = np.triu_indices(len(shared), 1)
    both, size = _with_mask(maps, structure, structure.mask(reference))
    to_reference = _distance(both, sizes + size - both).mean()
    between = _distance(shared[pairs], np.add.outer(sizes, sizes)[pairs] - shared[pairs]).mean()
    return float(2 * to_reference - between)


def _distance(both: np.ndarray, either: np.ndarray) -> np.ndarray:
    """1 - IoU; two empty ones are equal."""
    return np.where(either > 0, 1 - both / np.maximum(either, 1), 0.0)


def _dice_with(maps: MemberMaps, structure: Structure, label_map: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Dice of each member with a label map, NaN where neither drew the structure, [member]."""
    both, size = _with_mask(maps, structure, structure.mask(label_map))
    total = (sizes + size).astype(float)
    return np.divide(2.0 * both, total, out=np.full(len(total), np.nan), where=total > 0)


def _with_mask(maps: MemberMaps, structure: Structure, mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Voxels that each member shares with a mask [z, y, x] of the whole image, [member], and the mask's own."""
    inside = mask[maps.box]
    at_places = structure.mask(maps.drawn) & inside.ravel()[maps.places]
    both = at_places.sum(axis=1) + _unanimous(maps, structure.mask(maps.shared) & inside)
    return both, int(np.count_nonzero(mask))


def _unanimous(maps: MemberMaps, mask: np.ndarray) -> int:
    """Voxels of a mask [z, y, x] of the box on which all members agree."""
    return int(np.count_nonzero(mask)) - int(np.count_nonzero(mask.ravel()[maps.places]))


def _without_ignored(maps: MemberMaps, reference: np.ndarray, labels: LabelSet) -> MemberMaps:
    """The members with background wherever the reference is to be ignored."""
    if labels.ignore_value is None or not (ignored := reference == labels.ignore_value)[maps.box].any():
        return maps
    inside = ignored[maps.box]
    drawn = np.where(inside.ravel()[maps.places], BACKGROUND, maps.drawn).astype(maps.drawn.dtype)
    return replace(maps, shared=np.where(inside, BACKGROUND, maps.shared).astype(maps.shared.dtype), drawn=drawn)


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else None
