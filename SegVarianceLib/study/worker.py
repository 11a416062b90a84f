"""The one process that works on a study, or on an adaptation: its lock, how others see it, and how they stop it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from filelock import FileLock, Timeout

from ..core.errors import SegVarianceError
from ..core.files import read_json, write_json, write_text
from ..core.records import from_json, to_json
from ..plan.work_folder import WorkFolder
from .executors import kill_tree

_START_PATIENCE_S = 30.0
_STOP_PATIENCE_S = 15.0
_SAME_START_S = 2.0
"""A process with the recorded number that started this much apart is another one: numbers are used again."""


@dataclass(frozen=True)
class WorkerRecord:
    """Who works on the study; kept in ``worker.json`` while it does."""

    pid: int
    started_s: float
    host: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.started_s))})"


@contextmanager
def sole_worker(study: WorkFolder) -> Iterator[Callable[[], bool]]:
    """Hold the study; gives the question whether to stop, which SIGINT, SIGTERM and ``stop_worker`` answer with yes.

    The lock is the operating system's, so a killed worker leaves none behind.

    Raises:
        SegVarianceError: another worker holds the study; the sentence says who.
    """
    lock = FileLock(study.lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = worker_of(study)
        raise SegVarianceError(
            f"{study.root} is already being worked on by {holder or 'another process'}. "
            f"Watch it with: segvariance status {study.root}, or stop it with: segvariance stop {study.root}"
        ) from None
    try:
        study.stop_path.unlink(missing_ok=True)
        process = psutil.Process()
        write_json(study.worker_path, to_json(WorkerRecord(process.pid, process.create_time(), socket.gethostname())))
        with _stop_signals() as signalled:
            yield lambda: signalled() or study.stop_path.exists()
    finally:
        study.worker_path.unlink(missing_ok=True)
        study.stop_path.unlink(missing_ok=True)
        lock.release()


def worker_of(study: WorkFolder) -> WorkerRecord | None:
    """The worker on this study if it lives, else None; a record that a crash left behind is seen through.

    A worker on another host cannot be asked for its life; its record is believed.
    """
    if not study.worker_path.exists():
        return None
    try:
        record = from_json(WorkerRecord, read_json(study.worker_path), str(study.worker_path))
    except SegVarianceError:
        return None
    return record if record.host != socket.gethostname() or _process_of(record) else None


def stop_worker(study: WorkFolder) -> str:
    """Ask the worker to stop, then end its process tree; says in a sentence what happened. The study can be resumed.

    Raises:
        SegVarianceError: the worker is on another host and does not answer.
    """
    worker = worker_of(study)
    if worker is None:
        return f"Nobody is working on {study.root}."
    write_text(study.stop_path, "stop\n")
    if _wait_until(lambda: worker_of(study) != worker, _STOP_PATIENCE_S):
        return f"Stopped {worker}. Resume with: segvariance run {study.root}"
    if worker.host != socket.gethostname():
        raise SegVarianceError(
            f"{worker} has not stopped yet. It will after its current step; else stop it on {worker.host}."
        )
    if process := _process_of(worker):
        kill_tree(process.pid)
    return f"Killed {worker}, which did not stop in {_STOP_PATIENCE_S:g} s. Resume with: segvariance run {study.root}"


def start_detached(study: WorkFolder, arguments: list[str]) -> WorkerRecord:
    """Start ``segvariance run`` as a process that outlives this one; returns once it holds the study.

    Raises:
        SegVarianceError: it ended at once; the sentence carries its last words.
    """
    if worker := worker_of(study):
        raise SegVarianceError(f"{study.root} is already being worked on by {worker}.")
    log_path = study.root / "worker.log"
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "SegVarianceLib.study", "run", str(study.root), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **flags,
        )
    _wait_until(lambda: process.poll() is not None or worker_of(study) is not None, _START_PATIENCE_S)
    if (worker := worker_of(study)) is not None:
        return worker
    if process.poll() == 0:
        raise SegVarianceError(f"There was nothing left to do in {study.root}.")
    raise SegVarianceError(f"The worker ended at once: {log_path.read_text(errors='replace').strip()[-1000:]}")


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda got, _: received.append(got)) for number in numbers]
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _process_of(record: WorkerRecord) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.started_s) < _SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _wait_until(true: Callable[[], bool], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not (reached := true()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return reached
