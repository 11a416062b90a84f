"""Whether disagreement predicts failure: against scipy, by hand, and in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.evaluation.uncertainty_table import Uncertainty, UncertaintyTable
from SegVarianceLib.stats.failure_prediction import (
    failure_predictions,
    prediction_sentence,
    rank_correlation,
    risk_coverage,
)
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN


def tables(dice: np.ndarray, agreement: np.ndarray, patients: dict[str, str] | None = None):
    """Scores of two seeds and their ensemble, and members' agreement, from [case, structure]."""
    cases = [f"c{i:02}" for i in range(len(dice))]
    scores = [
        Score("r", 0, seed, member, case, f"s{j}", "dice", float(dice[i, j]))
        for seed, member in ((0, "seed_0"), (1, "seed_1"), (None, "majority"))
        for i, case in enumerate(cases)
        for j in range(dice.shape[1])
    ]
    rows = [
        Uncertainty("r", case, f"s{j}", "mean_pairwise_dice", float(agreement[i, j]))
        for i, case in enumerate(cases)
        for j in range(dice.shape[1])
    ]
    return ScoreTable(tuple(scores), patients), UncertaintyTable(tuple(rows))


def spread(cases: int, structures: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 0.95, (cases, structures))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_the_rank_correlation_is_scipy_s_also_with_ties(pairs):
    a, b = np.array(pairs, float).T
    if np.ptp(a) and np.ptp(b):
        assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    else:
        assert np.isnan(rank_correlation(a, b))


def test_a_risk_coverage_curve_by_hand_with_cases_that_tie():
    found = risk_coverage(np.array([0.9, 0.5, 0.9, 0.1]), np.array([0.0, 0.4, 0.2, 0.6]))
    np.testing.assert_allclose(found, [0.1, 0.1, 0.7 / 3 - 0.1 / 3, 0.3])


@given(st.integers(0, 2**32))
def test_no_order_beats_the_oracle_and_none_tells_when_all_tie(seed):
    rng = np.random.default_rng(seed)
    risk, predicted = rng.random(12), rng.random(12)
    oracle = risk_coverage(-risk, risk)
    assert (oracle <= risk_coverage(predicted, risk) + 1e-12).all()
    np.testing.assert_allclose(risk_coverage(np.ones(12), risk), risk.mean())


def test_agreement_that_says_everything_is_an_oracle():
    dice = spread(30)
    (found,), without = failure_predictions(*tables(dice, dice**2))
    assert without == ()
    assert found.correlation.value == pytest.approx(1)
    assert found.aurc.value == pytest.approx(found.aurc_oracle)
    assert found.aurc_random == pytest.approx(1 - dice.mean())
    best = np.sort(dice[:, 0])[::-1][:24].mean()
    assert found.mean_at(found.risk, 0.8) == pytest.approx(best)
    assert f"the others have a mean Dice of {best:.3f} instead of {dice.mean():.3f}" in prediction_sentence(found)


def test_agreement_that_says_nothing_or_the_contrary_is_not_recommended():
    dice = spread(60)
    for agreement, words in ((spread(60, seed=1), "is not shown"), (1 - dice, "do not sort by it")):
        (found,), _ = failure_predictions(*tables(dice, agreement))
        assert words in prediction_sentence(found)


def test_the_mean_over_structures_comes_first_and_a_case_without_a_value_is_left_out():
    dice = spread(25, 2)
    scores, uncertainty = tables(dice, dice)
    rows = tuple(row._replace(value=None) if row[1:3] == ("c03", "s1") else row for row in uncertainty.rows)
    found, _ = failure_predictions(scores, UncertaintyTable(rows))
    assert [(each.structure, each.left_out, len(each.cases)) for each in found] == [
        (FOREGROUND_MEAN, 1, 24),
        ("s0", 0, 25),
        ("s1", 1, 24),
    ]


def test_too_few_cases_and_cases_that_are_all_alike_get_a_sentence_instead():
    for dice in (spread(19), np.full((30, 1), 0.9)):
        found, (sentence,) = failure_predictions(*tables(dice, dice))
        assert found == ()
        assert "at least 20" in sentence


def test_several_images_of_a_patient_widen_the_interval():
    dice = np.repeat(spread(20), 4, axis=0)
    agreement = dice + np.repeat(np.random.default_rng(2).normal(0, 0.1, (20, 1)), 4, axis=0)
    patients = {f"c{i:02}": f"p{i // 4}" for i in range(80)}
    widths = []
    for of in (None, patients):
        (found,), _ = failure_predictions(*tables(dice, agreement, of))
        widths.append(found.correlation.high - found.correlation.low)
    assert widths[1] > 1.3 * widths[0]


def test_many_images_of_few_patients_are_too_few():
    dice = spread(48)
    found, (sentence,) = failure_predictions(*tables(dice, dice, {f"c{i:02}": f"p{i // 4}" for i in range(48)}))
    assert found == ()
    assert "12 patients have both, expected at least 20" in sentence


def test_labels_scored_beside_their_regions_leave_the_regions_mean_as_it_is():
    dice = spread(25, 2)
    scores, uncertainty = tables(dice, dice)
    of_labels = [s._replace(structure=f"label value {s.structure[1:]}", value=0.1) for s in scores.scores]
    found, without = failure_predictions(ScoreTable((*scores.scores, *of_labels), None), uncertainty)
    assert [each.structure for each in found] == [FOREGROUND_MEAN, "s0", "s1"]
    assert without == ()
    assert found[0].aurc_random == pytest.approx(1 - dice.mean())


def test_a_table_comes_back_from_its_file_and_a_broken_one_is_refused(tmp_path):
    _, table = tables(spread(3), spread(3))
    table = UncertaintyTable((*table.rows, Uncertainty("r", "c", "s", "volume_cv", None)))
    table.write(tmp_path / "uncertainty.csv")
    assert UncertaintyTable.read(tmp_path / "uncertainty.csv") == table
    (tmp_path / "bad.csv").write_text("configuration,case,structure,measure,value\na,b,c,d,much\n")
    with pytest.raises(SegVarianceError, match=r"line 2: 'much' is not a number"):
        UncertaintyTable.read(tmp_path / "bad.csv")
    (tmp_path / "short.csv").write_text("case,value\n")
    with pytest.raises(SegVarianceError, match="lacks the columns configuration"):
        UncertaintyTable.read(tmp_path / "short.csv")
    with pytest.raises(SegVarianceError, match="does not exist"):
        UncertaintyTable.read(tmp_path / "none.csv")
