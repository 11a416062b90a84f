"""Where runs are executed. Here: child processes of this machine, one run each, some at a time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from ..plan.runs import Run
from ..plan.study_folder import StudyFolder

DONE, REFUSED, STOPPED = 0, 2, 3
"""Exit codes of a run's process: run.json is written; a user's mistake; stopped on request. Any other is a failure."""

_POLL_S = 0.2
_STOP_GRACE_S = 8.0
"""A stopped run gets this long to finish its step and write its checkpoint; then it is killed."""

Event = dict[str, Any]


@dataclass
class _Child:
    run: Run
    process: subprocess.Popen
    reader: threading.Thread
    last_words: deque[str]


class LocalExecutor:
    """Runs as child processes, ``jobs`` at a time."""

    def __init__(self, jobs: int):
        self.jobs = jobs
        self._events: queue.Queue[tuple[Run, Event]] = queue.Queue()

    def execute(
        self,
        study: StudyFolder,
        runs: Sequence[Run],
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
    ) -> list[Run]:
        """Execute all runs that are not done; the runs that failed.

        A failed run does not stop the others. On a stop request all children are asked to end, then made to.
        """
        waiting, children, failed = deque(runs), list[_Child](), list[Run]()
        try:
            while (waiting or children) and not should_stop():
                while waiting and len(children) < self.jobs:
                    children.append(self._start(study, waiting.popleft(), on_event))
                self._forward(on_event)
                for child in [child for child in children if child.process.poll() is not None]:
                    children.remove(child)
                    if not self._finish(study, child, on_event):
                        failed.append(child.run)
        finally:
            self._end(children, on_event)
        return failed

    def _start(self, study: StudyFolder, run: Run, on_event: Callable[[Event], None]) -> _Child:
        threads = str(study.plan.threads_per_run)
        environment = os.environ | {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        }
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "SegVarianceLib.study.run_process",
                str(study.root),
                run.configuration,
                str(run.fold),
                str(run.seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,  # Ctrl-C reaches the worker alone, which then stops its children in order
        )
        last_words: deque[str] = deque(maxlen=20)
        reader = threading.Thread(target=self._read, args=(run, process), daemon=True)
        reader.start()
        threading.Thread(target=lambda: last_words.extend(process.stderr or ()), daemon=True).start()
        on_event(_event("run_started", run, pid=process.pid))
        return _Child(run, process, reader, last_words)

    def _read(self, run: Run, process: subprocess.Popen) -> None:
        for line in process.stdout or ():
            try:
                self._events.put((run, json.loads(line)))
            except json.JSONDecodeError:
                continue  # a library that prints must not end the run

    def _forward(self, on_event: Callable[[Event], None]) -> None:
        """Pass on what the children said, waiting a moment for it."""
        try:
            _, event = self._events.get(timeout=_POLL_S)
            while True:
                on_event(event)
                _, event = self._events.get_nowait()
        except queue.Empty:
            return

    def _finish(self, study: StudyFolder, child: _Child, on_event: Callable[[Event], None]) -> bool:
        """Judge an ended child by its exit code and by the file it promised."""
        child.reader.join()
        self._forward(on_event)
        code = child.process.returncode
        if code == DONE and study.is_done(child.run):
            on_event(_event("run_finished", child.run))
            return True
        if code == STOPPED:
            on_event(_event("run_stopped", child.run))
        else:
            words = " ".join(line.strip() for line in child.last_words if line.strip())
            on_event(_event("run_failed", child.run, exit_code=code, message=words[-2000:]))
        return False

    def _end(self, children: list[_Child], on_event: Callable[[Event], None]) -> None:
        """Ask, wait, kill: each child with everything below it."""
        for child in children:
            if child.process.stdin:
                child.process.stdin.close()
        deadline = time.monotonic() + _STOP_GRACE_S
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
                on_event(_event("run_stopped", child.run))
            except subprocess.TimeoutExpired:
                kill_tree(child.process.pid)
                child.process.wait()
                on_event(
                    _event(
                        "run_stopped", child.run, message="killed: it did not stop in time; its last checkpoint stands"
                    )
                )


def kill_tree(pid: int) -> None:
    """Kill a process and all its descendants."""
    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)


def _event(kind: str, run: Run, **fields: Any) -> Event:
    return {"kind": kind, "configuration": run.configuration, "fold": run.fold, "seed": run.seed, **fields}
