"""What the Scores panel shows: rows of a table, the strip plot, and the sentences around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import FALSE_ALARM, MISSED, Score, ScoreTable
from SegVarianceLib.scene.colours import Colour, structure_colours
from SegVarianceLib.stats.comparisons import difference_of_two_trainings, recipes_of
from SegVarianceLib.stats.score_cube import ScoreCube, higher_is_better, metric_of_column
from SegVarianceLib.stats.seed_matrix import SeedMatrix
from SegVarianceLib.stats.verdict import amount

EVERY = ""
"""Of a filter: nothing is left out."""

REFERENCE, VOTE = "reference", "vote"
"""What members may be scored against."""

MOST_ROWS = 5000
"""A QTableWidget makes an item a cell; more rows than this keep the window waiting, and nobody reads them."""

_DIGITS = {"mm": 2, "": 4}


@dataclass(frozen=True)
class ScoreColumn:
    metric: str
    title: str
    digits: int

    @classmethod
    def of(cls, metric: str) -> ScoreColumn:
        facts = metric_of_column(metric)
        return cls(metric, f"{facts.title} ({facts.unit})" if facts.unit else facts.title, _DIGITS.get(facts.unit, 3))


@dataclass(frozen=True)
class ScoreRow:
    """One case, structure and member; ``values`` in the order of the columns, None where nothing can be measured.

    ``member`` is ``<configuration>/<name>``, unique in a review. ``note`` says why a value is missing.
    """

    case: str
    structure: str
    member: str
    values: tuple[float | None, ...]
    note: str


@dataclass(frozen=True)
class StripPlot:
    """Points are the scores of ``table``, which holds one metric. ``bands``: by structure, what two trainings of one recipe span."""

    metric: str
    title: str
    table: ScoreTable
    colours: Mapping[str, Colour]
    bands: Mapping[str, tuple[float, float]]
    caption: str


@dataclass(frozen=True)
class ScoresState:
    """``structure`` and ``member`` filter rows and points (``EVERY``: all); ``metric`` orders rows, worst first, and is plotted.

    ``summary`` says what is shown, ``problem`` what went wrong, ``done`` what has been written, ``busy`` what
    is going on, each in a sentence or empty; ``progress`` is the share of it that is done. ``case`` is open and can be scored.
    """

    columns: tuple[ScoreColumn, ...] = ()
    rows: tuple[ScoreRow, ...] = ()
    structures: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    structure: str = EVERY
    member: str = EVERY
    metric: str = ""
    selected: tuple[str, str, str] | None = None
    plot: StripPlot | None = field(default=None, compare=False)
    summary: str = "No scores yet. Score the open case, or open a study that has been scored."
    problem: str = ""
    done: str = ""
    busy: str = ""
    progress: float | None = None
    case: str = ""

    @property
    def has_scores(self) -> bool:
        return bool(self.columns)


def member_of(score: Score) -> str:
    return f"{score.configuration}/{score.member}"


def short_names(members: Sequence[str]) -> dict[str, str]:
    """Each member without the folders that all of them share: ``seed_03`` where there is one configuration."""
    folders = [member.split("/")[:-1] for member in members]
    shared = len(list(takewhile(lambda named: len(set(named)) == 1, zip(*folders, strict=False))))
    return {member: "/".join(member.split("/")[shared:]) for member in members}


def filtered(table: ScoreTable, structure: str, member: str) -> ScoreTable:
    """The scores that pass both filters, in their order."""
    kept = (s for s in table.scores if structure in (EVERY, s.structure) and member in (EVERY, member_of(s)))
    return ScoreTable(tuple(kept), table.patients)


def score_rows(table: ScoreTable, columns: Sequence[ScoreColumn], metric: str) -> tuple[ScoreRow, ...]:
    """A row for each case, structure and member, worst ``metric`` first.

    Where it has no value, a missed structure or a false alarm stands before everything, agreement on absence after it.
    """
    found: dict[tuple[str, str, str], dict[str, Score]] = {}
    for score in table.scores:
        found.setdefault((score.case, score.structure, member_of(score)), {})[score.metric] = score
    sign = 1.0 if higher_is_better(metric_of_column(metric)) else -1.0

    def badness(scores: Mapping[str, Score]) -> tuple[int, float]:
        score = scores.get(metric)
        if score is not None and score.value is not None:
            return 1, sign * score.value
        return (0 if any(each.note in (MISSED, FALSE_ALARM) for each in scores.values()) else 2), 0.0

    ordered = sorted(found.items(), key=lambda item: (badness(item[1]), item[0]))
    return tuple(
        ScoreRow(
            *key,
            tuple(None if (s := scores.get(column.metric)) is None else s.value for column in columns),
            "; ".join(dict.fromkeys(score.note for score in scores.values() if score.note)),
        )
        for key, scores in ordered
    )


def strip_plot(shown: ScoreTable, whole: ScoreTable, metric: str) -> StripPlot | None:
    """The scores that are shown in one metric, a colour a structure; None where none of them has a value.

    Bands come from ``whole``, of the recipe with most trainings: a filter must not change what luck can do.
    """
    table = shown.where(metric=metric)
    measured = {score.structure for score in table.scores if score.value is not None}
    if not measured:
        return None
    colours = {name: c for name, c in structure_colours(whole.unique("structure")).items() if name in measured}
    recipe, bands = luck_bands(whole, metric, tuple(colours))
    title = ScoreColumn.of(metric).title
    if not bands:
        caption = "A point is one case of one member. Three trainings of one recipe would show how far luck alone moves a mean."
    else:
        facts = metric_of_column(metric)
        spans = ", ".join(f"{name} {amount(high - low, facts, 1)}" for name, (low, high) in bands.items())
        caption = (
            "A point is one case of one member; click it to go there. Shaded: as far apart as the means of two trainings of "
            f"{recipe} may lie by luck alone (95 %): {spans}."
        )
    return StripPlot(metric, title, table, colours, bands, caption)


def luck_bands(table: ScoreTable, metric: str, structures: Sequence[str]) -> tuple[str, dict[str, tuple[float, float]]]:
    """The recipe with most trainings, and by structure the band around its mean that is as high as two of them may differ."""
    seeds = {
        name: len({score.seed for score in table.groups.get((name, metric), ()) if score.seed is not None})
        for name in recipes_of(table)
    }
    recipe = max(seeds, key=lambda name: seeds[name])
    bands: dict[str, tuple[float, float]] = {}
    try:
        cube = ScoreCube.of(table, recipe, metric_of_column(metric))
    except SegVarianceError:  # it cannot be told which of two scores of one training counts
        return recipe, bands
    for structure in structures:
        try:
            matrix = SeedMatrix.of(cube, structure)
        except SegVarianceError:  # fewer than two trainings, or three cases, that have it: no band is the answer
            continue
        band, mean = difference_of_two_trainings(matrix), float(matrix.values.mean())
        if band is not None:
            bands[structure] = mean - band / 2, mean + band / 2
    return recipe, bands
