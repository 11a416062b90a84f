"""What Look shows. Plain values: no Qt, no nodes, no arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from .state_maps import MapsState
from .state_review import CaseOrder, Choice, Layer


@dataclass(frozen=True)
class LookState:
    """One case on screen. ``structures`` are in their order; ``layers`` are all that can be shown.

    While another case is opened, ``opening`` says so and ``progress`` is the share that is done.
    """

    by: CaseOrder = field(default_factory=CaseOrder)
    case: str = ""
    structures: tuple[str, ...] = ()
    structure: str = ""
    images: tuple[str, ...] = ()
    image: str = ""
    layers: tuple[Layer, ...] = ()
    arrangements: tuple[Choice, ...] = ()
    arrangement: str = ""
    against: str = ""
    overlay: MapsState = field(default_factory=MapsState)
    opening: str = ""
    progress: float | None = None
    problem: str = ""
