"""From a score table to the figures of a seed study: what counts, what is left out, and what it says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import AGREED_ABSENT, MISSED, Score, ScoreTable
from SegVarianceLib.stats.score_cube import ScoreCube, metric_of_column
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN, SeedMatrix
from SegVarianceLib.stats.seed_study import SeedStudy, seed_studies
from SegVarianceLib.stats.selection import expected_maximum
from SegVarianceLib.stats.verdict import best_seed_sentence, findings, percent


def table_of(values: np.ndarray, metric: str = "dice", folds: int | None = None, names: str = "case") -> ScoreTable:
    """Values [seed, case, structure] as lines; with ``folds``, case c was predicted by fold c modulo folds."""
    return ScoreTable(
        tuple(
            Score(
                "recipe", c % folds if folds else None, s, f"seed_{s}", f"{names}_{c}", "abcdefgh"[t], metric, float(v)
            )
            for (s, c, t), v in np.ndenumerate(values)
        )
    )


def change(table: ScoreTable, wanted: Callable[[Score], bool], **fields: object) -> ScoreTable:
    return ScoreTable(tuple(s._replace(**fields) if wanted(s) else s for s in table.scores))  # type: ignore[arg-type]


def with_ensemble(table: ScoreTable, values: np.ndarray, name: str = "mean_probability") -> ScoreTable:
    lines = tuple(
        Score("recipe", None, None, name, f"case_{c}", "abcdefgh"[t], table.scores[0].metric, float(v))
        for (c, t), v in np.ndenumerate(values)
    )
    return ScoreTable(table.scores + lines)


def study_of(table: ScoreTable, structure: str) -> SeedStudy:
    return next(study for study in seed_studies(table).studies if study.structure == structure)


@pytest.fixture
def values() -> np.ndarray:
    generator = np.random.default_rng(4)
    seed, case = generator.normal(0, 0.01, (6, 1, 1)), generator.normal(0, 0.05, (1, 15, 1))
    return 0.8 + seed + case + generator.normal(0, 0.01, (6, 15, 2))


def test_a_study_of_four_seeds_by_hand() -> None:
    # Seed 2 leads each other seed by about .1 on all four cases; seeds 0, 1, 3 differ by little and to both sides.
    values = np.array(
        [[0.50, 0.60, 0.70, 0.80], [0.51, 0.59, 0.71, 0.79], [0.60, 0.71, 0.79, 0.90], [0.49, 0.61, 0.69, 0.81]]
    )
    study = study_of(table_of(values[:, :, None]), "a")
    assert study.best_seed == 2
    assert (study.lowest, study.highest, study.mean) == pytest.approx((0.65, 0.75, 0.675))
    assert study.sd_between_seeds == pytest.approx(0.05)
    assert (study.paired_t.best_beats, study.paired_t.best_beats_holm) == (1.0, 1.0)
    assert (study.paired_t.random_pairs, study.paired_t.ordered_pairs) == (0.5, 0.25)
    assert study.wilcoxon.best_beats == 0.0  # four cases cannot reach p < .05: the smallest is 2 / 16
    assert study.best_of_many.lead == pytest.approx(0.075)
    assert study.best_of_many.expected_lead == pytest.approx(1.02938 * 0.05, rel=1e-4)


def test_shares_equal_those_of_scipy_called_pair_by_pair(values: np.ndarray) -> None:
    study = study_of(table_of(values), FOREGROUND_MEAN)
    rows = values.mean(axis=2)
    best = rows.mean(axis=1).argmax()
    others = [row for row in range(6) if row != best]
    for test, shares in ((stats.ttest_rel, study.paired_t), (stats.wilcoxon, study.wilcoxon)):
        beaten = [test(rows[best], rows[other]).pvalue < 0.05 for other in others]
        better = [
            test(rows[a], rows[b], alternative="two-sided").pvalue < 0.05 and rows[a].mean() > rows[b].mean()
            for a in range(6)
            for b in range(6)
            if a != b
        ]
        assert shares.best_beats == pytest.approx(np.mean(beaten))
        assert shares.ordered_pairs == pytest.approx(np.mean(better))
        assert shares.random_pairs == pytest.approx(2 * np.mean(better))
        assert 0 < shares.best_beats_holm <= shares.best_beats
    assert study.seeds[3].low == pytest.approx(stats.ttest_1samp(rows[3], 0).confidence_interval().low)


def test_the_foreground_mean_is_over_structures_of_a_case_and_then_over_cases(values: np.ndarray) -> None:
    study = study_of(table_of(values), FOREGROUND_MEAN)
    assert [seed.mean for seed in study.seeds] == pytest.approx(values.mean(axis=(1, 2)).tolist())


def test_a_smaller_distance_is_better(values: np.ndarray) -> None:
    distances = table_of(1 / values, metric="hd95_mm")
    study = study_of(distances, "a")
    assert study.best_seed == (1 / values)[:, :, 0].mean(axis=1).argmin()
    assert study.best_of_many.lead > 0


def test_the_order_of_lines_and_all_names_change_no_number(values: np.ndarray) -> None:
    table = with_ensemble(table_of(values), values.max(axis=0))
    lines = list(table.scores)
    random.Random(0).shuffle(lines)
    renamed = ScoreTable(
        tuple(s._replace(case=f"z{99 - int(s.case[5:])}", seed=None if s.seed is None else 50 - s.seed) for s in lines)
    )
    one, other = study_of(table, FOREGROUND_MEAN).to_json(), study_of(renamed, FOREGROUND_MEAN).to_json()
    for key in ("mean", "lowest", "highest", "sd_between_seeds"):
        assert one[key] == pytest.approx(other[key], rel=1e-12)
    for key in ("paired_t", "wilcoxon", "luck_ratio", "selection_alone"):
        assert one[key] == pytest.approx(other[key], rel=1e-9)
    for part, renamed_part in zip(one["variance"], other["variance"], strict=True):
        assert part["share"] == pytest.approx(renamed_part["share"], rel=1e-9)
    assert one["best_of_many"]["expected_lead"] == pytest.approx(other["best_of_many"]["expected_lead"])
    assert other["best_seed"] == 50 - one["best_seed"]
    assert one["ensembles"][0]["difference"] == pytest.approx(other["ensembles"][0]["difference"])


def test_a_seed_of_five_folds_is_one_complete_pass(values: np.ndarray) -> None:
    by_fold, holdout = (study_of(table_of(values, folds=folds), "a") for folds in (5, None))
    assert replace(by_fold, variance=holdout.variance) == holdout
    assert [part.name for part in by_fold.variance] == ["case", "fold", "seed", "seed in a fold", "residual"]


def test_a_case_predicted_by_two_folds_is_refused(values: np.ndarray) -> None:
    table = table_of(values, folds=5)
    twice = ScoreTable((*table.scores, table.scores[0]._replace(fold=3)))
    with pytest.raises(SegVarianceError, match=r"seed 0 scores case 'case_0', 'a' twice"):
        ScoreCube.of(twice, "recipe", metric_of_column("dice"))


def test_an_incomplete_pass_is_named_and_cases_are_intersected_first(values: np.ndarray) -> None:
    # Five seeds, so that three cases less cost as much as a seed less, and the seed stays.
    table = table_of(values[:5], folds=5)
    lacking = ScoreTable(tuple(s for s in table.scores if not (s.seed == 4 and s.fold == 2)))
    study = study_of(lacking, "a")
    kept = [c for c in range(15) if c % 5 != 2]
    assert (study.incomplete_seeds, study.left_out_seeds) == ((4,), ())
    assert len(study.cases) == 12
    assert {(e.case, e.reason) for e in study.exclusions} == {(f"case_{c}", "no score: seed 4") for c in (2, 7, 12)}
    assert study.mean == pytest.approx(values[:5, kept, 0].mean())


def test_a_seed_whose_run_is_missing_leaves_the_others_their_cases_in_the_study_and_in_the_ensembles_gain(
    values: np.ndarray,
) -> None:
    table = with_ensemble(table_of(values, folds=5), values.max(axis=0))
    lacking = ScoreTable(tuple(s for s in table.scores if not (s.seed == 4 and s.fold == 2)))
    study = study_of(lacking, "a")
    assert (study.incomplete_seeds, study.left_out_seeds) == ((), (4,))
    assert (len(study.cases), study.exclusions) == (15, ())
    kept = [0, 1, 2, 3, 5]
    assert study.mean == pytest.approx(values[kept, :, 0].mean())
    assert study.ensembles[0].cases == 15
    assert study.ensembles[0].single_mean == pytest.approx(values[kept, :, 0].mean())


def test_a_missed_structure_takes_its_case_out_of_distances_for_every_seed_and_is_listed(values: np.ndarray) -> None:
    table = change(
        table_of(values, metric="hd95_mm"),
        lambda s: s.case == "case_3" and s.structure == "a" and s.seed in (1, 2),
        value=None,
        note=MISSED,
    )
    study = study_of(table, "a")
    assert "case_3" not in study.cases and len(study.cases) == 14
    assert [(e.case, e.structure, e.reason) for e in study.exclusions] == [("case_3", "a", "missed: seeds 1, 2")]
    mean = study_of(table, FOREGROUND_MEAN)
    at = mean.cases.index("case_3")
    assert mean.values[:, at] == pytest.approx(values[:, 3, 1])


def test_a_structure_that_all_agree_is_absent_leaves_the_rest_of_its_case_in(values: np.ndarray) -> None:
    table = change(
        table_of(values), lambda s: s.case == "case_5" and s.structure == "b", value=None, note=AGREED_ABSENT
    )
    study = study_of(table, FOREGROUND_MEAN)
    assert study.values[:, study.cases.index("case_5")] == pytest.approx(values[:, 5, 0])
    assert study.exclusions[0].reason == "agreed absent: all seeds"


def test_an_ensemble_is_compared_on_the_cases_that_all_have(values: np.ndarray) -> None:
    ensemble = values.mean(axis=0) + 0.02
    table = change(
        with_ensemble(table_of(values), ensemble),
        lambda s: s.seed is None and s.case == "case_0",
        value=None,
        note=MISSED,
    )
    gain = study_of(table, "a").ensembles[0]
    assert (gain.cases, gain.cases_left_out) == (14, ("case_0",))
    assert gain.difference == pytest.approx(0.02)
    assert gain.seeds_exceeded == np.mean(values[:, 1:, 0].mean(axis=1) < ensemble[1:, 0].mean())


def test_what_cannot_be_studied_is_said_and_the_rest_is_studied(values: np.ndarray) -> None:
    lonely = change(table_of(values[:1]), lambda s: True, configuration="alone")
    both = ScoreTable((*table_of(values).scores, *lonely.scores, lonely.scores[0]._replace(metric="beauty")))
    result = seed_studies(both)
    assert [study.structure for study in result.studies] == [FOREGROUND_MEAN, "a", "b"]
    assert len(result.not_studied) == 4
    assert "'alone': 1 seed(s)" in result.not_studied[0]
    assert "beauty" in result.not_studied[3]


def test_seeds_that_predict_alike_are_studied_without_a_ratio() -> None:
    alike = np.tile(np.random.default_rng(0).uniform(0.5, 1, (1, 10, 1)), (3, 1, 1))
    study = study_of(table_of(alike), "a")
    assert study.paired_t.best_beats == study.wilcoxon.random_pairs == 0
    assert study.luck_ratio is None
    assert findings(study)


def test_the_json_has_numbers_only_that_json_knows(values: np.ndarray) -> None:
    content = seed_studies(with_ensemble(table_of(values, metric="hd95_mm"), values.max(axis=0))).to_json()
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again["studies"][0]["metric"] == {"id": "hd95_mm", "title": "HD95", "unit": "mm"}
    assert again["studies"][1]["ensembles"][0]["ensemble"] == "mean_probability"


def test_sentences_carry_their_numbers_and_judge_the_share_against_selection(values: np.ndarray) -> None:
    study = study_of(table_of(values), "a")
    alone = replace(study.selection_alone, mean=0.2, low=0.0, high=0.4)
    matters = replace(study, paired_t=replace(study.paired_t, best_beats=0.8), selection_alone=alone)
    assert "beats 80 % of its siblings" in best_seed_sentence(matters)
    assert "about 20 % (0 % to 40 %)" in best_seed_sentence(matters)
    assert "the seed itself matters" in best_seed_sentence(matters)
    explained = replace(matters, paired_t=replace(study.paired_t, best_beats=0.4))
    assert "picking the best can explain all of it" in best_seed_sentence(explained)


def test_a_surface_dice_keeps_its_tolerance_in_its_name() -> None:
    metric = metric_of_column("surface_dice_1mm")
    assert (metric.id, metric.title) == ("surface_dice_1mm", "Surface Dice 1mm")


def test_the_mean_lead_if_seeds_made_no_difference_is_what_simulation_gives() -> None:
    generator = np.random.default_rng(8)
    leads = [(m := generator.normal(size=(10, 25)).mean(axis=1)).max() - m.mean() for _ in range(4000)]
    study = study_of(table_of(0.5 + generator.normal(size=(10, 25, 1)) / 20), "a")
    noise = 20 * study.best_of_many.no_effect_lead.value / expected_maximum(10)
    assert np.mean(leads) == pytest.approx(expected_maximum(10) / 5, rel=0.03)
    assert noise == pytest.approx(1 / 5, rel=0.15)
    assert study.best_of_many.no_effect_lead.low < study.best_of_many.no_effect_lead.high


@pytest.mark.parametrize(("share", "text"), [(0, "0 %"), (0.001, "under 1 %"), (0.304, "30 %"), (1, "100 %")])
def test_a_share_that_is_not_zero_never_reads_as_zero(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_matrix_of_a_name_that_is_no_structure_is_refused(values: np.ndarray) -> None:
    cube = ScoreCube.of(table_of(values), "recipe", metric_of_column("dice"))
    with pytest.raises(SegVarianceError, match="'recipe' lacks liver"):
        SeedMatrix.of(cube, "liver")
    with pytest.raises(SegVarianceError, match="They hold: dice of recipe"):
        ScoreCube.of(table_of(values), "other", metric_of_column("dice"))


def test_a_lead_of_which_nothing_can_be_shown_to_last_is_told_without_an_interval_of_nothing() -> None:
    case = np.random.default_rng(1).normal(0, 0.05, (1, 15))
    turned = np.array([np.roll(0.02 * np.cos(2 * np.pi * np.arange(15) / 15), 5 * s) for s in range(3)])
    said = " ".join(findings(study_of(table_of((0.8 + case + turned)[:, :, None]), "a")))
    assert "nothing of such a lead is shown to be the training's own" in said
    assert "0 % to 0 %" not in said
