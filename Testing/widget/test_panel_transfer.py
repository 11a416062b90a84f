"""The Transfer panel on its .ui file: a source, its curve, its worth in words, the numbers, and the method behind a click."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from SegVarianceSlicer.panels.transfer import TransferPanel
from SegVarianceSlicer.presenter_transfer import TransferPresenter
from test_review_panels import choose, picture_colours

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from test_slicer_transfer import study, table  # noqa: F401 (fixtures)


def is_shown(widget) -> bool:
    """Whether it would be seen if the panel were on screen."""
    return not widget.wrapped.isHidden()


@pytest.fixture
def panel(load, study, table) -> TransferPanel:  # noqa: F811 (the fixture by its name)
    presenter = TransferPresenter(lambda act: act(), lambda: study)
    made = TransferPanel(load("transfer"), presenter)
    presenter.use_table(table)
    return made


def test_without_a_transfer_study_there_is_a_sentence_and_nothing_else(load):
    ui = TransferPanel(load("transfer"), TransferPresenter(lambda act: act())).ui
    assert ui.hintLabel.text.startswith("Open a transfer study")
    parts = (ui.sourceBox, ui.casesBox, ui.judgeButton, ui.summaryLabel, ui.progressBar, ui.stopButton, ui.problemLabel)
    assert not any(map(is_shown, parts))


def test_the_curve_is_there_at_once_the_verdict_after_a_click_and_the_method_after_another(panel, picture):
    ui = panel.ui
    assert not is_shown(ui.hintLabel) and is_shown(ui.curvePicture) and not is_shown(ui.firstTitle)
    assert ui.numbersTable.columnCount == 4 and ui.numbersTable.item(0, 1).text() == "0.900"
    ui.judgeButton.click()
    assert not is_shown(ui.judgeButton)
    assert ui.firstTitle.text.endswith("whole is better beyond re-training luck")
    assert ui.firstNumber.text.startswith("+0.") and ui.firstNumber.text.endswith("Dice")
    assert ui.summaryLabel.text.startswith("Against training from scratch")
    assert not is_shown(ui.methodLabel)
    assert picture_colours(picture(panel._widget, "panel_transfer")) > 20
    ui.methodButton.click()
    assert is_shown(ui.methodLabel) and "Two-way t" in ui.methodLabel.text


def test_another_source_and_number_of_cases_are_chosen_from_the_menus(panel):
    ui = panel.ui
    ui.judgeButton.click()
    choose(ui.casesCombo, "10")
    assert ui.secondTitle.text.endswith("training from scratch is better beyond re-training luck")
    choose(ui.sourceCombo, "given (weights from elsewhere)")
    assert not is_shown(ui.secondTitle) and "cost is not known" in ui.summaryLabel.text
    assert ui.numbersTable.wrapped.horizontalHeaderItem(1).text() == "given"
