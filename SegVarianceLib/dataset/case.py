"""A dataset as every later step sees it, whatever folder layout it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import Problem
from ..core.labels import LabelSet


@dataclass(frozen=True)
class Case:
    """One patient image: ``images`` is one file per channel, or one file that holds all channels; ``label`` its reference."""

    id: str
    images: tuple[Path, ...]
    label: Path | None


@dataclass(frozen=True)
class Dataset:
    """A dataset folder that has been understood; nothing is read from the images yet.

    ``cases`` are those with a reference label, in the dataset's own order; ``file_ending`` is what predictions get.
    ``problems`` are entries that could not become a case; checks.py lists them with what it finds in the files.
    """

    folder: Path
    name: str
    channels: tuple[str, ...]
    labels: LabelSet
    cases: tuple[Case, ...]
    file_ending: str
    layout: str
    problems: tuple[Problem, ...] = ()

    def case(self, case_id: str) -> Case:
        return next(case for case in self.cases if case.id == case_id)
