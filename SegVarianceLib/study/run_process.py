"""The child process that trains or pretrains one run: ``python -m SegVarianceLib.study.run_process STUDY CONFIGURATION FOLD SEED``.

It tells what it does in event lines on standard output and in the run's ``log.jsonl``. It stops, leaving a checkpoint,
on SIGTERM or when its standard input ends, which also happens when its parent is killed: no run outlives its worker.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..backends.catalog import BACKENDS
from ..backends.shared_pretraining import run_pretraining
from ..core.errors import SegVarianceError
from ..core.events import EventLog
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from .executors import DONE, REFUSED, STOPPED


def main(arguments: Sequence[str]) -> int:
    root, configuration, fold, seed = arguments
    study, run = StudyFolder.open(Path(root)), Run(configuration, int(fold), int(seed))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_stop_when_input_ends, args=(stop,), daemon=True).start()

    folder = study.run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    # A run of a worker that was killed may still be ending: two writers must never meet in one run folder.
    with FileLock(folder / "run.lock"), EventLog(study.run_log(run)) as log:

        def report(kind: str, **fields: Any) -> None:
            event = log.write(kind, configuration=configuration, fold=run.fold, seed=run.seed, **fields)
            try:
                print(json.dumps(event), flush=True)
            except BrokenPipeError:
                stop.set()

        try:
            if study.plan.pretraining(configuration):
                return DONE if run_pretraining(study, run, report, stop.is_set) else STOPPED
            backend = BACKENDS.function(study.plan.configuration(configuration).backend)()
            return DONE if backend.train_and_predict(study, run, report, stop.is_set) else STOPPED
        except SegVarianceError as error:
            report("run_refused", message=str(error))
            return REFUSED


def _stop_when_input_ends(stop: threading.Event) -> None:
    # Not sys.stdin: its buffer's lock, held by a waiting thread, makes the interpreter abort when it ends.
    while os.read(0, 1):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
