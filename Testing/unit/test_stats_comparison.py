"""Comparisons from score lines: verdicts on crafted cases, agreement with other implementations, and what is left out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import MISSED, Score, ScoreTable
from SegVarianceLib.stats.comparison import Comparison, Verdict, verdict_of
from SegVarianceLib.stats.comparison_words import (
    comparison_findings,
    difference_text,
    settle_sentence,
    verdict_sentence,
)
from SegVarianceLib.stats.comparisons import Comparisons, compare_recipes, recipes_of
from SegVarianceLib.stats.multiplicity import holm


def lines(recipe: str, values: np.ndarray, metric: str = "dice", folds: int = 0, case: str = "case_{}") -> list[Score]:
    """Values [seed, case, structure] as lines; with ``folds``, case c was predicted by fold c modulo folds."""
    return [
        Score(recipe, c % folds if folds else None, s, f"seed_{s}", case.format(c), "abcdefghij"[t], metric, float(v))
        for (s, c, t), v in np.ndenumerate(values)
    ]


def table_of(*recipes: list[Score]) -> ScoreTable:
    """All lines, in random order: no result may hang on it."""
    scores = [score for some in recipes for score in some]
    random.Random(3).shuffle(scores)
    return ScoreTable(tuple(scores))


def recipe(
    rng: np.random.Generator, seeds: int, gain: float, case: np.ndarray, structures: int = 2, noise: float = 0.01
) -> np.ndarray:
    """Scores [seed, case, structure]: the case's own difficulty, a gain, luck of the seed, noise."""
    luck = rng.normal(0, 0.003, (seeds, 1, 1))
    return 0.8 + gain + case[None, :, None] + luck + rng.normal(0, noise, (seeds, len(case), structures))


@pytest.fixture
def difficulty() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, 30)


