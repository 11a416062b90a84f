"""What Look shows of how members disagree: a map over the image, what its colours mean, and numbers. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from .state_review import Choice


@dataclass(frozen=True)
class DisagreementRow:
    """A structure: mean Dice between two members, mean Dice of a member with the reference (or with their vote where there is
    none), squared generalised energy distance to the reference, smallest and largest volume; None where nothing can be measured."""

    structure: str
    between: float | None
    member: float | None
    ged_squared: float | None
    low_ml: float
    high_ml: float


@dataclass(frozen=True)
class MapsState:
    """``kind`` is the map over the image, one of ``kinds``; ``legend`` says what bright and dark mean in it.

    ``rows`` are measured only when asked for. While files of probabilities are read, ``busy`` says so and ``progress`` is the
    share that is done.
    """

    kinds: tuple[Choice, ...] = ()
    kind: str = ""
    legend: str = ""
    busy: str = ""
    progress: float | None = None
    sentence: str = ""
    has_reference: bool = False
    rows: tuple[DisagreementRow, ...] = ()
