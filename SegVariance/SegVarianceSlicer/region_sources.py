"""Which regions, and whose: what the panel Regions can inspect of the case on screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LABEL_VALUE, LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.dataset.label_declaration import regions_of_text, regions_text
from SegVarianceLib.dataset.labelling import regions_of
from SegVarianceLib.dataset.region_checks import definition_problems
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.review.description import Review
from SegVarianceLib.review.open_case import OpenCase
from SegVarianceLib.review.regions_of_case import reconstruction_of
from SegVarianceLib.scene.colours import Colour, structure_colours

from .presenter_review import ReviewSession, title_of
from .state_review import Choice

if TYPE_CHECKING:
    from .presenter_regions import Inspector

VOTES, MEAN, VOLUMES = "votes", "mean", "volumes"
_KEPT, _DRAWN = "probabilities of ", "labels of "


def definition(opened: OpenCase, review: Review, typed: str) -> tuple[str, str, LabelSet | None]:
    """Regions in one line, where they come from, and what they are; None where nobody has said any.

    Raises:
        SegVarianceError: what is typed are no regions.
    """
    known = regions_of(opened.labels)
    if typed and (known is None or typed != regions_text(known)):
        return typed, "As written here.", regions_of_text(typed, None, opened.labels.ignore_value)
    if known is None:
        return "", "Say which labels make a region, such as whole=1,2,4; core=1,4; enhancing=4", None
    declared = f"As declared in {review.labels_from.replace(chr(92), '/').rsplit('/', 1)[-1]}."
    return regions_text(known), declared if opened.labels.has_regions else "Known for brain tumours.", known


def notes_of(regions: LabelSet, opened: OpenCase) -> tuple[str, ...]:
    """What painting does to an ideal segmentation, and labels that no region holds."""
    left = sorted(set(opened.labels.foreground_values) - set(regions.foreground_values))
    lost = f"No region holds label {', '.join(map(str, left))}: it becomes background."
    return (*map(str, definition_problems(regions, "Regions")), *([lost] if left else []))


def sources_of(session: ReviewSession) -> tuple[Choice, ...]:
    """The vote and the mean of the members, each member and ensemble, and volumes of the scene."""
    opened, review = session.opened, session.review
    assert opened is not None and review is not None  # noqa: S101 (only called with a case on screen)
    case = opened.case.id
    kept = [member for member in opened.members if case in member.probabilities]
    ensembles = [each for each in review.ensembles if case in each.files]
    found = [Choice(VOTES, f"Vote of {len(opened.members)} members")] if len(opened.members) > 1 else []
    found += [Choice(MEAN, f"Mean probability of {len(kept)} members")] if len(kept) > 1 else []
    found += [Choice(_KEPT + each.key, f"{title_of(each)}, probabilities") for each in kept]
    found += [Choice(_DRAWN + each.key, f"{title_of(each)}, labels") for each in (*opened.members, *ensembles)]
    return (*found, Choice(VOLUMES, "Volumes in the scene called as the regions"))


def reconstruction(session: ReviewSession, scene: Inspector, source: str, regions: LabelSet) -> Reconstruction:
    """Of a source that ``sources_of`` named.

    Raises:
        SegVarianceError: volumes or files are lacking, lie elsewhere, or are no probabilities of the regions.
    """
    opened, review = session.opened, session.review
    assert opened is not None and review is not None  # noqa: S101 (as above)
    if opened.reference is not None:  # a label that no region holds becomes background there too
        known = np.isin(opened.reference, sorted(regions.known_values))
        opened = replace(opened, reference=opened.reference * known)
    voxel_mm3, reference = opened.geometry.voxel_volume_mm3, opened.reference
    if source == VOLUMES:
        volumes = scene.probabilities([each.name for each in regions.structures], opened.geometry)
        return Reconstruction.of_probabilities(volumes, regions, voxel_mm3, reference)
    if source in (VOTES, MEAN):
        return reconstruction_of(opened, regions, probabilities=source == MEAN)
    probabilities = source.startswith(_KEPT)
    key = source.removeprefix(_KEPT if probabilities else _DRAWN)
    members = [member for member in opened.members if member.key == key]
    if members:
        return reconstruction_of(opened, regions, members, probabilities)
    ensemble = next(each for each in review.ensembles if each.key == key)
    read = read_label_map(ensemble.files[opened.case.id])
    if difference := opened.geometry.difference(read.geometry):
        raise SegVarianceError(f"{ensemble.key} lies elsewhere than the members ({difference}). Make it anew.")
    return Reconstruction.of_label_map(read.array, regions, voxel_mm3, reference)


def painted_labels(regions: LabelSet, labels: LabelSet) -> tuple[LabelSet, dict[str, Colour]]:
    """The labels that regions paint, by their own names where these are declared, each in its region's colour."""
    own = {each.values[0]: each.name for each in labels.structures if len(each.values) == 1}
    colours = structure_colours(region.name for region in regions.structures)
    of_value: dict[int, tuple[str, Colour]] = {}
    for region, value in zip(regions.structures, regions.regions_class_order or (), strict=True):
        of_value.setdefault(value, (own.get(value, f"{LABEL_VALUE}{value}"), colours[region.name]))
    painted = LabelSet(tuple(Structure(name, (value,)) for value, (name, _) in of_value.items()))
    return painted, dict(of_value.values())
