"""From a score table to comparisons: one pair of recipes by structure, or all pairs with their ranks."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.stepwise import result_of
from ..ensemble.subsets import Group, base_configuration, subset_configurations
from ..evaluation.score_table import ScoreTable
from .comparison import Comparison, compare_matrices, corrected, require_sensible
from .intervals import CONFIDENCE
from .ranking import Ranking, rank_recipes
from .score_cube import ScoreCube, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, MIN_SEEDS, SeedMatrix, matched
from .verdict import amount


@dataclass(frozen=True)
class Comparisons:
    """``primary``: the question asked, uncorrected for a single pair, with Holm's correction over pairs for several.
    ``by_structure``: the same pairs for each structure and further metric, corrected by Holm over all of them.
    ``not_compared`` says in sentences what could not be."""

    primary: tuple[Comparison, ...]
    by_structure: tuple[Comparison, ...]
    ranking: Ranking | None
    not_compared: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "primary": [comparison.to_json() for comparison in self.primary],
            "by_structure": [comparison.to_json() for comparison in self.by_structure],
            "ranking": None if self.ranking is None else self.ranking.to_json(),
            "not_compared": list(self.not_compared),
        }


def recipes_of(table: ScoreTable) -> tuple[str, ...]:
    """The configurations that are recipes of their own, in the order of the table: not the ensembles of some seeds."""
    ensembles = subset_configurations((score.configuration, score.member) for score in table.scores)
    return tuple(name for name in table.unique("configuration") if name not in ensembles)


def compare_recipes(
    table: ScoreTable,
    recipes: Sequence[str],
    metric: str,
    smallest_difference: float | None = None,
    random_seed: int = 0,
    further_metrics: Sequence[str] = (),
    structure: str | None = None,
) -> Comparisons:
    """Compare all pairs of ``recipes`` (configurations, ensembles of some seeds too), in the order given.

    The primary question is ``structure``, by default the mean over structures (or the only one), in ``metric``;
    ``smallest_difference`` is in its unit, further metrics take their default. A pair that cannot be compared, for
    example since a recipe was trained once, is a sentence in ``not_compared``.

    Raises:
        SegVarianceError: fewer than 2 recipes, an unknown recipe, metric or structure, or a senseless smallest difference.
    """
    steps = comparison_steps(table, recipes, metric, smallest_difference, random_seed, further_metrics, structure)
    return result_of(steps)


def comparison_steps(
    table: ScoreTable,
    recipes: Sequence[str],
    metric: str,
    smallest_difference: float | None = None,
    random_seed: int = 0,
    further_metrics: Sequence[str] = (),
    structure: str | None = None,
) -> Generator[float, None, Comparisons]:
    """``compare_recipes``, a structure at a time: yields the share that is done, so that a window can stay awake or stop it."""
    known = table.unique("configuration")
    if any(name not in known for name in recipes) or len(set(recipes)) < max(2, len(recipes)):
        raise SegVarianceError(
            f"Expected two or more of the configurations {', '.join(map(repr, known))}, each once; found "
            f"{', '.join(map(repr, recipes))}."
        )
    if smallest_difference is not None:
        require_sensible(metric_of_column(metric), smallest_difference)
    made = _Made(_ensembles_of(table), random_seed)
    primary: list[Comparison] = []
    others: list[Comparison] = []
    ranking = None
    columns = tuple(dict.fromkeys((metric, *further_metrics)))
    for before, column in enumerate(columns):
        primary_here = column == metric
        d0 = smallest_difference if primary_here else None
        try:
            cubes = {name: _cube(table, name, metric_of_column(column), made.ensembles) for name in recipes}
        except SegVarianceError as error:
            if primary_here:
                raise
            made.sentences[str(error)] = None  # a column that is nobody's question must not cost the answer
            continue
        structures = _structures(list(cubes.values()))
        wanted = structures[0] if structure is None else structure
        if primary_here and wanted not in structures:
            raise SegVarianceError(f"Not all of them have the structure {wanted!r}. All have: {', '.join(structures)}.")
        for done, name in enumerate(dict.fromkeys((wanted, *structures) if primary_here else structures)):
            yield (before + done / len(structures)) / len(columns)
            asked = primary_here and name == wanted
            (primary if asked else others).extend(made.all_pairs(cubes, name, d0, asked))
        if primary_here and len(recipes) > 2:
            ranking = made.ranking(cubes, wanted)
    first = corrected(primary) if len(primary) > 1 else primary
    return Comparisons(tuple(first), tuple(corrected(others)), ranking, tuple(made.sentences))


def difference_of_two_trainings(matrix: SeedMatrix) -> float | None:
    """How far the means of two trainings of one recipe lie apart at most, 95 %: t x sqrt(2) x SD between seeds.

    None with fewer than 3 seeds: the spread of two says next to nothing.
    """
    k = len(matrix.seeds)
    if k < 3:
        return None
    sd = float(matrix.values.mean(axis=1).std(ddof=1))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, k - 1) * np.sqrt(2) * sd)


_SHARED_TRAININGS = (
    "These ensembles are made of the very trainings that they are compared with, so the interval is wider than need be; the "
    "ensemble's gain over its own members is the closer answer."
)


def _ensembles_of(table: ScoreTable) -> dict[str, tuple[str, int]]:
    """Of which configuration each one that holds ensembles of some seeds is made, and of how many seeds."""
    found = {}
    for configuration, member in {(score.configuration, score.member) for score in table.scores}:
        base, group = base_configuration(configuration, member), Group.parse(member)
        if base is not None and group is not None:
            found[configuration] = base, len(group.seeds)
    return found


def _structures(cubes: Sequence[ScoreCube]) -> tuple[str, ...]:
    """The mean over structures first, where there are several; then those that every cube holds."""
    first, *rest = cubes
    common = tuple(name for name in first.structures if all(name in cube.structures for cube in rest))
    several = any(len(cube.structures) > 1 for cube in (first, *rest))
    return (*((FOREGROUND_MEAN,) if several else ()), *common)


def _cube(table: ScoreTable, name: str, metric: Facts, ensembles: Mapping[str, tuple[str, int]]) -> ScoreCube:
    """The cube of a configuration; ensembles name no fold themselves, so theirs are those of the trainings they are made of."""
    cube = ScoreCube.of(table, name, metric)
    if name not in ensembles or (ensembles[name][0], metric.id) not in table.groups:
        return cube
    base = ScoreCube.of(table, ensembles[name][0], metric)
    folds = dict(zip(base.cases, base.folds, strict=True))
    return replace(cube, folds=tuple(folds.get(case) for case in cube.cases))


class _Made:
    """Makes the comparisons of one table, and keeps a sentence for whatever could not be made (each once, in order)."""

    def __init__(self, ensembles: Mapping[str, tuple[str, int]], random_seed: int):
        self.ensembles, self._random_seed = ensembles, random_seed
        self.sentences: dict[str, None] = {}

    def all_pairs(
        self, cubes: Mapping[str, ScoreCube], structure: str, d0: float | None, primary: bool
    ) -> list[Comparison]:
        found = []
        for a, b in combinations(cubes.values(), 2):
            try:
                if min(len(a.seeds), len(b.seeds)) < MIN_SEEDS:
                    if primary:  # the same for every structure and metric, so it is said once
                        first, second = matched([a, b], structure, min_seeds=1)
                        self.sentences[one_training_sentence(first, second)] = None
                else:
                    found.append(self._pair(a, b, structure, d0))
            except SegVarianceError as error:
                self.sentences[str(error)] = None
        return found

    def ranking(self, cubes: Mapping[str, ScoreCube], structure: str) -> Ranking | None:
        try:
            return rank_recipes(matched(list(cubes.values()), structure), self._random_seed)
        except SegVarianceError as error:
            self.sentences[f"No ranks: {error}"] = None
            return None

    def _pair(self, a: ScoreCube, b: ScoreCube, structure: str, d0: float | None) -> Comparison:
        first, second = matched([a, b], structure)
        found = compare_matrices(first, second, d0, self._random_seed)
        (base_a, size_a), (base_b, size_b) = (
            self.ensembles.get(cube.configuration, (cube.configuration, 1)) for cube in (a, b)
        )
        return replace(
            found,
            a=replace(found.a, ensemble_of=size_a),
            b=replace(found.b, ensemble_of=size_b),
            notes=(*found.notes, _SHARED_TRAININGS) if base_a == base_b else found.notes,
        )


def one_training_sentence(a: SeedMatrix, b: SeedMatrix) -> str:
    """What can be said where a recipe was trained once: the band that two trainings of one recipe span, if it is known."""
    lead = abs(float(a.values.mean() - b.values.mean()))
    alone = [repr(m.configuration) for m in (a, b) if len(m.seeds) == 1]
    once = " and ".join(alone)
    text = (
        f"Not answerable. {a.metric.title} ({a.structure}): {once} {'were' if len(alone) > 1 else 'was'} trained once, so nothing can separate the recipe from the luck of "
        f"its training. {a.configuration!r} and {b.configuration!r} differ by {amount(lead, a.metric, 1)} here."
    )
    for matrix in (a, b):
        if (band := difference_of_two_trainings(matrix)) is not None:
            inside = "inside" if lead <= band else "outside"
            return (
                f"{text} Two trainings of {matrix.configuration!r} differ by up to {amount(band, a.metric, 1)} (95 %, from {len(matrix.seeds)} "
                f"seeds): the difference lies {inside} that band. Train {once} at least twice more."
            )
    return f"{text} Train every recipe at least three times."
