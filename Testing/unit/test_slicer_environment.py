"""The Python that trainings run in: real virtual environments, real pip, real checks; the packages are stand-ins.

A stand-in wheel carries a name and a version only, and the one called torch also leads to the packages of the Python
that runs the tests. So a build takes seconds and no network, and what it made can really compute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import disk_usage

import pytest

from SegVarianceLib.core.errors import SegVarianceError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.child_process import ChildProcesses, Ended
from SegVarianceSlicer.environment import (
    BUILDING,
    OTHER_PACKAGES,
    READY,
    TORCH,
    Home,
    Worker,
    clean_environment,
    default_folder,
    find_pythons,
    last_words,
    read_check,
)
from SegVarianceSlicer.presenter_environment import EnvironmentPresenter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def library_in_its_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the application, the library lies in a folder without torch, and not among the packages of the Python at hand."""
    monkeypatch.setattr("SegVarianceSlicer.environment.LIBRARY_ROOT", ROOT)


@pytest.fixture
def runner() -> Iterator[ChildProcesses]:
    processes = ChildProcesses()
    yield processes
    processes.close()


@pytest.fixture
def presenter(runner: ChildProcesses, tmp_path: Path) -> EnvironmentPresenter:
    """Without settings but the folder; its pip finds stand-ins only."""
    wheels = stand_ins(tmp_path / "wheels")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    settings = {"folder": str(tmp_path / "environment"), "base": sys.executable}
    return EnvironmentPresenter(runner, settings, lambda state: None, {**os.environ, **offline})


def stand_ins(folder: Path) -> Path:
    folder.mkdir()
    for requirement in (TORCH, *OTHER_PACKAGES):
        name = requirement.split(">=")[0].lower()
        facts = f"{name}-99.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-99.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
            wheel.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{facts}/RECORD", "")
            if name == "torch":
                wheel.writestr("stand_in.pth", sysconfig.get_path("purelib") + "\n")
    return folder


def idle(presenter: EnvironmentPresenter, patience_s: float = 60) -> None:
    wait_for(lambda: not presenter.state.busy, presenter, patience_s)


