"""Where an adaptation to one case keeps what: the one place that knows its file names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.errors import SegVarianceError
from ..core.files import read_json
from ..core.records import from_json
from .adaptation import AdaptationPlan
from .work_folder import WorkFolder

INITIAL, ADAPTED = "initial", "adapted"
"""What the networks as they were give, and what is left after adaptation."""


@dataclass(frozen=True)
class Neighbour:
    """A training case on the way to the inference case. ``closeness`` chose it, before alignment; ``overlap`` and
    ``similarity`` are the Dice of its labels with the current mask after it, and the correlation of intensities after its affine part.
    ``left_out``: why it was not learnt from; empty where it was."""

    case: str
    closeness: float
    overlap: float
    similarity: float
    folded_share: float
    left_out: str = ""


@dataclass(frozen=True)
class Moved:
    """What adaptation changed of one structure, on the inference image's own grid."""

    structure: str
    initial_ml: float
    adapted_ml: float
    added_ml: float
    removed_ml: float
    dice: float | None


@dataclass(frozen=True)
class AdaptationRecord:
    """``adaptation.json``, written when an adaptation is done. ``warnings`` say why a reader should not trust it."""

    schema: int
    inputs: str
    key: str
    machine: dict[str, Any]
    neighbours: tuple[Neighbour, ...]
    moved: tuple[Moved, ...]
    warnings: tuple[str, ...]
    resumed: bool
    wall_s: float
    cpu_s: float
    peak_memory_mib: float


class AdaptationFolder(WorkFolder):
    """Paths and small files of one adaptation. The plan never changes once written."""

    @classmethod
    def open(cls, root: Path) -> AdaptationFolder:
        """Raises SegVarianceError where the folder holds no adaptation."""
        folder = cls(root)
        if not folder.plan_path.is_file():
            raise SegVarianceError(
                f"{root} is no adaptation: it has no adaptation_plan.json. Make one: segvariance adapt"
            )
        return folder

    @property
    def plan_path(self) -> Path:
        return self.root / "adaptation_plan.json"

    @property
    def record_path(self) -> Path:
        """Written last: an adaptation is done when this is there."""
        return self.root / "adaptation.json"

    @property
    def work(self) -> Path:
        """What is needed to go on, and nothing once it is done."""
        return self.root / "work"

    @property
    def neighbours(self) -> Path:
        """Images and labels of the neighbours as they were learnt from, nearest first."""
        return self.root / "neighbours"

    def mask(self, name: str) -> Path:
        """The mask ``INITIAL`` or ``ADAPTED``: each in a folder of its own, so that the two open as members, side by side."""
        return self.masks(name) / f"{self.plan.case}{self.plan.ending}"

    def masks(self, name: str) -> Path:
        return self.root / "masks" / name

    @property
    def differences(self) -> Path:
        """A label map of what moved: 1 added, 2 removed, 3 given to another structure."""
        return self.root / "differences" / f"{self.plan.case}{self.plan.ending}"

    @property
    def probabilities(self) -> Path:
        return self.root / "probabilities" / f"{self.plan.case}.nrrd"

    @cached_property
    def plan(self) -> AdaptationPlan:
        return AdaptationPlan.read(self.plan_path)

    @property
    def is_done(self) -> bool:
        """Whether the record is there and was made from what the plan says now."""
        return self.record_path.is_file() and self.record().inputs == self.plan.inputs

    def record(self) -> AdaptationRecord:
        """Raises SegVarianceError where it is missing or not what this version writes."""
        return from_json(AdaptationRecord, read_json(self.record_path), str(self.record_path))
