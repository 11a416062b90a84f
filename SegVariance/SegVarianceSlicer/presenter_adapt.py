"""Adapt: networks refined for the case that is open, in the background; what moved; and both masks side by side."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.words import counted
from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.plan.adaptation_folder import ADAPTED, INITIAL, AdaptationRecord
from SegVarianceLib.review.places import worst_place

from . import study_process as states
from .adaptation_process import FollowedAdaptation
from .child_process import Ended, Process, Runner
from .environment import Worker
from .presenter_review import ReviewSession, structure_named
from .presenter_training import NO_WORKER
from .state_adapt import AdaptState, MovedRow
from .state_training import duration_text
from .study_process import kill_worker, refusal

_CHOOSE = "Choose a study, or one run of it, whose networks should adapt to the case that is open."
_NO_IMAGE = "The case that is open has no image to adapt to. Open a folder of predictions together with its images."
_RESUMABLE = (states.STOPPED, states.FAILED, states.DIED, states.PLANNED)


class Opening(Protocol):
    """What opens folders of masks as members; ``OpenPresenter`` does."""

    def look_into(
        self, folders: tuple[str, ...], pattern: str = "", images: str = "", references: str = "", case: str = ""
    ) -> None: ...

    def confirm(self) -> None: ...


class AdaptPresenter:
    """One adaptation at a time. ``beside`` arranges what is shown in views side by side. ``settings`` outlives Slicer."""

    def __init__(
        self,
        session: ReviewSession,
        opening: Opening,
        runner: Runner,
        worker: Callable[[], Worker | None],
        settings: MutableMapping[str, str] | None = None,
        beside: Callable[[], object] = lambda: None,
    ):
        self._session, self._opening, self._runner, self._worker = session, opening, runner, worker
        self._settings = {} if settings is None else settings
        self._beside = beside
        self.show: Callable[[AdaptState], object] = lambda state: None
        self._followed: FollowedAdaptation | None = None
        self._command: Process | None = None
        self._doing = ""
        self.state = AdaptState(sentence=_CHOOSE)
        session.listen(lambda: self._say())
        if last := self._settings.get("adaptation"):
            self._follow(Path(last))

    def wish(self, **changes: Any) -> None:
        """Change ``model`` or ``minutes``."""
        self._say(**changes, problem="")

    def start(self) -> None:
        """Adapt to the open case, or go on with what was stopped."""
        if self._followed is not None and self._followed.state in _RESUMABLE and self._is_of_open_case():
            root = self._followed.folder.root
            self._run("Starting", ["run", str(root), "--detach"], lambda ended: self._started(root, ended))
            return
        opened = self._session.opened
        if opened is None or not opened.case.images:
            self._say(problem=_NO_IMAGE)
            return
        root = Path(self.state.model) / "adaptations" / opened.case.id
        images = [str(path) for path in opened.case.images]
        budget = f"{self.state.minutes} minutes"
        arguments = [
            "adapt",
            self.state.model,
            "--case",
            *images,
            "--output",
            str(root),
            "--budget",
            budget,
            "--detach",
        ]
        self._run("Timing a step, then starting", arguments, lambda ended: self._started(root, ended))

    def stop(self) -> None:
        if self._followed is None or self._command is not None:
            return
        if self._worker() is None:
            kill_worker(self._followed.folder)
        else:
            self._run("Stopping", ["stop", str(self._followed.folder.root)], self._stopped)

    def show_result(self) -> None:
        """Open the first and the adapted mask as members, side by side, with where they differ."""
        if self._followed is None or self._followed.record is None:
            return
        folder = self._followed.folder
        masks = tuple(str(folder.masks(name)) for name in (INITIAL, ADAPTED))
        self._opening.look_into(masks, images=str(Path(folder.plan.images[0]).parent), case=folder.plan.case)
        self._opening.confirm()
        self._beside()

    def go_to(self, structure: str) -> None:
        """The slice in which a structure moved most."""
        opened = self._session.opened
        if self._followed is None or self._followed.record is None or opened is None or not self._is_of_open_case():
            return
        first, second = (read_label_map(self._followed.folder.mask(name)) for name in (INITIAL, ADAPTED))
        place = worst_place(first.array, second.array, structure_named(opened.labels, structure), first.geometry)
        if place is not None:
            self._session.scene.jump(place[1])

    def tick(self) -> None:
        self._runner.poll()
        if self._followed is not None:
            try:
                self._followed.update()
            except (SegVarianceError, OSError) as error:
                self._followed = None
                self._say(problem=str(error))
        self._say()

    def _run(self, doing: str, arguments: list[str], then: Callable[[Ended], None]) -> None:
        worker = self._worker()
        if worker is None:
            self._say(problem=NO_WORKER)
            return
        if self._command is not None:
            return

        def ended(how: Ended) -> None:
            self._command, self._doing = None, ""
            then(how)

        self._command = self._runner.start(worker.command(*arguments), worker.environment(), ended)
        self._doing = doing
        self._say(problem="")

    def _started(self, root: Path, ended: Ended) -> None:
        if (root / "adaptation_plan.json").is_file():
            self._follow(root)
        followed = self._followed
        working = followed is not None and followed.state in (states.RUNNING, states.FINISHED)
        self._say(problem="" if ended.code == 0 or working else refusal(ended))

    def _stopped(self, ended: Ended) -> None:
        if self._followed is not None and ended.code != 0:
            kill_worker(self._followed.folder)
        self._say()

    def _follow(self, root: Path) -> None:
        try:
            self._followed = FollowedAdaptation(root)
        except (SegVarianceError, OSError):
            self._settings.pop("adaptation", None)
            return
        self._settings["adaptation"] = str(self._followed.folder.root)
        self._say()

    def _is_of_open_case(self) -> bool:
        opened = self._session.opened
        return bool(self._followed and opened and self._followed.folder.plan.case == opened.case.id)

    def _say(self, **changes: Any) -> None:
        opened, followed = self._session.opened, self._followed
        model = changes.get("model", self.state.model)
        busy, stands = self._command is not None, followed.state if followed else ""
        working = stands in (states.RUNNING, states.STOPPING)
        resumable = stands in _RESUMABLE and self._is_of_open_case()
        record = followed.record if followed else None
        state = replace(
            self.state,
            **changes,
            case=opened.case.id if opened else "",
            sentence=f"{self._doing} …" if busy else sentence(followed) if followed else _CHOOSE,
            warnings=record.warnings if record else (),
            rows=_rows(record),
            neighbours=_neighbours(record),
            share=followed.share if followed and working else None,
            can_start=not busy and not working and opened is not None and (bool(model) or resumable),
            can_stop=stands == states.RUNNING and not busy,
            can_show=record is not None and not working,
            start_text="Go on" if resumable else AdaptState.start_text,
        )
        if state != self.state:
            self.state = state
            self.show(state)


def sentence(followed: FollowedAdaptation) -> str:
    """Where an adaptation stands, and what to do next."""
    case, left_s = followed.folder.plan.case, followed.time_left_s
    left = "" if left_s is None else f", about {duration_text(left_s)} left"
    if followed.record is not None:
        took = duration_text(followed.record.wall_s)
        flagged = (
            "Look twice before you use it:"
            if followed.record.warnings
            else "Nothing departs implausibly, which does not prove it better."
        )
        return f"{case} is adapted (took {took}). {flagged}"
    return {
        states.PLANNED: f"{case} is planned. Press Go on.",
        states.RUNNING: f"{case}: {followed.doing}{left}. You may close Slicer meanwhile.",
        states.STOPPING: f"{case}: stopping after the current step.",
        states.STOPPED: f"{case}: stopped. Nothing is lost; press Go on.",
        states.DIED: f"{case}: the adaptation died (it was killed, or the computer went down). Nothing is lost; press Go on.",
        states.FAILED: f"{case}: {followed.message}",
        states.FINISHED: f"{case}: its files were changed since it was finished. Press Go on.",
    }[followed.state]


def _rows(record: AdaptationRecord | None) -> tuple[MovedRow, ...]:
    return tuple(
        MovedRow(each.structure, each.initial_ml, each.adapted_ml, each.added_ml, each.removed_ml, each.dice)
        for each in (record.moved if record else ())
    )


def _neighbours(record: AdaptationRecord | None) -> str:
    if record is None or not record.neighbours:
        return ""
    learnt = [each.case for each in record.neighbours if not each.left_out]
    left_out = [f"{each.case} ({each.left_out})" for each in record.neighbours if each.left_out]
    more = f" Left out: {'; '.join(left_out)}." if left_out else ""
    return f"Learnt from {counted(len(learnt), 'deformed training case')}, nearest first: {', '.join(learnt)}.{more}"
