"""A case's regions to look into: one member's, what members vote, or the mean of the probabilities that they kept."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.labels import LabelSet
from ..ensemble.probability_rules import mean_probability
from ..ensemble.region_rules import region_probabilities
from ..ensemble.regions import Reconstruction
from .description import ReviewMember
from .open_case import OpenCase
from .probabilities import kept_probabilities


def reconstruction_of(
    opened: OpenCase,
    regions: LabelSet,
    members: Sequence[ReviewMember] | None = None,
    probabilities: bool = False,
) -> Reconstruction:
    """The labels of a case rebuilt from its regions, with its reference where there is one.

    Args:
        members: of ``opened.members``; all, unless said otherwise. One gives its label map, several their shares of votes.
        probabilities: take the mean of the probabilities that members kept instead; those of labels are added up to regions.

    Raises:
        SegVarianceError: nobody kept probabilities, or they do not fit; or as ``Reconstruction``.
    """
    chosen = opened.members if members is None else tuple(members)
    volume = opened.geometry.voxel_volume_mm3
    if not probabilities:
        maps = (opened.maps.member(member.key) for member in chosen)
        if len(chosen) == 1:
            return Reconstruction.of_label_map(next(maps), regions, volume, opened.reference)
        return Reconstruction.of_votes(maps, regions, volume, opened.reference)
    kept = kept_probabilities(chosen, opened.case.id, opened.geometry, regions)
    mean = mean_probability(kept.arrays)
    if not kept.labels.has_regions:
        mean = region_probabilities(mean, kept.labels.foreground_values, regions)
    return Reconstruction.of_probabilities(mean, regions, volume, opened.reference)
