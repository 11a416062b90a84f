"""A folder that one process works on, which others watch and stop: a study, or an adaptation to one case."""

from __future__ import annotations

from pathlib import Path


class WorkFolder:
    """Paths of what a worker and those who watch it share; ``segvariance run ROOT`` goes on with the work."""

    def __init__(self, root: Path):
        self.root = Path(root).resolve()

    @property
    def events_path(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def worker_path(self) -> Path:
        """Who works here at present, or did until it died."""
        return self.root / "worker.json"

    @property
    def lock_path(self) -> Path:
        return self.root / "worker.lock"

    @property
    def stop_path(self) -> Path:
        """A request to stop; the worker removes it."""
        return self.root / "stop.request"
