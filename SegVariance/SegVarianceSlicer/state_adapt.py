"""What Adapt shows. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MovedRow:
    """A structure before and after, in ml; ``agreement`` is the Dice of both masks, None where neither has it."""

    structure: str
    initial_ml: float
    adapted_ml: float
    added_ml: float
    removed_ml: float
    agreement: float | None


@dataclass(frozen=True)
class AdaptState:
    """``model`` is a study or a run of one; ``case`` the one that is open. ``warnings`` stand above everything else that is shown of a
    result. ``share`` of the work is done, None where nobody works."""

    model: str = ""
    case: str = ""
    minutes: int = 5
    sentence: str = ""
    problem: str = ""
    warnings: tuple[str, ...] = ()
    rows: tuple[MovedRow, ...] = ()
    neighbours: str = ""
    share: float | None = None
    can_start: bool = False
    can_stop: bool = False
    can_show: bool = False
    start_text: str = "Adapt to this case"
