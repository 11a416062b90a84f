"""An ensemble as a small file that predicts new cases: ``ensemble_recipe.json``. What it says is checked before it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.errors import SegVarianceError
from ..core.files import path_inside, read_json, sha256_of_file, sha256_of_json, write_json
from ..core.records import from_json, to_json
from .clean_up_recipe import CleanUpRecipe
from .rules import RULES

SCHEMA = 1
_MOST_MEMBERS = 10_000


@dataclass(frozen=True)
class RecipeMember:
    """One trained run: ``weights`` is its file's path below the study that stands at position ``study``, with its digest."""

    study: int
    configuration: str
    fold: int
    seed: int
    weights: str
    sha256: str


@dataclass(frozen=True)
class EnsembleRecipe:
    """``members`` combined by ``rule`` (with ``weights``, one each, where the rule is weighted), then ``clean_up``.

    ``studies`` are names of study folders, for people: whoever predicts says where they lie. ``scored`` says in a sentence what is
    known of the ensemble, ``digest`` is of everything that decides a prediction.
    """

    schema: int
    version: str
    name: str
    studies: tuple[str, ...]
    members: tuple[RecipeMember, ...]
    rule: str
    weights: tuple[float, ...] | None
    clean_up: CleanUpRecipe | None
    scored: str
    digest: str

    def __post_init__(self) -> None:
        """Raises ValueError where it could not be applied, or is not what was written."""
        if self.schema != SCHEMA:
            raise ValueError(f"this version reads ensemble recipes of schema {SCHEMA}, found {self.schema}.")
        if not 0 < len(self.members) <= _MOST_MEMBERS:
            raise ValueError(f"expected 1 to {_MOST_MEMBERS} members, found {len(self.members)}.")
        for member in self.members:
            if not 0 <= member.study < len(self.studies):
                raise ValueError(f"there are {len(self.studies)} studies, a member is of number {member.study}.")
        if self.rule not in RULES:
            raise ValueError(f"there is no ensemble rule {self.rule!r}. Known: {', '.join(RULES.ids)}.")
        if RULES.function(self.rule).weighted != (self.weights is not None):
            raise ValueError(f"rule {self.rule!r} and weights {self.weights} do not fit each other.")
        if self.weights is not None and not (
            len(self.weights) == len(self.members) and all(0 <= weight < float("inf") for weight in self.weights)
        ):
            raise ValueError(f"expected a weight from 0 for each of {len(self.members)} members.")
        if self.digest != self._digest(self.members, self.rule, self.weights, self.clean_up):
            raise ValueError("its digest does not fit its members and rule, so it has been changed by hand or damaged.")

    @classmethod
    def of(
        cls,
        name: str,
        studies: Sequence[str],
        members: Sequence[RecipeMember],
        rule: str,
        clean_up: CleanUpRecipe | None,
        scored: str,
    ) -> EnsembleRecipe:
        digest = cls._digest(tuple(members), rule, None, clean_up)
        return cls(SCHEMA, __version__, name, tuple(studies), tuple(members), rule, None, clean_up, scored, digest)

    def weights_files(self, studies: Sequence[Path]) -> list[Path]:
        """The members' weights files, where the studies lie in ``studies``, in the recipe's order.

        Raises:
            SegVarianceError: other studies than the recipe needs, a path that leaves its study, or a file that is missing or not
                the one that the recipe was made with.
        """
        if len(studies) != len(self.studies):
            raise SegVarianceError(
                f"The recipe needs {len(self.studies)} studies in this order: {', '.join(self.studies)}; given {len(studies)}."
            )
        found = []
        for member in self.members:
            path = path_inside(Path(studies[member.study]), member.weights, "weights file")
            if not path.is_file() or sha256_of_file(path) != member.sha256:
                raise SegVarianceError(
                    f"{path} is {'not the file' if path.is_file() else 'missing, and is one'} that the recipe was made with. "
                    f"Give the studies in this order: {', '.join(self.studies)}."
                )
            found.append(path)
        return found

    def write(self, path: Path) -> None:
        write_json(path, to_json(self))

    @classmethod
    def read(cls, path: Path) -> EnsembleRecipe:
        """Raises SegVarianceError where the file is no recipe, names what this version does not know, or was changed."""
        return from_json(cls, read_json(path), str(path))

    @staticmethod
    def _digest(
        members: Sequence[RecipeMember], rule: str, weights: Sequence[float] | None, clean_up: CleanUpRecipe | None
    ) -> str:
        content: list[Any] = [to_json(tuple(members)), rule, to_json(weights), clean_up.digest if clean_up else None]
        return sha256_of_json(content)
