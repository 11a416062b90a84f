"""What has been found in the folders that a user opened: to be shown and confirmed before anything heavy happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import Problem, ProblemsFound, SegVarianceError
from ..core.labels import LabelSet
from ..dataset.case import Case

STUDY = "SegVariance study"
NNUNET = "nnU-Net results"
FOLDERS = "folders of label maps"


@dataclass(frozen=True)
class ReviewMember:
    """One who predicted: a training, or a whole pass of a cross-validation, or an ensemble.

    ``files`` and ``probabilities`` go from case id to file, ``folds`` from case id to the fold that held the case out.
    ``name`` is unique within ``configuration``.
    """

    configuration: str
    name: str
    files: Mapping[str, Path]
    seed: int | None = None
    folds: Mapping[str, int] = field(default_factory=dict)
    probabilities: Mapping[str, Path] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Unique in a review."""
        return f"{self.configuration}/{self.name}"

    @property
    def fold(self) -> int | None:
        """The fold of all its cases, None where there are several or none."""
        folds = set(self.folds.values())
        return folds.pop() if len(folds) == 1 else None


@dataclass(frozen=True)
class Guess:
    """How file names were understood: ``rule`` in words, ``pattern`` to change it by, and what came of it.

    ``table`` has a row (case, member, path) for each label map, in the order of the members.
    """

    rule: str
    pattern: str
    table: tuple[tuple[str, str, Path], ...]


@dataclass(frozen=True)
class Request:
    """What ``open_review`` was asked; asked again, it finds what has landed since."""

    paths: tuple[Path, ...]
    pattern: str | None = None
    images: Path | None = None
    references: Path | None = None
    labels: LabelSet | None = None


@dataclass(frozen=True)
class Found:
    """What one study, one results folder or a set of folders holds. ``awaited`` predictions are planned and not there yet."""

    kind: str
    title: str
    members: tuple[ReviewMember, ...]
    ensembles: tuple[ReviewMember, ...] = ()
    images: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    references: Mapping[str, Path] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    labels: LabelSet | None = None
    labels_from: str = ""
    problems: tuple[Problem, ...] = ()
    guesses: tuple[Guess, ...] = ()
    awaited: int = 0


@dataclass(frozen=True)
class Review:
    """Everything that can be looked at and compared. No voxel of a declared labelling has been read yet.

    ``cases`` are all that a member or ensemble has, sorted; a case's ``label`` is its reference, if there is one.
    ``labels_from`` says in words where names and values come from; ``labels_declared`` is False where they were gathered
    from some files, and other files may hold more.
    """

    request: Request
    kinds: tuple[str, ...]
    title: str
    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    members: tuple[ReviewMember, ...]
    ensembles: tuple[ReviewMember, ...]
    labels: LabelSet
    labels_from: str
    labels_declared: bool
    problems: tuple[Problem, ...]
    guesses: tuple[Guess, ...]
    awaited: int

    @property
    def fatal(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.fatal)

    def require_sound(self) -> None:
        """Raises ProblemsFound where a problem is fatal; it carries all of them."""
        if self.fatal:
            raise ProblemsFound(f"{self.title} has problems to mend before its members are compared:", self.problems)

    def case(self, case_id: str) -> Case:
        """Raises SegVarianceError where there is no such case."""
        for case in self.cases:
            if case.id == case_id:
                return case
        raise SegVarianceError(f"There is no case {case_id!r} in {self.title}. It has {len(self.cases)} cases.")

    def members_of(self, case_id: str) -> tuple[ReviewMember, ...]:
        """The members, without ensembles, that have a label map of the case."""
        return tuple(member for member in self.members if case_id in member.files)


def landed(before: Review, after: Review) -> tuple[tuple[str, str], ...]:
    """(member or ensemble key, case id) of every label map that ``after`` has and ``before`` had not."""
    return tuple(sorted(_label_maps(after) - _label_maps(before)))


def _label_maps(review: Review) -> set[tuple[str, str]]:
    return {(each.key, case_id) for each in (*review.members, *review.ensembles) for case_id in each.files}
