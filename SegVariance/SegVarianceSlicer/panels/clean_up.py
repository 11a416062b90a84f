"""The clean-up in Ensemble and clean: a step or a recipe, and what it would take away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ..presenter_clean_up import CleanUp
from ..presenter_clean_up_choice import CleanUpChoice
from ..state_clean_up import CleanUpState
from .filling import chosen_in, fill_combo, fill_table, quietly, say, show_progress

_FILES = "Clean-up recipe (*.json)"


class CleanUpSection:
    """``voters`` are the keys of the members that vote: a clean-up is chosen for their configuration."""

    def __init__(self, ui: Any, cleaning: CleanUp, choosing: CleanUpChoice, voters: Callable[[], tuple[str, ...]]):
        self.ui, self._cleaning, self._choosing, self._voters = ui, cleaning, choosing, voters
        for combo, choose in (
            (ui.structureCombo, cleaning.choose_structure),
            (ui.stepCombo, cleaning.choose_step),
            (ui.becomesCombo, cleaning.choose_becomes),
        ):
            combo.connect("activated(int)", lambda index, combo=combo, choose=choose: choose(chosen_in(combo)))
        ui.minimumSpin.connect("valueChanged(double)", cleaning.choose_minimum)
        ui.componentTable.connect("cellClicked(int,int)", self._jump)
        ui.recipeButton.connect("toggled(bool)", ui.recipeBox.setVisible)
        ui.recipeBox.setVisible(False)
        ui.openRecipeButton.connect("clicked(bool)", self._open)
        ui.chooseRecipeButton.connect("clicked(bool)", self._choose)
        ui.choosingStopButton.connect("clicked(bool)", lambda checked=False: choosing.stop())

    def show(self, state: CleanUpState) -> None:
        ui = self.ui
        fill_combo(ui.structureCombo, [(name, name) for name in state.structures], state.structure)
        ui.structureCombo.setEnabled(state.has_structure)
        fill_combo(ui.stepCombo, [(step.id, step.title) for step in state.steps], state.step)
        say(ui.stepLabel, state.step_in_words)
        with quietly(ui.minimumSpin):
            ui.minimumSpin.setValue(state.minimum_ml)
        for widget in (ui.minimumLabel, ui.minimumSpin):
            widget.setVisible(state.has_minimum)
        fill_combo(ui.becomesCombo, [(way.id, way.title) for way in state.ways], state.becomes)
        for widget in (ui.becomesLabel, ui.becomesCombo):
            widget.setVisible(state.has_becomes)
        say(ui.goesLabel, state.goes)
        fill_table(
            ui.componentTable, [(each.number, f"{each.volume_ml:.3f}", each.voxels) for each in state.components]
        )
        is_choosing = state.choosing.progress is not None
        ui.openRecipeButton.setEnabled(bool(state.structures))
        ui.chooseRecipeButton.setEnabled(state.choosing.can_choose and not is_choosing)
        say(ui.recipeLabel, "\n\n".join(state.recipe_says))
        say(ui.choosingLabel, state.choosing.busy or state.choosing.words)
        show_progress(ui.choosingBar, ui.choosingStopButton, state.choosing.progress)

    def _jump(self, row: int, column: int) -> None:
        self._cleaning.jump_to(int(self.ui.componentTable.item(row, 0).text()))

    def _open(self, checked: bool = False) -> None:
        path = _path_of(qt.QFileDialog.getOpenFileName(None, "Open a clean-up recipe", "", _FILES))
        if path:
            self._cleaning.open_recipe(path)

    def _choose(self, checked: bool = False) -> None:
        path = _path_of(qt.QFileDialog.getSaveFileName(None, "Write the clean-up recipe", "clean_up.json", _FILES))
        if path:
            self._choosing.begin(self._voters(), path)


def _path_of(chosen: Any) -> str:
    """A file dialog's answer: the name alone in PythonQt, with the filter in other bindings."""
    return str((chosen[0] if isinstance(chosen, tuple) else chosen) or "")
