"""Choosing a clean-up by cross-validation on the study that is open, in a process of its own: it takes minutes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import SegVarianceLib
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.review.into_study import study_of

from .child_process import Ended, Process, Runner
from .presenter_review import ReviewSession
from .state_clean_up import ChoiceState
from .stepwise import in_words

_RUN = ("-m", "SegVarianceLib.review.clean_up_choice")
_NO_STUDY = "Open a SegVariance study whose cases have references to choose a clean-up by cross-validation."
_CAN = "Tries many clean-ups on the cases that each training did not see, and says what the best of them gains on other cases."


class CleanUpChoice:
    """Keeps ``state`` and tells ``changed``; a recipe that was written goes to ``chosen``, what failed to ``failed``."""

    def __init__(
        self,
        session: ReviewSession,
        runner: Runner | None,
        changed: Callable[[], object],
        failed: Callable[[SegVarianceError | OSError | None], object],
        chosen: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._session, self._runner, self._changed = session, runner, changed
        self._failed, self._chosen, self._clock = failed, chosen, clock
        self._process: Process | None = None
        self._since, self._cancelled = 0.0, False
        self.state = ChoiceState(words=_NO_STUDY)

    def follow(self) -> None:
        """Another review is open, or none; a choice under way goes on."""
        can = self._runner is not None and study_of(self._session.review) is not None
        self.state = replace(self.state, can_choose=can, words=_CAN if can else _NO_STUDY)

    def begin(self, members: tuple[str, ...], path: str) -> None:
        """Choose for the configuration of ``members``, which are keys of the review, and write the recipe to ``path``."""
        study, configurations = study_of(self._session.review), sorted({key.partition("/")[0] for key in members})
        if self._runner is None or self._process is not None or study is None or not path:
            return
        if len(configurations) != 1:
            words = (
                f"Members of {' and '.join(configurations)} vote. Tick members of one alone: each has its own clean-up."
            )
            self._failed(SegVarianceError(words))
            return
        self._failed(None)
        self._since, self._cancelled = self._clock(), False
        command = [sys.executable, *_RUN, str(study.root), configurations[0], path]
        self._say("Reading the predictions…", 0.0)
        self._process = self._runner.start(
            command, _with_library(), lambda ended: self._ended(ended, path), self._heard
        )

    def stop(self) -> None:
        if self._process is not None:
            self._cancelled = True
            self._process.cancel()

    def _heard(self, line: str) -> None:
        try:
            told = json.loads(line)
            share = told["done"] / told["of"]
        except (ValueError, KeyError, TypeError):
            return  # a warning of some library
        left = (self._clock() - self._since) * (1 - share) / share
        self._say(f"Trying clean-ups… At most about {in_words(left)} left.", share)

    def _ended(self, ended: Ended, path: str) -> None:
        self._process = None
        self._say("", None)
        if self._cancelled:
            return
        if ended.code:
            said = ended.err.strip().splitlines()
            self._failed(SegVarianceError(said[-1] if said else "Choosing a clean-up ended without a word. Try again."))
        else:
            self._chosen(path)

    def _say(self, words: str, share: float | None) -> None:
        self.state = replace(self.state, busy=words, progress=share)
        self._changed()


def _with_library() -> dict[str, str]:
    """This very Python's own variables, in which it finds the library too."""
    folders = [str(Path(SegVarianceLib.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
