"""Environment: the Python that trainings run in, one button that builds it, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..environment import COMPUTE
from ..presenter_environment import EnvironmentPresenter
from ..state_environment import EnvironmentState
from .filling import chosen_in, fill_combo


class EnvironmentPanel:
    def __init__(self, widget: Any, presenter: EnvironmentPresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        ui = self.ui
        ui.folderButton.connect("clicked(bool)", self._choose_folder)
        ui.baseCombo.connect("activated(int)", lambda index: presenter.choose(base=chosen_in(ui.baseCombo)))
        ui.baseButton.connect("clicked(bool)", self._choose_base)
        ui.computeCombo.connect("activated(int)", lambda index: presenter.choose(compute=chosen_in(ui.computeCombo)))
        ui.buildButton.connect("clicked(bool)", self._build)
        ui.checkButton.connect("clicked(bool)", lambda checked=False: presenter.check())
        ui.cancelButton.connect("clicked(bool)", lambda checked=False: presenter.cancel())
        ui.ownButton.connect("clicked(bool)", self._choose_own)
        ui.builtButton.connect("clicked(bool)", lambda checked=False: presenter.use_built())
        ui.logButton.connect("toggled(bool)", ui.logEdit.setVisible)
        ui.logEdit.setVisible(False)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: EnvironmentState) -> None:
        ui = self.ui
        ui.sentenceLabel.setText(state.sentence)
        ui.folderEdit.setText(state.folder)
        fill_combo(ui.baseCombo, [(path, path) for path in state.bases], state.base)
        fill_combo(ui.computeCombo, list(COMPUTE.items()), state.compute)
        for widget in (ui.folderButton, ui.baseCombo, ui.baseButton, ui.computeCombo, ui.buildButton, ui.ownButton):
            widget.setEnabled(not state.busy)
        ui.buildButton.setText(state.build_text)
        ui.checkButton.setEnabled(state.can_check)
        ui.cancelButton.setEnabled(state.busy)
        ui.builtButton.setVisible(bool(state.own_python))
        ui.builtButton.setEnabled(not state.busy)
        ui.progressBar.setVisible(state.busy)
        ui.progressBar.setValue(state.percent)
        ui.problemLabel.setText(state.problem)
        ui.problemLabel.setVisible(bool(state.problem))
        log = "\n".join(state.log)
        if log != ui.logEdit.plainText:
            ui.logEdit.setPlainText(log)
            ui.logEdit.verticalScrollBar().setValue(ui.logEdit.verticalScrollBar().maximum)

    def _build(self, checked: bool = False) -> None:
        title = f"{self._presenter.state.build_text} the environment"
        if slicer.util.confirmOkCancelDisplay(self._presenter.question(), title):
            self._presenter.build()

    def _choose_folder(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, "Folder of the environment")
        if folder:
            self._presenter.choose(folder=str(folder))

    def _choose_base(self, checked: bool = False) -> None:
        if python := _python_program():
            self._presenter.choose(base=python)

    def _choose_own(self, checked: bool = False) -> None:
        if python := _python_program():
            self._presenter.use_python(python)


def _python_program() -> str:
    chosen = qt.QFileDialog.getOpenFileName(None, "Python program")
    return str((chosen[0] if isinstance(chosen, tuple) else chosen) or "")  # PythonQt returns the name alone
