"""Pictures of the panels for Resources/docs/slicer_tutorial.md: the sample data, step by step, as a reader will see it.

    SEGVARIANCE_PICTURES=Resources/Screenshots QT_QPA_PLATFORM=offscreen pytest Testing/widget/test_tutorial_pictures.py

writes them anew; look at them before they are committed. Testing/scene/test_tutorial_views.py draws the views.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from SegVarianceSlicer.child_process import ChildProcesses
from SegVarianceSlicer.panels.compare import ComparePanel
from SegVarianceSlicer.panels.ensemble import EnsemblePanel
from SegVarianceSlicer.panels.environment import EnvironmentPanel
from SegVarianceSlicer.panels.look import LookPanel
from SegVarianceSlicer.panels.open import OpenPanel
from SegVarianceSlicer.panels.regions import RegionsPanel
from SegVarianceSlicer.panels.scores import ScoresPanel
from SegVarianceSlicer.panels.train import TrainPanel
from SegVarianceSlicer.presenter_compare import ComparePresenter
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_environment import EnvironmentPresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_regions import RegionsPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.presenter_scores import ScoresPresenter, WorstSlices
from SegVarianceSlicer.presenter_training import TrainingPresenter, cost_text
from SegVarianceSlicer.sample import sample_in
from SegVarianceSlicer.state_environment import EnvironmentState
from SegVarianceSlicer.state_training import RunRow, TrainingState, TrainingWishes
from test_panel_regions import RememberedInspector
from test_review_panels import RememberedScene, choose, picture_colours

MOST_BYTES = 150_000


@pytest.fixture
def small_picture(picture):
    """A picture that is not empty and small enough for the repository."""

    def taken(widget, name: str) -> None:
        widget.wrapped.show()  # scroll areas learn their size only then
        QApplication.processEvents()  # and what was made meanwhile finds its place
        path = picture(widget, f"panel_{name}")
        assert picture_colours(path) > 20 and path.stat().st_size < MOST_BYTES

    return taken


def at_once(act):
    act()


def test_from_sample_data_to_what_the_luck_of_one_training_does(load, small_picture, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("tutorial"))  # so that no path of this computer is in a picture
    sample = sample_in(Path("SegVariancePhantom"))
    session = ReviewSession(RememberedScene())
    opening, look = OpenPresenter(session), LookPresenter(session)
    ensemble = EnsemblePresenter(session, look.result_changed)
    scores, compare = ScoresPresenter(session, WorstSlices(session), at_once), ComparePresenter(at_once)
    scores.listen(compare.use_table)
    widgets = {name: load(name) for name in ("open", "look", "ensemble", "scores", "compare")}
    open_ui = OpenPanel(widgets["open"], opening, lambda: str(sample)).ui
    look_ui = LookPanel(widgets["look"], look).ui
    ensemble_ui = EnsemblePanel(widgets["ensemble"], ensemble).ui
    scores_ui = ScoresPanel(widgets["scores"], scores).ui
    compare_ui = ComparePanel(widgets["compare"], compare).ui

    open_ui.sampleButton.click()
    assert opening.state.problems == () and look.state.case == "phantom_000"
    small_picture(widgets["open"], "open")
    choose(look_ui.mapCombo, next(each.title for each in look.state.overlay.kinds if each.id == "agreement"))
    small_picture(widgets["look"], "look")

    ensemble.tick_all(frozenset(member.key for member in ensemble.state.members[:1]))
    choose(ensemble_ui.stepCombo, "Minimum size")
    assert ensemble.state.clean.components, "one member alone has a false island"
    small_picture(widgets["ensemble"], "ensemble")
    ensemble_ui.allButton.click()

    scores_ui.scoreAllButton.click()
    assert len({score.case for score in scores.table.scores}) == 6 and scores.state.problem == ""
    small_picture(widgets["scores"], "scores")

    compare_ui.compareButton.click()
    assert compare.state.answer is not None and compare.state.problem == ""
    small_picture(widgets["compare"], "compare")


def test_an_environment_that_is_ready(load, small_picture):
    panel = EnvironmentPanel(load("environment"), EnvironmentPresenter(ChildProcesses(), {}))
    ready = "The environment is ready: trainings run in it."
    python = "C:/Users/you/AppData/Local/Programs/Python/Python312/python.exe"
    home = "C:/Users/you/AppData/Local/SegVariance/environment"
    panel.show(
        EnvironmentState(home, python, (python,), ready=True, sentence=ready, build_text="Repair", can_check=True)
    )
    small_picture(panel._widget, "environment")


def test_a_study_that_trains(load, small_picture):
    """What ``segvariance plan --seeds 4 --budget "1 minutes"`` said of the sample data, and a run of it half way."""
    cost = {"runs": 4, "steps": 662, "jobs": 2, "run_s": 60, "study_s": 120, "disk_gib": 0.03, "free_gib": 58, "cache_gib": 0}  # fmt: skip
    curve = tuple((step, 0.93 * (1 - 2.0 ** (-step / 90))) for step in range(0, 663, 20))
    runs = [RunRow(f"default · fold 0 · seed {seed}", "waiting", 0, 662) for seed in range(4)]
    runs[0] = replace(runs[0], state="done", step=662, dice=0.914, predicted=1, curve=curve)
    runs[1] = replace(runs[1], state="training", step=400, curve=tuple((s, 0.98 * dice) for s, dice in curve[:21]))
    runs[2] = replace(runs[2], state="training", step=120, curve=tuple((s, 0.95 * dice) for s, dice in curve[:7]))
    wishes = TrainingWishes("SegVariancePhantom", "phantom_study", seeds=4, budget=1)
    panel = TrainPanel(load("train"), TrainingPresenter(ChildProcesses(), lambda: None))
    panel.show(
        TrainingState(
            wishes,
            "Training: 1 of 4 trainings done, about 1 min left. You may close Slicer meanwhile.",
            cost=cost_text(json.dumps(cost | {"warnings": []})),
            runs=tuple(runs),
            can_stop=True,
        )
    )
    assert panel.ui.costLabel.text.startswith("4 trainings of 662 steps")
    small_picture(panel._widget, "train")


def test_regions_of_a_real_tumour(load, small_picture, real_data):
    """Five models' votes; enhancing tumour where two of five have it, core only where all five do: orphans."""
    session = ReviewSession(RememberedScene())
    opening, regions = OpenPresenter(session), RegionsPresenter(session, RememberedInspector())
    widget = load("regions")
    panel = RegionsPanel(widget, regions)
    opening.look_into((str(real_data / "brats_ensemble"),))
    opening.confirm()
    panel.ui.inspectButton.click()
    panel.sliders[1].slider.setValue(90)
    panel.sliders[2].slider.setValue(30)
    choose(panel.ui.mapCombo, "tumour core")
    assert regions.state.problem == "" and regions.state.rows[2].orphans_ml == pytest.approx(0.154)
    small_picture(widget, "regions")
