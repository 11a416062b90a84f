"""Long work in the window's own thread, a little at a time, so that the window stays awake and Stop works."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from SegVarianceLib.core.errors import SegVarianceError

Later = Callable[[Callable[[], None]], object]
"""Does something as soon as the window has drawn itself; in Slicer ``qt.QTimer.singleShot(0, f)``."""

Work = Generator[tuple[str, float], None, None]
"""Yields after each step what is being done, in words, and the share of everything that is done."""

_TURN_S = 0.1
"""The window is drawn in between; short steps are not worth a drawing each."""
_WORTH_SAYING_S = 2.0


@dataclass(frozen=True)
class Busy:
    """``words`` say what is going on and, of what takes longer than two seconds, how long it will; ``share`` is done."""

    words: str
    share: float


class Stepwise:
    """One piece of work at a time; ``show`` hears how far it is, None at its end.

    An error of the user's or of a file ends the work and goes to ``failed``. ``clock`` is in seconds.
    """

    def __init__(
        self,
        later: Later,
        show: Callable[[Busy | None], object],
        failed: Callable[[SegVarianceError | OSError], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._later, self._show, self._failed, self._clock = later, show, failed, clock
        self._work: Work | None = None
        self._ended: Callable[[], object] = lambda: None
        self._since = 0.0

    def begin(self, work: Work, ended: Callable[[], object] = lambda: None) -> None:
        """Start; what was going on is stopped. ``ended`` is called at the end, also after Stop or an error."""
        self.stop()
        self._work, self._ended, self._since = work, ended, self._clock()
        self._turn(work, lasts_s=0.0)  # one step, so that the window says at once what is going on

    def stop(self) -> None:
        if self._work is not None:
            self._work.close()
            self._finish()

    def _turn(self, work: Work, lasts_s: float = _TURN_S) -> None:
        """Steps for a moment, then leave the window to itself."""
        if work is not self._work:  # stopped since
            return
        end = self._clock() + lasts_s
        try:
            while True:
                words, share = next(work)
                if self._clock() >= end:
                    break
        except StopIteration:
            self._finish()
        except (SegVarianceError, OSError) as error:
            self._finish()
            self._failed(error)
        else:
            self._show(Busy(f"{words}{self._time_left(share)}", share))
            self._later(lambda: self._turn(work))

    def _time_left(self, share: float) -> str:
        left = (self._clock() - self._since) * (1 - share) / share if share > 0 else 0.0
        if left < _WORTH_SAYING_S:
            return ""
        return f" About {in_words(left)} left."

    def _finish(self) -> None:
        self._work = None
        ended, self._ended = self._ended, lambda: None
        self._show(None)
        ended()


def in_words(seconds: float) -> str:
    """Time to wait, in round numbers."""
    if seconds < 100:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"


def one_by_one(names: list[str], say: str, of_one: Callable[[str], Generator[float, None, Any]]) -> Work:
    """The work of each name after the other; ``say`` has a place for the name."""
    for done, name in enumerate(names):
        yield say.format(name), done / len(names)
        for share in of_one(name):
            yield say.format(name), (done + share) / len(names)
