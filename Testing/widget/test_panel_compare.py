"""The Compare panel on its .ui file: the question, the answer in order of importance, and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from SegVarianceSlicer.panels.compare import ComparePanel
from SegVarianceSlicer.presenter_compare import ComparePresenter

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.comparison_words import verdict_sentence, verdict_title
from SegVarianceLib.stats.comparisons import compare_recipes


def table(seeds: int = 4) -> ScoreTable:
    rng = np.random.default_rng(3)
    case = rng.normal(0, 0.03, 12)
    lines = []
    for recipe, gain in (("new", 0.05), ("old", 0.0)):
        dice = 0.8 + gain + case[None, :, None] + rng.normal(0, 0.01, (seeds, 12, 2))
        for (seed, number, structure), value in np.ndenumerate(dice):
            who = (recipe, None, seed, f"seed_{seed}", f"c{number:02}", "ab"[structure])
            lines += [Score(*who, "dice", float(value)), Score(*who, "hd95_mm", float(20 * (1 - value)))]
    return ScoreTable(tuple(lines))


class Soon:
    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


@pytest.fixture
def soon() -> Soon:
    return Soon()


@pytest.fixture
def panel(load, soon: Soon) -> ComparePanel:
    presenter = ComparePresenter(soon)
    made = ComparePanel(load("compare"), presenter)
    presenter.use_table(table())
    return made


def is_shown(widget) -> bool:
    """Whether it would be seen if the panel were on screen."""
    return not widget.wrapped.isHidden()


def answered(panel: ComparePanel, soon: Soon) -> ComparePanel:
    panel.ui.compareButton.click()
    soon.run()
    return panel


def choose(combo, index: int) -> None:
    combo.setCurrentIndex(index)
    combo.wrapped.activated.emit(index)


def test_without_scores_nothing_can_be_asked_and_no_answer_is_shown(load, soon: Soon) -> None:
    ui = ComparePanel(load("compare"), ComparePresenter(soon)).ui
    assert not ui.compareButton.enabled
    assert not any(map(is_shown, (ui.titleLabel, ui.structuresTable, ui.sureButton, ui.chartTabs, ui.progressBar)))
    assert ui.sentenceLabel.text.startswith("There are no scores to compare yet.")


def test_the_answer_stands_in_words_with_its_number_and_the_rest_behind_a_click(
    panel: ComparePanel, soon: Soon
) -> None:
    ui = answered(panel, soon).ui
    c = compare_recipes(table(), ("new", "old"), "dice", further_metrics=("hd95_mm",)).primary[0]
    assert (ui.titleLabel.text, ui.sentenceLabel.text) == (verdict_title(c), verdict_sentence(c))
    assert ui.numberLabel.text.endswith("Dice") and "95 % interval" in ui.intervalLabel.text
    assert [ui.structuresTable.item(row, 0).text() for row in range(3)] == ["foreground mean", "a", "b"]
    assert not is_shown(ui.sureBox)
    ui.sureButton.click()
    assert is_shown(ui.sureBox) and "5 % is what they promise" in ui.sureLabel.text
    assert ui.usualTable.item(0, 0).text() == "paired t-test"
    assert not is_shown(ui.methodLabel)
    ui.methodButton.click()
    assert is_shown(ui.methodLabel) and "Two-way t" in ui.methodLabel.text


def test_the_pictures_are_painted(panel: ComparePanel, soon: Soon) -> None:
    ui = answered(panel, soon).ui
    for label in (ui.trainingsPicture, ui.scoresOfPicture, ui.spreadPicture):
        image = label.wrapped.pixmap().toImage()
        colours = {
            image.pixelColor(x, y).name() for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)
        }
        assert image.width() <= 400 and len(colours) > 4


def test_the_smallest_difference_has_the_unit_of_the_metric(panel: ComparePanel) -> None:
    ui = panel.ui
    assert (ui.differenceSpin.value, ui.differenceSpin.suffix) == (0.01, "")
    choose(ui.metricCombo, 1)
    assert (ui.differenceSpin.value, ui.differenceSpin.suffix) == (1.0, " mm")
    ui.differenceSpin.setValue(2.5)
    assert panel._presenter.state.smallest_difference == 2.5


def test_another_question_takes_the_answer_off_the_screen(panel: ComparePanel, soon: Soon) -> None:
    ui = answered(panel, soon).ui
    ui.differenceSpin.setValue(0.2)
    assert not any(map(is_shown, (ui.titleLabel, ui.numberLabel, ui.structuresTable, ui.chartTabs)))
    answered(panel, soon)
    assert ui.titleLabel.text == "new and old are equivalent for your purpose"


def test_while_it_works_it_shows_how_far_it_is_and_can_be_stopped(panel: ComparePanel, soon: Soon) -> None:
    ui = panel.ui
    ui.compareButton.click()
    soon.waiting.pop(0)()
    soon.waiting.pop(0)()
    assert is_shown(ui.progressBar) and 0 < ui.progressBar.value < 100 and not ui.compareButton.enabled
    ui.cancelButton.click()
    soon.run()
    assert not is_shown(ui.progressBar) and not is_shown(ui.titleLabel) and ui.compareButton.enabled
    assert ui.problemLabel.text == "Stopped before there was an answer."


def test_a_recipe_can_be_asked_about_its_own_trainings(panel: ComparePanel, soon: Soon) -> None:
    choose(panel.ui.secondCombo, 1)
    assert not panel.ui.differenceSpin.enabled
    ui = answered(panel, soon).ui
    assert ui.titleLabel.text == "new: what the luck of one training does"


def test_one_training_is_a_plain_sentence_without_numbers_and_pictures(panel: ComparePanel, soon: Soon) -> None:
    panel._presenter.use_table(table(seeds=1))
    ui = answered(panel, soon).ui
    assert ui.titleLabel.text == "This cannot be answered yet" and "trained once" in ui.sentenceLabel.text
    assert not any(map(is_shown, (ui.numberLabel, ui.structuresTable, ui.chartTabs)))


def test_which_configuration_is_best_is_told_behind_a_click(panel: ComparePanel, soon: Soon, picture) -> None:
    ui = panel.ui
    assert not is_shown(ui.bestBox) and not is_shown(ui.bestTable)
    panel._presenter.best._study = lambda: Path("hippocampus")
    ui.bestButton.click()
    ui.judgeButton.click()
    assert ui.bestSentence.text == "Judging the candidates…" and not ui.judgeButton.enabled
    soon.run()
    assert "new has the best mean" in ui.bestSentence.text and "is shown to be better" in ui.bestSentence.text
    assert [ui.bestTable.item(row, 0).text() for row in range(2)] == ["new", "old"]
    assert ui.commandEdit.text == "segvariance best hippocampus --output hippocampus_best"
    ui.copyButton.click()
    assert picture(panel._widget, "compare_best").stat().st_size > 5000
    panel._presenter.use_table(table(seeds=1))
    assert not is_shown(ui.bestTable)
    ui.judgeButton.click()
    soon.run()
    assert "Train at least two seeds" in ui.bestProblem.text


def test_a_picture_of_the_panel_can_be_taken(panel: ComparePanel, soon: Soon, picture) -> None:
    assert picture(answered(panel, soon)._widget, "compare").stat().st_size > 10000
