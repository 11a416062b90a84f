"""Candidates for the best configuration that a score table holds: recipes, and ensembles of some or all of their seeds."""

from __future__ import annotations

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.best_configuration import best_configuration
from SegVarianceLib.stats.scored_candidates import scored_candidates

CASES = tuple(f"c{number:02}" for number in range(12))


def lines(configuration: str, member: str, seed: int | None, values: np.ndarray) -> list[Score]:
    """A value a case, the first half of the cases in fold 0."""
    return [
        Score(configuration, None if seed is None else number // 6, seed, member, case, "liver", "dice", float(value))
        for number, (case, value) in enumerate(zip(CASES, values, strict=True))
    ]


@pytest.fixture
def table() -> ScoreTable:
    """Recipe a of four seeds with ensembles of two and of all, and recipe b of two, a tenth worse; a stray vote beside them."""
    rng = np.random.default_rng(1)
    case = 0.8 + rng.normal(0, 0.02, len(CASES))

    def one(lift: float) -> np.ndarray:
        return case + lift + rng.normal(0, 0.002, len(CASES))

    found = [line for seed in range(4) for line in lines("a", f"seed_{seed}", seed, one(0.0))]
    found += [line for seed in range(2) for line in lines("b", f"seed_{seed}", seed, one(-0.1))]
    for seeds in ("0_3", "1_2"):
        found += lines("a_x2", f"mean_probability_of_{seeds}", None, one(0.02))
    found += lines("a", "mean_probability", None, one(0.05)) + lines("a", "majority", None, one(0.0))
    return ScoreTable((*found, *lines("a", "reviewed", None, one(0.1))))


def test_recipes_and_their_ensembles_stand_with_the_trainings_behind_each_row(table):
    found = {each.name: each for each in scored_candidates(table, "dice")}
    assert list(found) == ["a", "a_x2", "a_x4", "b"]
    assert found["a"].trainings == tuple(frozenset([f"a/seed_{seed}"]) for seed in range(4))
    assert found["a_x2"].trainings == ({"a/seed_0", "a/seed_3"}, {"a/seed_1", "a/seed_2"})
    assert found["a_x4"].trainings == ({f"a/seed_{seed}" for seed in range(4)},)
    assert [each.size for each in found.values()] == [1, 2, 4, 1]
    whole = [score.value for score in table.scores if score.member == "mean_probability"]
    np.testing.assert_array_equal(found["a_x4"].matrix.values, [whole])
    assert found["b"].matrix.folds == (0,) * 6 + (1,) * 6


def test_the_best_of_them_is_the_one_that_was_made_better(table):
    found = best_configuration(scored_candidates(table, "dice"))
    assert found.best == "a_x2" and found.nested is not None
    assert {each.name: each.picked is None for each in found.standings}["a_x4"], "one row alone is not picked"


def test_the_order_of_lines_does_not_matter(table):
    again = ScoreTable(tuple(np.random.default_rng(0).permutation(np.array(table.scores, dtype=object)).tolist()))
    again = ScoreTable(tuple(Score(*line) for line in again.scores))
    first = {each.name: each.matrix.values.tolist() for each in scored_candidates(table, "dice")}
    assert {each.name: each.matrix.values.tolist() for each in scored_candidates(again, "dice")} == first


def test_a_table_of_single_trainings_cannot_tell(table):
    alone = ScoreTable(tuple(score for score in table.scores if score.seed == 0))
    with pytest.raises(SegVarianceError, match="Train at least two seeds"):
        best_configuration(scored_candidates(alone, "dice"))
