"""Which candidate is best, where the scores can tell."""

from __future__ import annotations

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.stats.best_configuration import Candidate, best_configuration
from SegVarianceLib.stats.best_words import best_sentences
from SegVarianceLib.stats.comparison import Verdict
from SegVarianceLib.stats.seed_matrix import SeedMatrix
from SegVarianceLib.stats.two_way import two_way, two_way_of_one

CASES = 40


def scores(mean: float, rng: np.random.Generator, luck: float = 0.002, seeds: int = 4) -> np.ndarray:
    difficulty = np.linspace(-0.1, 0.1, CASES)
    return mean + difficulty + rng.normal(0, luck, (seeds, 1)) + rng.normal(0, 0.01, (seeds, CASES))


def candidate(name: str, values: np.ndarray, *of: str, folds: list[int] | None = None) -> Candidate:
    """A row's trainings are its number, in each configuration of ``of``."""
    trainings = tuple(frozenset(f"{each}/{row}" for each in of or (name,)) for row in range(len(values)))
    return Candidate(SeedMatrix.of_array(values, name, "dice", folds=folds), trainings)


def test_a_clear_winner_is_best_and_one_that_nothing_tells_apart_is_not():
    rng = np.random.default_rng(0)
    clear = best_configuration([candidate("a", scores(0.8, rng)), candidate("b", scores(0.7, rng))])
    assert (clear.best, clear.settled, clear.alike, clear.simplest) == ("a", True, (), "a")
    assert clear.standings[1].against.verdict is Verdict.BETTER
    assert "shown to be better than the other (Holm" in best_sentences(clear)[0]
    same = best_configuration([candidate("a", scores(0.8, rng)), candidate("b", scores(0.8, rng))])
    assert not same.settled and len(same.alike) == 1
    assert "not distinguishable" in best_sentences(same)[0]


def test_an_ensemble_is_compared_with_its_own_members_row_by_row_and_the_rest_as_independent():
    rng = np.random.default_rng(1)
    a, b = scores(0.80, rng), scores(0.80, rng)
    both = (a + b) / 2 + 0.004
    found = best_configuration([candidate("a", a), candidate("b", b), candidate("a+b", both, "a", "b")], 0.01)
    against = {each.name: each.against for each in found.standings}
    assert found.best == "a+b" and against["a+b"] is None and against["a"].paired
    expected = two_way_of_one(both - a)
    assert against["a"].lead == expected.interval()
    assert against["a"].p == expected.p_different() < two_way(both, a).p_different()
    assert against["a"].p_holm >= against["a"].p
    assert found.simplest in ("a+b", "a", "b")


def test_an_ensemble_of_two_seeds_is_compared_with_these_two():
    rng = np.random.default_rng(2)
    a = scores(0.8, rng)
    twos = Candidate(
        SeedMatrix.of_array(np.stack([a[[0, 2]].mean(axis=0), a[[1, 3]].mean(axis=0)]) + 0.005, "a_x2", "dice"),
        (frozenset(["a/0", "a/2"]), frozenset(["a/1", "a/3"])),
    )
    against = best_configuration([candidate("a", a), twos]).standings[0].against
    assert against.paired and against.lead.value == pytest.approx(0.005)
    assert against.lead.high - against.lead.low < 1e-9
    tangled = Candidate(twos.matrix, (frozenset(["a/0", "a/2"]), frozenset(["a/2", "a/3"])))
    assert not best_configuration([candidate("a", a), tangled]).standings[0].against.paired


def test_the_shares_of_picks_add_up_and_equal_candidates_share_them():
    rng = np.random.default_rng(3)
    found = best_configuration([candidate(name, scores(0.8, rng, 0.004)) for name in "abc"])
    shares = [each.picked for each in found.standings]
    assert sum(shares) == pytest.approx(1) and max(shares) < 0.95
    again = best_configuration(
        [candidate(name, scores(0.8, np.random.default_rng(9), 0.004)) for name in "ab"], None, 5
    )
    assert again.standings[0].picked is not None


def test_picking_among_many_equal_ones_flatters_and_the_nested_mean_does_not():
    gaps, optimism = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        folds = [case % 5 for case in range(CASES)]
        many = [candidate(f"c{i}", 0.8 + rng.normal(0, 0.05, (2, CASES)), folds=folds) for i in range(8)]
        found = best_configuration(many)
        best = max(each.mean.value for each in found.standings)
        gaps.append(best - found.nested)
        optimism.append(found.optimism)
    assert np.mean(gaps) > 0.004 and np.mean(optimism) > 0.002


def test_one_repetition_stands_beside_the_family_and_is_never_picked():
    rng = np.random.default_rng(4)
    lucky = candidate("all", scores(0.95, rng, seeds=1))
    found = best_configuration([candidate("a", scores(0.8, rng)), candidate("b", scores(0.7, rng)), lucky])
    alone = found.standings[2]
    assert found.best == "a" and alone.picked is None and alone.against is None
    assert alone.mean.low < alone.mean.value < alone.mean.high


def test_a_distance_is_better_where_it_is_smaller():
    rng = np.random.default_rng(5)
    far, near = 3 + rng.normal(0, 0.1, (3, CASES)), 1 + rng.normal(0, 0.1, (3, CASES))
    both = [
        Candidate(SeedMatrix.of_array(values, name, "hd95_mm"), candidate(name, values).trainings)
        for name, values in (("far", far), ("near", near))
    ]
    found = best_configuration(both)
    assert found.best == "near" and found.smallest_difference == 1.0
    assert found.standings[0].against.lead.value > 0


def test_too_few_candidates_are_refused():
    rng = np.random.default_rng(6)
    with pytest.raises(SegVarianceError, match="at least 2 candidates"):
        best_configuration([candidate("a", scores(0.8, rng)), candidate("b", scores(0.8, rng, seeds=1))])
    with pytest.raises(SegVarianceError, match="at least 2 candidates"):
        best_configuration([])
