"""The isolated Python in which trainings run: where it lives, the commands that make it, and whether it works.

Nothing here installs into the Python that runs this: every step is a command line of another one. The folder holds
``environment.json``, which says that it is ours to delete, and ``venv/``, which every build makes from nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SegVarianceLib import __version__
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json

from .child_process import Ended

LIBRARY_ROOT = Path(sys.modules["SegVarianceLib"].__file__ or "").resolve().parents[1]

TORCH = "torch>=2.10"
OTHER_PACKAGES = (
    "numpy>=2.0",
    "scipy>=1.13",
    "SimpleITK>=2.4",
    "safetensors>=0.5",
    "rich>=13",
    "psutil>=6",
    "filelock>=3.15",
)
_SMALLEST_PACKAGE = "filelock"  # 15 kB, and both package servers have it
_OLDEST_PYTHON = (3, 11)

COMPUTE = {"cpu": "Processor only", "cuda": "NVIDIA graphics card"}
_TORCH_SERVERS = {
    "cpu": "https://download.pytorch.org/whl/cpu",
    "cuda": "https://download.pytorch.org/whl/cu128",
}
"""Given by PyTorch's installation page. For macOS there is one build only, on the ordinary server."""
_NEEDED_GIB = {"cpu": 3, "cuda": 12}
"""Free space that a build asks for: what is downloaded and what is unpacked lie side by side for a while."""
_DOWNLOAD_GIB = {"cpu": 0.4, "cuda": 3.5}

_NOT_OURS = ("PYTHON", "DYLD_", "QT_", "VIRTUAL_ENV", "CONDA_", "__PYVENV")
_MARKER, _SCHEMA = "environment.json", 1
BUILDING, READY = "building", "ready"


@dataclass(frozen=True)
class Worker:
    """A Python that can train, as the commands of this module call it."""

    python: Path
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """Of the shell that started Slicer where they are known (``slicer.util.startupEnvironment()``)."""

    def command(self, *arguments: str) -> list[str]:
        """Command line of ``segvariance``. Both halves are always of one version: it runs the library that lies here."""
        return [str(self.python), "-m", "SegVarianceLib.study", *arguments]

    def check_command(self) -> list[str]:
        return [str(self.python), "-c", _SELF_TEST]

    def environment(self) -> dict[str, str]:
        return clean_environment(self.variables) | {"PYTHONPATH": str(LIBRARY_ROOT)}


@dataclass(frozen=True)
class Step:
    """One command of a build: what the user reads, what runs, and what to do if it fails.

    ``deletes``: from this step on, the environment that was there before is gone.
    """

    title: str
    command: list[str]
    remedy: str
    deletes: bool = False


@dataclass(frozen=True)
class Check:
    """What a Python said of itself: ``problem`` is empty where trainings can run in it."""

    problem: str
    python: str = ""
    torch: str = ""
    device: str = ""

    def __str__(self) -> str:
        where = {"cpu": "the processor", "cuda": "the graphics card", "mps": "the graphics processor"}
        return self.problem or (
            f"Ready: Python {self.python}, torch {self.torch}, computes on {where.get(self.device, self.device)}."
        )


