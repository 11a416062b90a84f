"""A study that trains elsewhere: the commands to it, and the truth about it read from its folder.

What is on screen follows from files and from whether the recorded worker lives, never from what was clicked: so it is
right after a crash, after Slicer was closed, and when somebody else started or stopped the study from a terminal.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.events import SCHEMA
from SegVarianceLib.core.files import read_json
from SegVarianceLib.plan.runs import Run
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.work_folder import WorkFolder

from .child_process import Ended, end_group

PLANNED, RUNNING, STOPPING, STOPPED = "planned", "running", "stopping", "stopped"
FAILED, DIED, FINISHED = "failed", "died", "finished"

_LAST_EVENTS = {"study_stopped": STOPPED, "study_failed": FAILED, "study_finished": FINISHED}
_RUN_STATES = {"run_finished": "done", "run_failed": "failed", "run_refused": "failed", "run_stopped": "waiting"}
_SAME_START_S = 2.0
"""A process with the recorded number that started this much apart is another one: numbers are used again."""
_CURVE_POINTS = 400


class EventTail:
    """The new events of a log that grows: each is read once, a last line that is not ended is left for later."""

    def __init__(self, path: Path):
        self.path = path
        self._read = 0

    def new_events(self) -> Iterator[dict[str, Any]]:
        try:
            with open(self.path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:
                    self._read = 0  # the study was made anew under the same name
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # cut short by a crash, closed by the next worker
            if isinstance(event, dict) and event.get("schema") == SCHEMA:
                yield event


@dataclass
class RunProgress:
    """How far one training is. ``dice`` is the mean over ``predicted`` held-out cases, ``curve`` (step, training Dice)."""

    run: Run
    steps: int
    state: str = "waiting"
    step: int = 0
    dice: float | None = None
    predicted: set[str] = field(default_factory=set)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        """Count one event of this run in."""
        kind = event["kind"]
        self.state = _RUN_STATES.get(kind, "training")
        if kind == "step":
            self.step = event["step"]
            while self.curve and self.curve[-1][0] >= self.step:
                self.curve.pop()  # resumed from a checkpoint: these steps are made again
            self.curve.append((self.step, event["dice"]))
            if len(self.curve) > _CURVE_POINTS:
                del self.curve[1:-1:2]
        elif kind == "predicted":
            self.dice = event["dice"]
            self.predicted.add(event["case"])


class FollowedStudy:
    """A study folder as it stands; ``update`` brings it up to date.

    Raises:
        SegVarianceError: the folder holds no study that this version reads.
    """

    def __init__(self, root: Path):
        self.study = StudyFolder.open(root)
        steps = {each.name: each.training.steps for each in self.study.plan.configurations}
        self.runs = {run: RunProgress(run, steps[run.configuration]) for run in self.study.runs}
        self.state, self.stage, self.message = PLANNED, "", ""
        self.time_left_s: float | None = None
        self._tail = EventTail(self.study.events_path)
        self._ended, self._settled = PLANNED, False
        self.update()

    def update(self) -> dict[Run, tuple[str, ...]]:
        """Read what is new; the cases that were predicted since the last call, by run."""
        # Life first, events second: a worker writes its last event before it goes.
        worker = worker_record(self.study)
        alive = worker is not None and is_alive(worker)
        landed: dict[Run, tuple[str, ...]] = {}
        for event in self._tail.new_events():
            self._settled = False
            run = self._take(event)
            if run is not None and event["kind"] == "predicted":
                landed[run] = (*landed.get(run, ()), event["case"])
        if not alive and not self._settled:
            self._settle_runs()
        self._settled = not alive
        self.state = self._judge(alive, left_record=worker is not None)
        return landed

    def _take(self, event: dict[str, Any]) -> Run | None:
        kind = event["kind"]
        if kind == "study_started":
            self._ended, self.stage, self.message, self.time_left_s = DIED, "", "", None
            self._settle_runs()
        elif kind == "stage":
            self.stage = event["stage"]
        elif kind in _LAST_EVENTS:
            self._ended, self.message = _LAST_EVENTS[kind], event.get("message", "")
        elif "seed" in event:
            run = Run(event["configuration"], event["fold"], event["seed"])
            if run not in self.runs:
                return None  # of a plan that was changed by hand
            already = event.get("case") in self.runs[run].predicted
            self.runs[run].take(event)
            self.time_left_s = event.get("study_time_left_s", self.time_left_s)
            self.message = event.get("message", self.message)
            return None if already else run
        return None

    def _settle_runs(self) -> None:
        """Nobody trains: a run is done if its record says so, and waits if it was under way."""
        for run, progress in self.runs.items():
            if self.study.is_done(run):
                progress.state, progress.step = "done", progress.steps
            elif progress.state != "failed":
                progress.state = "waiting"

    def _judge(self, alive: bool, left_record: bool) -> str:
        if alive:
            return STOPPING if self.study.stop_path.exists() else RUNNING
        if self._ended == FINISHED and not all(run.state == "done" for run in self.runs.values()):
            return STOPPED  # the plan asks for more than was done
        # A worker that ends in order removes its record: one killed before its first event leaves nothing else.
        return DIED if self._ended == PLANNED and left_record else self._ended


def refusal(ended: Ended) -> str:
    """Why a command of ``segvariance`` failed: the sentence that it gave, else the last line of what it said."""
    lines = ended.err.strip().splitlines()
    for number in reversed(range(len(lines))):
        name, colon, sentence = lines[number].partition(": ")
        if name.startswith("segvariance ") and colon:
            return "\n".join([sentence, *lines[number + 1 :]])
    return (
        lines[-1]
        if lines
        else f"The command ended with exit code {ended.code} and said nothing. Check the environment."
    )


def worker_record(study: WorkFolder) -> dict[str, Any] | None:
    """Who works on the study, or did until it died: ``pid``, ``started_s`` and ``host``."""
    try:
        record = read_json(study.worker_path)
        return {"pid": int(record["pid"]), "started_s": float(record["started_s"]), "host": str(record["host"])}
    except (SegVarianceError, KeyError, TypeError, ValueError):
        return None


def is_alive(worker: dict[str, Any]) -> bool:
    """Whether the recorded process runs, without psutil. One of another host cannot be asked and is believed."""
    if worker["host"] != socket.gethostname():
        return True
    if sys.platform == "win32":
        return _is_alive_on_windows(worker["pid"], worker["started_s"])
    try:
        os.kill(worker["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but there
    return _started_then(worker["pid"], worker["started_s"])


def kill_worker(study: WorkFolder) -> bool:
    """Kill a worker of this host that does not answer to ``segvariance stop``; its trainings end with it."""
    worker = worker_record(study)
    if worker is None or worker["host"] != socket.gethostname() or not is_alive(worker):
        return False
    if sys.platform == "win32" or os.getpgid(worker["pid"]) == worker["pid"]:
        end_group(worker["pid"])
    else:
        os.kill(worker["pid"], signal.SIGKILL)
    return True


def _started_then(pid: int, started_s: float) -> bool:
    """Where there is /proc: whether it is no zombie and began when the record says. Elsewhere its number must do."""
    if not Path("/proc/stat").is_file():
        return True
    try:
        # The name may hold blanks and brackets; what follows it does not. Fields 3 and 22 of proc_pid_stat(5).
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return False
    began_s = int(booted.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] != "Z" and abs(began_s - started_s) < _SAME_START_S


def _is_alive_on_windows(pid: int, started_s: float) -> bool:
    """``os.kill(pid, 0)`` would end the process there: its handle tells whether it runs and since when."""
    import ctypes

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    kernel.OpenProcess.restype = ctypes.c_void_p
    query_limited_information, still_active = 0x1000, 259
    handle = ctypes.c_void_p(kernel.OpenProcess(query_limited_information, False, pid))
    if not handle.value:
        return False
    try:
        code, times = ctypes.c_ulong(), [ctypes.c_ulonglong() for _ in range(4)]
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.GetProcessTimes(handle, *map(ctypes.byref, times))
    finally:
        kernel.CloseHandle(handle)
    began_s = times[0].value / 1e7 - 11_644_473_600  # from 100 ns since 1601
    return code.value == still_active and abs(began_s - started_s) < _SAME_START_S
