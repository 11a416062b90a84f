"""An adaptation that works elsewhere, and the truth about it read from its folder: right after a crash and after Slicer was closed too."""

from __future__ import annotations

from pathlib import Path

from SegVarianceLib.plan.adaptation_folder import AdaptationFolder, AdaptationRecord

from .study_process import (
    DIED,
    FAILED,
    FINISHED,
    PLANNED,
    RUNNING,
    STOPPED,
    STOPPING,
    EventTail,
    is_alive,
    worker_record,
)

_LAST = {"adaptation_stopped": STOPPED, "adaptation_failed": FAILED, "adaptation_finished": FINISHED}


class FollowedAdaptation:
    """``update`` brings it up to date.

    Raises:
        SegVarianceError: the folder holds no adaptation that this version reads.
    """

    def __init__(self, root: Path):
        self.folder = AdaptationFolder.open(root)
        settings = self.folder.plan.settings
        self._rounds, self._round, self._what = settings.rounds, 0, ""
        self.state, self.message = PLANNED, ""
        self.doing, self.share = "", 0.0
        self.time_left_s: float | None = None
        self.record: AdaptationRecord | None = None
        self._tail, self._ended = EventTail(self.folder.events_path), PLANNED
        self.update()

    def update(self) -> None:
        worker = worker_record(self.folder)
        alive = worker is not None and is_alive(worker)
        for event in self._tail.new_events():
            kind = event["kind"]
            if kind == "adaptation_started":
                self._ended, self.message, self._round, self.time_left_s = DIED, "", 0, None
            elif kind == "stage_step":
                self._step(event["what"], event["done"], event["of"])
                self.time_left_s = event.get("time_left_s", self.time_left_s)
            elif kind in _LAST:
                self._ended, self.message = _LAST[kind], event.get("message", "")
        if self.record is None and self.folder.is_done:
            self.record, self._ended = self.folder.record(), FINISHED
        if alive:
            self.state = STOPPING if self.folder.stop_path.exists() else RUNNING
        else:
            self.state = DIED if self._ended == PLANNED and worker is not None else self._ended

    def _step(self, what: str, done: int, of: int) -> None:
        """Deforming and learning take turns; half a round each."""
        if what == "Deforming neighbours" and self._what == "Learning":
            self._round += 1
        self._what = what
        within = {"Deforming neighbours": 0.5 * done / of, "Learning": 0.5 + 0.5 * done / of, "Writing": 1.0}.get(
            what, 0.0
        )
        self.share = min(1.0, (self._round + within) / self._rounds)
        turn = f", round {self._round + 1} of {self._rounds}" if what in ("Deforming neighbours", "Learning") else ""
        self.doing = f"{what}{turn}: {done} of {of}"
