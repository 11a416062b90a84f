"""A score table as an array: one configuration and metric, rows (seeds, then ensembles) x cases x structures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..evaluation.score_table import Score, ScoreTable
from ..metrics.metric import facts_of_column

NO_ROW = "no score"
"""Reason of a gap where the table has no line at all: that seed never finished this case."""


@dataclass(frozen=True)
class ScoreCube:
    """All values of one configuration and metric.

    ``values`` is [row, case, structure], rows being ``seeds`` (ascending) and then ``ensembles``; NaN where the table
    has no value, and then ``gaps[row, case, structure]`` (indices) says why. With cross-validation a seed is its whole
    k-fold pass: the folds' cases stand side by side.
    """

    configuration: str
    metric: Facts
    seeds: tuple[int, ...]
    ensembles: tuple[str, ...]
    cases: tuple[str, ...]
    structures: tuple[str, ...]
    values: np.ndarray
    gaps: Mapping[tuple[int, int, int], str]

    @classmethod
    def of(cls, table: ScoreTable, configuration: str, metric: Facts) -> ScoreCube:
        """Sort the lines of ``configuration`` and ``metric`` into a cube; the order of lines never matters.

        Raises:
            SegVarianceError: no such line, or a case twice in one seed or ensemble (two folds, or two members).
        """
        scores = [s for s in table.scores if s.configuration == configuration and s.metric == metric.id]
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
        rows = {name: row for row, name in enumerate(names)}
        case_at = {case: i for i, case in enumerate(cases)}
        structure_at = {structure: i for i, structure in enumerate(structures)}

        values = np.full((len(rows), len(cases), len(structures)), np.nan)
        gaps = dict.fromkeys(np.ndindex(values.shape), NO_ROW)
        seen: set[tuple[int, int, int]] = set()
        for score in scores:
            key = (rows[_row_name(score)], case_at[score.case], structure_at[score.structure])
            if key in seen:
                raise SegVarianceError(_twice(score))
            seen.add(key)
            if score.value is None:
                gaps[key] = score.note or "no value"
            else:
                values[key] = score.value
                del gaps[key]
        return cls(configuration, metric, seeds, ensembles, cases, structures, values, gaps)

    @property
    def seed_values(self) -> np.ndarray:
        """[seed, case, structure]"""
        return self.values[: len(self.seeds)]

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


def _row_name(score: Score) -> int | str:
    return score.member if score.seed is None else score.seed


def _twice(score: Score) -> str:
    who = f"ensemble {score.member!r}" if score.seed is None else f"seed {score.seed}"
    return (
        f"Configuration {score.configuration!r}: {who} scores case {score.case!r}, {score.structure!r} twice "
        f"({score.metric}). A seed must predict each case once, by the fold that never saw it: keep one line a case."
    )
