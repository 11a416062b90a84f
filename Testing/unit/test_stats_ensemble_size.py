"""What averaging k trainings gains and how many are enough, from crafted tables whose numbers are known."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from scipy import stats

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.ensemble.subsets import draw_groups, subset_configuration
from SegVarianceLib.evaluation.score_table import MISSED, Score, ScoreTable
from SegVarianceLib.stats.ensemble_size import (
    EnsembleCurve,
    cube_with_groups,
    enough_sentence,
    ensemble_curve,
    gain_sentence,
)
from SegVarianceLib.stats.score_cube import metric_of_column
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN
from SegVarianceLib.stats.seed_study import seed_studies
from SegVarianceLib.stats.two_way import two_way_of_one

RULE = "majority"


def lines(
    configuration: str, seed: int | None, member: str, values: np.ndarray, metric: str = "dice", structure: str = "a"
) -> list[Score]:
    """``values`` [case] of one member."""
    return [
        Score(configuration, None, seed, member, f"case_{c}", structure, metric, float(value))
        for c, value in enumerate(values)
    ]


def table_of(
    seeds: np.ndarray, gain: np.ndarray | float, metric: str = "dice", rng: np.random.Generator | None = None
) -> ScoreTable:
    """``seeds`` [seed, case]; an ensemble of k has its seeds' mean, ``gain`` [case] x (1 - 1/k), and noise if there is ``rng``."""

    def combined(members: tuple[int, ...]) -> np.ndarray:
        noise = 0.0 if rng is None else rng.normal(0, 0.002) + rng.normal(0, 0.004, seeds.shape[1])
        return seeds[list(members)].mean(axis=0) + np.asarray(gain) * (1 - 1 / len(members)) + noise

    found = [line for s, row in enumerate(seeds) for line in lines("recipe", s, f"seed_{s}", row, metric)]
    found += lines("recipe", None, RULE, combined(tuple(range(len(seeds)))), metric)
    for size, groups in draw_groups(RULE, range(len(seeds)), 0).items():
        for number, group in enumerate(groups):
            name = subset_configuration("recipe", size)
            found += lines(name, number, group.member, combined(group.seeds), metric)
    return ScoreTable(tuple(found))


def curve_of(table: ScoreTable, d0: float = 0.01, metric: str = "dice", structure: str = "a") -> EnsembleCurve:
    return ensemble_curve(cube_with_groups(table, "recipe", metric_of_column(metric)), structure, d0)


@pytest.fixture
def seeds() -> np.ndarray:
    """[seed, case] of ten trainings whose luck and cases differ far more than averaging gains."""
    rng = np.random.default_rng(6)
    return 0.8 + rng.normal(0, 0.02, (10, 1)) + rng.normal(0, 0.05, (1, 12)) + rng.normal(0, 0.01, (10, 12))


def test_a_curve_by_hand() -> None:
    # Four trainings, three cases; two pairs gain .01, .02, .03 and .03, .04, .05 over their own two; all four gain .05 a case.
    seeds = np.array([[0.5, 0.6, 0.7], [0.7, 0.6, 0.9], [0.1, 0.2, 0.3], [0.3, 0.4, 0.1]])
    gains = np.array([[0.01, 0.02, 0.03], [0.03, 0.04, 0.05]])
    found = [line for s, row in enumerate(seeds) for line in lines("recipe", s, f"seed_{s}", row)]
    found += lines("recipe", None, RULE, seeds.mean(axis=0) + 0.05)
    found += lines("recipe_x2", 0, f"{RULE}_of_0_1", seeds[:2].mean(axis=0) + gains[0])
    found += lines("recipe_x2", 1, f"{RULE}_of_2_3", seeds[2:].mean(axis=0) + gains[1])
    curve = curve_of(ScoreTable(tuple(found)))

    assert [(size.members, size.groups) for size in curve.sizes] == [(1, 4), (2, 2), (4, 1)]
    one, two, four = curve.sizes
    assert one.mean.value == pytest.approx(seeds.mean())
    assert (one.gain.value, one.gain.low, one.gain.high) == (0, 0, 0)
    assert two.gain.value == pytest.approx(0.03)
    # Groups gain .02 and .04: variance .0002, halved. Cases gain .02, .03, .04: variance .0001, a third. No residual.
    assert two_way_of_one(gains).variance == pytest.approx(0.0001 + 0.0001 / 3)
    assert two.gain.high == pytest.approx(two_way_of_one(gains).interval().high)
    assert four.gain.value == pytest.approx(0.05)
    assert four.gain.high == pytest.approx(four.gain.low)  # every case gains the same
    assert one.behind.value == pytest.approx(0.05)
    assert two.behind.value == pytest.approx(0.05 - 0.03)
    assert (four.behind.low, four.behind.high) == (0, 0)


