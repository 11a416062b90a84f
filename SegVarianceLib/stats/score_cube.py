"""A score table as an array: one configuration and metric, rows (seeds, then ensembles) x cases x structures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..evaluation.score_table import FALSE_ALARM, MISSED, Score, ScoreTable
from ..metrics.metric import facts_of_column

NO_ROW = "no score"
"""Reason of a gap where the table has no line at all: that seed never finished this case."""


@dataclass(frozen=True)
class ScoreCube:
    """All values of one configuration and metric.

    ``values`` is [row, case, structure], rows being ``seeds`` (ascending) and then ``ensembles``; NaN where the table
    has no value. In the same shape ``gaps`` says why (text, empty where there is a value), and ``missed`` is true where
    the structure was missed or a false alarm, whether that has a value (Dice 0) or none (a distance).

    With cross-validation a seed is its whole k-fold pass: the folds' cases stand side by side, and ``folds`` says by
    case which one predicted it. All None unless the lines of every seed say so. ``patients`` are the table's.
    """

    configuration: str
    metric: Facts
    seeds: tuple[int, ...]
    ensembles: tuple[str, ...]
    cases: tuple[str, ...]
    structures: tuple[str, ...]
    values: np.ndarray
    gaps: np.ndarray
    missed: np.ndarray
    folds: tuple[int | None, ...]
    patients: Mapping[str, str] | None = None

    @classmethod
    def of(cls, table: ScoreTable, configuration: str, metric: Facts) -> ScoreCube:
        """Sort the lines of ``configuration`` and ``metric`` into a cube; the order of lines never matters.

        Raises:
            SegVarianceError: no such line, a case twice in one seed or ensemble (two folds, or two members), or a case
                that one seed predicted by another fold than the next.
        """
        scores = table.groups.get((configuration, metric.id))
        if not scores:
            raise SegVarianceError(
                f"The scores hold no {metric.id!r} of configuration {configuration!r}. They hold: "
                f"{', '.join(table.unique('metric'))} of {', '.join(table.unique('configuration'))}."
            )
        seeds = tuple(sorted({s.seed for s in scores if s.seed is not None}))
        ensembles = tuple(dict.fromkeys(s.member for s in scores if s.seed is None))
        cases = tuple(sorted({s.case for s in scores}))
        structures = tuple(dict.fromkeys(s.structure for s in scores))
        names: tuple[int | str, ...] = (*seeds, *ensembles)
        shape = len(names), len(cases), len(structures)
        row, case, structure = _positions(names), _positions(cases), _positions(structures)
        cells = np.ravel_multi_index(
            (
                [row[s.member if s.seed is None else s.seed] for s in scores],
                [case[s.case] for s in scores],
                [structure[s.structure] for s in scores],
            ),
            shape,
        )
        if (np.bincount(cells) > 1).any():
            raise SegVarianceError(_twice(scores, cells))
        values = np.full(shape, np.nan)
        values.flat[cells] = [np.nan if s.value is None else s.value for s in scores]
        _refuse_impossible(scores, metric)
        gaps = np.full(shape, NO_ROW, dtype=object)
        gaps.flat[cells] = ["" if s.value is not None else s.note or "no value" for s in scores]
        missed = np.zeros(shape, dtype=bool)
        missed.flat[cells] = [s.note in (MISSED, FALSE_ALARM) for s in scores]
        folds = _folds(scores, cases)
        return cls(
            configuration, metric, seeds, ensembles, cases, structures, values, gaps, missed, folds, table.patients
        )

    def without(self, seeds: Collection[int]) -> ScoreCube:
        """The same cube without the rows of these seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return replace(
            self,
            seeds=tuple(seed for seed in self.seeds if seed not in seeds),
            values=np.delete(self.values, rows, axis=0),
            gaps=np.delete(self.gaps, rows, axis=0),
            missed=np.delete(self.missed, rows, axis=0),
        )

    def on(self, cases: Sequence[str], structures: Sequence[str]) -> ScoreCube:
        """The same rows for these cases and structures, in this order; a case that the cube lacks is a gap throughout."""
        case, structure = _positions(self.cases), _positions(self.structures)
        known = [at for at, name in enumerate(cases) if name in case]
        there = np.ix_(range(len(self.values)), known, range(len(structures)))
        here = np.ix_(
            range(len(self.values)), [case[cases[at]] for at in known], [structure[name] for name in structures]
        )
        shape = len(self.values), len(cases), len(structures)
        values, gaps, missed = np.full(shape, np.nan), np.full(shape, NO_ROW, dtype=object), np.zeros(shape, dtype=bool)
        values[there], gaps[there], missed[there] = self.values[here], self.gaps[here], self.missed[here]
        folds = tuple(self.folds[case[name]] if name in case else None for name in cases)
        return replace(
            self, cases=tuple(cases), structures=tuple(structures), values=values, gaps=gaps, missed=missed, folds=folds
        )

    @property
    def seed_values(self) -> np.ndarray:
        """[seed, case, structure]"""
        return self.values[: len(self.seeds)]

    @property
    def seed_gaps(self) -> np.ndarray:
        """[seed, case, structure]"""
        return self.gaps[: len(self.seeds)]

    @property
    def seed_missed(self) -> np.ndarray:
        """[seed, case, structure]"""
        return self.missed[: len(self.seeds)]

    def ensemble_values(self, ensemble: str) -> np.ndarray:
        """[case, structure]"""
        return self.values[len(self.seeds) + self.ensembles.index(ensemble)]


