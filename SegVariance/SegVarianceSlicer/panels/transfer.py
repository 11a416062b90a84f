"""Transfer: a source, its learning curve over both trainings from scratch, and what it is worth in words."""

from __future__ import annotations

from typing import Any

import slicer

from ..presenter_transfer import TransferPresenter
from ..state_transfer import TransferState, Worth
from .filling import chosen_in, fill_combo, fill_table, say, show_progress
from .learning_curve import learning_curve_picture

_NOTHING = Worth("", "", "")


class TransferPanel:
    def __init__(self, widget: Any, presenter: TransferPresenter):
        self.ui = slicer.util.childWidgetVariables(widget)
        self._widget, self._presenter = widget, presenter
        ui = self.ui
        ui.sourceCombo.connect("activated(int)", lambda index: presenter.choose(chosen_in(ui.sourceCombo)))
        ui.casesCombo.connect("activated(int)", lambda index: presenter.choose_cases(int(chosen_in(ui.casesCombo))))
        ui.judgeButton.connect("clicked(bool)", lambda checked=False: presenter.judge())
        ui.stopButton.connect("clicked(bool)", lambda checked=False: presenter.cancel())
        ui.methodButton.connect("toggled(bool)", ui.methodLabel.setVisible)
        presenter.show = self.show
        self.show(presenter.state)

    def show(self, state: TransferState) -> None:
        ui, there = self.ui, bool(state.sources)
        say(ui.hintLabel, state.hint)
        for part in (ui.sourceBox, ui.casesBox):
            part.setVisible(there)
        fill_combo(ui.sourceCombo, state.sources, state.source)
        counts = [(str(number), str(number)) for number in state.case_counts]
        fill_combo(ui.casesCombo, counts, str(state.cases))
        if there:
            ui.curvePicture.setPixmap(learning_curve_picture(state.curves))
        say(ui.summaryLabel, "\n".join(state.summary))
        ui.judgeButton.setVisible(there and not state.judged)
        ui.judgeButton.setEnabled(state.progress is None)
        show_progress(ui.progressBar, ui.stopButton, state.progress)
        said = (*state.worth, _NOTHING, _NOTHING)[:2]
        for worth, labels in zip(
            said,
            ((ui.firstTitle, ui.firstSentence, ui.firstNumber), (ui.secondTitle, ui.secondSentence, ui.secondNumber)),
            strict=True,
        ):
            for label, text in zip(labels, (worth.title, worth.sentence, worth.number), strict=True):
                say(label, text)
        ui.numbersTable.setColumnCount(len(state.numbers.heads))
        ui.numbersTable.setHorizontalHeaderLabels(list(state.numbers.heads))
        fill_table(ui.numbersTable, state.numbers.rows)
        ui.methodLabel.setText("\n\n".join(state.method))
        ui.methodLabel.setVisible(there and ui.methodButton.checked)
        say(ui.problemLabel, state.problem)
