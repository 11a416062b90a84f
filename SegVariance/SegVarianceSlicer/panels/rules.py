"""Rules side by side, in Ensemble and clean: the tables, behind a click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..presenter_rules import RulesBeside
from ..state_rules import RulesState
from .filling import chosen_in, fill_combo, fill_table, key_of, say, show_progress


class RulesSection:
    """``take`` makes a rule's result the one on screen, ``show_map`` shows where rules differ."""

    def __init__(self, ui: Any, beside: RulesBeside, take: Callable[[str], object], show_map: Callable[[], object]):
        self.ui = ui
        ui.rulesButton.connect("toggled(bool)", ui.rulesBox.setVisible)
        ui.rulesBox.setVisible(False)
        ui.compareRulesButton.connect("clicked(bool)", lambda checked=False: beside.compare())
        ui.showDifferingButton.connect("clicked(bool)", lambda checked=False: show_map())
        ui.rulesTable.connect("cellClicked(int,int)", lambda row, column: take(key_of(ui.rulesTable.item(row, 0))))
        ui.leaveOutButton.connect("clicked(bool)", lambda checked=False: beside.leave_out())
        ui.aboutCombo.connect("activated(int)", lambda index: beside.choose_about(chosen_in(ui.aboutCombo)))
        ui.rulesStopButton.connect("clicked(bool)", lambda checked=False: beside.stop())

    def show(self, state: RulesState) -> None:
        ui, is_idle = self.ui, state.progress is None
        ui.compareRulesButton.setEnabled(state.can_compare and is_idle)
        ui.leaveOutButton.setEnabled(state.can_leave_out and is_idle)
        ui.showDifferingButton.setEnabled(bool(state.rules))
        say(ui.rulesLabel, state.sentence)
        self._show_rules(state)
        fill_combo(ui.aboutCombo, [(name, name) for name in state.abouts], state.about)
        say(ui.influenceLabel, state.influence_sentence)
        rows = [
            (each.member, f"{each.changed_ml:.2f}", _two(each.reference_with, each.reference_without))
            for each in state.influence
        ]
        fill_table(ui.influenceTable, rows)
        ui.influenceTable.setVisible(bool(rows))
        ui.influenceTable.setColumnHidden(2, not state.has_reference)
        members = len(state.shared)
        say(ui.sharedLabel, state.shared_sentence)
        shared = [(f"{each.k} of {members}", f"{each.volume_ml:.2f}", _dice(each.dice)) for each in state.shared]
        fill_table(ui.sharedTable, shared)
        ui.sharedTable.setVisible(bool(shared))
        ui.sharedTable.setColumnHidden(2, not state.has_reference)
        say(ui.rulesBusyLabel, state.busy)
        show_progress(ui.rulesBar, ui.rulesStopButton, state.progress)

    def _show_rules(self, state: RulesState) -> None:
        """A row a rule with what it has in common with others, and rule by rule in how many ml they differ."""
        ui, rules = self.ui, state.rules
        rows = [
            (
                f"{number}  {row.title}",
                "on screen" if row.dice is None else _dice(row.dice),
                _dice(row.reference_dice),
            )
            for number, row in enumerate(rules, start=1)
        ]
        fill_table(ui.rulesTable, rows, keys=[row.rule for row in rules])
        ui.rulesTable.setColumnHidden(2, not state.has_reference)
        ui.pairsTable.setColumnCount(len(rules) + 1)
        ui.pairsTable.setHorizontalHeaderLabels(["Rule", *(str(n) for n in range(1, len(rules) + 1))])
        pairs = [
            (str(number), *("" if n == number else f"{ml:.2f}" for n, ml in enumerate(row.from_others_ml, start=1)))
            for number, row in enumerate(rules, start=1)
        ]
        fill_table(ui.pairsTable, pairs)
        for widget in (ui.rulesTable, ui.rulesCaption, ui.pairsTable, ui.pairsCaption):
            widget.setVisible(bool(rules))


def _dice(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _two(first: float | None, second: float | None) -> str:
    return f"{_dice(first)}, {_dice(second)}" if first is not None and second is not None else ""