def test_a_single_group_has_the_t_interval_over_cases(seeds: np.ndarray) -> None:
    gain = np.linspace(0, 0.02, 12)
    whole = curve_of(table_of(seeds, gain)).of_size(10)
    theirs = stats.ttest_1samp(gain * 0.9, 0.0).confidence_interval(0.95)
    assert whole.groups == 1
    assert (whole.gain.low, whole.gain.high) == pytest.approx((theirs.low, theirs.high))


def test_neither_easy_cases_nor_lucky_seeds_pass_for_a_gain(seeds: np.ndarray) -> None:
    for size in curve_of(table_of(seeds, 0.02)).sizes:
        expected = 0.02 * (1 - 1 / size.members)
        assert (size.gain.value, size.gain.low, size.gain.high) == pytest.approx((expected,) * 3, abs=1e-9)


def test_names_and_order_of_lines_change_no_number(seeds: np.ndarray) -> None:
    table = table_of(seeds, 0.02, rng=np.random.default_rng(0))
    expected = curve_of(table)
    shuffled = list(table.scores)
    random.Random(1).shuffle(shuffled)
    assert curve_of(ScoreTable(tuple(shuffled))) == expected

    def renamed(score: Score) -> Score:
        seed, member = score.seed, score.member
        if score.configuration == "recipe" and seed is not None:
            seed, member = seed + 70, f"anything_{seed}"
        elif seed is not None:
            others = [str(int(each) + 70) for each in member.removeprefix(f"{RULE}_of_").split("_")]
            seed, member = 20 - seed, f"{RULE}_of_{'_'.join(others)}"
        return Score(
            score.configuration, None, seed, member, f"{99 - int(score.case[5:])}", "a", score.metric, score.value
        )

    found = curve_of(ScoreTable(tuple(map(renamed, shuffled))))
    for size, same in zip(found.sizes, expected.sizes, strict=True):
        assert (size.members, size.groups) == (same.members, same.groups)
        assert (size.gain.value, size.gain.low, size.gain.high) == pytest.approx(
            (same.gain.value, same.gain.low, same.gain.high), abs=1e-12
        )
        assert size.behind.high == pytest.approx(same.behind.high, abs=1e-12)


def test_a_shorter_distance_is_a_gain(seeds: np.ndarray) -> None:
    higher = curve_of(table_of(seeds, 0.02, rng=np.random.default_rng(0)))
    lower = curve_of(
        ScoreTable(
            tuple(
                Score(s.configuration, s.fold, s.seed, s.member, s.case, s.structure, "hd95_mm", 1 - (s.value or 0))
                for s in table_of(seeds, 0.02, rng=np.random.default_rng(0)).scores
            )
        ),
        metric="hd95_mm",
    )
    assert lower.enough == higher.enough
    for size, same in zip(lower.sizes, higher.sizes, strict=True):
        assert size.gain.low == pytest.approx(same.gain.low, abs=1e-12)
        assert size.behind.high == pytest.approx(same.behind.high, abs=1e-12)
        assert size.mean.low == pytest.approx(1 - same.mean.high, abs=1e-12)


@pytest.mark.parametrize(("d0", "enough"), [(0.04, 1), (0.009, 2), (0.005, 3), (0.003, 5), (0.001, 10)])
def test_enough_is_the_smallest_size_that_is_shown_to_be_close_to_all(d0: float, enough: int) -> None:
    # All trainings equal, so that all of ten are ahead of k by .02 (1/k - 1/10) exactly: .018, .008, .0047, .002.
    assert curve_of(table_of(np.full((10, 5), 0.8), 0.02), d0).enough == enough


def test_one_group_alone_cannot_show_that_its_size_is_enough() -> None:
    # Of five trainings, two pairs but one group of three only: .02 (1/2 - 1/5) = .006 and .02 (1/3 - 1/5) = .0027 behind.
    table = table_of(np.full((5, 5), 0.8), 0.02)
    assert curve_of(table, 0.007).enough == 2
    assert curve_of(table, 0.003).of_size(3).behind.high < 0.003
    assert curve_of(table, 0.003).enough == 5


def test_sentences_carry_number_interval_and_number_of_groups() -> None:
    flat = np.full((10, 5), 0.8)
    curve = curve_of(table_of(flat, 0.02), 0.005)
    assert gain_sentence(curve, 2) == (
        "Averaging 2 trainings improves Dice (a) by 0.0100 over a single one "
        "(95 % interval 0.0100 to 0.0100; 5 groups that share no training)."
    )
    assert "one group: for other patients only" in gain_sentence(curve, 10)
    assert enough_sentence(curve) == (
        "3 members are within 0.005 of the ensemble of all 10: 0.0047 worse (90 % interval of what is lost 0.0047 to 0.0047)."
    )
    assert enough_sentence(curve_of(table_of(flat, 0.02), 0.5)).startswith("A single training is within 0.5 of")
    assert "It is not shown that fewer than all 10 members" in enough_sentence(curve_of(table_of(flat, 0.02), 0.0001))
    worse = curve_of(table_of(flat, -0.02))
    assert "worsens Dice (a) by 0.0100" in gain_sentence(worse, 2)
    assert "0.0180 better" in enough_sentence(worse)
    distance = curve_of(table_of(flat + 1, -0.4, "hd95_mm"), 0.1, "hd95_mm")
    assert "improves HD95 (a) by 0.200 mm over" in gain_sentence(distance, 2)
    assert "within 0.1 mm of" in enough_sentence(distance)


