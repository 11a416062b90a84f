"""How regions lie to each other, and what painting them in their order makes of an ideal segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice, permutations
from typing import NamedTuple

import numpy as np

from .labels import BACKGROUND, LabelSet, Structure

INSIDE = "inside"
OVERLAP = "partly overlaps"
APART = "apart"

_MOST_ARRANGEMENTS = 5040


class Relation(NamedTuple):
    """Two structures by their label values: ``first`` lies inside ``second``, partly overlaps it, or lies apart."""

    first: Structure
    second: Structure
    kind: str


def relations(structures: Sequence[Structure]) -> tuple[Relation, ...]:
    """Every pair once, in declared order; of a nested pair the inner one is ``first``."""
    found = []
    for one, other in combinations(structures, 2):
        inner, outer = sorted((one, other), key=lambda structure: len(set(structure.values)))
        shared = set(inner.values) & set(outer.values)
        if not shared:
            found.append(Relation(one, other, APART))
        elif shared == set(inner.values):
            found.append(Relation(inner, outer, INSIDE))
        else:
            found.append(Relation(one, other, OVERLAP))
    return tuple(found)


def parents(structures: Sequence[Structure]) -> tuple[tuple[int, ...], ...]:
    """For each structure the positions of the smallest ones that hold it wholly and are larger: its direct parents."""
    sets = [frozenset(structure.values) for structure in structures]
    around = [[outer for outer, values in enumerate(sets) if inner < values] for inner in sets]
    return tuple(
        tuple(outer for outer in outers if not any(sets[other] < sets[outer] for other in outers)) for outers in around
    )


def repainted(labels: LabelSet) -> dict[int, int]:
    """What each label value becomes when an ideal segmentation is taken apart into its regions and painted again.

    A value that maps to itself can be rebuilt from regions; without an order to paint, all do.
    """
    order = labels.regions_class_order
    if order is None:
        return {value: value for value in labels.foreground_values}
    values = np.array(labels.foreground_values)
    painted = np.full(values.shape, BACKGROUND)
    for structure, value in zip(labels.structures, order, strict=True):
        painted[structure.mask(values)] = value
    return dict(zip(values.tolist(), painted.tolist(), strict=True))


def damaged_regions(labels: LabelSet) -> tuple[Structure, ...]:
    """Regions that do not come back from an ideal segmentation: the order paints over them, or outside them."""
    becomes = repainted(labels)
    return tuple(
        structure
        for structure in labels.structures
        if any((value in structure.values) != (painted in structure.values) for value, painted in becomes.items())
    )


def arrangement_that_fits(labels: LabelSet) -> tuple[Structure, ...] | None:
    """The structures in an order in which ``regions_class_order`` damages no region, or None; large regions are tried first."""
    by_size = sorted(labels.structures, key=lambda structure: -len(structure.values))
    for arrangement in islice(permutations(by_size), _MOST_ARRANGEMENTS):
        if not damaged_regions(LabelSet(arrangement, labels.ignore_value, labels.regions_class_order)):
            return arrangement
    return None
