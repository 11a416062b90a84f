"""How labels are rebuilt from regions, as one file: what an inspector saves and a prediction applies again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.catalog import Catalog, Facts
from ..core.errors import SegVarianceError
from ..core.files import read_json, write_json
from ..core.labels import LabelSet
from ..dataset.label_declaration import declaration, read_labels
from .region_rules import DEFAULT_THRESHOLD, largest_label, nested_probabilities, painted

PAINT = "paint"


class Rebuild(Protocol):
    """Label map [z, y, x] from probabilities [region, z, y, x]."""

    def __call__(self, probabilities: np.ndarray, labels: LabelSet, thresholds: Sequence[float]) -> np.ndarray: ...


REBUILDS: Catalog[Rebuild] = Catalog(
    "way to rebuild labels",
    ("probabilities", "labels", "thresholds"),
    [
        (
            Facts(PAINT, "Paint in order", "Isensee et al. 2021, Nat Methods 18:203-211; as in nnU-Net 2.8"),
            lambda probabilities, labels, thresholds: painted(probabilities, labels, thresholds),
        ),
        (
            Facts("nested", "Nested, then paint in order", "no region's probability exceeds that of one around it"),
            lambda probabilities, labels, thresholds: painted(
                nested_probabilities(probabilities, labels).probabilities, labels, thresholds
            ),
        ),
        (
            Facts("label_probability", "Largest label probability", "region minus next finer regions; no thresholds"),
            lambda probabilities, labels, thresholds: largest_label(probabilities, labels),
        ),
    ],
)


@dataclass(frozen=True)
class RegionRecipe:
    """``thresholds`` are one a region, in declared order; ``rule`` is an id of ``REBUILDS``."""

    labels: LabelSet
    rule: str = PAINT
    thresholds: tuple[float, ...] | None = None

    def rebuild(self, probabilities: np.ndarray) -> np.ndarray:
        """Label map [z, y, x] from probabilities [region, z, y, x], fractions or 8-bit.

        Raises:
            SegVarianceError: they do not fit the regions, or the rule does not.
        """
        thresholds = self.thresholds or (DEFAULT_THRESHOLD,) * len(self.labels.structures)
        return REBUILDS.function(self.rule)(probabilities, self.labels, thresholds)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> RegionRecipe:
        """The same with these thresholds by region; the others keep theirs."""
        present = self.thresholds or (DEFAULT_THRESHOLD,) * len(self.labels.structures)
        named = zip(self.labels.structures, present, strict=True)
        return replace(self, thresholds=tuple(thresholds.get(region.name, value) for region, value in named))

    def write(self, path: Path) -> None:
        """As JSON: ``labels`` and ``regions_class_order`` as in a dataset.json, ``rule``, and ``thresholds`` by region."""
        content = declaration(self.labels) | {"rule": self.rule}
        if self.thresholds is not None:
            names = (structure.name for structure in self.labels.structures)
            content["thresholds"] = dict(zip(names, self.thresholds, strict=True))
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> RegionRecipe:
        """From what ``write`` wrote, or from the dataset.json of a dataset with regions.

        Raises:
            SegVarianceError: the file cannot be read, declares no regions, or has an unknown rule, region or threshold.
        """
        content = read_json(path)
        labels = read_labels(content if isinstance(content, dict) else {}, str(path))
        if not labels.has_regions:
            raise SegVarianceError(f"{path} declares no region. Expected a label that is a list of values.")
        rule = str(content.get("rule", PAINT))
        REBUILDS.facts(rule)
        return cls(labels, rule, _thresholds(content.get("thresholds"), labels, path))


def _thresholds(given: Any, labels: LabelSet, path: Path) -> tuple[float, ...] | None:
    if given is None:
        return None
    names = [structure.name for structure in labels.structures]
    numbers = isinstance(given, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 for value in given.values()
    )
    if not numbers or set(given) - set(names):
        raise SegVarianceError(
            f"{path}: thresholds are {given!r}. Expected a number from 0 to 1 by region, of {', '.join(names)}."
        )
    return tuple(float(given.get(name, DEFAULT_THRESHOLD)) for name in names)
