"""What the Compare panel shows: an answer in words, its tables, and charts as plain numbers. All of it is computed by ``stats``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.report import methods
from SegVarianceLib.report.comparison_sections import sample_words
from SegVarianceLib.scene.colours import Colour, structure_colours
from SegVarianceLib.stats.comparison import Comparison
from SegVarianceLib.stats.comparison_words import comparison_findings, difference_text, short_verdict, verdict_title
from SegVarianceLib.stats.comparisons import Comparisons
from SegVarianceLib.stats.score_cube import higher_is_better
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN
from SegVarianceLib.stats.seed_study import SeedMean, SeedStudy
from SegVarianceLib.stats.variance_parts import VariancePart
from SegVarianceLib.stats.verdict import amount, findings, number, p_value, percent

from .state_scores import luck_bands

OWN_SEEDS = ""
"""In place of a second recipe: the seeds of the first among themselves."""

_INK: Colour = (0.36, 0.41, 0.46)
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CaterpillarRow:
    """One training: its mean, its 95 % interval had other cases been drawn, and the margin on these very cases."""

    label: str
    mean: float
    low: float
    high: float
    margin: float
    is_best: bool


@dataclass(frozen=True)
class Caterpillar:
    """Trainings of one recipe, best first. The best would land between ``luck_low`` and ``luck_high`` by luck alone."""

    title: str
    colour: Colour
    rows: tuple[CaterpillarRow, ...]
    mean: float
    luck_low: float
    luck_high: float


@dataclass(frozen=True)
class Box:
    """All scores of a recipe in a structure: least, quartiles, largest; ``band``: see ``luck_bands``, None if unknown."""

    position: float
    label: str
    colour: Colour
    quantiles: tuple[float, ...]
    band: tuple[float, float] | None


@dataclass(frozen=True)
class VarianceBar:
    """A source of spread and its share of it, 0 to 1, with the 95 % interval."""

    label: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Charts:
    unit: str
    caterpillars: tuple[Caterpillar, ...] = ()
    boxes: tuple[Box, ...] = ()
    variance: tuple[VarianceBar, ...] = ()


@dataclass(frozen=True)
class Answer:
    """``title`` and ``sentence`` first, then ``number`` with its ``interval``; ``sure`` says how sure this is, ``method`` how
    it was computed."""

    title: str
    sentence: str
    number: str = ""
    interval: str = ""
    sure: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    usual: Table = Table((), ())
    structures: Table = Table((), ())
    charts: Charts = field(default_factory=lambda: Charts(""), compare=False)


@dataclass(frozen=True)
class CompareState:
    """The question (``second`` may be ``OWN_SEEDS``) and its answer, if it has been asked.

    ``smallest_difference`` is in ``unit``, between 0 and ``most``. ``progress`` is a share from 0 to 1 while it is computed.
    """

    recipes: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()
    first: str = ""
    second: str = OWN_SEEDS
    metric: str = ""
    smallest_difference: float = 0.01
    unit: str = ""
    most: float = 1.0
    progress: float | None = None
    answer: Answer | None = None
    problem: str = ""

    @property
    def hint(self) -> str:
        return (
            ""
            if self.recipes
            else "There are no scores to compare yet. Score the cases, or open a study that has scores."
        )

    @property
    def can_ask(self) -> bool:
        return bool(self.recipes) and self.progress is None


def answer_of_pair(found: Comparisons, studies: Sequence[SeedStudy], table: ScoreTable) -> Answer:
    """What the panel shows of two recipes; where nothing could be compared, the sentence that says why."""
    if not found.primary:
        return Answer("This cannot be answered yet", found.not_compared[0], sure=found.not_compared[1:])
    c = found.primary[0]
    sentence, *sure = comparison_findings(c)
    value, interval = difference_text(c).split(" ", 1)
    same_metric = [c, *(each for each in found.by_structure if each.metric.id == c.metric.id)]
    return Answer(
        verdict_title(c),
        sentence,
        f"{value} {c.metric.unit or c.metric.title}",
        f"95 % interval {interval.strip('()')}, {c.a.name} minus {c.b.name}",
        (*sure, sample_words(c), *found.not_compared),
        (*methods.of_verdict(c), *methods.of_equal_trainings(c), *methods.STRUCTURE_FOREST, *methods.VARIANCE_PARTS),
        _usual_of_pair(c),
        Table(
            ("Structure", "Difference (95 % interval)", "Verdict", "p"),
            tuple(
                (
                    each.structure,
                    difference_text(each),
                    short_verdict(each),
                    p_value(each.p if each.p_holm is None else each.p_holm),
                )
                for each in same_metric
            ),
        ),
        _charts(studies, c.structure, c.variance, table),
    )


def answer_of_seeds(studies: Sequence[SeedStudy], not_studied: Sequence[str], table: ScoreTable) -> Answer:
    """What the panel shows of the seeds of one recipe, its first structure being the question."""
    if not studies:
        return Answer("This cannot be answered yet", not_studied[0])
    study = studies[0]
    sentence, *sure = findings(study)
    return Answer(
        f"{study.configuration}: what the luck of one training does",
        sentence,
        amount(study.mean, study.metric, 1),
        f"mean {study.metric.title}; single trainings from {number(study.lowest, study.metric, 1)} to {amount(study.highest, study.metric, 1)}",
        (*sure, f"Counted: {len(study.seeds)} trainings on the same {len(study.cases)} cases.", *not_studied),
        (*methods.FALSE_ALARM_MAP, *methods.VARIANCE_PARTS),
        Table(
            ("Usual test, p < 0.05", "Equal trainings called different"),
            tuple(
                (name, percent(shares.random_pairs))
                for name, shares in (("paired t-test", study.paired_t), ("Wilcoxon's test", study.wilcoxon))
            ),
        ),
        Table(
            ("Structure", f"Mean {study.metric.title}", "Single trainings", "SD between"),
            tuple(
                (
                    each.structure,
                    amount(each.mean, each.metric, 1),
                    f"{number(each.lowest, each.metric, 1)} to {number(each.highest, each.metric, 1)}",
                    number(each.sd_between_seeds, each.metric, 1),
                )
                for each in studies
            ),
        ),
        _charts(studies, study.structure, study.variance, table),
    )


def _usual_of_pair(c: Comparison) -> Table:
    heads = ("Usual test, p < 0.05", f"{c.a.name} better", f"{c.b.name} better", "False alarms")
    rows = ((t.name, percent(t.first_better), percent(t.second_better), percent(t.false_alarms)) for t in c.usual)
    return Table(heads, tuple(rows))


def _charts(
    studies: Sequence[SeedStudy], structure: str, variance: Sequence[VariancePart], table: ScoreTable
) -> Charts:
    """``studies``: of all recipes and structures, in one metric. Caterpillars and variance are those of ``structure``."""
    colours = {**structure_colours(table.unique("structure")), FOREGROUND_MEAN: _INK}
    metric = studies[0].metric if studies else None
    return Charts(
        "" if metric is None else f"{metric.title} ({metric.unit})" if metric.unit else metric.title,
        tuple(_caterpillar(study, colours[structure]) for study in studies if study.structure == structure),
        _boxes(studies, colours, table),
        tuple(VarianceBar(part.name, part.share.value, part.share.low, part.share.high) for part in variance),
    )


def _caterpillar(study: SeedStudy, colour: Colour) -> Caterpillar:
    sign = 1 if higher_is_better(study.metric) else -1
    lead = study.best_of_many.no_effect_lead
    low, high = sorted((study.mean + sign * lead.low, study.mean + sign * lead.high))
    seeds = sorted(study.seeds, key=lambda seed: -sign * seed.mean)
    rows = tuple(_caterpillar_row(seed, study.best_seed) for seed in seeds)
    return Caterpillar(f"{study.configuration}, {study.structure}", colour, rows, study.mean, low, high)


def _caterpillar_row(seed: SeedMean, best: int) -> CaterpillarRow:
    return CaterpillarRow(
        f"seed {seed.seed}", seed.mean, seed.low, seed.high, seed.same_cases_margin, seed.seed == best
    )


def _boxes(studies: Sequence[SeedStudy], colours: Mapping[str, Colour], table: ScoreTable) -> tuple[Box, ...]:
    """Structures side by side, in each the recipes; without the mean over structures, of which a case has no score."""
    real = [study for study in studies if study.structure != FOREGROUND_MEAN]
    structures = tuple(dict.fromkeys(study.structure for study in real))
    recipes = tuple(dict.fromkeys(study.configuration for study in real))
    bands = {name: luck_bands(table.where(configuration=name), real[0].metric.id, structures)[1] for name in recipes}
    boxes = []
    for group, structure in enumerate(structures):
        for study in (each for each in real if each.structure == structure):
            position = group * (len(recipes) + 0.6) + recipes.index(study.configuration)
            label = f"{structure}, {study.configuration}" if len(recipes) > 1 else structure
            quantiles = tuple(float(value) for value in np.quantile(study.values, _QUANTILES))
            boxes.append(Box(position, label, colours[structure], quantiles, bands[study.configuration].get(structure)))
    return tuple(boxes)
