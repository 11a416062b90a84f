"""Look: case, structure, layers, views and maps."""

from __future__ import annotations

from typing import Any

import slicer

from ..presenter_look import AGAINST, LookPresenter
from ..state_review import Choice, LookState
from .filling import chosen_in, fill_combo, fill_table, is_ticked, key_of, show_progress


class LookPanel:
    def __init__(self, widget: Any, presenter: LookPresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        ui = self.ui
        ui.previousCaseButton.connect("clicked(bool)", lambda checked=False: presenter.next_case(-1))
        ui.nextCaseButton.connect("clicked(bool)", lambda checked=False: presenter.next_case(1))
        ui.previousStructureButton.connect("clicked(bool)", lambda checked=False: presenter.next_structure(-1))
        ui.nextStructureButton.connect("clicked(bool)", lambda checked=False: presenter.next_structure(1))
        for combo, choose in (
            (ui.orderCombo, presenter.choose_order),
            (ui.caseCombo, presenter.choose_case),
            (ui.structureCombo, presenter.choose_structure),
            (ui.imageCombo, presenter.choose_image),
            (ui.arrangementCombo, presenter.arrange),
            (ui.againstCombo, presenter.choose_against),
            (ui.mapCombo, presenter.choose_map),
        ):
            combo.connect("activated(int)", lambda index, combo=combo, choose=choose: choose(chosen_in(combo)))
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        ui.layerTable.connect("cellChanged(int,int)", self._ticked)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: LookState) -> None:
        ui = self.ui
        fill_combo(ui.orderCombo, _pairs(state.by.orders), state.by.order)
        said = state.opening or state.by.busy or state.by.words
        ui.orderLabel.setText(said)
        ui.orderLabel.setVisible(bool(said))
        show_progress(ui.progressBar, ui.stopButton, state.by.progress if state.progress is None else state.progress)
        fill_combo(ui.caseCombo, _pairs(state.by.cases), state.case)
        fill_combo(ui.structureCombo, _same(state.structures), state.structure)
        fill_combo(ui.imageCombo, _same(state.images), state.image)
        fill_combo(ui.arrangementCombo, _pairs(state.arrangements), state.arrangement)
        members = [(layer.key, layer.title) for layer in state.layers if layer.mark.isdigit()]
        fill_combo(ui.againstCombo, members, state.against)
        ui.againstCombo.setEnabled(state.arrangement == AGAINST)
        fill_combo(ui.mapCombo, _pairs(state.maps), state.map)
        fill_table(
            ui.layerTable,
            [(layer.title, layer.mark) for layer in state.layers],
            [layer.ticked for layer in state.layers],
            [layer.key for layer in state.layers],
        )
        for button in (ui.previousCaseButton, ui.nextCaseButton):
            button.setEnabled(len(state.by.cases) > 1)
        for button in (ui.previousStructureButton, ui.nextStructureButton):
            button.setEnabled(bool(state.structures))
        ui.layerTable.setEnabled(bool(state.layers) and state.arrangement != AGAINST)
        ui.problemLabel.setText(state.problem)
        ui.problemLabel.setVisible(bool(state.problem))

    def _ticked(self, row: int, column: int) -> None:
        if column == 0:
            item = self.ui.layerTable.item(row, 0)
            self._presenter.tick(key_of(item), is_ticked(item))


def _same(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _pairs(choices: tuple[Choice, ...]) -> list[tuple[str, str]]:
    return [(choice.id, choice.title) for choice in choices]
