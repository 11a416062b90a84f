"""What a user reads when something is wrong: one sentence that says what was expected, what came, where, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SegVarianceError(Exception):
    """A mistake that the user can mend. The message is for people; the command line prints it without a traceback."""


@dataclass(frozen=True)
class Problem:
    """One finding of a check: where it is, what is wrong there, and what to do about it.

    What is not ``fatal`` may be meant so (an empty reference of a healthy patient): it is shown and stops nothing.
    """

    where: str
    what: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        said = f"{self.what} {self.remedy}".strip()
        return said if said.startswith(f"{self.where} ") else f"{self.where}: {said}"


class ProblemsFound(SegVarianceError):  # noqa: N818 (it says what came, not what failed)
    """Several problems at once, so that a user mends a dataset in one go and not file by file."""

    def __init__(self, summary: str, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in self.problems)]))
