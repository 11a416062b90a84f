"""Run by nnU-Net's own Python: ``PYTHON nnunet_child REQUEST.json``. Needs nnunetv2 and what that brings, not SegVariance.

The request says what to do; without one it prints the versions that it finds. What happens goes to standard output in JSON lines; what nnU-Net prints goes to standard error.
On SIGTERM, or when standard input ends (also because the parent was killed), it stops and leaves nnU-Net's checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

DONE, REFUSED, STOPPED = 0, 2, 3
"""Exit codes: all is done; a user's mistake, said in a ``refused`` event before; stopped on request. Any other is a failure."""


def main() -> int:
    if len(sys.argv) == 1:
        print(json.dumps({name: _version(name) for name in ("nnunetv2", "torch")}))
        return DONE
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    say = _events_instead_of_prints()
    if wrong := [name for name in ("nnunetv2", "torch") if _version(name) != request[name]]:
        found = " and ".join(f"{name} {_version(name)}" for name in wrong)
        planned = " and ".join(f"{name} {request[name]}" for name in wrong)
        say("refused", message=f"{sys.executable} has {found}; the study was planned with {planned}")
        return REFUSED
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_stop_when_input_ends, args=(stop,), daemon=True).start()
    return _act(request, say, stop.is_set)


def _act(request: dict[str, Any], say: Callable[..., None], should_stop: Callable[[], bool]) -> int:
    # Plain names: this folder is first in sys.path, and nnU-Net takes seconds to load.
    from nnunet_predicting import predict
    from nnunet_running import measure, run

    done = {"measure": measure, "run": run, "predict": predict}[request["action"]](request, say, should_stop)
    return DONE if done else STOPPED


def _events_instead_of_prints() -> Callable[..., None]:
    """Keep standard output for events; whatever a library prints, in any process below, goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(kind: str, **fields: Any) -> None:
        events.write(json.dumps({"kind": kind, **fields}) + "\n")
        events.flush()

    return say


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _stop_when_input_ends(stop: threading.Event) -> None:
    while os.read(0, 1):
        pass
    stop.set()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # every file is closed; taking torch and nnU-Net apart in order would take seconds
