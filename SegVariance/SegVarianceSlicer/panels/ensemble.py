"""Ensemble and clean: rule, members that vote, volumes, components, and what comes out."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..presenter_ensemble import EnsemblePresenter
from ..state_review import EnsembleState
from .filling import chosen_in, fill_combo, fill_table, is_ticked, key_of, quietly, show_progress

_FORMATS = "Segmentation (*.seg.nrrd);;NIfTI label map (*.nii.gz)"


class EnsemblePanel:
    def __init__(self, widget: Any, presenter: EnsemblePresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        ui = self.ui
        for combo, choose in (
            (ui.ruleCombo, presenter.choose_rule),
            (ui.structureCombo, presenter.choose_structure),
            (ui.stepCombo, presenter.choose_step),
        ):
            combo.connect("activated(int)", lambda index, combo=combo, choose=choose: choose(chosen_in(combo)))
        ui.memberTable.connect("cellChanged(int,int)", self._ticked)
        ui.allButton.connect("clicked(bool)", lambda checked=False: presenter.tick_all())
        ui.onlyButton.connect("clicked(bool)", self._only_selected)
        ui.minimumSpin.connect("valueChanged(double)", presenter.choose_minimum)
        ui.componentTable.connect("cellClicked(int,int)", self._jump)
        ui.applyButton.connect("clicked(bool)", lambda checked=False: presenter.apply())
        ui.exportButton.connect("clicked(bool)", self._export)
        ui.intoStudyButton.connect("clicked(bool)", lambda checked=False: presenter.into_study(ui.nameEdit.text))
        ui.allIntoStudyButton.connect("clicked(bool)", lambda checked=False: presenter.all_into_study(ui.nameEdit.text))
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: EnsembleState) -> None:
        ui = self.ui
        fill_combo(ui.ruleCombo, [(rule.id, rule.title) for rule in state.rules], state.rule)
        ui.ruleLabel.setText(state.rule_in_words)
        fill_table(
            ui.memberTable,
            [(member.title,) for member in state.members],
            [member.ticked for member in state.members],
            [member.key for member in state.members],
        )
        ui.resultLabel.setText(state.result)
        fill_table(ui.volumeTable, [(each.name, f"{each.volume_ml:.2f}") for each in state.volumes])
        ui.differenceLabel.setText(state.difference)
        ui.differenceLabel.setVisible(bool(state.difference))
        fill_combo(ui.structureCombo, [(name, name) for name in state.structures], state.structure)
        fill_combo(ui.stepCombo, [(step.id, step.title) for step in state.steps], state.step)
        with quietly(ui.minimumSpin):
            ui.minimumSpin.setValue(state.minimum_ml)
        ui.minimumSpin.setEnabled(state.has_minimum)
        ui.goesLabel.setText(state.goes)
        rows = [(each.number, f"{each.volume_ml:.3f}", each.voxels) for each in state.components]
        fill_table(ui.componentTable, rows)
        for button in (ui.applyButton, ui.exportButton, ui.allButton, ui.onlyButton):
            button.setEnabled(state.can_apply)
        is_working = state.study.progress is not None
        for widget in (ui.nameEdit, ui.intoStudyButton, ui.allIntoStudyButton):
            widget.setEnabled(state.can_apply and state.study.can_write and not is_working)
        ui.studyLabel.setText(state.study.busy or state.study.said or state.study.words)
        show_progress(ui.progressBar, ui.stopButton, state.study.progress)
        ui.keptLabel.setText(state.kept)
        ui.keptLabel.setVisible(bool(state.kept))
        ui.problemLabel.setText(state.problem)
        ui.problemLabel.setVisible(bool(state.problem))

    def _ticked(self, row: int, column: int) -> None:
        item = self.ui.memberTable.item(row, 0)
        self._presenter.tick(key_of(item), is_ticked(item))

    def _only_selected(self, checked: bool = False) -> None:
        item = self.ui.memberTable.currentItem()
        if item is not None:
            self._presenter.tick_all(frozenset({key_of(item)}))

    def _jump(self, row: int, column: int) -> None:
        self._presenter.jump_to(int(self.ui.componentTable.item(row, 0).text()))

    def _export(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getSaveFileName(None, "Export the result", "", _FORMATS)
        path = chosen[0] if isinstance(chosen, tuple) else chosen  # PythonQt returns the name alone
        self._presenter.export(str(path or ""))
