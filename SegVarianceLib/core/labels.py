"""Label values, the structures that a reader speaks of, and regions made of several labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BACKGROUND = 0
LABEL_VALUE = "label value "
"""Begins the name of a label that is scored beside the regions that it is part of."""


@dataclass(frozen=True)
class Structure:
    """A named part of the label map: one label value, or the several values of a region."""

    name: str
    values: tuple[int, ...]

    def mask(self, label_map: np.ndarray) -> np.ndarray:
        """Boolean mask, same shape as ``label_map``."""
        if len(self.values) == 1:
            return label_map == self.values[0]
        return np.isin(label_map, self.values)


@dataclass(frozen=True)
class LabelSet:
    """What the values of a dataset's label maps mean, in declared order.

    ``structures`` are what is trained and scored, without background and without the ignore label. With regions
    (a structure of several values), ``regions_class_order[i]`` is the value that the i-th structure paints when labels
    are rebuilt, later over earlier (nnU-Net).
    """

    structures: tuple[Structure, ...]
    ignore_value: int | None = None
    regions_class_order: tuple[int, ...] | None = None

    @property
    def has_regions(self) -> bool:
        return any(len(structure.values) > 1 for structure in self.structures)

    @property
    def foreground_values(self) -> tuple[int, ...]:
        """All label values that a structure uses, ascending."""
        return tuple(sorted({value for structure in self.structures for value in structure.values}))

    @property
    def on_both_levels(self) -> LabelSet:
        """What is scored: with regions also each label value that they are made of, as ``LABEL_VALUE`` names it, unless
        they paint fewer values than they are made of, as they then cannot tell these labels apart.

        Regions and labels of one segmentation have different scores, so every score says by its name which it is of.
        """
        order = self.regions_class_order
        if not self.has_regions or (order is not None and not set(self.foreground_values) <= set(order)):
            return self
        named = {
            f"{LABEL_VALUE}{value}": Structure(f"{LABEL_VALUE}{value}", (value,)) for value in self.foreground_values
        }
        together = {structure.name: structure for structure in self.structures} | named
        return LabelSet(tuple(together.values()), self.ignore_value)

    @property
    def known_values(self) -> frozenset[int]:
        """Every value that a label map of this dataset may hold."""
        ignore = () if self.ignore_value is None else (self.ignore_value,)
        return frozenset((BACKGROUND, *self.foreground_values, *ignore))

    def to_json(self) -> dict[str, object]:
        return {
            "structures": {structure.name: list(structure.values) for structure in self.structures},
            "ignore_value": self.ignore_value,
            "regions_class_order": None if self.regions_class_order is None else list(self.regions_class_order),
        }

    @classmethod
    def from_json(cls, content: dict) -> LabelSet:
        order = content["regions_class_order"]
        return cls(
            tuple(Structure(name, tuple(values)) for name, values in content["structures"].items()),
            content["ignore_value"],
            None if order is None else tuple(order),
        )
