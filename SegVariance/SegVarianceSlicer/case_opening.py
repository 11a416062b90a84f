"""Opening a case a step at a time: what is on screen stays whole until the other case has been read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import translated
from SegVarianceLib.dataset.image_io import read_image
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.review.description import Review
from SegVarianceLib.review.open_case import OpenCase

from .reading_ahead import ReadingAhead
from .stepwise import Busy, Later, Stepwise, Work

Then = Callable[[], object]
"""Called when a case is open."""

Failed = Callable[[SegVarianceError | OSError], object]
"""Hears why a case could not be opened."""

_LABEL_MAPS = 0.85
"""Of the time that opening a case takes; its image takes the rest."""


def nothing() -> None:
    """Do no more when a case is open."""


def raised(error: SegVarianceError | OSError) -> NoReturn:
    """Have the error go to the caller, where all steps are made at once."""
    raise error


@dataclass(frozen=True)
class ReadyCase:
    """Everything that takes long of a case, all of whose members vote; ``result`` [z, y, x] is their vote."""

    opened: OpenCase
    votes: RunningVotes
    result: np.ndarray


class CaseOpening:
    """One case at a time. ``later`` drives the steps; ``when_idle``, if given, has the case read ahead that comes next.

    ``coming`` is the case that is being opened, empty where none is.
    """

    def __init__(self, later: Later, when_idle: Later | None = None, clock: Callable[[], float] = time.monotonic):
        self.coming = ""
        self._work = Stepwise(later, self._show_busy, lambda error: self._failed(error), clock)
        self._failed: Failed = raised
        self._ahead = ReadingAhead(when_idle, clock)
        self._channel: tuple[Sequence[Path], int, np.ndarray] | None = None
        self._number = 0
        self._watchers: list[Callable[[Busy | None], object]] = []

    def watch(self, shown: Callable[[Busy | None], object]) -> None:
        """Have ``shown`` hear how far the opening of a case is, and None at its end."""
        self._watchers.append(shown)

    def begin(
        self, review: Review, case_id: str, show: Callable[[ReadyCase], object], then: Then, failed: Failed
    ) -> None:
        """Read a case, ``show`` it, ``then`` go on; what was being opened is not opened any more."""
        self.cancel()
        self.coming, self._failed = case_id, failed
        ready: list[ReadyCase] = []  # stays empty where it is cancelled, or fails

        def ended() -> None:
            self.coming = ""
            for case in ready:
                show(case)
                self._channel = None
                attempted(then, failed)

        self._work.begin(self._read(review, case_id, ready), ended)

    def cancel(self) -> None:
        """Open no other case: what is open stays as it is."""
        self._work.stop()

    def read_ahead(self, review: Review, case_id: str) -> None:
        """Read the case that probably comes next, when there is nothing else to do."""
        self._ahead.begin(review, case_id)

    def close(self) -> None:
        """Stop, and forget what was read ahead."""
        self.cancel()
        self._ahead.stop()

    def channel(self, files: Sequence[Path], number: int) -> np.ndarray:
        """A channel of an image, float32 [z, y, x]; it has been read with the case if it was looked at in the one before.

        Raises:
            SegVarianceError: it cannot be read, or there are not so many.
        """
        known, self._channel, self._number = self._channel, None, number  # once: the scene keeps voxels of its own
        if known is not None and known[:2] == (files, number):
            return known[2]
        return _channel(files, number)

    def _read(self, review: Review, case_id: str, ready: list[ReadyCase]) -> Work:
        reading = self._ahead.take(review, case_id)
        opened = yield from translated(reading, lambda step: (f"Reading {case_id}…", _LABEL_MAPS * step[0] / step[1]))
        votes = RunningVotes(opened.maps)
        result = votes.label_map()
        self._channel = None
        if files := opened.case.images:
            yield f"Reading the image of {case_id}…", _LABEL_MAPS
            with suppress(SegVarianceError, OSError):  # told when it is to be shown; the case is opened without it
                self._channel = files, self._number, _channel(files, self._number)
        ready.append(ReadyCase(opened, votes, result))

    def _show_busy(self, busy: Busy | None) -> None:
        for shown in self._watchers:
            shown(busy)


def attempted(act: Then, failed: Failed) -> None:
    """Do something, or tell why it could not be done."""
    try:
        act()
    except (SegVarianceError, OSError) as error:
        failed(error)


def _channel(files: Sequence[Path], number: int) -> np.ndarray:
    chosen, within = (files, number) if len(files) == 1 else (files[number : number + 1], 0)
    channels = read_image(chosen).array if chosen else ()
    if within >= len(channels):
        raise SegVarianceError(
            f"The image at {files[0]} has no channel number {number + 1}. Mend the list of channels in dataset.json."
        )
    return channels[within]