def test_a_case_that_one_group_missed_counts_for_nobody_and_is_named(seeds: np.ndarray) -> None:
    def missed(score: Score) -> bool:
        return (score.configuration, score.seed, score.case) == ("recipe_x3", 1, "case_4")

    table = table_of(seeds, 0.02, "hd95_mm")
    without = ScoreTable(
        tuple(
            Score(s.configuration, None, s.seed, s.member, s.case, s.structure, s.metric, None, MISSED)
            if missed(s)
            else s
            for s in table.scores
        )
    )
    curve = curve_of(without, metric="hd95_mm")
    assert "case_4" not in curve.cases
    assert len(curve.cases) == 11
    (exclusion,) = curve.exclusions
    assert (exclusion.case, exclusion.structure, exclusion.reason) == (
        "case_4",
        "a",
        "missed: 1 of 21 seeds and ensembles",
    )
    kept = np.delete(seeds, 4, axis=1)
    assert curve.of_size(1).mean.value == pytest.approx(kept.mean())


def test_the_foreground_mean_is_the_mean_over_structures(seeds: np.ndarray) -> None:
    first = table_of(seeds, 0.02)
    second = [
        Score(s.configuration, None, s.seed, s.member, s.case, "b", "dice", (s.value or 0) / 2) for s in first.scores
    ]
    curve = curve_of(ScoreTable((*first.scores, *second)), structure=FOREGROUND_MEAN)
    assert curve.of_size(2).gain.value == pytest.approx(0.75 * 0.01)
    assert curve.of_size(1).mean.value == pytest.approx(0.75 * seeds.mean())


def test_two_seeds_have_a_curve_of_one_and_all() -> None:
    curve = curve_of(table_of(np.full((2, 4), 0.8), 0.02))
    assert [size.members for size in curve.sizes] == [1, 2]


def test_ensembles_of_some_seeds_are_not_studied_as_recipes(seeds: np.ndarray) -> None:
    table = table_of(seeds, 0.02)
    found = seed_studies(table)
    assert {study.configuration for study in found.studies} == {"recipe"}
    assert found.not_studied == ()
    alone = seed_studies(table.where(configuration="recipe"))
    assert found.to_json() == alone.to_json()


def test_a_curve_can_be_written_as_json(seeds: np.ndarray) -> None:
    content = json.loads(json.dumps(curve_of(table_of(seeds, 0.02)).to_json(), allow_nan=False))
    assert content["metric"]["id"] == "dice"
    assert content["sizes"][1]["members"] == 2


def test_what_cannot_be_compared_is_refused_in_a_sentence(seeds: np.ndarray) -> None:
    table = table_of(seeds, 0.02)
    with pytest.raises(SegVarianceError, match=r"no 'iou' of configuration 'recipe'. They hold: dice of recipe"):
        curve_of(table, metric="iou")
    for d0 in (0.0, -1.0, float("nan")):
        with pytest.raises(SegVarianceError, match="smallest difference that matters"):
            curve_of(table, d0)
    with pytest.raises(SegVarianceError, match="the ensemble of all by the same rule"):
        curve_of(ScoreTable(tuple(s for s in table.scores if s.member != RULE)))
    with pytest.raises(SegVarianceError, match="seed 3 stands in 1"):
        curve_of(ScoreTable(tuple(s for s in table.scores if s.member != "seed_3")))
    twice = lines("recipe_x5", 7, f"{RULE}_of_0_1_2_3_4", seeds[0])
    with pytest.raises(SegVarianceError, match="share no training"):
        curve_of(ScoreTable((*table.scores, *twice)))
    with pytest.raises(SegVarianceError, match=r"share 2 scored case\(s\)"):
        curve_of(ScoreTable(tuple(s for s in table.scores if s.case in ("case_0", "case_1"))))


def test_the_interval_of_a_gain_holds_what_it_promises() -> None:
    """Nine trainings on 20 cases; a pair gains .01 on average, more or less by case, group and chance."""
    rng = np.random.default_rng(11)
    held, repetitions = {2: 0, 3: 0}, 500
    for _ in range(repetitions):
        seeds = 0.6 + rng.normal(0, 0.01, (9, 1)) + rng.normal(0, 0.05, (1, 20)) + rng.normal(0, 0.01, (9, 20))
        curve = curve_of(table_of(seeds, 0.02 + rng.normal(0, 0.006, 20), rng=rng))
        for size in held:
            gain = curve.of_size(size).gain
            held[size] += gain.low <= 0.02 * (1 - 1 / size) <= gain.high
    for size, count in held.items():
        assert 0.92 <= count / repetitions <= 0.99, size
