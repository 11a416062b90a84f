"""What the page's parts share: a section that says how to read it and how it was computed, panels side by side, folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.words import counted
from ..stats.seed_matrix import FOREGROUND_MEAN
from .markup import Markup, element, joined
from .style import STRUCTURE_COLOURS

ColourOf = Callable[[str], str]

OPEN_PANELS = 4
"""Structures shown at once; the others lie folded below them."""


def colours(structures: Sequence[str]) -> ColourOf:
    """The class of a structure's colour, the same in every plot and picture."""
    classes = {name: f"s{i % STRUCTURE_COLOURS}" for i, name in enumerate(structures)}
    classes[FOREGROUND_MEAN] = "mean"
    return lambda structure: classes.get(structure, "mean")


def section(title: str, how_to_read: str, how_computed: Sequence[str], content: Markup) -> Markup:
    return element(
        "section",
        element("h3", title),
        element("p", how_to_read, class_="read"),
        content,
        how_was_this_computed(how_computed),
    )


def how_was_this_computed(paragraphs: Sequence[str]) -> Markup:
    """Folded: in plain words first, then the formula, then the source."""
    summary = element("summary", "How was this computed?")
    return element("details", summary, *(element("p", text) for text in paragraphs), class_="how")


def panel(structure: str, colour: str, plot: Markup) -> Markup:
    return element("figure", element("h4", structure, class_=colour), plot)


def grid(panels: Sequence[Markup]) -> Markup:
    return element("div", *panels, class_="grid")


def folded_grid(panels: Sequence[Markup]) -> Markup:
    """The first ``OPEN_PANELS`` side by side, the others folded."""
    rest = panels[OPEN_PANELS:]
    return joined(
        grid(panels[:OPEN_PANELS]), fold(counted(len(rest), "more structure"), grid(rest)) if rest else Markup()
    )


def fold(title: str, *content: Markup) -> Markup:
    return element("details", element("summary", title), *content)
