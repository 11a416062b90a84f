"""What the panel Regions shows. Plain values: no Qt, no nodes, no arrays."""

from __future__ import annotations

from dataclasses import dataclass

from .state_review import Choice


@dataclass(frozen=True)
class RegionSlider:
    """The threshold of a region; ``words`` say it as a number, of votes also as a number of members."""

    region: str
    threshold: float
    words: str


@dataclass(frozen=True)
class RegionRow:
    """A region and the label that it paints; volume on screen and orphans in ml, Dice before and now where there is a reference."""

    region: str
    label: int
    volume_ml: float
    orphans_ml: float
    region_dice: tuple[float | None, float | None] = (None, None)
    label_dice: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class RegionsState:
    """``text`` are the regions in one line and ``told`` says where they come from; ``notes`` what is odd about them.

    While ``is_open``, one case is inspected: ``step`` of ``steps`` regions are painted and ``step_words`` tell what the last of
    them did; ``changes`` and ``orphans`` count what is outlined; ``why`` explains the Dice of the label painted last.
    """

    text: str = ""
    told: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[Choice, ...] = ()
    source: str = ""
    can_open: bool = False
    is_open: bool = False
    rules: tuple[Choice, ...] = ()
    rule: str = ""
    sliders: tuple[RegionSlider, ...] = ()
    step: int = 0
    steps: int = 0
    step_words: str = ""
    maps: tuple[Choice, ...] = ()
    map: str = ""
    outlines: frozenset[str] = frozenset()
    has_reference: bool = False
    changes: str = ""
    orphans: str = ""
    rows: tuple[RegionRow, ...] = ()
    why: str = ""
    done: str = ""
    problem: str = ""