def wait_for(true: Callable[[], bool], presenter: EnvironmentPresenter, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, presenter.state
        time.sleep(0.05)
        presenter.tick()


def bare_venv(folder: Path) -> Home:
    """An environment as if built here whose packages have been lost."""
    home = Home(folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    home.mark(READY)
    return home


def test_what_is_installed_is_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {TORCH, *OTHER_PACKAGES} == set(project["dependencies"])
    assert project["requires-python"] == ">=3.11"


def test_the_folder_is_where_each_system_keeps_data_of_a_user():
    given = {"LOCALAPPDATA": "/users/ann/local", "XDG_DATA_HOME": "/home/ann/data"}
    assert default_folder(given, "win32") == Path("/users/ann/local/SegVariance/environment")
    assert default_folder(given, "linux") == Path("/home/ann/data/SegVariance/environment")
    assert default_folder({}, "linux") == Path.home() / ".local/share/SegVariance/environment"
    assert default_folder(given, "darwin") == Path.home() / "Library/Application Support/SegVariance/environment"


def test_a_foreign_python_is_not_reached_by_the_variables_of_slicers_own():
    slicers = {
        "PYTHONHOME": "/slicer",
        "PYTHONPATH": "/slicer",
        "LD_LIBRARY_PATH": "/slicer",
        "QT_PLUGIN_PATH": "/slicer",
    }
    kept = {"HOME": "/home/ann", "HTTPS_PROXY": "proxy:1", "PIP_INDEX_URL": "mirror"}
    assert clean_environment(slicers | kept).items() >= kept.items()
    assert "/slicer" not in clean_environment(slicers | kept).values()
    child = Worker(Path(sys.executable), {**os.environ, **slicers}).environment()
    where = [sys.executable, "-c", "import SegVarianceLib; print(SegVarianceLib.__file__)"]
    said = subprocess.run(where, env=child, cwd="/", capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(ROOT / "SegVarianceLib" / "__init__.py")


def test_pythons_that_are_offered_are_there():
    assert all(path.is_file() for path in find_pythons())


def test_no_step_runs_in_this_python_or_writes_outside_the_folder(tmp_path: Path):
    home = Home(tmp_path / "here")
    for compute in ("cpu", "cuda"):
        first, second, *rest = home.steps(Path("/base/python"), compute)
        assert first.command[0] == second.command[0] == "/base/python"
        assert second.command[-1] == str(home.folder / "venv")
        assert {step.command[0] for step in rest} == {str(home.python)}
        assert [step.deletes for step in (first, second, *rest)].index(True) == 1


def test_a_folder_with_files_of_others_is_never_built_into(presenter: EnvironmentPresenter):
    precious = presenter.home.folder / "venv" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    presenter.build()
    assert not presenter.state.busy
    assert "did not make" in presenter.state.problem
    assert precious.read_text() == "years of work"


def test_a_link_in_the_place_of_the_environment_is_not_followed(presenter: EnvironmentPresenter, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    presenter.home.mark(BUILDING)
    (presenter.home.folder / "venv").symlink_to(elsewhere)
    presenter.build()
    assert "did not make" in presenter.state.problem


def test_a_full_disk_is_said_before_anything_is_made():
    systems = [Path(name) for name in ("/dev/shm", "/run/lock", "/dev", "/proc")]  # noqa: S108 (full or small ones)
    small = next((each for each in systems if os.access(each, os.W_OK) and disk_usage(each).free < 2**33), None)
    if small is None:
        pytest.skip("no small file system that may be written to here")
    folder = small / "segvariance-test-environment"
    with pytest.raises(SegVarianceError, match=r"12 GiB.*another disk"):
        Home(folder).require_room("cuda")
    assert not folder.exists()


def test_a_file_in_the_way_is_a_sentence(presenter: EnvironmentPresenter, tmp_path: Path):
    (tmp_path / "file").write_text("")
    presenter.choose(folder=str(tmp_path / "file" / "environment"))
    presenter.build()
    assert str(tmp_path / "file") in presenter.state.problem


def test_a_base_that_is_no_python_leaves_the_old_environment_as_it_is(presenter: EnvironmentPresenter):
    home = bare_venv(presenter.home.folder)
    presenter.choose(base="/bin/false")
    presenter.build()
    idle(presenter)
    assert "Look at the chosen Python" in presenter.state.problem
    assert "another Python" in presenter.state.problem
    assert home.state == READY


def test_a_python_without_the_packages_is_not_used(presenter: EnvironmentPresenter, tmp_path: Path):
    bare = bare_venv(tmp_path / "bare")
    presenter.use_python(str(bare.python))
    idle(presenter)
    assert "torch cannot be loaded" in presenter.state.problem
    assert presenter.worker() is None
    presenter.use_python("/bin/false")
    idle(presenter)
    assert "does not run as a Python" in presenter.state.problem
    presenter.use_python(str(tmp_path / "nothing"))
    idle(presenter)
    assert "cannot be started" in presenter.state.problem
    assert presenter.worker() is None


def test_a_python_of_the_users_own_is_used_once_it_passed_and_given_up_again(presenter: EnvironmentPresenter):
    presenter.use_python(sys.executable)
    assert presenter.worker() is None, "not before it is checked"
    idle(presenter)
    assert presenter.state.problem == ""
    assert presenter.worker() is not None
    assert presenter.state.ready
    assert "torch" in presenter.state.log[-1]
    presenter.use_built()
    assert presenter.worker() is None


def test_what_an_error_says_is_its_own_line():
    assert last_words(Ended(1, "", "WARNING: Retrying\nERROR: No matching distribution\n[notice] new pip\n")) == (
        "No matching distribution"
    )
    assert "exit code 3" in last_words(Ended(3, "", ""))
    assert "does not run" in read_check(Ended(0, "[]", "")).problem


@pytest.mark.slow
def test_a_broken_environment_is_found_a_cancelled_repair_is_seen_and_the_next_repair_recovers(
    presenter: EnvironmentPresenter, runner: ChildProcesses
):
    bare_venv(presenter.home.folder)
    (presenter.home.folder / "venv" / "left_over.txt").write_text("of the broken one")
    presenter.tick()
    assert presenter.state.ready, "it looks ready until it is checked"
    presenter.check()
    idle(presenter)
    assert "torch cannot be loaded" in presenter.state.problem
    assert not presenter.state.ready
    assert presenter.worker() is None
    assert presenter.state.build_text == "Repair"

    presenter.build()
    wait_for(lambda: "Make an empty" in presenter.state.sentence, presenter, 20)
    presenter.cancel()
    idle(presenter)
    assert presenter.state.problem == "Cancelled."
    settings = {"folder": presenter.state.folder, "base": sys.executable}
    reopened = EnvironmentPresenter(runner, settings, lambda state: None)
    assert "not complete" in reopened.state.sentence
    assert reopened.worker() is None

    presenter.build()
    idle(presenter, 120)
    assert presenter.state.problem == ""
    assert presenter.state.ready
    assert not (presenter.home.folder / "venv" / "left_over.txt").exists()
    assert any("Successfully installed" in line for line in presenter.state.log)
    worker = presenter.worker()
    assert worker is not None
    assert worker.python.is_relative_to(presenter.home.folder)
    helped = subprocess.run(worker.command("--version"), env=worker.environment(), capture_output=True, text=True)
    assert helped.stdout.startswith("SegVariance ")


@pytest.mark.slow
def test_a_build_without_network_says_so_and_can_be_tried_again(presenter: EnvironmentPresenter, tmp_path: Path):
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()
    presenter.build()
    idle(presenter, 60)
    assert presenter.state.problem.startswith("Reach the package server")
    assert "network" in presenter.state.problem
    assert presenter.state.build_text == "Repair"
    assert not presenter.state.ready
