"""The module's own self-test, in a process that holds the real MRML scene and PySide6 widgets; see application.py."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

APPLICATION = Path(__file__).with_name("application.py")
STEPS = [
    "Open",
    "Look",
    "Ensemble and clean",
    "Regions",
    "Scores",
    "Compare",
    "Train",
    "Close the scene and open it again",
    "Passed",
]
PATIENCE_S = 900


def lacking() -> str:
    """The first package of the Slicer side that is not installed. Not imported: other tests put a stand-in in its place."""
    for package in ("slicer-core", "PySide6-Essentials"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            return package
    return ""


pytestmark = [
    pytest.mark.slicer,
    pytest.mark.skipif(bool(lacking()), reason=f"the story needs {lacking()}: pip install '.[slicer]'"),
]


@pytest.fixture
def tell(tmp_path):
    """Tell the story with or without views, perhaps with a Python to train in; returns what it said, a line a step."""

    def told(views: str, python: str) -> dict[str, str]:
        variables = {name: value for name, value in os.environ.items() if name != "SEGVARIANCE_PYTHON"}
        variables |= {name: str(tmp_path) for name in ("TMPDIR", "TEMP", "TMP", "XDG_DATA_HOME")}
        variables |= {"QT_QPA_PLATFORM": "offscreen"} | ({"SEGVARIANCE_PYTHON": python} if python else {})
        (tmp_path / "application").mkdir()
        command = [sys.executable, "-P", str(APPLICATION), str(tmp_path / "application"), *filter(None, [views])]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        said = [line.partition("STORY ")[2] for line in done.stdout.splitlines() if "STORY " in line]
        return {line.partition(":")[0]: line for line in said}

    yield told
    left = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])]
    for process in left:
        process.kill()
    assert not left, "a training was left behind"


@pytest.mark.slow
def test_a_user_goes_from_sample_data_to_a_stopped_training_and_a_scene_opened_again(tell):
    if find_spec("torch") is None:
        pytest.skip("this Python has no torch to train with: pip install '.[slicer]'")
    said = tell("views", sys.executable)
    assert "start, wait for the first steps, stop" in said["Train"]
    assert [step for step in said if step != "Environment"] == STEPS


def test_without_a_main_window_all_but_the_views_is_there_and_without_a_python_the_training_is_skipped_in_a_sentence(
    tell,
):
    said = tell("", "")
    assert "SKIPPED" in said["Train"] and "SEGVARIANCE_PYTHON" in said["Train"]
    assert list(said) == STEPS
