"""Building, checking and repairing the Python that trainings run in: what the Environment panel asks for and is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from SegVarianceLib.core.errors import SegVarianceError

from .child_process import Ended, Process, Runner
from .environment import (
    BUILDING,
    COMPUTE,
    READY,
    Check,
    Home,
    Step,
    Worker,
    clean_environment,
    default_folder,
    find_pythons,
    last_words,
    read_check,
)
from .state_environment import EnvironmentState

_LOG_LINES = 300


class EnvironmentPresenter:
    """All calls come from one thread; a timer calls ``tick`` about once a second.

    ``settings`` outlives Slicer and holds text only. ``variables`` are those of the shell that started Slicer.
    """

    def __init__(
        self,
        runner: Runner,
        settings: MutableMapping[str, str],
        show: Callable[[EnvironmentState], None] = lambda state: None,
        variables: Mapping[str, str] = os.environ,
    ):
        self._runner, self._settings, self.show, self._variables = runner, settings, show, variables
        self._process: Process | None = None
        self._doing, self._cancelled = "", False
        self._log: list[str] = []
        found = [str(path) for path in find_pythons()]
        base = settings.get("base") or next(iter(found), "")
        compute = settings.get("compute", "")
        self.state = EnvironmentState(
            folder=settings.get("folder") or str(default_folder()),
            base=base,
            bases=tuple(dict.fromkeys([*found, base] if base else found)),
            own_python=settings.get("python", ""),
            compute=compute if compute in COMPUTE else "cpu",
        )
        self._say()

    @property
    def home(self) -> Home:
        return Home(Path(self.state.folder))

    def worker(self) -> Worker | None:
        """The Python to train in: the user's own, or the one built here; None while there is neither."""
        if self.state.own_python:
            return Worker(Path(self.state.own_python), self._variables)
        return Worker(self.home.python, self._variables) if self.home.state == READY else None

    def choose(self, **chosen: str) -> None:
        """Set ``folder``, ``base`` or ``compute``."""
        if self._process is None:
            self._settings.update(chosen)
            bases = dict.fromkeys([*self.state.bases, *filter(None, [chosen.get("base")])])
            self._say(problem="", bases=tuple(bases), **chosen)

    def question(self) -> str:
        """What to ask before ``build``."""
        return self.home.cost(self.state.compute) + " Stop trainings that run in it first. Go on?"

    def build(self) -> None:
        """Make the environment from nothing; a repair is the same. What is there is kept until the disk and the chosen
        Python are known to do."""
        if self._process is not None:
            return
        if not self.state.base:
            self._say(
                problem="No Python was found on this computer. Install Python 3.12 from python.org, then choose it."
            )
            return
        try:
            self.home.require_room(self.state.compute)
        except (SegVarianceError, OSError) as error:
            self._say(problem=str(error))
            return
        self._log.clear()
        self._next(self.home.steps(Path(self.state.base), self.state.compute), 0)

    def check(self) -> None:
        """Let the Python to train in say whether it can."""
        worker = self.worker() or Worker(self.home.python, self._variables)
        own = bool(self.state.own_python)
        self._ask(worker, lambda found: self._say(problem=found.problem) if own else self._checked(found))

    def use_python(self, python: str) -> None:
        """Train in this Python, if it passes the check."""

        def checked(found: Check) -> None:
            if not found.problem:
                self._settings["python"] = python
                self._say(own_python=python)
            self._say(problem=found.problem and f"{python} is not used. {found.problem}")

        self._ask(Worker(Path(python), self._variables), checked)

    def use_built(self) -> None:
        """Go back from the user's own Python to the environment that was built here."""
        self._settings.pop("python", None)
        self._say(own_python="", problem="")

    def cancel(self) -> None:
        """End what runs. A build that is cancelled begins anew the next time."""
        if self._process is not None:
            self._cancelled = True
            self._process.cancel()

    def tick(self) -> None:
        self._runner.poll()
        self._say()

    def _next(self, steps: list[Step], number: int) -> None:
        """Run one step of a build, and from its end the next one; after the last the environment checks itself."""
        if number == len(steps):
            self._ask(Worker(self.home.python, self._variables), self._checked, percent=95)
            return
        step = steps[number]

        def then(ended: Ended) -> None:
            if ended.code == 0:
                self._next(steps, number + 1)
            else:
                self._say(problem=f"{step.title}: {last_words(ended)} {step.remedy}")

        try:
            if step.deletes:
                self.home.mark(BUILDING)
        except OSError as error:
            self._say(problem=f"{self.home.folder} cannot be written ({error.strerror}). Choose another folder.")
            return
        self._start(step.title, step.command, clean_environment(self._variables), then, 90 * number // len(steps))

    def _ask(self, worker: Worker, then: Callable[[Check], None], percent: int = 0) -> None:
        def ended(how: Ended) -> None:
            found = read_check(how)
            self._log.append(str(found))
            then(found)

        self._start("Check that it can train", worker.check_command(), worker.environment(), ended, percent)

    def _checked(self, found: Check) -> None:
        """Keep what the check found of the environment that was built here."""
        try:
            if self.home.state:
                self.home.mark(BUILDING if found.problem else READY)
        except OSError as error:
            found = Check(f"{self.home.folder} cannot be written ({error.strerror}). Choose another folder.")
        no_card = self.state.compute == "cuda" and found.device == "cpu" and not self.state.own_python
        note = "It works, but found no NVIDIA graphics card that it can use: trainings will run on the processor."
        self._say(problem=found.problem or (note if no_card else ""))

    def _start(
        self, doing: str, command: list[str], environment: dict[str, str], then: Callable[[Ended], None], percent: int
    ) -> None:
        if self._process is not None:
            return

        def ended(how: Ended) -> None:
            self._process, self._doing = None, ""
            if self._cancelled:
                self._say(problem="Cancelled.", percent=0)
            else:
                then(how)

        self._log.append(doing)
        self._doing, self._cancelled = doing, False
        self._process = self._runner.start(command, environment, ended, self._log.append)
        self._say(problem="", percent=percent)

    def _say(self, **changes: Any) -> None:
        """Show the state with these changes and what follows from the folder, if anything differs from what is shown."""
        del self._log[:-_LOG_LINES]
        self_made = Home(Path(changes.get("folder", self.state.folder))).state
        own, busy = changes.get("own_python", self.state.own_python), self._process is not None
        if busy:
            sentence = f"{self._doing} …"
        elif own:
            sentence = f"Trainings run in your own Python: {own}."
        else:
            sentence = {
                READY: "The environment is ready: trainings run in it.",
                BUILDING: "The environment is not complete or does not work. Repair deletes it and builds it anew.",
            }.get(self_made, "There is no environment yet. Build one, or choose a Python that has torch and the rest.")
        state = replace(
            self.state,
            **changes,
            ready=bool(own) or self_made == READY,
            sentence=sentence,
            log=tuple(self._log),
            busy=busy,
            build_text="Repair" if self_made else "Build",
            can_check=not busy and bool(own or self_made),
        )
        state = replace(state, percent=state.percent if busy else 0)
        if state != self.state:
            self.state = state
            self.show(state)
