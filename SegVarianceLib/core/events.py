"""The stream between the two halves: one JSON object a line, appended, read while it grows and after a crash."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = 1


class EventLog:
    """The only writer of one ``.jsonl`` file.

    Every line has ``schema``, ``time_s`` (Unix time) and ``kind``; the rest depends on the kind, with units in names
    (``time_left_s``). A line cut short by a crash is closed before the next one is appended.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.exists() and self.path.stat().st_size > 0 and not self.path.read_bytes().endswith(b"\n")
        self._file = open(self.path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115 (kept open for the log's life)
        if torn:
            self._file.write("\n")

    def write(self, kind: str, **fields: Any) -> dict[str, Any]:
        event = {"schema": SCHEMA, "time_s": round(time.time(), 3), "kind": kind, **fields}
        self._file.write(json.dumps(event, allow_nan=False) + "\n")
        self._file.flush()
        return event

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a log in order; a line that a crash cut short is passed over, a missing file has none."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict) and event.get("schema") == SCHEMA:
            yield event
