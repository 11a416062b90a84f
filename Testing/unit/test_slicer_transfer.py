"""What a source is worth, without Qt: the curve and numbers of a transfer study that is open, and the verdicts when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.pretraining_plan import Pretraining, PretrainingPlan
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.study_plan import (
    SCHEMA,
    ChannelPlan,
    Configuration,
    NetworkPlan,
    PreprocessingPlan,
    StudyPlan,
    TrainingPlan,
)
from SegVarianceLib.stats.comparison_words import verdict_sentence
from SegVarianceLib.stats.transfer import transfer_rows, transfer_statistics

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_transfer import TransferPresenter

RECIPE = Configuration(
    "draft",
    "builtin",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NetworkPlan(1, 2, (8, 8, 8), (2, 2, 2), (), (4,)),
    TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
)
SOURCE = Pretraining(
    PretrainingPlan("whole", "segmentation", RECIPE.preprocessing, RECIPE.network, RECIPE.training),
    *("/data", "digest", ("x", "y"), None, None, None, (0, 1, 2), 0.1),
)
MEANS = {
    "whole_5": 0.9,
    "given_5": 0.7,
    "scratch_target_5": 0.6,
    "scratch_total_5": 0.9,
    "whole_10": 0.9,
    "given_10": 0.9,
    "scratch_target_10": 0.9,
    "scratch_total_10": 0.95,
}
STARTS = {"whole": FineTuning(pretraining="whole"), "given": FineTuning("/weights.safetensors", "0" * 64)}
PLAN = StudyPlan(
    *(SCHEMA, "T", "/data", "digest", "holdout", 0, (0, 1, 2)),
    tuple(
        replace(
            RECIPE,
            name=name,
            training_cases=int(name.rsplit("_", 1)[1]),
            fine_tuning=STARTS.get(name.rsplit("_", 1)[0]),
        )
        for name in MEANS
    ),
    *("cpu", 1, False, "none", 1.0, (SOURCE,)),
)


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    rng, lines = np.random.default_rng(0), []
    for name, mean in MEANS.items():
        for seed in range(3):
            for case in range(10):
                who = (name, 0, seed, f"seed_{seed}", f"case_{case:02d}", "core")
                lines.append(Score(*who, "dice", mean + 0.002 * rng.normal()))
                lines.append(Score(*who, "lesion_false_positives", 2.0))
    return ScoreTable(tuple(lines), None)


@pytest.fixture
def study(tmp_path) -> Path:
    PLAN.write(StudyFolder(tmp_path).plan_path)
    return tmp_path


class Soon:
    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


def presenter(study: Path | None, table: ScoreTable, later: Callable = lambda act: act()) -> TransferPresenter:
    made = TransferPresenter(later, lambda: study)
    made.use_table(table)
    return made


def test_where_no_transfer_study_is_open_or_none_is_scored_a_sentence_says_so(study, table, tmp_path):
    assert presenter(None, table).state.hint.startswith("Open a transfer study")
    plain = replace(PLAN, configurations=(RECIPE,), pretrainings=())
    plain.write(tmp_path / "plain" / "plan.json")
    assert presenter(tmp_path / "plain", table).state.hint.startswith("Open a transfer study")
    assert presenter(tmp_path / "nowhere", table).state.hint.startswith("Open a transfer study")
    assert presenter(study, ScoreTable(())).state.hint.startswith("The scores of this transfer study are not there yet")


def test_an_open_study_shows_curves_and_numbers_at_once_and_verdicts_when_asked(study, table):
    transfer = presenter(study, table)
    state = transfer.state
    assert state.sources == (("whole", "whole (segmentation, 2 cases)"), ("given", "given (weights from elsewhere)"))
    assert [curve.name for curve in state.curves] == ["scratch_target", "scratch_total", "whole"]
    assert [point.cases for point in state.curves[-1].points] == [5, 10]
    assert state.curves[-1].points[0].mean == pytest.approx(0.9, abs=0.002)
    assert state.numbers.heads == ("", "whole", "scratch, target", "scratch, total")
    assert [row[0] for row in state.numbers.rows] == ["Dice", "95 %", "False lesions a case"]
    assert state.numbers.rows[-1][1:] == ("2.000",) * 3
    assert state.summary == state.worth == () and not state.judged

    transfer.judge()
    rows = transfer_rows(table, PLAN, "dice", transfer_statistics(table, PLAN, "dice").comparisons)
    first = rows[0].against_target
    assert first is not None and transfer.state.judged and transfer.state.progress is None
    assert transfer.state.worth[0].title == "Same target budget: whole is better beyond re-training luck"
    assert transfer.state.worth[0].sentence == verdict_sentence(first)
    assert transfer.state.summary[0].endswith("same target budget: better with 5 cases; equivalent with 10 cases.")
    assert "Two-way t" in " ".join(transfer.state.method)


def test_another_number_of_cases_and_another_source_are_shown_without_computing_again(study, table):
    transfer = presenter(study, table)
    transfer.judge()
    transfer.choose_cases(10)
    assert transfer.state.worth[1].title.endswith("training from scratch is better beyond re-training luck")
    transfer.choose("given")
    assert (transfer.state.source, transfer.state.cases, len(transfer.state.worth)) == ("given", 10, 1)
    assert transfer.state.summary[-1].startswith("What these weights have cost is not known here")
    transfer.use_table(table)
    assert (transfer.state.source, transfer.state.cases, transfer.state.judged) == ("given", 10, False)


def test_the_verdicts_can_be_stopped_and_the_curves_stay(study, table):
    soon = Soon()
    transfer = presenter(study, table, soon)
    transfer.judge()
    assert transfer.state.progress is not None
    transfer.cancel()
    soon.run()
    assert transfer.state.progress is None and transfer.state.problem.startswith("Stopped")
    assert not transfer.state.judged and transfer.state.curves
    transfer.judge()
    soon.run()
    assert transfer.state.judged and transfer.state.problem == ""


def test_one_training_of_each_cannot_be_compared_and_the_reason_is_given(study, table):
    transfer = presenter(study, ScoreTable(tuple(score for score in table.scores if score.seed == 0)))
    transfer.judge()
    assert not transfer.state.judged and "were trained once" in transfer.state.problem
