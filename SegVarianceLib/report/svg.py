"""What every plot is made of: a scale, an axis, texts and the frame, 340 units wide so that text stays readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .markup import Markup, element

WIDTH = 340.0
AXIS_HEIGHT = 34.0
_LEFT, _RIGHT = 10.0, 14.0


@dataclass(frozen=True)
class Scale:
    """Values between ``low`` and ``high`` to positions between ``left`` and ``right``; upright where left is the bottom."""

    low: float
    high: float
    left: float = _LEFT
    right: float = WIDTH - _RIGHT

    @classmethod
    def around(cls, values: Sequence[float], left: float = _LEFT, right: float = WIDTH - _RIGHT) -> Scale:
        low, high = min(values), max(values)
        room = 0.04 * (high - low) or 0.01
        return cls(low - room, high + room, left, right)

    def __call__(self, value: float) -> float:
        return float(self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left))

    def ticks(self) -> list[float]:
        """Two to six round numbers inside the scale: the coarsest steps of 1, 2 or 5 times a power of ten that give two."""
        power = 10 ** np.floor(np.log10(self.high - self.low))
        for step in (factor * power for factor in (5, 2, 1, 0.5, 0.2)):
            first, last = int(np.ceil(self.low / step)), int(np.floor(self.high / step))
            if last - first >= 1:
                break
        return [float(i * step) for i in range(first, last + 1)]

    def labelled_ticks(self) -> list[tuple[float, str]]:
        """Ticks with as many decimals as tell them apart."""
        ticks = self.ticks()
        digits = max(0, int(-np.floor(np.log10(ticks[1] - ticks[0]) + 1e-9)))
        return [(tick, f"{tick:.{digits}f}") for tick in ticks]


def figure(parts: Sequence[Markup], height: float, label: str, colour: str | None = None) -> Markup:
    """The plot; ``label`` is what a screen reader says, ``colour`` the class of its structure."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_label=label,
        class_=f"plot {colour or ''}".strip(),
    )


def axis(x: Scale, y: float, ticks: Sequence[tuple[float, str]], title: str) -> Markup:
    """A horizontal axis at height ``y``, ``AXIS_HEIGHT`` high."""
    marks = [Markup(line(x(v), y, x(v), y + 4, "axis") + label(words, x(v), y + 16, "middle")) for v, words in ticks]
    return element("g", line(x.left, y, x.right, y, "axis"), *marks, label(title, x.right, y + 30, "end", "quiet"))


def upright_axis(y: Scale, x: float, ticks: Sequence[tuple[float, str]]) -> Markup:
    """A vertical axis at ``x``, its labels on the left."""
    marks = [Markup(line(x - 4, y(v), x, y(v), "axis") + label(words, x - 7, y(v) + 4, "end")) for v, words in ticks]
    return element("g", line(x, y.left, x, y.right, "axis"), *marks)


def label(text: str, x: float, y: float, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=class_)


def box(x1: float, y1: float, x2: float, y2: float, class_: str, tip: str | None = None) -> Markup:
    """A rectangle between two corners, whichever comes first."""
    return element(
        "rect",
        x=min(x1, x2),
        y=min(y1, y2),
        width=abs(x2 - x1),
        height=abs(y2 - y1),
        class_=class_,
        data_tip=tip,
    )


def diamond(x: float, y: float, r: float, class_: str, tip: str | None = None) -> Markup:
    path = f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"
    return element("path", d=path, class_=class_, data_tip=tip)


def dot(x: float, y: float, r: float, class_: str, tip: str | None = None) -> Markup:
    return element("circle", cx=x, cy=y, r=r, class_=class_, data_tip=tip)


def whisker(x: Scale, low: float, high: float, y: float) -> Markup:
    """A range with a stop at each end."""
    path = f"M{x(low):.1f} {y:g}H{x(high):.1f}M{x(low):.1f} {y - 4:g}v8M{x(high):.1f} {y - 4:g}v8"
    return element("path", d=path, class_="whisker")
