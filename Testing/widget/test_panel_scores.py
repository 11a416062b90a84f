"""The Scores panel on its .ui file: what it fills, how it sorts, and where a click leads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import shim
from SegVarianceSlicer.panels.scores import ScoresPanel
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.presenter_scores import ScoresPresenter

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import MISSED, Score, ScoreTable


class Nowhere:
    """A scene in which nothing is open."""

    most_shown = 6


class Places:
    def __init__(self) -> None:
        self.visited: list[tuple[str, str, str]] = []

    def go_to(self, case: str, structure: str, member: str, then: Any, failed: Any) -> None:
        if case == "c3":
            failed(SegVarianceError("Case c3 is not among the cases. Open its folder."))
        else:
            self.visited.append((case, structure, member))
            then()


def table() -> ScoreTable:
    """Three trainings, four cases, two structures; seed 1 missed b of c2 and so has no distance there."""
    dice = 0.9 - np.random.default_rng(5).random((3, 4, 2)) / 5
    lines = []
    for (seed, case, structure), value in np.ndenumerate(dice):
        who = ("base", None, seed, f"seed_{seed}", f"c{case}", "ab"[structure])
        missed = (seed, case, structure) == (1, 2, 1)
        lines.append(Score(*who, "dice", 0.0 if missed else float(value), MISSED if missed else ""))
        lines.append(Score(*who, "hd95_mm", None if missed else float(100 * (1 - value)), MISSED if missed else ""))
    return ScoreTable(tuple(lines))


@pytest.fixture
def panel(load, tmp_path: Path) -> ScoresPanel:
    table().write(tmp_path / "scores.csv")
    presenter = ScoresPresenter(ReviewSession(Nowhere()), Places(), lambda action: action())
    made = ScoresPanel(load("scores"), presenter)
    presenter.read(str(tmp_path))
    return made


def cells(panel: ScoresPanel, column: int) -> list:
    """What stands in a column from top to bottom, None where nothing does."""
    scores = panel.ui.scoresTable
    items = [scores.item(row, column) for row in range(scores.rowCount)]
    return [None if item is None else item.data(0) for item in items]


def click(panel: ScoresPanel, row: int, column: int = 3) -> None:
    panel.ui.scoresTable.wrapped.cellClicked.emit(row, column)


def test_before_there_are_scores_nothing_can_be_saved(load) -> None:
    presenter = ScoresPresenter(ReviewSession(Nowhere()), Places(), lambda action: action())
    ui = ScoresPanel(load("scores"), presenter).ui
    assert not ui.csvButton.enabled and not ui.reportButton.enabled and not ui.scoreCaseButton.enabled
    assert ui.summaryLabel.text.startswith("No scores yet")


def test_the_table_has_a_row_for_each_case_structure_and_member_worst_first(panel: ScoresPanel) -> None:
    scores = panel.ui.scoresTable
    heads = [scores.horizontalHeaderItem(column).text() for column in range(scores.columnCount)]
    assert heads == ["Case", "Structure", "Member", "Dice", "HD95 (mm)", "Note"]
    assert scores.rowCount == 3 * 4 * 2
    assert [cells(panel, column)[0] for column in range(6)] == ["c2", "b", "seed_1", 0.0, None, MISSED]
    assert scores.item(0, 2).toolTip() == "base/seed_1"
    assert cells(panel, 3) == sorted(cells(panel, 3))


def test_numbers_sort_as_numbers_and_what_has_no_value_stays_last_in_either_order(panel: ScoresPanel) -> None:
    for order, backwards in ((qt.Qt.AscendingOrder, False), (qt.Qt.DescendingOrder, True)):
        panel.ui.scoresTable.sortByColumn(4, order)
        *measured, last = cells(panel, 4)
        assert last is None and measured == sorted(measured, reverse=backwards)
    assert max(measured) > 10 > 9.99 > 0  # as text, 10 would come before 9


def test_a_click_goes_to_the_row_as_it_is_sorted_now_and_leaves_the_order_alone(panel: ScoresPanel) -> None:
    panel.ui.scoresTable.sortByColumn(4, qt.Qt.DescendingOrder)
    before = cells(panel, 4)
    row = next(row for row in range(24) if cells(panel, 0)[row] != "c3" and row > 2)
    click(panel, row)
    case, structure, member = (cells(panel, column)[row] for column in range(3))
    assert panel._presenter._places.visited == [(case, structure, f"base/{member}")]
    assert cells(panel, 4) == before


def test_a_click_that_leads_nowhere_is_said_in_the_panel(panel: ScoresPanel) -> None:
    click(panel, cells(panel, 0).index("c3"))
    assert panel.ui.problemLabel.text == "Case c3 is not among the cases. Open its folder."


def test_a_filter_chosen_in_the_menu_narrows_the_table(panel: ScoresPanel) -> None:
    combo = panel.ui.structureCombo
    combo.setCurrentIndex(2)
    combo.wrapped.activated.emit(2)
    assert set(cells(panel, 1)) == {"b"} and len(cells(panel, 1)) == 12
    assert combo.currentText == "b"


def test_the_metric_chosen_in_the_menu_orders_the_table(panel: ScoresPanel) -> None:
    panel.ui.metricCombo.setCurrentIndex(1)
    panel.ui.metricCombo.wrapped.activated.emit(1)
    first, *measured = cells(panel, 4)
    assert first is None and measured == sorted(measured, reverse=True)


@pytest.mark.parametrize("as_pythonqt", [True, False])
def test_what_is_shown_is_saved_where_the_dialog_says(
    panel: ScoresPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_pythonqt: bool
) -> None:
    path = str(tmp_path / "saved.csv")
    monkeypatch.setattr(
        shim.QtWidgets.QFileDialog, "getSaveFileName", lambda *given: path if as_pythonqt else (path, "")
    )
    panel.ui.csvButton.click()
    assert ScoreTable.read(Path(path)).scores == table().scores
    assert "saved.csv" in panel.ui.doneLabel.text


def test_a_dialog_that_is_closed_saves_nothing(panel: ScoresPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim.QtWidgets.QFileDialog, "getSaveFileName", lambda *given: ("", ""))
    panel.ui.reportButton.click()
    assert panel.ui.doneLabel.text == "" and panel.ui.problemLabel.text == ""


def test_a_picture_of_the_panel_can_be_taken(panel: ScoresPanel, picture) -> None:
    assert picture(panel._widget, "scores").stat().st_size > 5000


def test_while_something_is_worked_out_there_is_a_bar_and_a_way_to_stop(panel: ScoresPanel, picture) -> None:
    state = panel._presenter.state
    said = "Working out the statistics of the report… About 40 s left."
    panel.show(replace(state, busy=said, progress=0.3, case="c0"))
    assert panel.ui.busyLabel.text == said and panel.ui.progressBar.value == 30
    assert not panel.ui.reportButton.enabled and not panel.ui.scoreAllButton.enabled
    assert not panel.ui.cancelButton.isHidden()
    assert picture(panel._widget, "scores_working").stat().st_size > 5000
    panel.show(state)
    assert panel.ui.cancelButton.isHidden() and panel.ui.reportButton.enabled


def test_a_report_is_stopped_by_the_button(load, tmp_path: Path) -> None:
    table().write(tmp_path / "scores.csv")
    waiting: list = []
    presenter = ScoresPresenter(ReviewSession(Nowhere()), Places(), waiting.append)
    widget = load("scores")
    ui = ScoresPanel(widget, presenter).ui
    presenter.read(str(tmp_path))
    presenter.export_report(str(tmp_path / "report.html"))
    assert not ui.cancelButton.isHidden()
    ui.cancelButton.click()
    while waiting:
        waiting.pop(0)()
    assert ui.cancelButton.isHidden() and not (tmp_path / "report.html").exists()
