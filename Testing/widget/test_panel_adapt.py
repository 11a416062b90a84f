"""The Adapt panel on its .ui file: what is wished, what can be pressed, and what is shown of a result."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from SegVarianceSlicer.panels.adapt import AdaptPanel
from SegVarianceSlicer.state_adapt import AdaptState, MovedRow

RESULT = AdaptState(
    model="/data/hippocampus_study/runs/default/fold_0/seed_0",
    case="hippocampus_017",
    minutes=5,
    sentence="hippocampus_017 is adapted (took 2 min). Look twice before you use it:",
    warnings=("Anterior became 34% smaller (1.66 to 1.10 ml), more than the 30% that pass without notice.",),
    rows=(MovedRow("Anterior", 1.66, 1.10, 0.04, 0.60, 0.78), MovedRow("Posterior", 1.57, 1.71, 0.16, 0.02, 0.947)),
    neighbours="Learnt from 3 deformed training cases, nearest first: hippocampus_123, hippocampus_170, hippocampus_088.",
    can_start=True,
    can_show=True,
)


class Told:
    """A presenter that remembers what the panel asked of it."""

    def __init__(self) -> None:
        self.state, self.asked = AdaptState(sentence="Choose a study."), []
        self.show = lambda state: None

    def wish(self, **changes: object) -> None:
        self.asked.append(changes)

    def go_to(self, structure: str) -> None:
        self.asked.append(structure)

    def __getattr__(self, name: str):
        return lambda: self.asked.append(name)


@pytest.fixture
def made(load):
    presenter = Told()
    widget = load("adapt")
    return SimpleNamespace(widget=widget, presenter=presenter, panel=AdaptPanel(widget, presenter))


def test_before_anything_is_chosen_only_choosing_is_possible(made, picture):
    ui = made.panel.ui
    assert not ui.startButton.enabled and not ui.showButton.wrapped.isVisibleTo(made.widget.wrapped)
    assert not ui.movedTable.wrapped.isVisibleTo(made.widget.wrapped)
    picture(made.widget, "panel_adapt_empty")


def test_typing_and_pressing_reach_the_presenter(made):
    ui, asked = made.panel.ui, made.presenter.asked
    ui.modelEdit.wrapped.setText(" /study ")
    ui.minutesSpin.wrapped.setValue(9)
    made.panel.show(RESULT)
    for button in (ui.startButton, ui.showButton):
        button.wrapped.click()
    ui.movedTable.wrapped.cellClicked.emit(1, 3)
    assert asked == [{"model": "/study"}, {"minutes": 9}, "start", "show_result", "Posterior"]


def test_work_under_way_has_a_bar_and_a_stop(made, picture):
    ui = made.panel.ui
    running = replace(
        AdaptState(), model="/study", case="anna", share=0.4, can_stop=True,
        sentence="anna: Learning, round 1 of 2: 20 of 40, about 2 min left. You may close Slicer meanwhile.",
    )  # fmt: skip
    made.panel.show(running)
    assert ui.progressBar.value == 40 and ui.stopButton.enabled and not ui.startButton.enabled
    picture(made.widget, "panel_adapt_running")
    ui.stopButton.wrapped.click()
    assert made.presenter.asked == ["stop"]


def test_a_result_shows_warnings_volumes_and_how_far_the_masks_agree(made, picture):
    ui = made.panel.ui
    made.panel.show(RESULT)
    assert "34% smaller" in str(ui.warningLabel.text)
    table = ui.movedTable.wrapped
    assert [table.item(0, column).text() for column in range(6)] == ["Anterior", "1.66", "1.1", "0.04", "0.6", "0.78"]
    assert picture(made.widget, "panel_adapt").stat().st_size > 5000