def metric_of_column(column: str) -> Facts:
    """Facts of a metric column of ``scores.csv``; id and title keep the column's settings (``Surface Dice 1mm``).

    Raises:
        SegVarianceError: the column belongs to no known metric, so nobody can say which direction is better.
    """
    facts = facts_of_column(column)
    settings = column.removeprefix(facts.id).replace("_", " ")
    return replace(facts, id=column, title=facts.title + settings)


def higher_is_better(metric: Facts) -> bool:
    """True for Dice, False for a distance (whose worst value has no bound)."""
    return metric.best is not None and metric.worst is not None and metric.best > metric.worst


def _refuse_impossible(scores: Sequence[Score], metric: Facts) -> None:
    """Raises SegVarianceError for a value that the metric cannot have, such as a Dice in per cent."""
    if metric.best is None or metric.worst is None:
        return
    low, high = sorted((metric.best, metric.worst))
    for score in scores:
        if score.value is not None and not low <= score.value <= high:
            raise SegVarianceError(
                f"{metric.title} of configuration {score.configuration!r}, case {score.case!r}, {score.structure!r} is "
                f"{score.value:g}; it lies between {low:g} and {high:g}. Scores in per cent must be divided by 100."
            )


def _positions(names: Sequence) -> dict:
    return {name: position for position, name in enumerate(names)}


def _folds(scores: Sequence[Score], cases: Sequence[str]) -> tuple[int | None, ...]:
    """The fold of each case; ensembles do not count, and one line without a fold leaves all unknown."""
    said = {(s.case, s.fold, s.seed) for s in scores if s.seed is not None}
    seeds_of: dict[str, dict[int, list[int]]] = {}
    for case, fold, seed in said:
        if fold is not None:
            seeds_of.setdefault(case, {}).setdefault(fold, []).append(seed)
    for case in cases:
        if len(seeds_of.get(case, ())) > 1:
            raise SegVarianceError(_two_splits(scores[0].configuration, case, seeds_of[case]))
    if any(fold is None for _, fold, _ in said):
        return (None,) * len(cases)
    return tuple(next(iter(seeds_of.get(case, ())), None) for case in cases)


def _two_splits(configuration: str, case: str, seeds_of: Mapping[int, Sequence[int]]) -> str:
    found = ", ".join(f"fold {fold} (seeds {', '.join(map(str, sorted(seeds_of[fold])))})" for fold in sorted(seeds_of))
    return (
        f"Configuration {configuration!r}: case {case!r} was predicted by {found}. The split must be the same for all "
        "seeds, or they differ by more than their training luck: train them with one split, or compare them as two "
        "configurations."
    )


def _twice(scores: Sequence[Score], cells: np.ndarray) -> str:
    first = np.unique(cells, return_index=True)[1]
    score = scores[np.setdiff1d(np.arange(len(cells)), first)[0]]
    who = f"ensemble {score.member!r}" if score.seed is None else f"seed {score.seed}"
    return (
        f"Configuration {score.configuration!r}: {who} scores case {score.case!r}, {score.structure!r} twice "
        f"({score.metric}). A seed must predict each case once, by the fold that never saw it: keep one line a case."
    )
