"""Open: folders, what was found in them, and the button that opens it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

from ..presenter_open import OpenPresenter
from ..state_review import OpenState
from .filling import fill_table, show_progress


class OpenPanel:
    """``make_sample`` returns the folder of the sample data, which it makes where there is none."""

    def __init__(self, widget: Any, presenter: OpenPresenter, make_sample: Callable[[], str]):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter, self._make_sample = widget, presenter, make_sample
        ui = self.ui
        ui.addFolderButton.connect("clicked(bool)", self._add_folder)
        ui.clearFoldersButton.connect("clicked(bool)", lambda checked=False: presenter.look_into(()))
        ui.sampleButton.connect("clicked(bool)", self._open_sample)
        ui.imagesButton.connect("clicked(bool)", lambda checked=False: self._choose_into(ui.imagesEdit))
        ui.referencesButton.connect("clicked(bool)", lambda checked=False: self._choose_into(ui.referencesEdit))
        for edit in (ui.patternEdit, ui.imagesEdit, ui.referencesEdit):
            edit.connect("returnPressed()", self._look_again_with_options)
        ui.confirmButton.connect("clicked(bool)", lambda checked=False: presenter.confirm())
        ui.cancelButton.connect("clicked(bool)", lambda checked=False: presenter.cancel())
        ui.againButton.connect("clicked(bool)", lambda checked=False: presenter.look_again())
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: OpenState) -> None:
        ui = self.ui
        ui.folderList.clear()
        ui.folderList.addItems(list(state.folders))
        ui.patternEdit.setText(state.pattern)
        ui.patternEdit.setPlaceholderText(state.guessed_pattern or "guessed")
        ui.imagesEdit.setText(state.images)
        ui.referencesEdit.setText(state.references)
        ui.foundLabel.setText(state.found if state.folders else "Add a folder of predictions, or try the sample data.")
        ui.foundLabel.setVisible(bool(state.found) or not state.folders)
        ui.guessLabel.setText(state.guess)
        ui.guessLabel.setVisible(bool(state.guess))
        fill_table(ui.memberTable, [(row.title, row.cases, row.example) for row in state.members])
        ui.memberTable.setVisible(bool(state.members))
        ui.problemList.clear()
        ui.problemList.addItems(list(state.problems))
        ui.problemList.setVisible(bool(state.problems))
        ui.problemsTitle.setVisible(bool(state.problems))
        ui.confirmButton.setEnabled(state.can_confirm and state.progress is None)
        show_progress(ui.progressBar, ui.cancelButton, state.progress)
        ui.busyLabel.setText(state.busy)
        ui.busyLabel.setVisible(bool(state.busy))
        ui.againButton.setEnabled(state.is_open)
        ui.landedLabel.setText(state.landed)
        ui.landedLabel.setVisible(bool(state.landed))

    def _add_folder(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, "Folder of predictions")
        if folder:
            self._look_into((*self._presenter.state.folders, str(folder)))

    def _choose_into(self, edit: Any) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, "Folder")
        if folder:
            edit.setText(str(folder))
            self._look_again_with_options()

    def _look_again_with_options(self) -> None:
        self._look_into(self._presenter.state.folders)

    def _look_into(self, folders: tuple[str, ...]) -> None:
        ui = self.ui
        self._presenter.look_into(
            folders, ui.patternEdit.text.strip(), ui.imagesEdit.text.strip(), ui.referencesEdit.text.strip()
        )

    def _open_sample(self, checked: bool = False) -> None:
        self._presenter.look_into((self._make_sample(),))
        self._presenter.confirm()
