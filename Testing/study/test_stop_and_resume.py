"""A study that is stopped, killed or fought over ends with the bytes of one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import write_json
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study.worker import worker_of

pytestmark = pytest.mark.slow


def steps_made(study: StudyFolder) -> int:
    return max((event["step"] for event in read_events(study.events_path) if event["kind"] == "step"), default=0)


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_a_detached_study_is_stopped_in_seconds_and_resumed_to_the_same_bytes(
    undisturbed: StudyFolder,
    planned: Callable,
    segvariance: Callable,
    results: Callable,
    wait_until: Callable,
    tmp_path: Path,
) -> None:
    study = planned(tmp_path / "stopped")
    detached = segvariance("run", study.root, "--detach")
    assert detached.returncode == 0, detached.stderr
    worker = worker_of(study)
    assert worker is not None
    wait_until(lambda: steps_made(study) > 0, 90)
    family = below(worker.pid)
    assert family

    refused = segvariance("run", study.root)
    assert refused.returncode == 2
    assert f"process {worker.pid}" in refused.stderr

    begun = time.monotonic()
    stopped = segvariance("stop", study.root)
    assert stopped.returncode == 0
    assert "Stopped" in stopped.stdout
    assert time.monotonic() - begun < 20
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
    assert worker_of(study) is None
    assert "stopped" in segvariance("status", study.root).stdout

    resumed = segvariance("run", study.root)
    assert resumed.returncode == 0, resumed.stderr
    assert results(study) == results(undisturbed)


def test_children_of_a_killed_worker_end_and_the_next_worker_finishes_to_the_same_bytes(
    undisturbed: StudyFolder,
    planned: Callable,
    segvariance: Callable,
    results: Callable,
    wait_until: Callable,
    tmp_path: Path,
) -> None:
    study = planned(tmp_path / "killed")
    command = [sys.executable, "-m", "SegVarianceLib.study", "run", str(study.root)]
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: steps_made(study) > 0, 90)
    family = below(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not any(process.is_running() for process in family), 20)
    assert study.worker_path.exists(), "a killed worker cannot tidy up; its record must be seen through"
    assert worker_of(study) is None

    resumed = segvariance("run", study.root)
    assert resumed.returncode == 0, resumed.stderr
    assert results(study) == results(undisturbed)


def test_control_c_stops_in_order_and_says_how_to_go_on(
    planned: Callable, wait_until: Callable, tmp_path: Path
) -> None:
    study = planned(tmp_path / "interrupted", seeds=1, budget="2000 steps")
    command = [sys.executable, "-m", "SegVarianceLib.study", "run", str(study.root)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: steps_made(study) > 0, 90)
    worker.send_signal(signal.SIGINT)
    said, _ = worker.communicate(timeout=30)
    assert worker.returncode == 130
    assert "segvariance run" in said
    assert study.checkpoint(study.runs[0]).exists()
    assert [event["kind"] for event in read_events(study.events_path)][-1] == "study_stopped"


def test_a_record_of_a_process_number_that_was_used_again_is_not_believed(planned: Callable, tmp_path: Path) -> None:
    study = planned(tmp_path / "stale")
    import socket

    write_json(study.worker_path, {"pid": os.getpid(), "started_s": 1.0, "host": socket.gethostname()})
    assert worker_of(study) is None
    write_json(
        study.worker_path,
        {"pid": os.getpid(), "started_s": psutil.Process().create_time(), "host": socket.gethostname()},
    )
    assert worker_of(study) is not None


def test_a_failed_training_is_named_and_the_others_stay_done(
    planned: Callable, segvariance: Callable, tmp_path: Path
) -> None:
    study = planned(tmp_path / "failed", budget="3 steps")
    (study.run_folder(study.runs[1]) / "weights.safetensors").mkdir(parents=True)
    ran = segvariance("run", study.root)
    assert ran.returncode == 2
    assert "1 of 2 trainings failed" in ran.stderr
    assert str(study.runs[1]) in ran.stderr
    assert study.is_done(study.runs[0])
    assert not study.is_done(study.runs[1])


def test_a_dataset_that_changed_since_the_plan_is_refused_before_training(
    phantom: Path, segvariance: Callable, tmp_path: Path
) -> None:
    import shutil

    dataset = shutil.copytree(phantom, tmp_path / "dataset")
    root = tmp_path / "study"
    assert segvariance("plan", dataset, root, "--seeds", 1, "--budget", "2 steps").returncode == 0
    first, second = sorted((dataset / "labelsTr").iterdir())[:2]
    first.write_bytes(second.read_bytes())
    ran = segvariance("run", root)
    assert ran.returncode == 2
    assert "changed since" in ran.stderr + ran.stdout
