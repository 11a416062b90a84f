"""A small phantom dataset and studies on it that train for seconds, in real child processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from SegVarianceLib.core.files import sha256_of_file
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study.new_study import Wishes, plan_study

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dataset folder of eight cases: left-handed, oblique and anisotropic grids among them."""
    return make_phantom(tmp_path_factory.mktemp("phantom") / "dataset", seed=1, cases=8)


@pytest.fixture(scope="session")
def planned(phantom: Path) -> Callable[..., StudyFolder]:
    """``planned(folder, **wishes)``: a study of 2 seeds x 30 steps that has trained nothing yet."""

    def plan(folder: Path, **wishes: object) -> StudyFolder:
        given = {"seeds": 2, "budget": "30 steps", "device": "cpu", **wishes}
        study, _ = plan_study(phantom, folder, Wishes(**given), lambda what, done, of: None)  # type: ignore[arg-type]
        return study

    return plan


@pytest.fixture(scope="session")
def segvariance() -> Command:
    """The command as a user runs it, in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "SegVarianceLib.study", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    return run


@pytest.fixture(scope="session")
def undisturbed(
    planned: Callable[..., StudyFolder], segvariance: Command, tmp_path_factory: pytest.TempPathFactory
) -> StudyFolder:
    """The study that every test of this folder compares with: planned, and run in one go."""
    study = planned(tmp_path_factory.mktemp("undisturbed") / "study")
    ran = segvariance("run", study.root)
    assert ran.returncode == 0, ran.stderr
    return study


@pytest.fixture(scope="session")
def results() -> Callable[[StudyFolder], dict[str, str]]:
    """Digest of every file whose bytes must follow from the plan alone."""

    def digests(study: StudyFolder) -> dict[str, str]:
        kinds = ("weights.safetensors", "*.nii.gz", "*.nrrd", "scores.csv", "removed.csv")
        files = sorted(path for kind in kinds for path in study.root.rglob(kind))
        return {path.relative_to(study.root).as_posix(): sha256_of_file(path) for path in files}

    return digests


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool], float], None]:
    def wait(true: Callable[[], bool], patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < deadline, f"waited {patience_s} s in vain"
            time.sleep(0.05)

    return wait
