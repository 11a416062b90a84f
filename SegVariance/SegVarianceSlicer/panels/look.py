"""Look: case, structure, layers, views and maps."""

from __future__ import annotations

from typing import Any

import slicer

from ..presenter_look import AGAINST, LookPresenter
from ..state_look import LookState
from ..state_maps import MapsState
from ..state_review import Choice
from .filling import chosen_in, fill_combo, fill_table, is_ticked, key_of, say, show_progress


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
        ui.worstButton.connect("clicked(bool)", lambda checked=False: presenter.go_to_worst())
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.stop())
        ui.mapStopButton.connect("clicked(bool)", lambda checked=False: presenter.stop_map())
        ui.disagreementButton.connect("toggled(bool)", self._measure)
        ui.disagreementBox.setVisible(False)
        ui.layerTable.connect("cellChanged(int,int)", self._ticked)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: LookState) -> None:
        ui = self.ui
        fill_combo(ui.orderCombo, _pairs(state.by.orders), state.by.order)
        said = state.opening or state.by.busy or state.by.words
        ui.orderLabel.setText(said)
        ui.orderLabel.setVisible(bool(said))
        ui.worstButton.setVisible(state.by.worst not in ("", state.case))
        show_progress(ui.progressBar, ui.stopButton, state.by.progress if state.progress is None else state.progress)
        fill_combo(ui.caseCombo, _pairs(state.by.cases), state.case)
        fill_combo(ui.structureCombo, _same(state.structures), state.structure)
        fill_combo(ui.imageCombo, _same(state.images), state.image)
        fill_combo(ui.arrangementCombo, _pairs(state.arrangements), state.arrangement)
        members = [(layer.key, layer.title) for layer in state.layers if layer.mark.isdigit()]
        fill_combo(ui.againstCombo, members, state.against)
        ui.againstCombo.setEnabled(state.arrangement == AGAINST)
        self._show_maps(state.overlay)
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

    def _measure(self, wanted: bool) -> None:
        self.ui.disagreementBox.setVisible(wanted)
        self._presenter.measure(wanted)

    def _show_maps(self, state: MapsState) -> None:
        ui = self.ui
        fill_combo(ui.mapCombo, _pairs(state.kinds), state.kind, [kind.tip for kind in state.kinds])
        say(ui.mapLabel, state.busy or state.legend)
        show_progress(ui.mapBar, ui.mapStopButton, state.progress)
        say(ui.disagreementLabel, state.sentence)
        other = "Reference" if state.has_reference else "Vote"
        ui.disagreementTable.setHorizontalHeaderLabels(["Structure", "Two members", other, "GED²", "Volume (ml)"])
        say(ui.disagreementCaption, _caption(state))
        rows = [
            (
                row.structure,
                _number(row.between),
                _number(row.member),
                _number(row.ged_squared),
                f"{row.low_ml:.2f} to {row.high_ml:.2f}",
            )
            for row in state.rows
        ]
        fill_table(ui.disagreementTable, rows)
        ui.disagreementTable.setColumnHidden(3, not state.has_reference)
        ui.disagreementTable.setVisible(bool(rows))

    def _ticked(self, row: int, column: int) -> None:
        if column == 0:
            item = self.ui.layerTable.item(row, 0)
            self._presenter.tick(key_of(item), is_ticked(item))


def _caption(state: MapsState) -> str:
    if not state.rows:
        return ""
    if not state.has_reference:
        return "Mean Dice of two members and of a member with their vote; smallest to largest volume."
    return (
        "Mean Dice of two members and of a member with the reference; GED² is the distance of all members from the "
        "reference, 0 is best; smallest to largest volume."
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _same(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _pairs(choices: tuple[Choice, ...]) -> list[tuple[str, str]]:
    return [(choice.id, choice.title) for choice in choices]
