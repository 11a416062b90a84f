"""Adapt: choose networks, start and stop, what moved in ml, and both masks side by side."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..presenter_adapt import AdaptPresenter
from ..state_adapt import AdaptState
from .filling import fill_table, key_of, quietly, say, show_progress


class AdaptPanel:
    def __init__(self, widget: Any, presenter: AdaptPresenter):
        self.ui = ui = slicer.util.childWidgetVariables(widget)
        self._presenter = presenter
        ui.modelEdit.connect("textChanged(QString)", lambda text: presenter.wish(model=str(text).strip()))
        ui.modelButton.connect("clicked(bool)", self._choose)
        ui.minutesSpin.connect("valueChanged(int)", lambda value: presenter.wish(minutes=value))
        ui.startButton.connect("clicked(bool)", lambda checked=False: presenter.start())
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        ui.showButton.connect("clicked(bool)", lambda checked=False: presenter.show_result())
        ui.movedTable.connect("cellClicked(int,int)", lambda row, column: presenter.go_to(self._structure(row)))
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: AdaptState) -> None:
        ui = self.ui
        if str(ui.modelEdit.text).strip() != state.model:  # else the cursor would jump while somebody types
            with quietly(ui.modelEdit):
                ui.modelEdit.setText(state.model)
        with quietly(ui.minutesSpin):
            ui.minutesSpin.setValue(state.minutes)
        ui.caseLabel.setText(state.case or "none is open")
        ui.startButton.setEnabled(state.can_start)
        ui.startButton.setText(state.start_text)
        show_progress(ui.progressBar, ui.stopButton, state.share)
        ui.stopButton.setEnabled(state.can_stop)
        say(ui.sentenceLabel, state.sentence)
        say(ui.warningLabel, "\n".join(f"• {warning}" for warning in state.warnings))
        say(ui.problemLabel, state.problem)
        say(ui.neighboursLabel, state.neighbours)
        rows = [
            (
                each.structure,
                each.initial_ml,
                each.adapted_ml,
                each.added_ml,
                each.removed_ml,
                "" if each.agreement is None else each.agreement,
            )
            for each in state.rows
        ]
        fill_table(ui.movedTable, rows, keys=[each.structure for each in state.rows])
        for widget in (ui.movedTable, ui.movedLabel, ui.showButton):
            widget.setVisible(bool(rows))
        ui.showButton.setEnabled(state.can_show)

    def _structure(self, row: int) -> str:
        return key_of(self.ui.movedTable.item(row, 0))

    def _choose(self, checked: bool = False) -> None:
        folder = str(qt.QFileDialog.getExistingDirectory(None, "Study, or a run of it") or "")
        if folder:
            self._presenter.wish(model=folder)
