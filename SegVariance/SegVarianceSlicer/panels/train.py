"""Train: what is wished, what it will cost, start and stop, and how far every training is."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..presenter_training import TrainingPresenter
from ..state_training import BUDGET_UNITS, CLEAN_UPS, DEVICES, TrainingState, TrainingWishes
from .curves import curves_picture
from .filling import chosen_in, fill_combo, fill_table, quietly

_EDITS = {
    "dataset": "datasetEdit",
    "study": "studyEdit",
    "configuration": "configurationEdit",
    "groups": "groupsEdit",
    "group_column": "groupColumnEdit",
    "title": "titleEdit",
}
_SPINS = {
    "seeds": "seedsSpin",
    "folds": "foldsSpin",
    "budget": "budgetSpin",
    "first_seed": "firstSeedSpin",
    "split_seed": "splitSeedSpin",
    "threads": "threadsSpin",
    "tolerance_mm": "toleranceSpin",
}
_COMBOS = {
    "budget_unit": ("budgetUnitCombo", {unit: unit for unit in BUDGET_UNITS}),
    "device": ("deviceCombo", DEVICES),
    "clean_up": ("cleanUpCombo", CLEAN_UPS),
}


class TrainPanel:
    def __init__(self, widget: Any, presenter: TrainingPresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        self._drawn: object = None
        ui = self.ui
        self._connect_wishes()
        ui.datasetButton.connect("clicked(bool)", lambda checked=False: self._choose_folder("dataset", "Dataset"))
        ui.studyButton.connect("clicked(bool)", lambda checked=False: self._choose_folder("study", "New study"))
        ui.groupsButton.connect("clicked(bool)", self._choose_groups)
        ui.moreButton.connect("toggled(bool)", ui.moreBox.setVisible)
        ui.moreBox.setVisible(False)
        ui.planButton.connect("clicked(bool)", lambda checked=False: presenter.plan())
        ui.cancelButton.connect("clicked(bool)", lambda checked=False: presenter.cancel())
        ui.openStudyButton.connect("clicked(bool)", self._open_study)
        ui.startButton.connect("clicked(bool)", lambda checked=False: presenter.start())
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        presenter.show = self.show
        self.show(presenter.state)

    def _connect_wishes(self) -> None:
        wish = self._presenter.wish
        for field, name in _EDITS.items():
            edit = getattr(self.ui, name)
            edit.connect("textChanged(QString)", lambda text, field=field: wish(**{field: str(text).strip()}))
        for field, name in _SPINS.items():
            kind = "double" if field == "tolerance_mm" else "int"
            getattr(self.ui, name).connect(f"valueChanged({kind})", lambda value, field=field: wish(**{field: value}))
        for field, (name, _) in _COMBOS.items():
            combo = getattr(self.ui, name)
            combo.connect("activated(int)", lambda index, field=field, combo=combo: wish(**{field: chosen_in(combo)}))
        self.ui.probabilitiesCheck.connect("toggled(bool)", lambda checked: wish(keep_probabilities=checked))

    def show(self, state: TrainingState) -> None:
        ui = self.ui
        self._show_wishes(state.wishes)
        ui.planButton.setEnabled(state.can_plan)
        ui.openStudyButton.setEnabled(not state.busy)
        ui.cancelButton.setVisible(state.can_cancel)
        ui.startButton.setEnabled(state.can_start)
        ui.startButton.setText(state.start_text)
        ui.stopButton.setEnabled(state.can_stop)
        for label, text in (
            (ui.costLabel, state.cost),
            (ui.sentenceLabel, state.sentence),
            (ui.problemLabel, state.problem),
        ):
            label.setText(text)
            label.setVisible(bool(text))
        ui.progressBar.setVisible(bool(state.runs))
        ui.progressBar.setValue(state.percent)
        ui.runTable.setVisible(bool(state.runs))
        if state.runs != self._drawn:
            self._drawn = state.runs
            dice = ["" if run.dice is None else f"{run.dice:.3f}" for run in state.runs]
            rows = [(run.name, run.state, f"{run.step} of {run.steps}") for run in state.runs]
            fill_table(ui.runTable, [(*row, each) for row, each in zip(rows, dice, strict=True)])
            ui.curvePicture.setVisible(any(run.curve for run in state.runs))
            ui.curvePicture.setPixmap(curves_picture(state.runs))

    def _show_wishes(self, wishes: TrainingWishes) -> None:
        ui = self.ui
        for field, name in _EDITS.items():
            edit, text = getattr(ui, name), getattr(wishes, field)
            if str(edit.text).strip() != text:  # else the cursor would jump while somebody types
                with quietly(edit):
                    edit.setText(text)
        for field, name in _SPINS.items():
            with quietly(getattr(ui, name)):
                getattr(ui, name).setValue(getattr(wishes, field))
        for field, (name, entries) in _COMBOS.items():
            fill_combo(getattr(ui, name), list(entries.items()), getattr(wishes, field))
        with quietly(ui.probabilitiesCheck):
            ui.probabilitiesCheck.setChecked(wishes.keep_probabilities)

    def _choose_folder(self, field: str, title: str) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, title)
        if folder:
            self._presenter.wish(**{field: str(folder)})

    def _choose_groups(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getOpenFileName(None, "Table of patients", "", "Table (*.csv)")
        path = chosen[0] if isinstance(chosen, tuple) else chosen  # PythonQt returns the name alone
        if path:
            self._presenter.wish(groups=str(path))

    def _open_study(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, "Study")
        if folder:
            self._presenter.open_study(str(folder))
