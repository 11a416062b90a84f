"""Regions: what they are and whose, then the inspector: order, thresholds, map, outlines, volumes and Dice."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..presenter_regions import CHANGES, ORPHANS, RegionsPresenter
from ..presenter_review import REFERENCE
from ..state_regions import RegionRow, RegionSlider, RegionsState
from .filling import chosen_in, fill_combo, fill_table, quietly

_SLIDER_STEPS = 100
_LONGEST_NAME = 18


class RegionsPanel:
    def __init__(self, widget: Any, presenter: RegionsPresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        self.sliders: list[_SliderRow] = []
        ui = self.ui
        ui.textEdit.connect("editingFinished()", self._define)
        for combo, choose in (
            (ui.sourceCombo, presenter.choose_source),
            (ui.ruleCombo, presenter.choose_rule),
            (ui.mapCombo, presenter.choose_map),
        ):
            combo.connect("activated(int)", lambda index, combo=combo, choose=choose: choose(chosen_in(combo)))
        ui.inspectButton.connect("clicked(bool)", self._inspect)
        ui.previousButton.connect("clicked(bool)", lambda checked=False: presenter.step(-1))
        ui.nextButton.connect("clicked(bool)", lambda checked=False: presenter.step(1))
        ui.resetButton.connect("clicked(bool)", lambda checked=False: presenter.reset())
        self._boxes = {CHANGES: ui.changesBox, ORPHANS: ui.orphansBox, REFERENCE: ui.referenceBox}
        for what, box in self._boxes.items():
            box.connect("toggled(bool)", lambda shown, what=what: presenter.outline(what, shown))
        ui.changesButton.connect("clicked(bool)", lambda checked=False: presenter.look_at(CHANGES))
        ui.orphansButton.connect("clicked(bool)", lambda checked=False: presenter.look_at(ORPHANS))
        ui.keepButton.connect("clicked(bool)", lambda checked=False: presenter.keep())
        ui.writeButton.connect("clicked(bool)", self._write)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: RegionsState) -> None:
        ui = self.ui
        with quietly(ui.textEdit, *self._boxes.values()):
            if str(ui.textEdit.text) != state.text:
                ui.textEdit.setText(state.text)
            for what, box in self._boxes.items():
                box.setChecked(what in state.outlines)
        _say(ui.toldLabel, " ".join((state.told, *state.notes)).strip())
        fill_combo(ui.sourceCombo, [(each.id, each.title) for each in state.sources], state.source)
        ui.inspectButton.setText("Close" if state.is_open else "Inspect")
        ui.inspectButton.setEnabled(state.is_open or state.can_open)
        ui.inspector.setVisible(state.is_open)
        self._show_inspector(state)
        _say(ui.problemLabel, state.problem)

    def _show_inspector(self, state: RegionsState) -> None:
        ui = self.ui
        fill_combo(ui.ruleCombo, [(rule.id, rule.title) for rule in state.rules], state.rule)
        ui.ruleCombo.setEnabled(len(state.rules) > 1)
        ui.previousButton.setEnabled(state.step > 0)
        ui.nextButton.setEnabled(state.step < state.steps)
        ui.stepLabel.setText(f"Region {state.step} of {state.steps}: {state.step_words}")
        self._show_sliders(state.sliders)
        ui.noSlidersLabel.setVisible(not state.sliders)
        fill_combo(ui.mapCombo, [(each.id, each.title) for each in state.maps], state.map)
        ui.referenceBox.setEnabled(state.has_reference)
        ui.changesLabel.setText(state.changes)
        ui.orphansLabel.setText(state.orphans)
        fill_table(ui.rowTable, [_cells(row) for row in state.rows])
        for column in (4, 5):
            ui.rowTable.setColumnHidden(column, not state.has_reference)
        _say(ui.whyLabel, state.why)
        _say(ui.doneLabel, state.done)

    def _show_sliders(self, sliders: tuple[RegionSlider, ...]) -> None:
        while len(self.sliders) < len(sliders):
            self.sliders.append(_SliderRow(self.ui.slidersHolder, len(self.sliders), self._presenter))
        for number, row in enumerate(self.sliders):
            row.show(sliders[number] if number < len(sliders) else None)

    def _define(self) -> None:
        if str(self.ui.textEdit.text) != self._presenter.state.text:
            self._presenter.define(str(self.ui.textEdit.text))

    def _inspect(self, checked: bool = False) -> None:
        if self._presenter.state.is_open:
            self._presenter.end()
        else:
            self._presenter.begin()

    def _write(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getSaveFileName(None, "Save how labels are rebuilt", "regions.json", "Regions (*.json)")
        path = chosen[0] if isinstance(chosen, tuple) else chosen  # PythonQt returns the name alone
        self._presenter.write(str(path or ""))


class _SliderRow:
    """Name, slider and number of one region's threshold; made once and shown while there is such a region."""

    def __init__(self, holder: Any, number: int, presenter: RegionsPresenter):
        self._presenter, self._region = presenter, ""
        self.name, self.words = qt.QLabel(), qt.QLabel()
        self.slider = qt.QSlider(qt.Qt.Horizontal)
        self.slider.setRange(0, _SLIDER_STEPS)
        self.slider.setToolTip(
            "The region is where its probability is above this. At 0.50 labels are painted as nnU-Net does."
        )
        for column, widget in enumerate((self.name, self.slider, self.words)):
            holder.layout().addWidget(widget, number, column)
        self.slider.connect("valueChanged(int)", self._moved)

    def show(self, state: RegionSlider | None) -> None:
        for widget in (self.name, self.slider, self.words):
            widget.setVisible(state is not None)
        if state is not None:
            self._region = state.region
            self.name.setText(_shortened(state.region))
            self.name.setToolTip(state.region)
            self.words.setText(state.words)
            with quietly(self.slider):
                self.slider.setValue(round(state.threshold * _SLIDER_STEPS))

    def _moved(self, value: int) -> None:
        self._presenter.set_threshold(self._region, value / _SLIDER_STEPS)


def _cells(row: RegionRow) -> tuple[str | int, ...]:
    dice = (_from_to(*row.region_dice), _from_to(*row.label_dice))
    return row.region, row.label, f"{row.volume_ml:.3f}", f"{row.orphans_ml:.3f}", *dice


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def _from_to(before: float | None, now: float | None) -> str:
    first, second = ("absent" if each is None else f"{each:.3f}" for each in (before, now))
    return second if first == second else f"{first}\N{RIGHTWARDS ARROW}{second}"


def _say(label: Any, sentence: str) -> None:
    label.setText(sentence)
    label.setVisible(bool(sentence))
