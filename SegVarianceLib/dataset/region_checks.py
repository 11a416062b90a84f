"""What is wrong with the regions of a dataset, and what is worth knowing of them, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations

from ..core.errors import Problem
from ..core.labels import LabelSet, Structure
from ..core.nesting import APART, INSIDE, OVERLAP, damaged_regions, relations, repainted
from .label_declaration import order_remedy


def definition_problems(labels: LabelSet, where: str) -> Iterator[Problem]:
    """What painting in the declared order does to an ideal segmentation.

    A region that does not come back is fatal. A label that comes back as another one of the same regions may be meant so.
    """
    if not labels.has_regions:
        return
    damaged = damaged_regions(labels)
    if damaged:
        names = " and ".join(repr(structure.name) for structure in damaged)
        what = f"regions_class_order does not give back {names} even from an ideal segmentation: {_becoming(labels)}."
        yield Problem(where, what, order_remedy(labels))
    elif becoming := _becoming(labels):
        remedy = "Score regions, not labels, or add a region for each label that you want back."
        yield Problem(where, f"not every label can be rebuilt from the regions: {becoming}.", remedy, fatal=False)


def unused_problems(labels: LabelSet, seen: Collection[int], where: str) -> Iterator[Problem]:
    """Regions that hold the same voxels in every case, given the label values ``seen`` in all of them."""
    for first, second in combinations(labels.structures if labels.has_regions else (), 2):
        shared = set(seen) & set(first.values)
        if shared and shared == set(seen) & set(second.values):
            what = f"{first.name!r} and {second.name!r} hold the same voxels in every case."
            yield Problem(where, what, "Leave one of them out, or look for the labels that are missing.", fatal=False)


def described(labels: LabelSet) -> list[str]:
    """Regions in sentences: what is painted, how they lie to each other, and whether an ideal segmentation comes back."""
    if labels.regions_class_order is None:
        return []
    painted = [
        f"{structure.name} ({_values(structure)}) paints {value}"
        for structure, value in zip(labels.structures, labels.regions_class_order, strict=True)
    ]
    sentences = [f"Regions in declared order, later over earlier: {'; '.join(painted)}."]
    pairs = relations(labels.structures)
    for kind, words in ((INSIDE, "lies inside"), (OVERLAP, "partly overlaps"), (APART, "lies apart from")):
        found = [f"{first.name} {words} {second.name}" for first, second, how in pairs if how == kind]
        if found:
            sentences.append(f"{'; '.join(found)}.")
    becoming = _becoming(labels)
    back = f"An ideal segmentation does not come back: {becoming}." if becoming else "Every label comes back."
    return [*sentences, back]


def _becoming(labels: LabelSet) -> str:
    changed = {value: painted for value, painted in repainted(labels).items() if painted != value}
    return ", ".join(f"label {value} comes back as {painted}" for value, painted in changed.items())


def _values(structure: Structure) -> str:
    return ", ".join(map(str, structure.values))
