"""Where the spread of single scores comes from: a bar with its interval for each source."""

from __future__ import annotations

from collections.abc import Sequence

from ..stats.variance_parts import VariancePart
from .markup import Markup
from .svg import Scale, box, figure, label, whisker

_CLASSES = {"case": "share-case", "seed": "share-seed", "seed in a fold": "share-seed", "residual": "share-rest"}
_STEP = 22.0


def variance_bars(parts: Sequence[VariancePart], what: str) -> Markup:
    """Shares of the variance of a single score of ``what``, one row a source, whiskers their 95 % intervals."""
    x = Scale(0.0, 1.0, left=104.0, right=222.0)
    drawn: list[Markup] = []
    for row, part in enumerate(parts):
        y, share = _STEP * row + 11, part.share
        bounds = f"{100 * share.low:.0f} to {100 * share.high:.0f} %"
        tip = f"{what}, {part.name}: {100 * share.value:.1f} % of the variance, 95 % interval {bounds}"
        drawn += [
            label(part.name, 98.0, y + 4, "end"),
            box(x(0), y - 7, x(1), y + 7, "share-of"),
            box(x(0), y - 7, x(share.value), y + 7, _CLASSES.get(part.name, "share-recipe"), tip),
            whisker(x, share.low, share.high, y),
            label(f"{100 * share.value:.0f} % ({bounds})", x.right + 8, y + 4, "start", "quiet"),
        ]
    return figure(drawn, _STEP * len(parts) + 2, f"Shares of the variance of a score, {what}")
