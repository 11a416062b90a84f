"""What sources are worth: learning curves over the number of target cases, and each cell against both trainings from scratch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.words import counted
from ..metrics.lesions import LESION_IOU
from ..plan.transfer import SCRATCH, SCRATCH_TARGET, SCRATCH_TOTAL
from ..stats.comparison import Comparison
from ..stats.comparison_words import difference_text, short_verdict
from ..stats.transfer import TransferRow, worth_in_words
from .layout import colours, grid, section
from .markup import Markup, element, joined
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, dot, figure, label, line, upright_axis
from .tables import Table, columns

OTHER_TITLES = {
    "iou": "mIoU",
    "lesion_f1": "Lesion F1",
    "lesion_sensitivity": "Lesion sensitivity",
    "lesion_false_positives": "False lesions a case",
}
WEIGHTS_WORDS = (
    "What weights from elsewhere have cost is not known here: they are compared with training from scratch at equal target budget alone. "
    "All seeds start from the same weights, so the luck of their own training is in no interval."
)
COST_UNKNOWN = "not compared: cost unknown"

_LEFT, _TOP, _BOTTOM = 52.0, 18.0, 210.0
_APART = 4.0
"""Curves stand so many units beside each other, so that their intervals can be told apart."""


@dataclass(frozen=True)
class SourceCost:
    """``cpu_s`` of all pretrainings of a source together; ``served`` trainings started from them. What is not known of weights
    from elsewhere is None."""

    source: str
    task: str
    cases: int | None
    steps: int | None
    pretrainings: int
    cpu_s: float | None
    served: int


@dataclass(frozen=True)
class Transfer:
    rows: tuple[TransferRow, ...]
    costs: tuple[SourceCost, ...]


def transfer_section(found: Transfer | None) -> Markup:
    """Nothing where the study is about something else, or where no cell could be scored."""
    if found is None or not found.rows:
        return Markup()
    sources = [source for source in dict.fromkeys(row.source for row in found.rows) if source not in SCRATCH]
    colour_of = colours(sources)
    y = Scale.around(
        [bound for row in found.rows for bound in (row.score.low, row.score.high)], left=_BOTTOM, right=_TOP
    )
    panels = [_panel(source, found.rows, y, colour_of(source)) for source in sources]
    return joined(
        element("h2", "What the sources are worth"),
        section(
            "Learning curves",
            "A panel for each source, in colour. Grey, broken: from scratch with the target's budget. Grey, whole: from scratch with the "
            "budget of target and source together. Right: more target cases, each smaller number among the larger ones. Up: better on "
            "held-out cases. Lines beside points: 95 % intervals for other seeds and other cases. The sentences below each panel compare, not "
            "the overlap of intervals: all look at the same cases.",
            (
                "Mean Dice over structures, held-out cases and seeds; two-way interval (seeds and cases drawn anew).",
                f"{SCRATCH_TARGET}: from scratch with the target's budget. {SCRATCH_TOTAL}: from scratch with the budget of target and source "
                "together, in time of the same network on the same machine. The source is counted in full there, though several "
                "trainings may start from one pretraining; the table 'What the sources cost' shows what is left of it when they share it.",
                "Verdicts are corrected by Holm over all cells. Where a source has fewer pretrainings than there are seeds, trainings that "
                "share one are counted as independent, and intervals are too narrow.",
                *([] if all(row.cost_known for row in found.rows) else [WEIGHTS_WORDS]),
            ),
            grid(panels),
        ),
        element(
            "p",
            "Differences with their intervals follow; all metrics and what the sources cost stand in the tables below.",
            class_="note",
        ),
    )


def _panel(source: str, rows: Sequence[TransferRow], y: Scale, colour: str) -> Markup:
    said = worth_in_words([row for row in rows if row.source == source])
    return element(
        "figure",
        element("h4", source, class_=colour),
        _curves(source, rows, y, colour),
        *(element("p", sentence, class_="note") for sentence in said),
    )


def transfer_tables(found: Transfer) -> tuple[Table, ...]:
    """Cells with their verdicts, all their metrics, and what the sources cost."""
    return _cells(found.rows), _metrics(found.rows), _costs(found.costs)


def _cells(rows: Sequence[TransferRow]) -> Table:
    return Table(
        "transfer",
        "Source by number of target cases",
        columns(
            *("Source", "Target cases", "Seeds", "Dice", "Dice low", "Dice high", *OTHER_TITLES.values()),
            *(f"Minus {SCRATCH_TARGET}", "Verdict", f"Minus {SCRATCH_TOTAL}", "Verdict at equal total budget"),
        ),
        tuple(
            (
                *(row.source, row.cases, row.seeds, row.score.value, row.score.low, row.score.high),
                *(row.others[name].value if name in row.others else None for name in OTHER_TITLES),
                *_against(row.against_target),
                *(_against(row.against_total) if row.cost_known else (None, COST_UNKNOWN)),
            )
            for row in rows
        ),
        "Means over structures; 95 % intervals for other seeds and cases; verdicts by Holm over all cells. A lesion is a connected component, "
        f"found where its IoU with one of the prediction is at least {LESION_IOU:g}; false lesions are counted per case and structure.",
    )


def _metrics(rows: Sequence[TransferRow]) -> Table:
    return Table(
        "transfer_metrics",
        "Sources by every metric",
        columns("Source", "Target cases", "Metric", "Mean", "Low", "High"),
        tuple(
            (row.source, row.cases, OTHER_TITLES[name], mean.value, mean.low, mean.high)
            for name in OTHER_TITLES
            for row in rows
            if (mean := row.others.get(name))
        ),
        "Means over structures with 95 % intervals for other seeds and cases; the verdicts are about Dice alone.",
    )


def _costs(costs: Sequence[SourceCost]) -> Table:
    return Table(
        "transfer_costs",
        "What the sources cost",
        columns(
            "Source", "Task", "Cases", "Steps", "Pretrainings", "CPU-s of all", "Trainings served", "CPU-s a training"
        ),
        tuple(
            (
                *(c.source, c.task, c.cases, c.steps, c.pretrainings, c.cpu_s, c.served),
                None if c.cpu_s is None else round(c.cpu_s / max(1, c.served), 2),
            )
            for c in costs
        ),
        "CPU-s a training: the cost of the pretrainings shared by all trainings that start from them. Empty: weights from elsewhere, "
        "of which nobody here knows what they cost.",
    )


def _against(comparison: Comparison | None) -> tuple[str | None, str | None]:
    if comparison is None:
        return None, None
    return difference_text(comparison), short_verdict(comparison)


def _curves(source: str, rows: Sequence[TransferRow], y: Scale, colour: str) -> Markup:
    """The source's curve over those of both trainings from scratch, all panels on one scale."""
    numbers = sorted({row.cases for row in rows})
    low, high = math.log(numbers[0]), math.log(numbers[-1])
    low, high = (low, high) if high > low else (low - 1, low + 1)
    room = 14 + _APART
    x = Scale(low, high, left=_LEFT + room, right=WIDTH - 18 - _APART)
    drawn = []
    for shift, name, curve in (
        (_APART, SCRATCH_TARGET, "grey-curve dashed"),
        (-_APART, SCRATCH_TOTAL, "grey-curve"),
        (0.0, source, "curve"),
    ):
        points = [(x(math.log(row.cases)) + shift, row) for row in rows if row.source == name]
        if not points:
            continue
        path = "M" + "L".join(f"{px:.1f} {y(row.score.value):.1f}" for px, row in points)
        marks = [
            Markup(
                line(px, y(row.score.low), px, y(row.score.high), "span")
                + dot(px, y(row.score.value), 3.2, "mark", _tip(row))
            )
            for px, row in points
        ]
        of = colour if name == source else "other"
        drawn.append(element("g", element("path", d=path, class_=curve), *marks, class_=of))
    frame = [
        upright_axis(y, _LEFT, y.labelled_ticks()),
        label("Dice, mean over structures", 0.0, 10.0, "start", "quiet"),
        axis(x, _BOTTOM, [(math.log(cases), str(cases)) for cases in numbers], "target cases"),
    ]
    return figure([*drawn, *frame], _BOTTOM + AXIS_HEIGHT, f"Learning curve of {source}")


def _tip(row: TransferRow) -> str:
    bounds = f"{row.score.low:.4f} to {row.score.high:.4f}"
    return f"{row.source}, {counted(row.cases, 'target case')}: Dice {row.score.value:.4f}, 95 % interval {bounds}, {row.seeds} seeds"
