"""Scores: the table, its filters, the strip plot, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from ..presenter_scores import ScoresPresenter
from ..state_scores import EVERY, ScoreRow, ScoresState, StripPlot, short_names
from .filling import chosen_in, fill_combo, key_of, quietly, show_progress

_DISPLAY_ROLE, _USER_ROLE = 0, 256  # Qt::DisplayRole and Qt::UserRole
_MEMBER = 2
"""The column of the member, which has its full name as a tool tip."""


class ScoresPanel:
    def __init__(self, widget: Any, presenter: ScoresPresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        self._filled: tuple[ScoreRow, ...] | None = None
        ui = self.ui
        self._strip = StripView(ui.chartHolder, presenter.go_to)
        ui.scoreCaseButton.connect("clicked(bool)", lambda checked=False: presenter.score_case(ui.toleranceSpin.value))
        ui.scoreAllButton.connect("clicked(bool)", lambda checked=False: presenter.score_all(ui.toleranceSpin.value))
        ui.cancelButton.connect("clicked(bool)", lambda checked=False: presenter.cancel())
        ui.structureCombo.connect(
            "activated(int)", lambda index: presenter.choose(structure=chosen_in(ui.structureCombo))
        )
        ui.memberCombo.connect("activated(int)", lambda index: presenter.choose(member=chosen_in(ui.memberCombo)))
        ui.metricCombo.connect("activated(int)", lambda index: presenter.choose(metric=chosen_in(ui.metricCombo)))
        ui.scoresTable.connect("cellClicked(int,int)", self._clicked)
        ui.openButton.connect("clicked(bool)", self._open)
        ui.csvButton.connect("clicked(bool)", self._save_csv)
        ui.reportButton.connect("clicked(bool)", self._write_report)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: ScoresState) -> None:
        ui = self.ui
        fill_combo(ui.structureCombo, _with_every("All structures", state.structures), state.structure)
        fill_combo(ui.memberCombo, _with_every("All members", state.members), state.member)
        fill_combo(ui.metricCombo, [(column.metric, column.title) for column in state.columns], state.metric)
        if state.rows is not self._filled:  # filling again would undo the order that the user has clicked
            self._fill(state)
            self._strip.show(state.plot)
            self._filled = state.rows
        is_working = state.progress is not None
        for button in (ui.csvButton, ui.reportButton):
            button.setEnabled(state.has_scores and not state.busy)
        for button in (ui.scoreCaseButton, ui.scoreAllButton):
            button.setEnabled(bool(state.case) and not is_working)
        show_progress(ui.progressBar, ui.cancelButton, state.progress)
        _say(ui.summaryLabel, state.summary)
        _say(ui.captionLabel, state.plot.caption if state.plot and self._strip.is_there else "")
        _say(ui.busyLabel, state.busy)
        _say(ui.doneLabel, state.done)
        _say(ui.problemLabel, state.problem)

    def _fill(self, state: ScoresState) -> None:
        table = self.ui.scoresTable
        heads = ["Case", "Structure", "Member", *(column.title for column in state.columns), "Note"]
        short = short_names(state.members)
        table.setSortingEnabled(False)
        with quietly(table):
            table.clear()
            table.setColumnCount(len(heads))
            table.setHorizontalHeaderLabels(heads)
            table.setRowCount(len(state.rows))
            for number, row in enumerate(state.rows):
                values = (
                    None if value is None else round(value, column.digits)
                    for value, column in zip(row.values, state.columns, strict=True)
                )
                for column, cell in enumerate((row.case, row.structure, short[row.member], *values, row.note)):
                    if cell is not None:  # a cell without an item stays last in either order
                        item = qt.QTableWidgetItem()
                        item.setData(_DISPLAY_ROLE, cell)
                        table.setItem(number, column, item)
                table.item(number, 0).setData(_USER_ROLE, number)
                table.item(number, _MEMBER).setToolTip(row.member)
            table.resizeColumnsToContents()
        table.horizontalHeader().setSortIndicator(
            -1, qt.Qt.AscendingOrder
        )  # as they come, worst first, until a head is clicked
        table.setSortingEnabled(True)

    def _clicked(self, row: int, column: int) -> None:
        shown = self._presenter.state.rows[int(key_of(self.ui.scoresTable.item(row, 0)))]
        self._presenter.go_to(shown.case, shown.structure, shown.member)

    def _open(self, checked: bool = False) -> None:
        _with_path(qt.QFileDialog.getOpenFileName(None, "Open scores", "", "Scores (*.csv)"), self._presenter.read)

    def _save_csv(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getSaveFileName(None, "Save scores", "scores.csv", "Scores (*.csv)")
        _with_path(chosen, self._presenter.export_csv)

    def _write_report(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getSaveFileName(None, "Write report", "report.html", "Web page (*.html)")
        _with_path(chosen, self._presenter.export_report)


class StripView:
    """The strip plot in a chart view of ctk, whose points can be clicked; where there is none, its place is hidden."""

    def __init__(self, holder: Any, go_to: Callable[[str, str, str], object]):
        self._holder, self._go_to = holder, go_to
        self._view: Any = None
        self._chart: Any = None
        if hasattr(ctk, "ctkVTKChartView"):
            self._view = ctk.ctkVTKChartView()
            holder.layout().addWidget(self._view)
            self._view.renderWindow().GetInteractor().AddObserver("LeftButtonReleaseEvent", self._clicked)

    @property
    def is_there(self) -> bool:
        return self._view is not None

    def show(self, plot: StripPlot | None) -> None:
        self._holder.setVisible(plot is not None and self.is_there)
        self._chart = None
        if plot is not None and self.is_there:
            from SegVarianceLib.scene.charts import StripChart  # vtk, which is there where the view is

            self._chart = StripChart(self._view.chart(), plot.table, plot.metric, plot.colours, plot.bands)
            self._view.renderWindow().Render()

    def _clicked(self, interactor: Any, event: str) -> None:
        found = None if self._chart is None else self._chart.nearest(*interactor.GetEventPosition())
        if found is not None:
            self._go_to(*found)


def _with_every(every: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(EVERY, every), *((name, name) for name in names)] if names else []


def _say(label: Any, sentence: str) -> None:
    label.setText(sentence)
    label.setVisible(bool(sentence))


def _with_path(chosen: Any, use: Callable[[str], object]) -> None:
    """A file dialog's answer: the name alone in PythonQt, with the filter in other bindings, empty where nothing was chosen."""
    path = chosen[0] if isinstance(chosen, tuple) else chosen
    if path:
        use(str(path))
