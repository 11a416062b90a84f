"""What sources are worth, from crafted scores: which pairs are compared, and what the report says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.pretraining_plan import Pretraining, PretrainingPlan
from SegVarianceLib.plan.study_plan import (
    SCHEMA,
    ChannelPlan,
    Configuration,
    NetworkPlan,
    PreprocessingPlan,
    StudyPlan,
    TrainingPlan,
)
from SegVarianceLib.report.transfer_section import SourceCost, Transfer, transfer_section, transfer_tables
from SegVarianceLib.stats.comparison import Verdict
from SegVarianceLib.stats.transfer import transfer_rows, transfer_statistics

RECIPE = Configuration(
    "draft",
    "builtin",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NetworkPlan(1, 2, (8, 8, 8), (2, 2, 2), (), (4,)),
    TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
)
SOURCE = Pretraining(
    PretrainingPlan("whole", "segmentation", RECIPE.preprocessing, RECIPE.network, RECIPE.training),
    *("/data", "digest", ("x",), None, None, None, (0, 1, 2, 3), 0.1),
)
MEANS = {"whole_5": 0.9, "scratch_target_5": 0.6, "scratch_total_5": 0.9, "whole_10": 0.9, "scratch_target_10": 0.9, "scratch_total_10": 0.95}  # fmt: skip
CELLS = tuple(
    replace(
        RECIPE,
        name=name,
        training_cases=int(name.rsplit("_", 1)[1]),
        fine_tuning=FineTuning(pretraining="whole") if name.startswith("whole") else None,
    )
    for name in MEANS
)
PLAN = StudyPlan(
    SCHEMA, "T", "/data", "digest", "holdout", 0, (0, 1, 2, 3), CELLS, "cpu", 1, False, "none", 1.0, (SOURCE,)
)  # fmt: skip


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    rng = np.random.default_rng(0)
    return ScoreTable(
        tuple(
            Score(name, 0, seed, f"seed_{seed}", f"case_{case:02d}", "core", "dice", mean + 0.002 * rng.normal())
            for name, mean in MEANS.items()
            for seed in range(4)
            for case in range(12)
        ),
        None,
    )


def test_each_source_is_compared_with_both_trainings_from_scratch_on_as_many_cases_and_nothing_else(table):
    found = transfer_statistics(table, PLAN, "dice").comparisons
    assert found is not None
    assert [(c.a.name, c.b.name) for c in found.primary] == [
        ("whole_5", "scratch_target_5"),
        ("whole_5", "scratch_total_5"),
        ("whole_10", "scratch_target_10"),
        ("whole_10", "scratch_total_10"),
    ]
    assert {c.family for c in found.primary} == {4}
    assert [c.verdict for c in found.primary] == [
        Verdict.BETTER, Verdict.EQUIVALENT, Verdict.EQUIVALENT, Verdict.BETTER,
    ]  # fmt: skip
    assert found.primary[3].leader.name == "scratch_total_10"


def test_rows_hold_means_with_intervals_and_stand_in_the_tables_of_the_report(table):
    comparisons = transfer_statistics(table, PLAN, "dice").comparisons
    rows = transfer_rows(table, PLAN, "dice", comparisons)
    assert [(row.source, row.cases) for row in rows[:3]] == [("whole", 5), ("scratch_target", 5), ("scratch_total", 5)]
    for row, mean in zip(rows, MEANS.values(), strict=True):
        assert row.score.low < row.score.value < row.score.high
        assert row.score.value == pytest.approx(mean, abs=0.002)
    assert rows[1].against_target is None and rows[1].others == {}
    found = Transfer(rows, (SourceCost("whole", "segmentation", 1, 10, 4, 30.0, 8),))
    cells, metrics, costs = transfer_tables(found)
    assert cells.rows[0][-3] == "whole better" and metrics.rows == ()
    assert costs.rows[0][-1] == 3.75
    page = str(transfer_section(found))
    assert (page.count('class="curve"'), page.count('class="grey-curve')) == (1, 2), "the source over both from scratch"
    assert "Against training from scratch, same target budget: better with 5 cases; equivalent with 10 cases." in page
    assert "Against training from scratch, same total budget: equivalent with 5 cases; worse with 10 cases." in page
    assert str(transfer_section(None)) == ""


def test_detection_stands_beside_dice_and_a_cell_that_lacks_it_stays_empty(table):
    found = [("lesion_f1", 0.5), ("lesion_sensitivity", 0.25), ("lesion_false_positives", 3.0), ("iou", 0.125)]
    lines = (
        Score("whole_5", 0, seed, f"seed_{seed}", f"case_{case:02d}", "core", metric, value)
        for metric, value in found
        for seed in range(4)
        for case in range(12)
    )
    more = ScoreTable((*table.scores, *lines), None)
    rows = transfer_rows(more, PLAN, "dice", transfer_statistics(more, PLAN, "dice").comparisons)
    assert {name: mean.value for name, mean in rows[0].others.items()} == dict(found)
    cells, metrics, _ = transfer_tables(Transfer(rows, ()))
    assert cells.rows[0][6:10] == (0.125, 0.5, 0.25, 3.0) and cells.rows[1][6:10] == (None,) * 4
    assert [row[2] for row in metrics.rows] == ["mIoU", "Lesion F1", "Lesion sensitivity", "False lesions a case"]
