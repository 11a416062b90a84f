"""The Environment panel on its .ui file, over a presenter that runs real commands."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import qt
import slicer
from SegVarianceSlicer.child_process import ChildProcesses
from SegVarianceSlicer.environment import READY, Home
from SegVarianceSlicer.panels.environment import EnvironmentPanel
from SegVarianceSlicer.presenter_environment import EnvironmentPresenter


@pytest.fixture
def panel(load, tmp_path):
    runner = ChildProcesses()
    settings = {"folder": str(tmp_path / "environment"), "base": sys.executable}
    yield EnvironmentPanel(load("environment"), EnvironmentPresenter(runner, settings))
    runner.close()


@pytest.fixture
def asked(monkeypatch):
    """Questions that were asked; the last answer given is what it answers."""
    questions, answers = [], [True]

    def confirm(text, title=""):
        questions.append(text)
        return answers[-1]

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm, raising=False)
    return questions, answers


def idle(panel):
    deadline = time.monotonic() + 30
    while panel._presenter.state.busy and time.monotonic() < deadline:
        time.sleep(0.05)
        panel._presenter.tick()


def test_at_first_it_says_that_there_is_none_and_offers_to_build(panel, tmp_path, picture):
    ui = panel.ui
    assert "no environment yet" in ui.sentenceLabel.text
    assert ui.folderEdit.text == str(tmp_path / "environment")
    assert ui.baseCombo.itemData(ui.baseCombo.currentIndex) == sys.executable
    assert (ui.buildButton.text, ui.buildButton.enabled) == ("Build", True)
    assert not (ui.checkButton.enabled or ui.cancelButton.enabled)
    for hidden in (ui.problemLabel, ui.progressBar, ui.logEdit, ui.builtButton):
        assert hidden.isHidden()
    assert picture(panel._widget, "environment").stat().st_size > 2000


def test_nothing_is_built_before_it_was_asked_for(panel, asked, tmp_path):
    questions, answers = asked
    answers.append(False)
    panel.ui.buildButton.click()
    assert "Nothing is installed into Slicer itself" in questions[0]
    assert "GiB" in questions[0]
    assert not panel._presenter.state.busy
    assert not (tmp_path / "environment").exists()


def test_a_build_shows_its_log_can_be_cancelled_and_offers_repair(panel, asked, picture):
    panel.ui.buildButton.click()
    assert panel.ui.cancelButton.enabled
    assert not panel.ui.buildButton.enabled
    assert not panel.ui.progressBar.isHidden()
    panel.ui.logButton.click()
    assert not panel.ui.logEdit.isHidden()
    while "Make an empty" not in panel._presenter.state.sentence and panel._presenter.state.busy:
        time.sleep(0.02)
        panel._presenter.tick()
    assert "Python 3." in panel.ui.logEdit.plainText
    assert picture(panel._widget, "environment_building").stat().st_size > 2000
    panel.ui.cancelButton.click()
    idle(panel)
    assert panel.ui.problemLabel.text == "Cancelled."
    assert panel.ui.buildButton.text == "Repair"
    assert panel.ui.buildButton.enabled


def test_a_broken_environment_is_said_in_a_sentence_after_check(panel, picture, monkeypatch):
    root = Path(__file__).resolve().parents[2]  # as in the application, a folder without torch
    monkeypatch.setattr("SegVarianceSlicer.environment.LIBRARY_ROOT", root)
    home = Home(panel._presenter.home.folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home.folder / "venv")], check=True)
    home.mark(READY)
    panel._presenter.tick()
    assert "is ready" in panel.ui.sentenceLabel.text
    panel.ui.checkButton.click()
    idle(panel)
    assert "torch cannot be loaded" in panel.ui.problemLabel.text
    assert "Repair" in panel.ui.sentenceLabel.text
    assert picture(panel._widget, "environment_broken").stat().st_size > 2000


def test_a_python_of_the_users_own_is_refused_in_a_sentence_if_it_is_none(panel, monkeypatch):
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *asked: ("/bin/false", ""), raising=False)
    panel.ui.ownButton.click()
    idle(panel)
    assert panel.ui.problemLabel.text.startswith("/bin/false is not used.")
    assert panel.ui.builtButton.isHidden()
