"""Commands that run elsewhere while Slicer stays responsive: started, listened to by polling, ended with all below them.

No threads (they must never meet Qt or MRML) and no pipes (a full or an inherited one blocks): a child writes into files,
and whoever has a timer asks what is new there. The same code runs in Slicer and in the tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

COULD_NOT_START = 127


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and all that it said."""

    code: int
    out: str
    err: str


class Process(Protocol):
    """A command under way."""

    def cancel(self) -> None:
        """End it and everything that it started; ``on_end`` is called all the same."""
        ...


class Runner(Protocol):
    """What presenters need to run commands."""

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_end: Callable[[Ended], None],
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Process:
        """Start a command with exactly this environment; one that cannot start ends with ``COULD_NOT_START``."""
        ...

    def poll(self) -> None:
        """Deliver what is new. ``on_line`` and ``on_end`` are called from here alone."""
        ...


class ChildProcesses:
    """The Runner of Slicer and of the tests. Whoever owns it calls ``poll`` from a timer and ``close`` at the end."""

    def __init__(self) -> None:
        self._running: list[_Child] = []

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_end: Callable[[Ended], None],
        on_line: Callable[[str], None] = lambda line: None,
    ) -> _Child:
        child = _Child(command, environment, on_end, on_line)
        self._running.append(child)
        return child

    def poll(self) -> None:
        for child in list(self._running):
            ended = child.ended()
            child.deliver()
            if ended is not None and child in self._running:
                self._running.remove(child)
                child.finish(ended)

    def close(self) -> None:
        """Cancel what still runs and tell nobody. A study that trains in the background is not among it."""
        for child in self._running:
            child.cancel()
            child.forget()
        self._running.clear()


class _Child:
    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_end: Callable[[Ended], None],
        on_line: Callable[[str], None],
    ):
        self._on_end, self._on_line = on_end, on_line
        self._folder = tempfile.TemporaryDirectory(prefix="segvariance-", ignore_cleanup_errors=True)
        self._streams = [_Stream(Path(self._folder.name) / name) for name in ("out", "err")]
        self._process: subprocess.Popen | None = None
        with open(self._streams[0].path, "wb") as out, open(self._streams[1].path, "wb") as err:
            try:
                self._process = subprocess.Popen(
                    list(command), stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=dict(environment), **_apart()
                )
            except OSError as error:
                err.write(f"{command[0]} cannot be started: {error.strerror}.".encode())

    def cancel(self) -> None:
        if self._process is not None and self._process.poll() is None:
            end_group(self._process.pid)
            self._process.wait()

    def ended(self) -> int | None:
        return COULD_NOT_START if self._process is None else self._process.poll()

    def deliver(self, whole: bool = False) -> None:
        for stream in self._streams:
            for line in stream.new_lines(whole):
                self._on_line(line)

    def finish(self, code: int) -> None:
        self.deliver(whole=True)
        out, err = (stream.text() for stream in self._streams)
        self.forget()
        self._on_end(Ended(code, out, err))

    def forget(self) -> None:
        self._folder.cleanup()


class _Stream:
    """What a child has written into a file, line by line."""

    def __init__(self, path: Path):
        self.path = path
        self._read = 0

    def new_lines(self, whole: bool) -> list[str]:
        """Lines since the last call; the last one only when it is ended or, at the end of it all, as it is."""
        with open(self.path, "rb") as file:
            file.seek(self._read)
            content = file.read()
        if not whole:
            content = content[: content.rfind(b"\n") + 1]
        self._read += len(content)
        return [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]

    def text(self) -> str:
        return self.path.read_bytes().decode("utf-8", "replace")


def end_group(pid: int) -> None:
    """Kill a process that leads its group, with the whole group (on Windows: with everything below it)."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/PID", str(pid), "/T", "/F"], capture_output=True, check=False)
        return
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone, or (macOS) already a zombie
        return


def _apart() -> dict[str, Any]:
    """A group of its own, so that it can be ended whole; on Windows also without a console window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
