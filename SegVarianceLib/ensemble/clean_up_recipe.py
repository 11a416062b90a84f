"""A chosen clean-up as a small file that is applied to new cases: ``clean_up.json``. What it says is checked before it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.errors import SegVarianceError
from ..core.files import read_json, sha256_of_json, write_json
from ..core.labels import BACKGROUND, LabelSet, Structure
from ..core.records import from_json, to_json
from .clean_up import CleanUpStep
from .postprocessing import CLEAN_UP

SCHEMA = 1
_MOST_STEPS = 1000
_HIGHEST_LABEL = 65535


@dataclass(frozen=True)
class ChosenOn:
    """What a clean-up was chosen on: in words, how many predictions of how many cases, and the digest of all these files.

    ``found`` says in sentences what it gained there and, nested, on other cases.
    """

    what: str
    cases: int
    predictions: int
    files: str
    found: tuple[str, ...] = ()


@dataclass(frozen=True)
class CleanUpRecipe:
    """``steps`` in order, and the label values of the structures that they name.

    ``version`` is of the program that wrote it. ``digest`` is of structures and steps: two recipes that clean alike have the same.
    """

    schema: int
    version: str
    structures: dict[str, tuple[int, ...]]
    ignore_value: int | None
    steps: tuple[CleanUpStep, ...]
    chosen_on: ChosenOn | None
    digest: str

    def __post_init__(self) -> None:
        """Raises ValueError where it could not be applied, or is not what was written."""
        if self.schema != SCHEMA:
            raise ValueError(f"this version reads clean-up recipes of schema {SCHEMA}, found {self.schema}.")
        for name, values in self.structures.items():
            if not values or not all(BACKGROUND < value <= _HIGHEST_LABEL for value in values):
                raise ValueError(
                    f"structure {name!r} must have label values from 1 to {_HIGHEST_LABEL}, found {list(values)}."
                )
        if self.ignore_value is not None and not BACKGROUND < self.ignore_value <= _HIGHEST_LABEL:
            raise ValueError(f"the ignore label must lie between 1 and {_HIGHEST_LABEL}, found {self.ignore_value}.")
        if len(self.steps) > _MOST_STEPS:
            raise ValueError(f"expected at most {_MOST_STEPS} steps, found {len(self.steps)}.")
        for step in self.steps:
            if not step.structures or not {*step.structures} <= self.structures.keys():
                raise ValueError(
                    f"step {step.step!r} must name structures of {', '.join(self.structures)}; found {list(step.structures)}."
                )
            try:
                CLEAN_UP.settings(step.step, step.settings)
            except SegVarianceError as error:
                raise ValueError(str(error)) from None
        if self.digest != _digest(self.structures, self.ignore_value, self.steps):
            raise ValueError("its digest does not fit its steps, so it has been changed by hand or damaged.")

    @classmethod
    def of(cls, labels: LabelSet, steps: Sequence[CleanUpStep], chosen_on: ChosenOn | None = None) -> CleanUpRecipe:
        structures = {structure.name: structure.values for structure in labels.structures}
        digest = _digest(structures, labels.ignore_value, steps)
        return cls(SCHEMA, __version__, structures, labels.ignore_value, tuple(steps), chosen_on, digest)

    @property
    def labels(self) -> tuple[Structure, ...]:
        """The structures as ``apply_steps`` and ``clean_folder`` want them."""
        return tuple(Structure(name, values) for name, values in self.structures.items())

    @property
    def known_values(self) -> frozenset[int]:
        """Every value that a label map which it cleans may hold."""
        return LabelSet(self.labels, self.ignore_value).known_values

    def require_same_labels(self, labels: LabelSet) -> None:
        """Raises SegVarianceError where ``labels`` name other structures or values than those that it was chosen for."""
        theirs = {structure.name: structure.values for structure in labels.structures}
        if theirs != self.structures:
            raise SegVarianceError(
                f"The clean-up was chosen for {_in_words(self.structures)}, the labels here are {_in_words(theirs)}. Choose one for these."
            )

    def write(self, path: Path) -> None:
        write_json(path, to_json(self))

    @classmethod
    def read(cls, path: Path) -> CleanUpRecipe:
        """Raises SegVarianceError where the file is no recipe, names what this version does not know, or was changed."""
        return from_json(cls, read_json(path), str(path))


def _digest(structures: Mapping[str, Sequence[int]], ignore_value: int | None, steps: Sequence[CleanUpStep]) -> str:
    content: list[Any] = [
        {name: list(values) for name, values in structures.items()},
        ignore_value,
        to_json(tuple(steps)),
    ]
    return sha256_of_json(content)


def _in_words(structures: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, values))})" for name, values in structures.items())
