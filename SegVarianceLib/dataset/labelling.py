"""Label sets that nobody declared: from values alone, and the regions that brain tumour labels stand for."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.labels import BACKGROUND, LabelSet, Structure

BRATS_REGIONS = LabelSet(
    (
        Structure("whole tumour", (1, 2, 4)),
        Structure("tumour core", (1, 4)),
        Structure("enhancing tumour", (4,)),
    ),
    regions_class_order=(2, 1, 4),
)
"""Regions of the brain tumour challenge (Menze et al. 2015, IEEE Trans Med Imaging 34:1993-2024) over its values 1, 2, 4."""


def labels_of_values(values: Iterable[int]) -> LabelSet:
    """Structures ``label_1``, ``label_2`` and so on; background is none."""
    return LabelSet(tuple(Structure(f"label_{value}", (value,)) for value in sorted(set(values) - {BACKGROUND})))


def with_values(labels: LabelSet, values: Iterable[int]) -> LabelSet:
    """``labels`` and a structure for each value that they do not know."""
    unknown = labels_of_values(set(values) - labels.known_values)
    return LabelSet((*labels.structures, *unknown.structures), labels.ignore_value, labels.regions_class_order)


def regions_of(labels: LabelSet) -> LabelSet | None:
    """The regions by which a vote can be taken: declared ones, or those of brain tumours for the values 1, 2 and 4."""
    if labels.has_regions:
        return labels
    return BRATS_REGIONS if labels.foreground_values == (1, 2, 4) else None
