"""What outlives Slicer and belongs to the computer, not to a scene: texts in the application's settings."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any


class Settings(MutableMapping[str, str]):
    """Texts of one ``group`` of a QSettings, such as ``slicer.app.userSettings()``."""

    def __init__(self, stored: Any, group: str):
        self._stored, self._group = stored, group

    def __getitem__(self, key: str) -> str:
        if not self._stored.contains(f"{self._group}/{key}"):
            raise KeyError(key)
        return str(self._stored.value(f"{self._group}/{key}"))

    def __setitem__(self, key: str, value: str) -> None:
        self._stored.setValue(f"{self._group}/{key}", value)

    def __delitem__(self, key: str) -> None:
        self[key]
        self._stored.remove(f"{self._group}/{key}")

    def __iter__(self) -> Iterator[str]:
        start = f"{self._group}/"
        return (str(key).removeprefix(start) for key in self._stored.allKeys() if str(key).startswith(start))

    def __len__(self) -> int:
        return sum(1 for _ in self)
