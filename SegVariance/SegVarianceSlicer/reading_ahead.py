"""Reading the case that probably comes next while the window has nothing else to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from pathlib import Path

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.review.description import Review
from SegVarianceLib.review.open_case import OpenCase, case_steps

from .stepwise import Later

Reading = Generator[tuple[int, int], None, OpenCase]
"""As ``case_steps``: yields how many label maps are read and of how many."""

_STUTTER_S = 0.25
"""A label map that takes longer, such as 512 x 512 x 300 voxels, would be felt while somebody scrolls: it is not read ahead."""


class ReadingAhead:
    """One case, packed as ``OpenCase`` keeps it. Not in a thread: the application's Python lets none run while it is idle.

    ``when_idle`` does something once the window has nothing else to do; without it nothing is read ahead.
    """

    def __init__(self, when_idle: Later | None, clock: Callable[[], float] = time.monotonic):
        self._when_idle, self._clock = when_idle, clock
        self._what: tuple[Review, str] | None = None
        self._reading: Reading | None = None
        self._read: OpenCase | None = None
        self._stamps: tuple[int, ...] = ()
        self._steps, self._spent_s = 0, 0.0

    def begin(self, review: Review, case_id: str) -> None:
        """Read a label map an idle turn; what was read ahead before is forgotten, unless it is the same."""
        if self._when_idle is None or self._is(review, case_id):
            return
        self.stop()
        self._what, self._stamps = (review, case_id), _stamps(review, case_id)
        self._reading = reading = case_steps(review, case_id)
        self._when_idle(lambda: self._turn(reading))

    def stop(self) -> None:
        """Forget what was read."""
        if self._reading is not None:
            self._reading.close()
        self._what = self._reading = self._read = None
        self._steps, self._spent_s = 0, 0.0

    def take(self, review: Review, case_id: str) -> Reading:
        """The case to be opened: what has been read of it already is not read again, unless its files have changed since."""
        if not self._is(review, case_id) or self._stamps != _stamps(review, case_id):
            self.stop()
            return case_steps(review, case_id)
        reading, read = self._reading, self._read
        self._reading = None  # it is no longer ours to close
        self.stop()
        return reading if reading is not None else _at_once(read)

    def _is(self, review: Review, case_id: str) -> bool:
        return self._what is not None and self._what[0] is review and self._what[1] == case_id

    def _turn(self, reading: Reading) -> None:
        if reading is not self._reading or self._when_idle is None:  # stopped, or taken
            return
        began = self._clock()
        try:
            next(reading)
        except StopIteration as end:
            self._reading, self._read = None, end.value
            return
        except (SegVarianceError, OSError):  # whoever opens the case is told
            self.stop()
            return
        self._steps += 1
        self._spent_s += self._clock() - began
        if self._spent_s > _STUTTER_S * self._steps:
            self.stop()
        else:
            self._when_idle(lambda: self._turn(reading))


def _at_once(read: OpenCase | None) -> Reading:
    assert read is not None  # noqa: S101 (only called with a case that has been read)
    return read
    yield


def _stamps(review: Review, case_id: str) -> tuple[int, ...]:
    """When the files of a case were written; 0 where there is none any more."""
    label = review.case(case_id).label
    files = [member.files[case_id] for member in review.members_of(case_id)] + ([label] if label else [])
    return tuple(map(_written, files))


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0
