"""The Train panel on its .ui file: what is wished, what can be pressed, and what is shown of a study."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import qt
from PySide6.QtGui import QImage
from SegVarianceSlicer.child_process import ChildProcesses
from SegVarianceSlicer.panels.train import _COMBOS, _EDITS, _SPINS, TrainPanel
from SegVarianceSlicer.presenter_training import TrainingPresenter
from SegVarianceSlicer.state_training import CLEAN_UPS, DEVICES, RunRow, TrainingState, TrainingWishes

from SegVarianceLib.core.events import EventLog
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.splits import Fold
from SegVarianceLib.plan.study_folder import StudyDataset, StudyFolder
from SegVarianceLib.plan.study_plan import (
    SCHEMA,
    ChannelPlan,
    Configuration,
    NetworkPlan,
    PreprocessingPlan,
    StudyPlan,
    TrainingPlan,
)

WISHES = TrainingWishes(
    "/data", "/study", "wide", 7, 3, 5, 11, "/p.csv", "patient", 90, "epochs", "cuda", 2, False, "minimum_size", 2.5, "Liver"
)  # fmt: skip
RUNS = (
    RunRow("default · fold 0 · seed 0", "done", 100, 100, 0.91234, 4, tuple((s, s / 120) for s in range(0, 101, 4))),
    RunRow("default · fold 0 · seed 1", "training", 50, 100, None, 0, tuple((s, s / 150) for s in range(0, 51, 4))),
    RunRow("default · fold 0 · seed 2", "waiting", 0, 100),
)


@pytest.fixture
def panel(load):
    return TrainPanel(load("train"), TrainingPresenter(ChildProcesses(), lambda: None))


@pytest.fixture
def study(tmp_path):
    """Two seeds of ten steps, the first of which has made four; nobody works on it."""
    recipe = Configuration(
        "default",
        "builtin",
        PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
        NetworkPlan(1, 2, (8, 8, 8), (2, 2, 2), (), (4,)),
        TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
    )
    folder = StudyFolder(tmp_path / "study")
    images, references = {"a": ("a.nii.gz",), "b": ("b.nii.gz",)}, {"a": "la.nii.gz", "b": "lb.nii.gz"}
    labels = {"structures": {"liver": [1]}, "ignore_value": None, "regions_class_order": None}
    dataset = StudyDataset(str(tmp_path), "D", ("T1",), ".nii.gz", images, references, labels)
    write_json(folder.dataset_path, to_json(dataset))
    write_json(folder.splits_path, to_json((Fold(("a",), ("b",)),)))
    StudyPlan(SCHEMA, "T", "/data", "x", "holdout", 0, (1, 2), (recipe,), "cpu", 1, True, "none", 1.0).write(folder.plan_path)  # fmt: skip
    with EventLog(folder.events_path) as log:
        log.write("study_started", runs=2, done=0)
        log.write("stage", stage="train")
        for step in (2, 4):
            log.write("step", configuration="default", fold=0, seed=1, step=step, steps=10, dice=0.1 * step, loss=1.0)
    return folder


@pytest.fixture
def worker(study):
    """A process that the study names as its worker."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    started_s = psutil.Process(process.pid).create_time()
    write_json(study.worker_path, {"pid": process.pid, "started_s": started_s, "host": socket.gethostname()})
    yield process
    process.kill()
    process.wait()


def column(table, number):
    return [table.item(row, number).text() for row in range(table.rowCount)]


def inked(path: Path) -> int:
    """How many pixels are not as bright as paper."""
    picture = QImage(str(path)).convertToFormat(QImage.Format.Format_Grayscale8)
    return int((np.frombuffer(picture.constBits(), np.uint8) < 200).sum())


def test_every_wish_is_shown_and_every_change_is_wished(panel):
    panel._presenter.wish(**{field.name: getattr(WISHES, field.name) for field in fields(WISHES)})
    for field, name in _EDITS.items():
        assert getattr(panel.ui, name).text == getattr(WISHES, field)
        getattr(panel.ui, name).setText(getattr(WISHES, field) + "x")
    for field, name in _SPINS.items():
        assert getattr(panel.ui, name).value == getattr(WISHES, field)
        getattr(panel.ui, name).setValue(getattr(WISHES, field) + 1)
    for field, (name, entries) in _COMBOS.items():
        combo = getattr(panel.ui, name)
        assert combo.itemData(combo.currentIndex) == getattr(WISHES, field)
        combo.setCurrentIndex(0)
        combo.wrapped.activated.emit(0)
        assert getattr(panel._presenter.state.wishes, field) == next(iter(entries))
    panel.ui.probabilitiesCheck.click()
    got = panel._presenter.state.wishes
    assert got.keep_probabilities
    assert [getattr(got, field) for field in _EDITS] == [getattr(WISHES, field) + "x" for field in _EDITS]
    assert [getattr(got, field) for field in _SPINS] == [getattr(WISHES, field) + 1 for field in _SPINS]
    shown = {*_EDITS, *_SPINS, *_COMBOS, "keep_probabilities"}
    assert shown == {field.name for field in fields(TrainingWishes)}


