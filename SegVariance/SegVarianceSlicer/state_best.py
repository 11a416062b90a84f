"""What the search for the best configuration shows. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CandidateRow:
    """A candidate with how many trainings one prediction of it needs, its mean with the 95 % interval, and how often it would
    be picked if other cases and trainings had been drawn, empty where that is not known."""

    name: str
    trainings: int
    mean: str
    picked: str


@dataclass(frozen=True)
class BestState:
    """``sentence`` first; ``more`` behind it. ``command`` is to be run in a terminal; ``command_words`` say what it does."""

    can_judge: bool = False
    hint: str = ""
    busy: str = ""
    sentence: str = ""
    rows: tuple[CandidateRow, ...] = ()
    more: tuple[str, ...] = ()
    command: str = ""
    command_words: str = ""
    problem: str = ""
