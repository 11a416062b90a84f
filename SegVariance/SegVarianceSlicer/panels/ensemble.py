"""Ensemble and clean: rule, members that vote, volumes, what other rules make, clean-up, and what comes out."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..presenter_ensemble import EnsemblePresenter
from ..state_ensemble import EnsembleState
from .clean_up import CleanUpSection
from .filling import chosen_in, fill_combo, fill_table, is_ticked, key_of, quietly, say, show_progress
from .rules import RulesSection

_FORMATS = "Segmentation (*.seg.nrrd);;NIfTI label map (*.nii.gz)"


class EnsemblePanel:
    def __init__(self, widget: Any, presenter: EnsemblePresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        ui = self.ui
        self._rules = RulesSection(ui, presenter.beside, presenter.choose_rule, presenter.show_differing)
        self._clean = CleanUpSection(ui, presenter.cleaning, presenter.choosing, self._voters)
        ui.ruleCombo.connect("activated(int)", lambda index: presenter.choose_rule(chosen_in(ui.ruleCombo)))
        ui.memberTable.connect("cellChanged(int,int)", self._ticked)
        ui.memberTable.connect("currentCellChanged(int,int,int,int)", lambda *cells: self._show_weight())
        ui.weightSpin.connect("valueChanged(double)", self._weigh)
        ui.allButton.connect("clicked(bool)", lambda checked=False: presenter.tick_all())
        ui.onlyButton.connect("clicked(bool)", self._only_selected)
        ui.combiningStopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        ui.applyButton.connect("clicked(bool)", lambda checked=False: presenter.apply())
        ui.exportButton.connect("clicked(bool)", self._export)
        ui.intoStudyButton.connect("clicked(bool)", lambda checked=False: presenter.into_study(ui.nameEdit.text))
        ui.allIntoStudyButton.connect("clicked(bool)", lambda checked=False: presenter.all_into_study(ui.nameEdit.text))
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: EnsembleState) -> None:
        ui = self.ui
        fill_combo(
            ui.ruleCombo,
            [(rule.id, rule.title) for rule in state.rules],
            state.rule,
            [rule.tip for rule in state.rules],
        )
        say(ui.ruleLabel, state.rule_in_words)
        self._show_members(state)
        say(ui.combiningLabel, state.busy)
        show_progress(ui.combiningBar, ui.combiningStopButton, state.progress)
        ui.resultLabel.setText(state.result)
        fill_table(ui.volumeTable, [(each.name, f"{each.volume_ml:.2f}") for each in state.volumes])
        say(ui.differenceLabel, state.difference)
        self._rules.show(state.beside)
        self._clean.show(state.clean)
        for button in (ui.applyButton, ui.exportButton, ui.allButton, ui.onlyButton):
            button.setEnabled(state.can_apply)
        is_working = state.study.progress is not None
        for widget in (ui.nameEdit, ui.intoStudyButton, ui.allIntoStudyButton):
            widget.setEnabled(state.can_apply and state.study.can_write and not is_working)
        ui.studyLabel.setText(state.study.busy or state.study.said or state.study.words)
        show_progress(ui.progressBar, ui.stopButton, state.study.progress)
        say(ui.keptLabel, state.kept)
        say(ui.problemLabel, state.problem)

    def _show_members(self, state: EnsembleState) -> None:
        ui = self.ui
        weights = [f"{weight:.3f}" for weight in state.weights] or [""] * len(state.members)
        fill_table(
            ui.memberTable,
            [(member.title, weight) for member, weight in zip(state.members, weights, strict=True)],
            [member.ticked for member in state.members],
            [member.key for member in state.members],
        )
        ui.memberTable.setColumnHidden(1, not state.weights)
        say(ui.weightsLabel, state.weights_in_words)
        ui.weightSpin.setVisible(bool(state.weights))
        self._show_weight()

    def _show_weight(self) -> None:
        """How much the selected member counts."""
        weights, row = self._presenter.state.weights, self.ui.memberTable.currentRow()
        self.ui.weightSpin.setEnabled(0 <= row < len(weights))
        if 0 <= row < len(weights):
            with quietly(self.ui.weightSpin):
                self.ui.weightSpin.setValue(weights[row])

    def _weigh(self, weight: float) -> None:
        item = self.ui.memberTable.currentItem()
        if item is not None:
            self._presenter.weigh(key_of(self.ui.memberTable.item(item.row(), 0)), weight)

    def _voters(self) -> tuple[str, ...]:
        return tuple(member.key for member in self._presenter.state.members if member.ticked)

    def _ticked(self, row: int, column: int) -> None:
        if column == 0:
            item = self.ui.memberTable.item(row, 0)
            self._presenter.tick(key_of(item), is_ticked(item))

    def _only_selected(self, checked: bool = False) -> None:
        item = self.ui.memberTable.currentItem()
        if item is not None:
            self._presenter.tick_all(frozenset({key_of(self.ui.memberTable.item(item.row(), 0))}))

    def _export(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getSaveFileName(None, "Export the result", "", _FORMATS)
        path = chosen[0] if isinstance(chosen, tuple) else chosen  # PythonQt returns the name alone
        self._presenter.export(str(path or ""))
