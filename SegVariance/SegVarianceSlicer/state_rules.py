"""What the sections on rules show: the rules side by side, what each member changes, and what k of n members drew. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RuleRow:
    """A rule: ``dice`` of its result with the one on screen and ``reference_dice`` with the reference, both the mean over
    structures, None where there is none; ``from_others_ml`` is how much has another label, rule by rule."""

    rule: str
    title: str
    dice: float | None
    reference_dice: float | None
    from_others_ml: tuple[float, ...]


@dataclass(frozen=True)
class InfluenceRow:
    """A member: how much of the result changes without it, and Dice with the reference of the result with and without it."""

    member: str
    changed_ml: float
    dice: float | None
    reference_with: float | None
    reference_without: float | None


@dataclass(frozen=True)
class SharedRow:
    """What at least ``k`` members drew of a structure, and its Dice with the reference if there is one."""

    k: int
    volume_ml: float
    dice: float | None


@dataclass(frozen=True)
class RulesState:
    """``sentence`` and ``influence_sentence`` come first, the tables after them. ``about`` is the structure of the lower two.

    While rules are tried, ``busy`` says so and ``progress`` is the share that is done.
    """

    can_compare: bool = False
    can_leave_out: bool = False
    has_reference: bool = False
    sentence: str = ""
    rules: tuple[RuleRow, ...] = ()
    abouts: tuple[str, ...] = ()
    about: str = ""
    influence_sentence: str = ""
    influence: tuple[InfluenceRow, ...] = ()
    shared_sentence: str = ""
    shared: tuple[SharedRow, ...] = ()
    busy: str = ""
    progress: float | None = None
