"""From a score table to comparisons: one pair of recipes by structure, or all pairs with their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from ..core.errors import SegVarianceError
from ..ensemble.subsets import base_configuration, subset_configurations
from ..evaluation.score_table import ScoreTable
from .comparison import Comparison, compare_matrices
from .intervals import CONFIDENCE
from .multiplicity import holm
from .ranking import Ranking, rank_recipes
from .score_cube import ScoreCube, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, SeedMatrix, matched
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
            "ranking": None if self.ranking is None else asdict(self.ranking),
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
) -> Comparisons:
    """Compare all pairs of ``recipes`` (configurations, ensembles of some seeds too), in the order given.

    The primary question is the mean over structures (or the only structure) in ``metric``; ``smallest_difference``
    is in its unit, further metrics take their default.

    Raises:
        SegVarianceError: fewer than 2 recipes, an unknown recipe or metric, or nothing that can be compared at all.
    """
    known = table.unique("configuration")
    unknown = [name for name in recipes if name not in known]
    if unknown or len(set(recipes)) < 2:
        raise SegVarianceError(
            f"Expected two or more of the configurations {', '.join(map(repr, known))}, each once; found "
            f"{', '.join(map(repr, recipes))}."
        )
    shared = _ensembles_of(table)
    primary: list[Comparison] = []
    others: list[Comparison] = []
    sentences: list[str] = []
    ranking = None
    for column in dict.fromkeys((metric, *further_metrics)):
        d0 = smallest_difference if column == metric else None
        cubes = {name: ScoreCube.of(table, name, metric_of_column(column)) for name in recipes}
        structures = _structures(list(cubes.values()))
        for structure in structures:
            found = _all_pairs(cubes, structure, d0, random_seed, sentences, shared)
            (primary if (column, structure) == (metric, structures[0]) else others).extend(found)
        if column == metric and len(recipes) > 2:
            ranking = _ranking(cubes, structures[0], random_seed, sentences)
    if not primary:
        raise SegVarianceError(" ".join(dict.fromkeys(sentences)))
    corrected = tuple(_corrected(primary)) if len(primary) > 1 else tuple(primary)
    return Comparisons(corrected, tuple(_corrected(others)), ranking, tuple(dict.fromkeys(sentences)))


_SHARED_TRAININGS = (
    "These ensembles are made of the very trainings that they are compared with, so the interval is wider than need be; the "
    "ensemble's gain over its own members is the closer answer."
)


def _ensembles_of(table: ScoreTable) -> dict[str, str]:
    """Of which configuration each one that holds ensembles of some seeds is made."""
    pairs = {(score.configuration, score.member) for score in table.scores}
    bases = {configuration: base_configuration(configuration, member) for configuration, member in pairs}
    return {configuration: base for configuration, base in bases.items() if base is not None}


def _structures(cubes: Sequence[ScoreCube]) -> tuple[str, ...]:
    """The mean over structures first, where there are several; then those that every cube holds."""
    first, *rest = cubes
    common = tuple(name for name in first.structures if all(name in cube.structures for cube in rest))
    several = any(len(cube.structures) > 1 for cube in (first, *rest))
    return (*((FOREGROUND_MEAN,) if several else ()), *common)


def _all_pairs(
    cubes: Mapping[str, ScoreCube],
    structure: str,
    d0: float | None,
    random_seed: int,
    sentences: list[str],
    shared: Mapping[str, str],
) -> list[Comparison]:
    found = []
    for a, b in combinations(cubes, 2):
        try:
            first, second = matched([cubes[a], cubes[b]], structure, min_seeds=1)
            if min(len(first.seeds), len(second.seeds)) < 2:
                sentences.append(one_training_sentence(first, second))
            else:
                found.append(compare_matrices(first, second, d0, random_seed))
                if shared.get(a, a) == shared.get(b, b):
                    found[-1] = replace(found[-1], notes=(*found[-1].notes, _SHARED_TRAININGS))
        except SegVarianceError as error:
            sentences.append(str(error))
    return found


def _ranking(cubes: Mapping[str, ScoreCube], structure: str, random_seed: int, sentences: list[str]) -> Ranking | None:
    try:
        return rank_recipes(matched(list(cubes.values()), structure), random_seed)
    except SegVarianceError as error:
        sentences.append(f"No ranks: {error}")
        return None


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    adjusted = holm(np.array([comparison.p for comparison in comparisons]))
    return [replace(comparison, p_holm=float(p)) for comparison, p in zip(comparisons, adjusted, strict=True)]


def one_training_sentence(a: SeedMatrix, b: SeedMatrix) -> str:
    """What can be said where a recipe was trained once: the band that two trainings of one recipe span, if it is known."""
    lead = abs(float(a.values.mean() - b.values.mean()))
    once = " and ".join(repr(m.configuration) for m in (a, b) if len(m.seeds) == 1)
    text = (
        f"{a.metric.title} ({a.structure}): {once} was trained once, so nothing can separate the recipe from the luck of "
        f"its training. {a.configuration!r} and {b.configuration!r} differ by {amount(lead, a.metric, 1)} here."
    )
    for matrix in (a, b):
        if (k := len(matrix.seeds)) > 1:
            sd = float(matrix.values.mean(axis=1).std(ddof=1))
            band = float(stats.t.ppf((1 + CONFIDENCE) / 2, k - 1) * np.sqrt(2) * sd)
            inside = "inside" if lead <= band else "outside"
            return (
                f"{text} Two trainings of {matrix.configuration!r} differ by up to {amount(band, a.metric, 1)} (95 %, from {k} "
                f"seeds): the difference lies {inside} that band. Train {once} at least once more."
            )
    return f"{text} Train each at least twice."
