"""The Compare panel without Qt: the answer is the library's own, work can be stopped, and what has no answer says so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.comparison_words import comparison_findings, short_verdict, verdict_title
from SegVarianceLib.stats.comparisons import compare_recipes, comparison_steps
from SegVarianceLib.stats.seed_study import seed_studies

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_compare import ComparePresenter
from SegVarianceSlicer.state_compare import OWN_SEEDS, CompareState


class Soon:
    """Keeps what is to be done later until the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def step(self) -> None:
        self.waiting.pop(0)()

    def run(self) -> None:
        while self.waiting:
            self.step()


def table(gains: dict[str, float], seeds: int = 5, cases: int = 14) -> ScoreTable:
    """Dice and HD95 of two structures by recipe; seeds differ by 0.004 and cases by 0.03."""
    rng = np.random.default_rng(3)
    case = rng.normal(0, 0.03, cases)
    lines = []
    for recipe, gain in gains.items():
        dice = (
            0.8
            + gain
            + case[None, :, None]
            + rng.normal(0, 0.004, (seeds, 1, 1))
            + rng.normal(0, 0.01, (seeds, cases, 2))
        )
        for (seed, number, structure), value in np.ndenumerate(dice):
            who = (recipe, None, seed, f"seed_{seed}", f"c{number:02}", "ab"[structure])
            lines.append(Score(*who, "dice", float(value)))
            lines.append(Score(*who, "hd95_mm", float(20 * (1 - value))))
    return ScoreTable(tuple(lines))


def asked(given: ScoreTable) -> tuple[ComparePresenter, Soon]:
    soon = Soon()
    presenter = ComparePresenter(soon)
    presenter.use_table(given)
    return presenter, soon


def test_steps_of_a_comparison_make_what_the_whole_of_it_makes() -> None:
    given = table({"new": 0.05, "old": 0.0, "third": 0.01})
    steps, shares = comparison_steps(given, ("new", "old", "third"), "dice", further_metrics=("hd95_mm",)), []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            found = end.value
            break
    assert found == compare_recipes(given, ("new", "old", "third"), "dice", further_metrics=("hd95_mm",))
    assert shares == pytest.approx([0, 1 / 6, 2 / 6, 0.5, 4 / 6, 5 / 6])


def test_the_answer_is_the_comparison_of_the_library_in_its_own_words() -> None:
    given = table({"new": 0.05, "old": 0.0})
    presenter, soon = asked(given)
    presenter.compare()
    soon.run()
    answer = presenter.state.answer
    found = compare_recipes(given, ("new", "old"), "dice", 0.01, further_metrics=("dice", "hd95_mm"))
    c = found.primary[0]
    assert answer is not None and answer.title == verdict_title(c) == "new is better beyond re-training luck"
    assert (answer.sentence, *answer.sure)[: len(comparison_findings(c))] == comparison_findings(c)
    assert "Two-way t: standard error" in " ".join(answer.method)
    assert answer.number.startswith("+0.0") and answer.number.endswith(" Dice")
    assert answer.interval.startswith("95 % interval +0.0") and answer.interval.endswith("new minus old")
    assert [row[0] for row in answer.structures.rows] == ["foreground mean", "a", "b"]
    of_structures = [short_verdict(each) for each in found.by_structure if each.metric.id == "dice"]
    assert [row[2] for row in answer.structures.rows] == [short_verdict(c), *of_structures]
    assert [row[0] for row in answer.usual.rows] == ["paired t-test", "Wilcoxon's test"]


def test_charts_hold_the_numbers_of_the_seed_studies() -> None:
    given = table({"new": 0.05, "old": 0.0})
    presenter, soon = asked(given)
    presenter.compare()
    soon.run()
    charts = presenter.state.answer.charts
    studies = {(s.configuration, s.structure): s for s in seed_studies(given.where(metric="dice")).studies}
    new, old = charts.caterpillars
    assert [row.mean for row in new.rows] == sorted(
        (s.mean for s in studies["new", "foreground mean"].seeds), reverse=True
    )
    assert new.rows[0].is_best and not any(row.is_best for row in new.rows[1:])
    assert old.mean == studies["old", "foreground mean"].mean
    assert [box.label for box in charts.boxes] == ["a, new", "a, old", "b, new", "b, old"]
    assert [box.position for box in charts.boxes] == sorted({box.position for box in charts.boxes})
    assert charts.boxes[0].quantiles[2] == pytest.approx(np.median(studies["new", "a"].values))
    low, high = charts.boxes[0].band
    t_of_4 = 2.776445105  # 97.5 % of Student's t with 4 degrees of freedom
    assert high - low == pytest.approx(t_of_4 * np.sqrt(2) * studies["new", "a"].sd_between_seeds)
    assert sum(bar.share for bar in charts.variance) == pytest.approx(1)


