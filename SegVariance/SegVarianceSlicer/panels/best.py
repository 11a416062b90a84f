"""Which configuration is best, in Compare: the sentence, the candidates, and what to run, behind a click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ..presenter_best import BestPresenter
from ..state_best import BestState
from .filling import fill_table, say


class BestSection:
    """``metric`` gives the column that is asked about."""

    def __init__(self, ui: Any, presenter: BestPresenter, metric: Callable[[], str]):
        self.ui, self._presenter = ui, presenter
        ui.bestButton.connect("toggled(bool)", ui.bestBox.setVisible)
        ui.bestBox.setVisible(False)
        ui.judgeButton.connect("clicked(bool)", lambda checked=False: presenter.judge(metric()))
        ui.openBestButton.connect("clicked(bool)", self._open)
        ui.copyButton.connect("clicked(bool)", self._copy)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: BestState) -> None:
        ui = self.ui
        ui.judgeButton.setEnabled(state.can_judge and not state.busy)
        say(ui.bestSentence, state.busy or state.sentence or state.hint)
        rows = [(row.name, str(row.trainings), row.mean, row.picked) for row in state.rows]
        fill_table(ui.bestTable, rows)
        ui.bestTable.setVisible(bool(rows))
        say(ui.bestMore, "\n\n".join(state.more))
        say(ui.commandLabel, state.command_words if state.command else "")
        ui.commandEdit.setText(state.command)
        for widget in (ui.commandEdit, ui.copyButton):
            widget.setVisible(bool(state.command))
        say(ui.bestProblem, state.problem)

    def _open(self, checked: bool = False) -> None:
        folder = str(qt.QFileDialog.getExistingDirectory(None, "Folder that 'segvariance best' has written") or "")
        if folder:
            self._presenter.read(folder)

    def _copy(self, checked: bool = False) -> None:
        self.ui.commandEdit.selectAll()
        self.ui.commandEdit.copy()
