"""One colour a structure, the same in every member, map and chart."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable

Colour = tuple[float, float, float]
"""Red, green and blue from 0 to 1."""

_HUES = ("#62b2f0", "#ff9457", "#41cda5", "#ec9fcb", "#e6c229", "#a5dcff")  # as the report has them on a dark page
_GOLDEN_RATIO = 0.618034


def structure_colours(names: Iterable[str]) -> dict[str, Colour]:
    """Colour of each structure, in declared order: six that colour-blind readers tell apart, then hues far from the last."""
    return {name: _colour(number) for number, name in enumerate(names)}


def _colour(number: int) -> Colour:
    if number < len(_HUES):
        red, green, blue = bytes.fromhex(_HUES[number][1:])
        return red / 255, green / 255, blue / 255
    return colorsys.hls_to_rgb(number * _GOLDEN_RATIO % 1, 0.65, 0.75)