def test_of_a_distance_the_shortest_is_the_best_seed_and_luck_lies_below_the_mean() -> None:
    presenter, soon = asked(table({"only": 0.0}))
    presenter.choose_metric("hd95_mm")
    presenter.compare()
    soon.run()
    (found,) = presenter.state.answer.charts.caterpillars
    assert [row.mean for row in found.rows] == sorted(row.mean for row in found.rows) and found.rows[0].is_best
    assert found.luck_low < found.luck_high < found.mean
    assert presenter.state.answer.charts.unit == "HD95 (mm)"


def test_a_single_recipe_is_asked_about_its_own_seeds() -> None:
    presenter, soon = asked(table({"only": 0.0}))
    assert presenter.state.second == OWN_SEEDS
    presenter.compare()
    soon.run()
    answer = presenter.state.answer
    assert answer.title == "only: what the luck of one training does"
    assert answer.sentence.startswith("Two trainings of the same recipe were called 'significantly' different in ")
    assert [row[0] for row in answer.structures.rows] == ["foreground mean", "a", "b"]


def test_a_recipe_against_itself_is_the_question_of_its_seeds() -> None:
    presenter, _ = asked(table({"new": 0.05, "old": 0.0}))
    presenter.choose(first="old")
    assert (presenter.state.first, presenter.state.second) == ("old", OWN_SEEDS)
    presenter.choose(second="new")
    assert (presenter.state.first, presenter.state.second) == ("old", "new")


@pytest.mark.parametrize("recipes", [{"new": 0.05, "old": 0.0}, {"only": 0.0}])
def test_one_training_each_is_answered_by_one_sentence(recipes: dict[str, float]) -> None:
    presenter, soon = asked(table(recipes, seeds=1))
    presenter.compare()
    soon.run()
    answer = presenter.state.answer
    assert answer.title == "This cannot be answered yet" and not answer.number
    assert "train" in answer.sentence.lower() and "\n" not in answer.sentence
    assert presenter.state.problem == "" and presenter.state.progress is None


def test_scores_without_a_recipe_give_one_sentence_and_nothing_to_ask() -> None:
    presenter, soon = asked(ScoreTable(()))
    assert presenter.state == CompareState() and not presenter.state.can_ask
    assert presenter.state.hint.startswith("There are no scores to compare yet.")
    presenter.compare()
    assert presenter.state == CompareState() and not soon.waiting


def test_progress_rises_and_cancel_stops_it_for_good() -> None:
    presenter, soon = asked(table({"new": 0.05, "old": 0.0}))
    shown: list[CompareState] = []
    presenter.show = shown.append
    presenter.compare()
    soon.step()
    soon.step()
    shares = [state.progress for state in shown]
    assert shares == sorted(shares) and 0 < shares[-1] < 1
    assert not presenter.state.can_ask
    presenter.cancel()
    soon.run()
    assert presenter.state.answer is None and presenter.state.progress is None
    assert presenter.state.problem == "Stopped before there was an answer." and presenter.state.can_ask


def test_asked_anew_after_cancel_it_answers() -> None:
    presenter, soon = asked(table({"new": 0.05, "old": 0.0}))
    presenter.compare()
    presenter.cancel()
    presenter.compare()
    soon.run()
    assert presenter.state.answer is not None and presenter.state.problem == ""


def test_another_question_takes_the_answer_and_the_work_away() -> None:
    presenter, soon = asked(table({"new": 0.05, "old": 0.0}))
    presenter.compare()
    soon.run()
    presenter.choose_smallest_difference(0.2)
    assert presenter.state.answer is None
    presenter.compare()
    soon.step()
    presenter.choose_metric("hd95_mm")
    soon.run()
    assert presenter.state.answer is None and presenter.state.progress is None
    assert (presenter.state.smallest_difference, presenter.state.unit) == (1.0, "mm")


def test_the_smallest_difference_decides_what_is_equivalent() -> None:
    presenter, soon = asked(table({"new": 0.05, "old": 0.0}))
    assert (presenter.state.smallest_difference, presenter.state.unit) == (0.01, "")
    presenter.choose_smallest_difference(0.2)
    presenter.compare()
    soon.run()
    assert presenter.state.answer.title == "new and old are equivalent for your purpose"


def test_a_senseless_smallest_difference_is_one_sentence() -> None:
    presenter, soon = asked(table({"new": 0.05, "old": 0.0}))
    presenter.choose_smallest_difference(0.0)
    presenter.compare()
    soon.run()
    assert presenter.state.problem.startswith("The smallest difference that matters must be above 0")
    assert presenter.state.can_ask


def test_another_table_keeps_the_question_as_far_as_it_can() -> None:
    presenter, _ = asked(table({"new": 0.05, "old": 0.0}))
    presenter.choose(first="old", second="new")
    presenter.choose_smallest_difference(0.02)
    presenter.use_table(table({"third": 0.0, "old": 0.0}))
    state = presenter.state
    assert (state.first, state.second, state.smallest_difference) == ("old", "third", 0.02)