def test_the_choices_are_said_in_words(panel):
    assert [panel.ui.deviceCombo.itemText(number) for number in range(4)] == list(DEVICES.values())
    assert panel.ui.cleanUpCombo.count == len(CLEAN_UPS)
    assert panel.ui.foldsSpin.text.startswith("1 (a fifth is held out)")


def test_at_first_nothing_can_be_pressed_but_choosing(panel, picture):
    ui = panel.ui
    assert not (ui.planButton.enabled or ui.startButton.enabled or ui.stopButton.enabled)
    assert ui.openStudyButton.enabled
    for hidden in (ui.runTable, ui.progressBar, ui.problemLabel, ui.costLabel, ui.cancelButton, ui.moreBox):
        assert hidden.isHidden()
    ui.datasetEdit.setText("/data")
    ui.studyEdit.setText("/study")
    assert ui.planButton.enabled
    ui.planButton.click()
    assert "section Environment" in ui.problemLabel.text
    assert inked(picture(panel._widget, "train_without_environment")) > 1000


def test_typing_a_blank_does_not_move_the_cursor(panel):
    edit = panel.ui.titleEdit
    for text in ("Livers", "Livers ", "Livers o"):
        edit.setText(text)
        assert edit.text == text
    assert panel._presenter.state.wishes.title == "Livers o"


def test_choose_folders_in_dialogs_and_cancel_them(panel, monkeypatch, tmp_path):
    chosen = [str(tmp_path), "", str(tmp_path)]
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *asked: chosen.pop(0), raising=False)
    panel.ui.datasetButton.click()
    assert panel.ui.datasetEdit.text == str(tmp_path)
    panel.ui.datasetButton.click()
    assert panel.ui.datasetEdit.text == str(tmp_path)
    panel.ui.openStudyButton.click()
    assert "is not a study" in panel.ui.problemLabel.text


def test_a_study_under_way_is_a_table_a_bar_and_curves(panel, picture):
    ui = panel.ui
    state = TrainingState(wishes=WISHES, sentence="Training.", cost="3 trainings.", runs=RUNS, can_stop=True)
    panel.show(state)
    assert column(ui.runTable, 0) == [run.name for run in RUNS]
    assert column(ui.runTable, 1) == ["done", "training", "waiting"]
    assert column(ui.runTable, 2) == ["100 of 100", "50 of 100", "0 of 100"]
    assert column(ui.runTable, 3) == ["0.912", "", ""]
    assert ui.progressBar.value == 50
    assert ui.stopButton.enabled
    assert not ui.startButton.enabled
    before = inked(picture(panel._widget, "train"))
    without = tuple(replace(run, curve=run.curve[:2]) for run in RUNS)
    panel.show(replace(state, runs=without))
    assert inked(picture(panel._widget, "train_begun")) < before, "the curves are painted"


def test_a_dead_training_offers_to_resume(panel):
    panel.show(TrainingState(sentence="The training died.", runs=RUNS, can_start=True, start_text="Resume"))
    assert panel.ui.startButton.text == "Resume"
    assert panel.ui.startButton.enabled
    assert not panel.ui.stopButton.enabled


def test_planning_can_be_cancelled_and_starting_cannot(panel):
    panel.show(TrainingState(busy=True, can_cancel=True))
    assert not panel.ui.cancelButton.isHidden()
    assert not panel.ui.openStudyButton.enabled
    panel.show(TrainingState(busy=True))
    assert panel.ui.cancelButton.isHidden()


def test_a_worker_killed_with_minus_nine_is_dead_on_screen_also_after_the_module_was_closed(
    load, study, worker, monkeypatch, picture
):
    settings = {}

    def opened():
        presenter = TrainingPresenter(ChildProcesses(), lambda: None, settings=settings)
        return TrainPanel(load("train"), presenter)

    first = opened()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *asked: str(study.root), raising=False)
    first.ui.openStudyButton.click()
    again = opened()
    for panel in (first, again):
        assert panel.ui.seedsSpin.text == "2 seeds"
        assert panel.ui.sentenceLabel.text.startswith("Training: 0 of 2 trainings done")
        assert (panel.ui.stopButton.enabled, panel.ui.startButton.enabled) == (True, False)
        assert column(panel.ui.runTable, 1) == ["training", "waiting"]

    os.kill(worker.pid, signal.SIGKILL)
    while psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE:  # nobody has waited for it yet
        time.sleep(0.01)
    again._presenter.tick()
    for panel in (again, opened()):
        assert "died" in panel.ui.sentenceLabel.text
        assert "Nothing is lost" in panel.ui.sentenceLabel.text
        assert (panel.ui.stopButton.enabled, panel.ui.startButton.enabled) == (False, True)
        assert panel.ui.startButton.text == "Resume"
        assert column(panel.ui.runTable, 1) == ["waiting", "waiting"]
        assert column(panel.ui.runTable, 2) == ["4 of 10", "0 of 10"]
    assert picture(again._widget, "train_died").stat().st_size > 2000
