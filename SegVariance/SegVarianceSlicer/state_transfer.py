"""What the Transfer panel shows: the curve of one source over both trainings from scratch, and what it is worth in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from SegVarianceLib.plan.study_plan import StudyPlan
from SegVarianceLib.plan.transfer import SCRATCH, SCRATCH_TARGET, SCRATCH_TOTAL, weights_of
from SegVarianceLib.report import methods
from SegVarianceLib.report.transfer_section import OTHER_TITLES, WEIGHTS_WORDS
from SegVarianceLib.stats.comparison import Comparison
from SegVarianceLib.stats.comparison_words import difference_text, verdict_sentence, verdict_title
from SegVarianceLib.stats.transfer import TransferRow, worth_in_words

SCRATCH_TITLES = {
    SCRATCH_TARGET: "from scratch, same target budget",
    SCRATCH_TOTAL: "from scratch, same total budget",
}
_INTERVALS = (
    "Points are means of Dice over structures, held-out cases and trainings, with 95 % intervals for other trainings and other cases "
    "(two-way t). Verdicts are corrected by Holm over all sources and numbers of cases."
)


@dataclass(frozen=True)
class CurvePoint:
    cases: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """``title`` is what the legend says; a training from scratch has its name of ``SCRATCH``."""

    name: str
    title: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Worth:
    """Against one training from scratch: the verdict, its sentence, and the difference in Dice with its interval."""

    title: str
    sentence: str
    number: str


@dataclass(frozen=True)
class Numbers:
    """A line a metric, a column a training; ``heads`` name the columns, the first is that of the metrics' names."""

    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class TransferState:
    """``hint`` stands where there is nothing to see. ``summary`` is about all numbers of target cases, ``worth`` and
    ``numbers`` about ``cases``. ``progress`` is a share from 0 to 1 while the verdicts are computed."""

    hint: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    source: str = ""
    case_counts: tuple[int, ...] = ()
    cases: int = 0
    curves: tuple[Curve, ...] = ()
    summary: tuple[str, ...] = ()
    worth: tuple[Worth, ...] = ()
    numbers: Numbers = Numbers()
    method: tuple[str, ...] = ()
    judged: bool = False
    progress: float | None = None
    problem: str = ""


def sources_of(plan: StudyPlan, rows: Sequence[TransferRow]) -> tuple[tuple[str, str], ...]:
    """Name and title of each source that is scored."""
    tasks = {each.name: f"{each.plan.task.replace('_', ' ')}, {len(each.cases)} cases" for each in plan.pretrainings}
    tasks |= dict.fromkeys(weights_of(plan), "weights from elsewhere")
    names = dict.fromkeys(row.source for row in rows if row.source not in SCRATCH)
    return tuple((name, f"{name} ({tasks[name]})" if name in tasks else name) for name in names)


def curves_of(rows: Sequence[TransferRow], source: str) -> tuple[Curve, ...]:
    """The source's curve last, so that it is painted over the others."""
    titles = SCRATCH_TITLES | {source: source}
    found = []
    for name, title in titles.items():
        own = [row for row in rows if row.source == name]
        points = tuple(CurvePoint(row.cases, row.score.value, row.score.low, row.score.high) for row in own)
        if points:
            found.append(Curve(name, title, points))
    return tuple(found)


def summary_of(rows: Sequence[TransferRow], source: str) -> tuple[str, ...]:
    return worth_in_words([row for row in rows if row.source == source])


def worth_of(row: TransferRow) -> tuple[Worth, ...]:
    pairs = (("Same target budget", row.against_target), ("Same total budget", row.against_total))
    return tuple(_worth(budget, pair) for budget, pair in pairs if pair is not None)


def _worth(budget: str, comparison: Comparison) -> Worth:
    title = f"{budget}: {verdict_title(comparison)}"
    return Worth(title, verdict_sentence(comparison), f"{difference_text(comparison)} {comparison.metric.title}")


def numbers_of(rows: Sequence[TransferRow], source: str, cases: int) -> Numbers:
    """The means of the source and of both trainings from scratch with so many cases; metrics that nobody scored are left out."""
    names = {source: source, SCRATCH_TARGET: "scratch, target", SCRATCH_TOTAL: "scratch, total"}
    cells = [row for name in names for row in rows if (row.source, row.cases) == (name, cases)]
    scored = [each for each in OTHER_TITLES if any(each in row.others for row in cells)]
    return Numbers(
        ("", *(names[row.source] for row in cells)),
        (
            ("Dice", *(f"{row.score.value:.3f}" for row in cells)),
            ("95 %", *(f"{row.score.low:.3f} to {row.score.high:.3f}" for row in cells)),
            *(
                (OTHER_TITLES[each], *(f"{row.others[each].value:.3f}" if each in row.others else "" for row in cells))
                for each in scored
            ),
        ),
    )


def method_of(row: TransferRow) -> tuple[str, ...]:
    judged = row.against_target or row.against_total
    told = () if judged is None else methods.of_verdict(judged)
    return (_INTERVALS, *told, *(() if row.cost_known else (WEIGHTS_WORDS,)))