def compared(table: ScoreTable, d0: float = 0.01, **settings: object) -> Comparison:
    return compare_recipes(table, ("a", "b"), "dice", d0, **settings).primary[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gain", "d0", "verdict", "words"),
    [
        (0.05, 0.01, Verdict.BETTER, "a is better. Trained again and used on new patients, it is expected to gain"),
        (-0.05, 0.01, Verdict.BETTER, "b is better."),
        (0.012, 0.01, Verdict.MAYBE_TOO_LITTLE, "a is better on average, but the gain may be too small to matter"),
        (0.0, 0.02, Verdict.EQUIVALENT, "The two are equivalent for your purpose"),
        (0.012, 0.05, Verdict.EQUIVALENT, "The difference is beyond luck, and still too small to matter."),
        (0.0, 0.0005, Verdict.NOT_SETTLED, "Not settled."),
    ],
)
def test_the_verdict_follows_from_difference_and_smallest_that_matters(
    gain: float, d0: float, verdict: Verdict, words: str, difficulty: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    table = table_of(lines("a", recipe(rng, 6, gain, difficulty)), lines("b", recipe(rng, 5, 0.0, difficulty)))
    found = compared(table, d0)
    assert found.verdict is verdict
    assert words in verdict_sentence(found)
    assert f"{d0:g}" in verdict_sentence(found)


@pytest.mark.parametrize(
    ("p", "beyond_p", "equivalence_p", "verdict"),
    [
        (0.001, 0.04, 0.9, Verdict.BETTER),
        (0.001, 0.06, 0.9, Verdict.MAYBE_TOO_LITTLE),
        (0.001, 0.9, 0.04, Verdict.EQUIVALENT),  # surely ahead, and surely by too little
        (0.5, 0.9, 0.04, Verdict.EQUIVALENT),
        (0.05, 0.9, 0.05, Verdict.NOT_SETTLED),
    ],
)
def test_bounds_of_the_verdict(p: float, beyond_p: float, equivalence_p: float, verdict: Verdict) -> None:
    assert verdict_of(p, beyond_p, equivalence_p) is verdict


def test_for_a_single_pair_the_verdict_is_what_the_intervals_say(difficulty: np.ndarray) -> None:
    rng, seen = np.random.default_rng(20), set()
    for gain in np.linspace(-0.03, 0.03, 40):
        found = compared(
            table_of(lines("a", recipe(rng, 3, gain, difficulty)), lines("b", recipe(rng, 3, 0.0, difficulty)))
        )
        low = max(found.lead.low, -found.lead.high)
        inside = found.equivalence.low > -0.01 and found.equivalence.high < 0.01
        wanted = Verdict.EQUIVALENT if inside else Verdict.MAYBE_TOO_LITTLE if low > 0 else Verdict.NOT_SETTLED
        assert found.verdict is (Verdict.BETTER if low > 0.01 else wanted)
        seen.add(found.verdict)
    assert seen == set(Verdict)


def test_among_many_equal_recipes_no_verdict_contradicts_its_corrected_p() -> None:
    rng = np.random.default_rng(21)
    case, alarms = rng.normal(0, 0.05, 20), 0
    for _ in range(40):
        table = table_of(*(lines(name, recipe(rng, 3, 0.0, case, 1)) for name in "abcde"))
        pairs = compare_recipes(table, tuple("abcde"), "dice", 0.0005).primary
        for pair in pairs:
            assert pair.p_holm is not None
            assert (pair.verdict in (Verdict.BETTER, Verdict.MAYBE_TOO_LITTLE)) <= (pair.p_holm < 0.05)
        alarms += any(pair.verdict in (Verdict.BETTER, Verdict.MAYBE_TOO_LITTLE) for pair in pairs)
    assert alarms <= 6  # about 5 % of 40 families; uncorrected verdicts would alarm in a third of them


def test_crafted_cases_by_hand() -> None:
    # a - b by case, for each of the four pairs of seeds: +.3 or +.1, 0, -.2; means .2, 0, -.2 + noise-free
    a = np.array([[0.7, 0.5, 0.3], [0.9, 0.5, 0.3]])[:, :, None]
    b = np.array([[0.6, 0.5, 0.5], [0.6, 0.5, 0.5]])[:, :, None]
    found = compared(table_of(lines("a", a), lines("b", b)), 0.25)
    assert (found.a.mean, found.b.mean, found.lead.value) == pytest.approx((8 / 15, 8 / 15, 0.0), abs=1e-12)
    assert found.cases_better.value == pytest.approx(2 / 12)  # .3 on one case for one of a's seeds, twice
    assert found.cases_worse.value == 0.0
    assert found.probability_better.value == pytest.approx(0.5)  # a's seeds .5 and .567 around b's .533
    assert found.a.failures.value == pytest.approx(2 / 6)  # .3 twice
    assert found.b.failures.value == 0.0
    assert found.permutation_p == 1.0
    assert found.structure == "a"


def test_a_difference_equal_to_the_smallest_that_matters_is_not_more_than_it() -> None:
    a, b = (np.full((2, 4, 1), value) for value in (0.85, 0.84))  # 0.85 - 0.84 is above 0.01 in floating point
    found = compared(table_of(lines("a", a), lines("b", b)), 0.01)
    assert found.cases_better.value == 0.0


def test_figures_agree_with_other_implementations(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    first, second = recipe(rng, 4, 0.004, difficulty), recipe(rng, 4, 0.0, difficulty)
    found = compared(table_of(lines("a", first), lines("b", second)))
    a, b = first.mean(axis=2), second.mean(axis=2)
    assert found.lead.value == pytest.approx(a.mean() - b.mean())
    pairs = [(x, y) for x in a for y in b]
    wins = stats.mannwhitneyu(a.mean(axis=1), b.mean(axis=1)).statistic / 16
    assert found.probability_better.value == pytest.approx(wins)
    for test, named in ((stats.ttest_rel, found.usual[0]), (stats.wilcoxon, found.usual[1])):
        p = np.array([test(x, y).pvalue for x, y in pairs])
        ahead = np.array([x.mean() > y.mean() for x, y in pairs])
        assert named.first_better == pytest.approx(((p < 0.05) & ahead).mean())
        within = [test(v[i], v[j]).pvalue < 0.05 for v in (a, b) for i in range(4) for j in range(i)]
        assert named.false_alarms == pytest.approx(np.mean(within))
        assert named.averaged_p == pytest.approx(test(a.mean(axis=0), b.mean(axis=0)).pvalue)
    t = (found.lead.value - np.array([-0.01, 0.01])) / found.standard_error
    tost = max(stats.t.sf(t[0], found.freedom), stats.t.cdf(t[1], found.freedom))
    assert found.equivalence_p == pytest.approx(tost)
    assert sum(part.share.value for part in found.variance) == pytest.approx(1.0)


def figures(comparison: Comparison) -> dict:
    """Everything but names, as numbers."""
    content = comparison.to_json()
    for side in ("a", "b"):
        del content[side]["name"], content[side]["seeds"]
    del content["cases"]
    return content


def test_order_of_lines_and_names_of_cases_and_seeds_change_no_number(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    both = [
        *lines("a", recipe(rng, 4, 0.01, difficulty), folds=3),
        *lines("b", recipe(rng, 3, 0.0, difficulty), folds=3),
    ]
    names, seeds = [f"case_{c}" for c in rng.permutation(30)], list(rng.permutation(4) + 10)
    renamed = [s._replace(case=names[int(s.case[5:])], seed=int(seeds[s.seed]), member="x") for s in both]
    random.Random(5).shuffle(renamed)
    found, other = (compared(ScoreTable(tuple(each))) for each in (both, renamed))
    assert _same(figures(found), figures(other))


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_same(x, y) for x, y in zip(one, other, strict=True))
    if isinstance(one, int | float) and not isinstance(one, bool):
        return one == pytest.approx(other, rel=1e-9, abs=1e-12)
    return one == other


def test_swapping_the_sides_swaps_everything(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(6)
    table = table_of(lines("a", recipe(rng, 5, 0.01, difficulty)), lines("b", recipe(rng, 4, 0.0, difficulty)))
    found = compare_recipes(table, ("a", "b"), "dice").primary[0]
    other = compare_recipes(table, ("b", "a"), "dice").primary[0]
    assert (other.lead.low, other.lead.high) == pytest.approx((-found.lead.high, -found.lead.low))
    assert (other.p, other.equivalence_p) == pytest.approx((found.p, found.equivalence_p))
    assert other.probability_better.value == pytest.approx(1 - found.probability_better.value)
    assert other.cases_worse == found.cases_better
    assert (other.redrawn.low, other.redrawn.high) == pytest.approx((-found.redrawn.high, -found.redrawn.low))
    assert [t.averaged_false_alarms for t in other.usual] == [t.averaged_false_alarms for t in found.usual]
    assert other.verdict is found.verdict
    assert verdict_sentence(other) == verdict_sentence(found)


def test_less_distance_is_better_and_reads_so() -> None:
    rng = np.random.default_rng(7)
    near, far = (mm + rng.normal(0, 0.2, (4, 20, 1)) for mm in (2.0, 6.0))
    table = table_of(lines("near", near, "hd95_mm"), lines("far", far, "hd95_mm"))
    found = compare_recipes(table, ("near", "far"), "hd95_mm").primary[0]
    assert (found.verdict, found.leader.name, found.smallest_difference) == (Verdict.BETTER, "near", 1.0)
    assert found.lead.value == pytest.approx(far.mean() - near.mean())
    assert "save" in verdict_sentence(found)
    assert "1 mm" in verdict_sentence(found)
    assert difference_text(found).startswith("-")


def test_several_recipes_are_paired_ranked_and_corrected(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(8)
    gains = {"low": 0.0, "high": 0.06, "middle": 0.03}
    table = table_of(*(lines(name, recipe(rng, 3, gain, difficulty)) for name, gain in gains.items()))
    assert set(recipes_of(table)) == set(gains)
    found: Comparisons = compare_recipes(table, tuple(gains), "dice")
    assert [(c.a.name, c.b.name) for c in found.primary] == [("low", "high"), ("low", "middle"), ("high", "middle")]
    assert [c.p_holm for c in found.primary] == pytest.approx(list(holm(np.array([c.p for c in found.primary]))))
    assert found.ranking is not None
    assert [(r.configuration, r.rank.value) for r in found.ranking.ranks] == [("high", 1), ("middle", 2), ("low", 3)]
    assert all((r.rank.low, r.rank.high) == (r.rank.value, r.rank.value) for r in found.ranking.ranks)
    assert found.ranking.agreement == 1.0
    assert {c.structure for c in found.by_structure} == {"a", "b"}


def test_ranks_of_equal_recipes_are_unsure(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(9)
    table = table_of(*(lines(name, recipe(rng, 4, 0.0, difficulty)) for name in "abc"))
    ranking = compare_recipes(table, tuple("abc"), "dice").ranking
    assert ranking is not None
    assert all((rank.rank.low, rank.rank.high) == (1, 3) for rank in ranking.ranks)
    assert abs(ranking.agreement) < 0.6
    assert sum(rank.first_share for rank in ranking.ranks) == pytest.approx(1.0)


def test_one_training_is_said_to_settle_nothing_and_gets_its_band(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(10)
    many, one = recipe(rng, 5, 0.01, difficulty), recipe(rng, 1, 0.0, difficulty)
    found = compare_recipes(table_of(lines("a", many), lines("b", one)), ("a", "b"), "dice")
    assert found.primary == found.by_structure == ()
    (sentence,) = found.not_compared  # once, not for each structure
    assert sentence.startswith("Not answerable. Dice (foreground mean): 'b' was trained once")
    band = stats.t.ppf(0.975, 4) * np.sqrt(2) * many.mean(axis=(1, 2)).std(ddof=1)
    assert f"differ by up to {band:.4f}" in sentence


def test_failures_count_missed_structures(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(11)
    table = table_of(lines("a", recipe(rng, 3, 0.0, difficulty)), lines("b", recipe(rng, 3, 0.0, difficulty)))
    missed = tuple(
        s._replace(value=0.0, note=MISSED) if (s.configuration, s.case, s.structure) == ("b", "case_4", "a") else s
        for s in table.scores
    )
    found = compared(ScoreTable(missed))
    assert (found.a.failures.value, found.b.failures.value) == (0.0, pytest.approx(1 / 30))
    assert any(sentence.startswith("Failures (missed") for sentence in comparison_findings(found))


def test_a_missed_structure_is_a_failure_though_it_has_no_distance() -> None:
    rng = np.random.default_rng(22)
    table = table_of(*(lines(name, 3 + rng.normal(0, 0.3, (3, 30, 1)), "hd95_mm") for name in "ab"))
    missed = tuple(
        s._replace(value=None, note=MISSED) if s.configuration == "b" and s.seed == 1 and int(s.case[5:]) < 12 else s
        for s in table.scores
    )
    found = compare_recipes(ScoreTable(missed), ("a", "b"), "hd95_mm").primary[0]
    assert len(found.cases) == 18
    assert (found.a.failures.value, found.b.failures.value) == (0.0, pytest.approx(12 / 90))
    assert comparison_findings(found)[1].startswith("Failures (missed, falsely found) per case and training")


def test_what_would_settle_it_counts_each_side_of_its_own(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(23)
    table = table_of(
        lines("a", recipe(rng, 2, 0.0, difficulty, noise=0.03)),
        lines("b", recipe(rng, 12, 0.0, difficulty, noise=0.03)),
    )
    found = compared(table)
    need = found.to_settle
    assert need.at_hand < need.wanted
    assert need.seeds is not None and need.seeds > 2
    assert f"{need.seeds - 2} more of a" in settle_sentence(found)
    assert f"{max(0, need.seeds - 12)} more of b" in settle_sentence(found)


def test_scores_that_do_not_differ_leave_no_rounding_for_a_finding() -> None:
    a, b = np.full((3, 8, 1), 0.9), np.full((4, 8, 1), 0.8)
    apart = compared(table_of(lines("a", a), lines("b", b)))
    alike = compared(table_of(lines("a", a), lines("b", np.full((4, 8, 1), 0.9))))
    assert (apart.p, alike.p, apart.variance, alike.variance) == (0.0, 1.0, (), ())


def test_what_is_left_wrong_is_compared_on_a_relative_scale(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(24)
    first, second = recipe(rng, 4, 0.05, difficulty), recipe(rng, 4, 0.0, difficulty)
    found = compared(table_of(lines("a", first), lines("b", second)))
    ratio = found.error_ratio
    assert ratio is not None
    assert ratio.value == pytest.approx((1 - first.mean()) / (1 - second.mean()))
    assert ratio.low < ratio.value < ratio.high < 1


@pytest.mark.parametrize("levels", [2, 3, 15])
def test_ties_leave_no_room_for_names_either(levels: int) -> None:
    rng = np.random.default_rng(25)
    for _ in range(5):
        values = [np.round(rng.uniform(0.7, 1.0, (k, 15, 1)) * levels) / levels for k in (4, 5)]
        both = [*lines("a", values[0]), *lines("b", values[1])]
        names, seeds = [f"case_{c}" for c in rng.permutation(15)], list(rng.permutation(5) + 10)
        renamed = [s._replace(case=names[int(s.case[5:])], seed=int(seeds[s.seed])) for s in both]
        random.Random(1).shuffle(renamed)
        found, other = (compared(ScoreTable(tuple(each))) for each in (both, renamed))
        assert _same(figures(found), figures(other))


def test_all_that_is_left_out_is_named(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(12)
    table = table_of(lines("a", recipe(rng, 3, 0.0, difficulty)), lines("b", recipe(rng, 3, 0.0, difficulty)))
    gap = tuple(
        s._replace(value=None, note="agreed absent") if (s.configuration, s.case, s.structure, s.seed) == ("b", "case_4", "a", 1) else s
        for s in table.scores
    )  # fmt: skip
    found = compare_recipes(ScoreTable(gap), ("a", "b"), "dice")
    assert [(e.case, e.structure) for e in found.primary[0].exclusions] == [("case_4", "a")]
    assert "agreed absent" in found.primary[0].exclusions[0].reason
    assert len(found.primary[0].cases) == 30  # its other structure still counts
    assert [len(c.cases) for c in found.by_structure if c.structure == "a"] == [29]


def test_a_training_given_on_both_sides_is_noticed(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(15)
    first, second = recipe(rng, 3, 0.0, difficulty), recipe(rng, 3, 0.0, difficulty)
    second[1] = first[2]
    (note,) = compared(table_of(lines("a", first), lines("b", second))).notes
    assert note.startswith("Seed 2 of a and seed 1 of b have the same score on every case")


def test_unknown_recipes_and_a_senseless_smallest_difference_are_sentences(difficulty: np.ndarray) -> None:
    rng = np.random.default_rng(13)
    table = table_of(lines("a", recipe(rng, 3, 0.0, difficulty)), lines("b", recipe(rng, 3, 0.0, difficulty)))
    with pytest.raises(SegVarianceError, match="'a', 'b'"):
        compare_recipes(table, ("a", "c"), "dice")
    for d0 in (0.0, -1.0, 1.0, float("nan")):
        with pytest.raises(SegVarianceError, match="must be above 0"):
            compare_recipes(table, ("a", "b"), "dice", d0)


def test_fifty_seeds_on_five_hundred_cases_and_ten_structures_take_seconds() -> None:
    rng = np.random.default_rng(14)
    case = rng.normal(0, 0.05, 500)
    table = ScoreTable((*lines("a", recipe(rng, 50, 0.002, case, 10)), *lines("b", recipe(rng, 50, 0.0, case, 10))))
    import time

    began = time.process_time()
    found = compare_recipes(table, ("a", "b"), "dice")
    assert len(found.by_structure) == 10
    assert time.process_time() - began < 10.0  # 5 on an idle machine; the benchmark has the figure
