"""Gains of treated networks over themselves: known numbers, and what pairing is for."""

from __future__ import annotations

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.comparison import Verdict
from SegVarianceLib.stats.comparisons import compare_recipes
from SegVarianceLib.stats.paired_gain import gain_sentence, gain_verdict, paired_gains
from SegVarianceLib.stats.two_way import two_way_of_one


def table(sides: dict[str, np.ndarray], metric: str = "dice", structures: tuple[str, ...] = ("liver",)) -> ScoreTable:
    """From [seed, case] of each configuration; further structures are a little lower."""
    return ScoreTable(
        tuple(
            Score(name, 0, seed, f"seed_{seed}", f"case_{case}", structure, metric, float(value - 0.01 * number))
            for name, values in sides.items()
            for (seed, case), value in np.ndenumerate(values)
            for number, structure in enumerate(structures)
        )
    )


@pytest.fixture
def lucky():
    """Three networks of very different luck on 12 cases; treated, each gains 0.02 with a little noise."""
    rng = np.random.default_rng(0)
    before = 0.8 + np.array([[-0.05], [0.0], [0.05]]) + rng.normal(0, 0.03, 12) + rng.normal(0, 0.01, (3, 12))
    return before, before + 0.02 + rng.normal(0, 0.004, (3, 12))


def test_the_gain_and_its_interval_are_those_of_the_differences(lucky):
    before, after = lucky
    (gain,) = paired_gains(table({"a": before, "b": after}), [("b", "a")], "dice")
    expected = two_way_of_one(after - before)
    assert gain.gain.value == pytest.approx((after - before).mean(), abs=1e-12)
    assert (gain.gain.low, gain.gain.high) == pytest.approx((expected.interval().low, expected.interval().high))
    assert (gain.before_mean, gain.treated_mean) == pytest.approx((before.mean(), after.mean()))
    assert gain.networks == 3 and len(gain.cases) == 12 and gain.verdict is Verdict.BETTER
    by_case = (after - before).mean(axis=0)
    assert gain.better_share == pytest.approx((by_case > 0.01).mean()) and gain.worse_share == 0
    assert gain.worst == (f"case_{by_case.argmin()}", pytest.approx(by_case.min()))


def test_pairing_settles_what_the_luck_of_trainings_hides(lucky):
    before, after = lucky
    scores = table({"a": before, "b": after})
    (gain,) = paired_gains(scores, [("b", "a")], "dice")
    (unpaired,) = compare_recipes(scores, ["b", "a"], "dice").primary
    assert unpaired.verdict is Verdict.NOT_SETTLED and gain.verdict is Verdict.BETTER
    assert gain.gain.value == pytest.approx(unpaired.lead.value)


def test_a_loss_is_called_a_loss_and_a_shorter_distance_a_gain(lucky):
    before, after = lucky
    (loss,) = paired_gains(table({"a": after, "b": before}), [("b", "a")], "dice")
    assert loss.gain.value < 0 and gain_verdict(loss) == "worse beyond re-training luck"
    (nearer,) = paired_gains(table({"a": 3 - before, "b": 3 - after}, "hd95_mm"), [("b", "a")], "hd95_mm")
    assert nearer.gain.value == pytest.approx((after - before).mean()) and nearer.smallest_difference == 1.0
    assert "mm" in gain_sentence(nearer)


def test_without_any_effect_false_alarms_are_as_rare_as_they_say():
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(200):
        before = 0.8 + rng.normal(0, 0.03, (3, 1)) + rng.normal(0, 0.03, 20) + rng.normal(0, 0.01, (3, 20))
        after = before + rng.normal(0, 0.005, (3, 1)) + rng.normal(0, 0.01, 20) + rng.normal(0, 0.01, (3, 20))
        (gain,) = paired_gains(table({"a": before, "b": after}), [("b", "a")], "dice")
        alarms += gain.p < 0.05
    assert alarms <= 18  # 5 % of 200 are 10; more than 18 come with a probability of 0.6 %


def test_pairs_and_structures_are_corrected_each_as_a_family(lucky):
    before, after = lucky
    scores = table({"a": before, "b": after, "c": before + 0.001}, structures=("liver", "spleen"))
    gains = paired_gains(scores, [("b", "a"), ("c", "a")], "dice")
    assert [gain.structure for gain in gains] == ["foreground mean"] * 2 + ["liver", "spleen"] * 2
    assert [gain.family for gain in gains] == [2, 2, 4, 4, 4, 4]
    assert all(gain.p_holm is not None and gain.p_holm >= gain.p for gain in gains)
    assert gains[1].verdict is Verdict.EQUIVALENT


def test_other_networks_on_one_side_are_refused(lucky):
    before, after = lucky
    sides = table({"a": before, "b": after}).scores
    other = [score._replace(seed=score.seed + 5) if score.configuration == "b" else score for score in sides]
    with pytest.raises(SegVarianceError, match="Score the same ones on both sides"):
        paired_gains(ScoreTable(tuple(other)), [("b", "a")], "dice")
