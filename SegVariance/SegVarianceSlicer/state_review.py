"""What the panels Open, Look, and Ensemble and clean show. Plain values: no Qt, no nodes, no arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FoundMember:
    """A row of the table that is shown for confirmation; ``example`` is one of its files."""

    title: str
    cases: int
    example: str


@dataclass(frozen=True)
class OpenState:
    """``folders`` were chosen, ``found`` says in words what they hold; nothing is in the scene before it is confirmed.

    ``problems`` are one sentence each. ``landed`` says what is new since the last look. While a case is opened, ``busy`` says
    so and ``progress`` is the share that is done.
    """

    folders: tuple[str, ...] = ()
    pattern: str = ""
    images: str = ""
    references: str = ""
    found: str = ""
    guess: str = ""
    guessed_pattern: str = ""
    members: tuple[FoundMember, ...] = ()
    problems: tuple[str, ...] = ()
    can_confirm: bool = False
    is_open: bool = False
    landed: str = ""
    busy: str = ""
    progress: float | None = None


@dataclass(frozen=True)
class Layer:
    """Something that can be ticked: a member, the vote or the reference. ``mark`` stands in the corner of its view."""

    key: str
    title: str
    ticked: bool
    mark: str = ""


@dataclass(frozen=True)
class Choice:
    """An entry of a menu; ``tip`` is what stands behind it, for those who want to know."""

    id: str
    title: str
    tip: str = ""


@dataclass(frozen=True)
class CaseOrder:
    """``cases`` as next and previous go through them, each with its number; ``words`` say what the number is.

    ``worst`` is the case with the lowest number, empty where there is none or the order is by name.

    While numbers are worked out, ``busy`` says so and ``progress`` is the share that is done.
    """

    cases: tuple[Choice, ...] = ()
    orders: tuple[Choice, ...] = ()
    order: str = ""
    words: str = ""
    worst: str = ""
    busy: str = ""
    progress: float | None = None


@dataclass(frozen=True)
class IntoStudyState:
    """``words`` say where a result would go, or why it cannot; ``said`` what has been written.

    While all cases are written, ``busy`` says so and ``progress`` is the share that is done.
    """

    can_write: bool = False
    words: str = "Open a SegVariance study to keep results in it."
    said: str = ""
    busy: str = ""
    progress: float | None = None