@dataclass(frozen=True)
class Home:
    """The folder of the environment that this module builds."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def state(self) -> str:
        """``BUILDING`` (under way, or never finished), ``READY``, or "" where there is none."""
        try:
            marker = read_json(self.folder / _MARKER)
        except SegVarianceError:
            return ""
        state = marker.get("state") if isinstance(marker, dict) and marker.get("schema") == _SCHEMA else ""
        if state == READY and not self.python.is_file():
            return BUILDING
        return state if state in (BUILDING, READY) else ""

    def mark(self, state: str) -> None:
        """Write down how far it is; the mark is also what allows a later build to delete the old one."""
        write_json(self.folder / _MARKER, {"schema": _SCHEMA, "state": state, "segvariance": __version__})

    def require_room(self, compute: str) -> None:
        """Raises SegVarianceError where the disk is too full, the folder is not ours or cannot be written."""
        there = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise SegVarianceError(f"{there} is no folder that you may write to. Choose another folder.")
        ours = bool(self.state) and not self.folder.is_symlink() and not (self.folder / "venv").is_symlink()
        if there == self.folder and any(self.folder.iterdir()) and not ours:
            raise SegVarianceError(
                f"{self.folder} holds files that SegVariance did not make, and a build would delete them. "
                "Choose an empty or a new folder."
            )
        free_gib = shutil.disk_usage(there).free / 2**30
        if free_gib < _NEEDED_GIB[compute]:
            raise SegVarianceError(
                f"{there} has {free_gib:.1f} GiB free, and the environment needs {_NEEDED_GIB[compute]} GiB. "
                "Free some space, or choose a folder on another disk."
            )

    def steps(self, base: Path, compute: str) -> list[Step]:
        """The commands that make it from nothing, whatever was there: a build and a repair are the same."""
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        server = ["--index-url", _TORCH_SERVERS[compute]] if sys.platform != "darwin" else []
        reach = [*pip, "install", "--dry-run", "--no-deps", "--ignore-installed", "--retries", "1", _SMALLEST_PACKAGE]
        install = [*pip, "install", "--progress-bar", "off"]
        make = [str(base), "-I", "-m", "venv", "--clear", str(self.folder / "venv")]
        online = "Check the network connection and the proxy settings, then build again."
        other = "Choose another Python, for example one from python.org."
        return [
            Step("Look at the chosen Python", [str(base), "-I", "-c", _LOOK], other),
            Step("Make an empty environment", make, other, deletes=True),
            Step("Reach the package server", reach, online),
            Step("Reach the PyTorch server", [*reach, *server], online),
            Step("Download and install PyTorch", [*install, *server, TORCH], online),
            Step("Download and install the rest", [*install, *OTHER_PACKAGES], online),
        ]

    def cost(self, compute: str) -> str:
        """What a build takes, in words, to be asked before it starts."""
        return (
            f"About {_DOWNLOAD_GIB[compute]:g} GiB will be downloaded and up to {_NEEDED_GIB[compute]} GiB of disk used in "
            f"{self.folder}. An environment that SegVariance made there before is deleted first. "
            "Nothing is installed into Slicer itself."
        )


def default_folder(variables: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Where programs of this system keep data of one user."""
    home = Path.home()
    if platform == "win32":
        above = Path(variables.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        above = home / "Library" / "Application Support"
    else:
        above = Path(variables.get("XDG_DATA_HOME") or home / ".local" / "share")
    return above / "SegVariance" / "environment"


def find_pythons() -> list[Path]:
    """Pythons of this machine that may serve as the base of an environment, likely ones first."""
    found = [
        shutil.which(name) for name in ("python3.12", "python3.13", "python3.11", "python3.14", "python3", "python")
    ]
    installed = Path(os.environ.get("LOCALAPPDATA", "")) / "Programs" / "Python"
    if sys.platform == "win32":  # the installer of python.org leaves PATH alone unless it is asked
        found += [str(path) for path in sorted(installed.glob("Python3*/python.exe"), reverse=True)]
    return [Path(path) for path in dict.fromkeys(path for path in found if path)]


def clean_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process without those by which Slicer's own Python and libraries would reach a foreign one."""
    kept = {name: value for name, value in variables.items() if not name.upper().startswith(_NOT_OURS)}
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD"):
        kept.pop(name, None)
    return kept | {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def read_check(ended: Ended) -> Check:
    """What ``Worker.check_command`` answered; a crash and a program that is no Python are problems like others."""
    try:
        answer: Any = json.loads(ended.out.strip().splitlines()[-1])
        return Check(**{name: str(answer[name]) for name in ("problem", "python", "torch", "device")})
    except (IndexError, KeyError, TypeError, ValueError):
        return Check(
            f"It does not run as a Python: {last_words(ended)} Choose another Python, or repair the environment."
        )


def last_words(ended: Ended) -> str:
    """Why a command failed, in its own last line: without pip's or the command's own name before it."""
    lines = [line.strip() for line in ended.err.splitlines() if line.strip() and not line.startswith("[notice]")]
    errors = [line for line in lines if line.startswith(("ERROR:", "Error:"))]
    said = (errors or lines or [f"it ended with exit code {ended.code} and said nothing."])[-1]
    if said.startswith("segvariance ") and ": " in said:
        said = said.partition(": ")[2]
    return said.removeprefix("ERROR: ")[:500]


_LOOK = f"""
import sys
if sys.version_info < {_OLDEST_PYTHON}:
    sys.exit(f"Python {{sys.version.split()[0]}} is too old: expected {".".join(map(str, _OLDEST_PYTHON))} or newer.")
try:
    import venv, ensurepip
except ImportError as error:
    sys.exit(f"This Python cannot make environments ({{error}}).")
print("Python", sys.version.split()[0])
"""

_SELF_TEST = f"""
import json, re, sys
from importlib import metadata
answer = dict(problem="", python=sys.version.split()[0], torch="", device="")
def numbers(version):
    return tuple(map(int, re.findall("[0-9]+", version)[:2]))
def problem():
    if sys.version_info < {_OLDEST_PYTHON}:
        return f"Python {{answer['python']}} is too old: choose one of {".".join(map(str, _OLDEST_PYTHON))} or newer."
    for requirement in {(TORCH, *OTHER_PACKAGES)}:
        name, least = requirement.split(">=")
        try:
            __import__(name)
            found = metadata.version(name)
        except Exception as error:
            return f"The package {{name}} cannot be loaded ({{error}}): repair the environment, or choose another Python."
        if numbers(found) < numbers(least):
            return f"{{name}} {{found}} is too old: expected {{least}} or newer. Repair the environment, or choose another Python."
    try:
        import torch
        from SegVarianceLib.model.device import open_device
        answer.update(torch=torch.__version__, device=open_device("auto", 1).kind)
        image = torch.ones(1, 1, 4, 4, 4, device=answer["device"])
        if torch.nn.functional.conv3d(image, torch.ones_like(image)).item() != 64:
            return "It computes wrongly: repair the environment."
    except Exception as error:
        return f"It loads, but does not compute ({{error}}): repair the environment, or choose another Python."
    return ""
answer["problem"] = problem()
print()
print(json.dumps(answer))
"""
