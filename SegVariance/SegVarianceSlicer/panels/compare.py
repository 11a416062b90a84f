"""Compare: the question, its answer in words, what stands behind it, and its pictures."""

from __future__ import annotations

from typing import Any

import slicer

from ..presenter_compare import ComparePresenter
from ..state_compare import OWN_SEEDS, Answer, CompareState, Table
from .best import BestSection
from .filling import chosen_in, fill_combo, fill_table, quietly
from .pictures import boxes_picture, caterpillar_picture, variance_picture

_TRAININGS = (
    "A dot is one training. Thick line: its 95 % interval on these very cases; thin line: had other cases been tested. "
    "Shaded: where the best would land by luck alone."
)
_STRUCTURES = (
    "All single scores: whiskers to the least and the largest, the box holds the middle half, its line is the median. "
    "Shaded: as far apart as the means of two trainings of one recipe may lie by luck alone (95 %, known from three trainings on)."
)
_SPREAD = "How much of the spread of single scores has which cause, with its 95 % interval."


class ComparePanel:
    def __init__(self, widget: Any, presenter: ComparePresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        self._drawn: Answer | None = None
        ui = self.ui
        ui.firstCombo.connect("activated(int)", lambda index: presenter.choose(first=chosen_in(ui.firstCombo)))
        ui.secondCombo.connect("activated(int)", lambda index: presenter.choose(second=chosen_in(ui.secondCombo)))
        ui.metricCombo.connect("activated(int)", lambda index: presenter.choose_metric(chosen_in(ui.metricCombo)))
        ui.differenceSpin.connect("valueChanged(double)", presenter.choose_smallest_difference)
        ui.compareButton.connect("clicked(bool)", lambda checked=False: presenter.compare())
        ui.cancelButton.connect("clicked(bool)", lambda checked=False: presenter.cancel())
        ui.sureButton.connect("toggled(bool)", ui.sureBox.setVisible)
        ui.methodButton.connect("toggled(bool)", ui.methodLabel.setVisible)
        for label, caption in (
            (ui.trainingsCaption, _TRAININGS),
            (ui.scoresOfCaption, _STRUCTURES),
            (ui.spreadCaption, _SPREAD),
        ):
            label.setText(caption)
        ui.sureBox.setVisible(False)
        self._best = BestSection(ui, presenter.best, lambda: presenter.state.metric)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: CompareState) -> None:
        ui = self.ui
        fill_combo(ui.firstCombo, [(name, name) for name in state.recipes], state.first)
        others = [(name, name) for name in state.recipes if name != state.first]
        fill_combo(ui.secondCombo, [*others, (OWN_SEEDS, "its own trainings")] if state.recipes else [], state.second)
        fill_combo(ui.metricCombo, state.metrics, state.metric)
        with quietly(ui.differenceSpin):
            ui.differenceSpin.setDecimals(1 if state.unit else 3)
            ui.differenceSpin.setSingleStep(0.5 if state.unit else 0.005)
            ui.differenceSpin.setMaximum(state.most)
            ui.differenceSpin.setSuffix(f" {state.unit}" if state.unit else "")
            ui.differenceSpin.setValue(state.smallest_difference)
        ui.differenceSpin.setEnabled(state.second != OWN_SEEDS)
        ui.compareButton.setEnabled(state.can_ask)
        ui.progressBar.setVisible(state.progress is not None)
        ui.progressBar.setValue(round(100 * (state.progress or 0)))
        ui.cancelButton.setVisible(state.progress is not None)
        _say(ui.problemLabel, state.problem)
        if state.answer is not self._drawn or state.answer is None:
            self._show_answer(state.answer or Answer("", state.hint))
            self._drawn = state.answer

    def _show_answer(self, answer: Answer) -> None:
        ui = self.ui
        for label, text in (
            (ui.titleLabel, answer.title),
            (ui.sentenceLabel, answer.sentence),
            (ui.numberLabel, answer.number),
            (ui.intervalLabel, answer.interval),
            (ui.sureLabel, "\n\n".join(answer.sure)),
            (ui.methodLabel, "\n\n".join(answer.method)),
        ):
            _say(label, text)
        _fill(ui.structuresTable, answer.structures)
        _fill(ui.usualTable, answer.usual)
        ui.sureButton.setVisible(bool(answer.sure))
        ui.sureBox.setVisible(bool(answer.sure) and ui.sureButton.checked)
        ui.methodButton.setVisible(bool(answer.method))
        ui.methodLabel.setVisible(bool(answer.method) and ui.methodButton.checked)
        charts = answer.charts
        ui.chartTabs.setVisible(bool(charts.caterpillars))
        if charts.caterpillars:
            ui.trainingsPicture.setPixmap(caterpillar_picture(charts.caterpillars, charts.unit))
            ui.scoresOfPicture.setPixmap(boxes_picture(charts.boxes, charts.unit))
            ui.spreadPicture.setPixmap(variance_picture(charts.variance))


def _fill(table: Any, content: Table) -> None:
    table.setColumnCount(len(content.heads))
    table.setHorizontalHeaderLabels(list(content.heads))
    fill_table(table, content.rows)
    table.setVisible(bool(content.rows))


def _say(label: Any, sentence: str) -> None:
    label.setText(sentence)
    label.setVisible(bool(sentence))
