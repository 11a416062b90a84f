"""Candidates for the best configuration that a score table already holds: recipes, and ensembles of some or all of their seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..ensemble.rules import RULES
from ..ensemble.subsets import Group, base_configuration, subset_configuration
from ..evaluation.score_table import Score, ScoreTable
from .best_configuration import Candidate
from .comparisons import recipes_of
from .score_cube import ScoreCube, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, matched


def scored_candidates(table: ScoreTable, metric: str, structure: str | None = None) -> tuple[Candidate, ...]:
    """All on the cases that all of them have; a row is a training, or an ensemble that shares none with the others of its size.

    Args:
        metric: a column of the table.
        structure: the question; the mean over structures where there are several, unless it is given.

    Raises:
        SegVarianceError: as ``seed_matrix.matched``.
    """
    lines = [score for score in table.scores if score.metric == metric]
    rows: dict[str, list[tuple[str, str, frozenset[str]]]] = {}
    for recipe in recipes_of(table):
        rows |= _rows_of(recipe, lines)
    where = {
        (configuration, member): (name, number)
        for name, some in rows.items()
        for number, (configuration, member, _) in enumerate(some)
    }
    again = [
        _as_row(score, *where[score.configuration, score.member])
        for score in lines
        if (score.configuration, score.member) in where
    ]
    own = ScoreTable(tuple(again), table.patients)
    fold_of = _folds(lines)
    cubes = [ScoreCube.of(own, name, metric_of_column(metric)) for name in rows]
    cubes = [replace(cube, folds=tuple(fold_of.get(case) for case in cube.cases)) for cube in cubes]
    several = len(own.unique("structure")) > 1
    asked = structure or (FOREGROUND_MEAN if several else own.unique("structure")[0])
    return tuple(
        Candidate(matrix, tuple(trainings for _, _, trainings in rows[matrix.configuration]))
        for matrix in matched(cubes, asked, min_seeds=1)
    )


def _as_row(score: Score, name: str, row: int) -> Score:
    """The same value as that of row ``row`` of candidate ``name``."""
    return score._replace(configuration=name, fold=None, seed=row, member=f"row_{row}")


def _rows_of(recipe: str, lines: Sequence[Score]) -> dict[str, list[tuple[str, str, frozenset[str]]]]:
    """By candidate: configuration and member in the table, and the trainings behind it."""
    seeds = {s.seed: s.member for s in lines if s.configuration == recipe and s.seed is not None}
    every = frozenset(f"{recipe}/seed_{seed}" for seed in seeds)
    if not seeds:
        return {}
    rows = {recipe: [(recipe, seeds[seed], frozenset([f"{recipe}/seed_{seed}"])) for seed in sorted(seeds)]}
    grouped = {(s.configuration, s.member) for s in lines if base_configuration(s.configuration, s.member) == recipe}
    whole = [s.member for s in lines if s.configuration == recipe and s.seed is None]
    groups = {pair: Group.parse(pair[1]) for pair in grouped}
    rules = {group.rule for group in groups.values() if group} or set(whole)
    rule = next((name for name in RULES.ids if name in rules), None)
    for (configuration, member), group in sorted(groups.items()):
        if group and group.rule == rule:
            trainings = frozenset(f"{recipe}/seed_{seed}" for seed in group.seeds)
            rows.setdefault(configuration, []).append((configuration, member, trainings))
    if rule in whole and len(seeds) > 1:
        rows[subset_configuration(recipe, len(seeds))] = [(recipe, str(rule), every)]
    return rows


def _folds(lines: Iterable[Score]) -> Mapping[str, int]:
    """The fold of each case, where all lines that say one say the same; empty where any case is in several."""
    said = {(s.case, s.fold) for s in lines if s.fold is not None}
    times = Counter(case for case, _ in said)
    return {} if any(count > 1 for count in times.values()) else dict(said)
