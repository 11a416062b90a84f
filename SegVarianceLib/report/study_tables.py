"""The rows of every table in the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ..evaluation.score_table import AGREED_ABSENT, FALSE_ALARM, MISSED, ScoreTable
from ..stats.score_cube import higher_is_better
from ..stats.seed_study import SeedStudy
from .tables import Cell, Table, columns

_STUDY = ("Configuration", "Metric", "Structure")


def study_tables(scores: ScoreTable, studies: Sequence[SeedStudy], primary_metric: str) -> tuple[Table, ...]:
    """All tables on seeds; some may have no rows."""
    primary = [study for study in studies if study.metric.id == primary_metric]
    return (
        _summary(studies),
        _pairs(studies),
        _luck(studies),
        _variance(studies),
        _ensembles(studies),
        _seeds(studies),
        _cases(primary),
        _members(scores),
        _exclusions(studies),
    )


def _key(study: SeedStudy) -> tuple[Cell, ...]:
    unit = f" ({study.metric.unit})" if study.metric.unit else ""
    return study.configuration, study.metric.title + unit, study.structure


def _summary(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "summary",
        "Spread between seeds",
        columns(
            *_STUDY, "Seeds", "Cases", "Mean", "Lowest seed", "Highest seed", "Range", "SD between seeds", "Best seed"
        ),
        tuple(
            (
                *_key(s),
                len(s.seeds),
                len(s.cases),
                s.mean,
                s.lowest,
                s.highest,
                s.highest - s.lowest,
                s.sd_between_seeds,
                s.best_seed,
            )
            for s in studies
        ),
        "A seed's value is its mean over the cases that every seed has scored.",
    )


def _pairs(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "pairs_of_seeds",
        "Pairs of seeds that tests call different",
        columns(
            *(*_STUDY, "Test", "Best beats %", "Best beats, Holm %"),
            *("Random pairs %", "Random pairs, Holm %", "Ordered pairs %", "Ordered pairs, Holm %"),
        ),
        tuple(
            (
                *(*_key(s), test, t.best_beats, t.best_beats_holm),
                *(t.random_pairs, t.random_pairs_holm, t.ordered_pairs, t.ordered_pairs_holm),
            )
            for s in studies
            for test, t in (("paired t", s.paired_t), ("Wilcoxon", s.wilcoxon))
        ),
        "Shares with p < 0.05. Ordered pairs: the first is the better one. Holm: over the best seed's comparisons, or over all pairs.",
    )


def _luck(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "luck",
        "What luck and selection give",
        columns(
            *(*_STUDY, "Best beats %", "Selection alone %", "5 % bound %", "95 % bound %", "Selection alone, Holm %"),
            *("Lambda", "Lambda low", "Lambda high", "Random pairs expected %", "Expected low %", "Expected high %"),
            *("Lead of best", "Expected lead", "Share of lead kept %"),
        ),
        tuple(_luck_row(s) for s in studies),
        "Lambda: number of cases x variance of the seed / residual variance, with its 95 % interval.",
    )


def _luck_row(s: SeedStudy) -> tuple[Cell, ...]:
    alone, ratio, pairs, best = s.selection_alone, s.luck_ratio, s.expected_random_pairs, s.best_of_many
    return (
        *(*_key(s), s.paired_t.best_beats, alone.mean, alone.low, alone.high, alone.holm_mean),
        *((ratio.value, ratio.low, ratio.high) if ratio else (None,) * 3),
        *((pairs.value, pairs.low, pairs.high) if pairs else (None,) * 3),
        *(best.lead, best.expected_lead, best.kept_share),
    )


def _variance(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "variance",
        "Where the differences come from",
        columns(*_STUDY, "Part", "Variance", "Share %", "95 % low %", "95 % high %"),
        tuple(
            (*_key(s), part.name, part.variance, part.share.value, part.share.low, part.share.high)
            for s in studies
            for part in s.variance
        ),
        "Parts of the variance of a single score (one training, one case).",
    )


def _ensembles(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "ensembles",
        "Ensembles against single seeds",
        columns(
            *_STUDY, "Ensemble", "Cases", "Ensemble mean", "Mean of single seeds", "Difference", "Seeds exceeded %"
        ),
        tuple(
            (*_key(s), g.ensemble, g.cases, g.mean, g.single_mean, g.difference, g.seeds_exceeded)
            for s in studies
            for g in s.ensembles
        ),
        "On the cases that the ensemble and every seed have scored.",
    )


def _seeds(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "seeds",
        "Each seed",
        columns(*_STUDY, "Seed", "Mean", "95 % low", "95 % high", "Margin on the same cases"),
        tuple(
            (*_key(s), seed.seed, seed.mean, seed.low, seed.high, seed.same_cases_margin)
            for s in studies
            for seed in s.seeds
        ),
        "95 % interval of the mean over cases; the margin takes the difficulty of cases out, so it is what compares seeds.",
    )


def _cases(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "cases",
        "Each case",
        columns(*_STUDY, "Case", "Mean over seeds", "Lowest", "Highest", "SD over seeds", "Worst seed"),
        tuple(row for study in studies for row in _case_rows(study)),
        "The primary metric only; every single score is in scores.csv.",
    )


def _case_rows(s: SeedStudy) -> Iterator[tuple[Cell, ...]]:
    worst = s.values.argmin(axis=0) if higher_is_better(s.metric) else s.values.argmax(axis=0)
    mean, low, high, sd = (
        s.values.mean(axis=0),
        s.values.min(axis=0),
        s.values.max(axis=0),
        s.values.std(axis=0, ddof=1),
    )
    for i, case in enumerate(s.cases):
        yield (*_key(s), case, float(mean[i]), float(low[i]), float(high[i]), float(sd[i]), s.seeds[worst[i]].seed)


def _members(scores: ScoreTable) -> Table:
    groups: dict[tuple[str, str, str, str], list] = {}
    for score in scores.scores:
        groups.setdefault((score.configuration, score.member, score.structure, score.metric), []).append(score)
    rows: list[tuple[Cell, ...]] = []
    for key, group in groups.items():
        values = np.array([score.value for score in group if score.value is not None])
        notes = Counter(score.note for score in group)
        rows.append(
            (*key, len(values), float(values.mean()) if len(values) else None)
            + ((float(values.min()), float(values.max())) if len(values) else (None, None))
            + (notes[MISSED], notes[FALSE_ALARM], notes[AGREED_ABSENT])
        )
    return Table(
        "members",
        "Every member as scored",
        columns(
            *("Configuration", "Member", "Structure", "Metric", "Scored", "Mean", "Lowest", "Highest"),
            *("Missed", "False alarms", "Agreed absent"),
        ),
        tuple(rows),
        "Each member on its own cases. A missed structure or a false alarm has Dice 0 and no distance; where reference "
        "and prediction agree that a structure is absent, nothing is scored.",
    )


def _exclusions(studies: Sequence[SeedStudy]) -> Table:
    return Table(
        "left_out",
        "What was left out",
        columns("Configuration", "Metric", "Case", "Structure", "Why"),
        tuple(
            dict.fromkeys(
                (s.configuration, s.metric.title, e.case, e.structure, e.reason) for s in studies for e in s.exclusions
            )
        ),
        "A structure of a case counts only if every seed has a value for it, so that all seeds are judged on the same patients.",
    )
