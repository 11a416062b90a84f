"""The child process in nnU-Net's own Python: how it is found, asked, listened to and stopped."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from ..core.errors import SegVarianceError
from ..core.files import write_json

PYTHON_VARIABLE = "SEGVARIANCE_NNUNET_PYTHON"
_SCRIPT = Path(__file__).parent / "nnunet_child"
_DONE, _REFUSED, _STOPPED = 0, 2, 3
_POLL_S = 0.2
_HOW_TO = (
    "Make an environment with: python -m venv ENVIRONMENT; ENVIRONMENT/bin/pip install 'nnunetv2>=2.8,<2.9' 'torch>=2.10'; "
    f"and give its python with --nnunet-python, or in {PYTHON_VARIABLE}."
)

OnEvent = Callable[[dict[str, Any]], None]


def versions(python: str) -> tuple[str, str]:
    """Versions of nnunetv2 and torch in that Python.

    Raises:
        SegVarianceError: it does not start, lacks nnunetv2 2.8, or has a torch that computes wrongly (2.9).
    """
    try:
        ended = subprocess.run(
            [python, str(_SCRIPT)], capture_output=True, text=True, timeout=120, check=False, env=_clean()
        )
        found = json.loads(ended.stdout)
        nnunetv2, torch = found["nnunetv2"], found["torch"]
    except (OSError, subprocess.TimeoutExpired):
        raise SegVarianceError(f"{python} cannot be started as nnU-Net's Python. {_HOW_TO}") from None
    except (ValueError, KeyError, TypeError):
        words = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise SegVarianceError(f"{python} does not answer as a Python 3.10 or newer ({words[0]}). {_HOW_TO}") from None
    if not str(nnunetv2).startswith("2.8."):
        raise SegVarianceError(f"{python} has {_named('nnunetv2', nnunetv2)}; expected 2.8. {_HOW_TO}")
    if torch is None or str(torch).startswith("2.9."):
        raise SegVarianceError(
            f"{python} has {_named('torch', torch)}; expected another than 2.9, which computes some 3-D convolutions wrongly. {_HOW_TO}"
        )
    return nnunetv2, torch


def ask(
    python: str,
    request: Mapping[str, Any],
    folder: Path,
    environment: Mapping[str, str],
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> tuple[bool, float]:
    """Have the child do what the request says; whether it did (else it stopped on request), and its peak memory in MiB.

    The request and ``nnunet.log``, everything that nnU-Net prints, stay in ``folder``.

    Raises:
        SegVarianceError: it does not start, refuses or crashes; the sentence says where its log is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "nnunet_request.json", request)
    log_path = folder / "nnunet.log"
    events: queue.Queue[dict[str, Any]] = queue.Queue()
    with open(log_path, "ab") as log:
        try:
            child = subprocess.Popen(
                [python, str(_SCRIPT), str(folder / "nnunet_request.json")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_clean() | dict(environment),
            )
        except OSError as error:
            raise SegVarianceError(
                f"{python} cannot be started as nnU-Net's Python ({error.strerror}). {_HOW_TO}"
            ) from None
    reader = threading.Thread(target=_read, args=(child, events), daemon=True)
    reader.start()
    said: dict[str, Any] = {}
    peak = 0.0

    def hear(event: dict[str, Any]) -> None:
        if event["kind"] == "refused":
            said.update(event)
        else:
            on_event(event)

    try:
        while child.poll() is None:
            peak = max(peak, _memory_mib(child.pid))
            if should_stop() and child.stdin and not child.stdin.closed:
                child.stdin.close()
            _drain(events, hear)
        reader.join()
        _drain(events, hear)
    finally:
        _end(child)
    if child.returncode in (_DONE, _STOPPED):
        return child.returncode == _DONE, round(peak, 1)
    if child.returncode == _REFUSED and said:
        raise SegVarianceError(f"nnU-Net: {said['message']}. Mend it, or plan the study again; the log is {log_path}.")
    raise SegVarianceError(
        f"nnU-Net's process ended with exit code {child.returncode} ({_last_words(log_path)}). Its log is {log_path}."
    )


def _clean() -> dict[str, str]:
    """This process's environment without what would lead another Python to our packages, or nnU-Net to other folders."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {name: text for name, text in os.environ.items() if name not in ours and not name.startswith("nnUNet_")}


def _named(package: str, version: str | None) -> str:
    return f"no {package}" if version is None else f"{package} {version}"


def _read(child: subprocess.Popen, events: queue.Queue[dict[str, Any]]) -> None:
    for line in child.stdout or ():
        events.put(json.loads(line))


def _drain(events: queue.Queue[dict[str, Any]], hear: OnEvent) -> None:
    """Pass on what the child said, waiting a moment for it."""
    try:
        hear(events.get(timeout=_POLL_S))
        while True:
            hear(events.get_nowait())
    except queue.Empty:
        return


def _memory_mib(pid: int) -> float:
    try:
        return psutil.Process(pid).memory_info().rss / 2**20
    except psutil.Error:
        return 0.0


def _end(child: subprocess.Popen) -> None:
    """Nothing of it outlives the one who asked."""
    if child.stdin and not child.stdin.closed:
        child.stdin.close()
    if child.poll() is None:
        child.kill()
        child.wait()


def _last_words(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it said nothing"
