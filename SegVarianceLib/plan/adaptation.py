"""What decides an adaptation to one case: which networks, which training cases, how they are deformed, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import path_inside, read_json, safe_name, sha256_of_json, write_json
from ..core.records import from_json, to_json
from ..dataset.case import Case, Dataset
from ..dataset.fingerprint import dataset_digest
from .recipe import require_positive
from .study_folder import StudyFolder

SCHEMA = 1

BOTH, INTENSITY, MASKS = "both", "intensity", "masks"
GUIDES = (BOTH, INTENSITY, MASKS)
"""What a training case is aligned by: image intensities, the current mask of the inference case, or both."""


@dataclass(frozen=True)
class AdaptationSettings:
    """One way to adapt. The method of Chen et al. 2025 (Medical Physics, 10.1002/mp.17883) with everything switched on.

    ``neighbours`` training cases are aligned in each of ``rounds``, and each network makes ``steps`` steps on them a round.
    ``guide``: one of ``GUIDES``. ``deform``: else neighbours are taken as they are. ``match_intensity``: their intensities are
    mapped to those of the inference image where the two overlap once aligned. ``predictions`` a round enter the
    moving average, which keeps ``average_decay`` of itself each time; without ``moving_average`` only the last one counts.
    With ``augmented`` predictions nothing is refined: the mean over so many turned, mirrored and noisy copies is the result.
    """

    neighbours: int = 5
    rounds: int = 2
    steps: int = 40
    learning_rate: float = 3e-4
    predictions: int = 5
    average_decay: float = 0.8
    guide: str = BOTH
    deform: bool = True
    match_intensity: bool = True
    moving_average: bool = True
    augmented: int = 0

    def __post_init__(self) -> None:
        sizes = (self.neighbours, self.rounds, self.steps, self.predictions, self.learning_rate)
        require_positive("neighbours, rounds, steps, predictions and learning_rate", sizes)
        if self.guide not in GUIDES:
            raise ValueError(f"expected a guide of {', '.join(GUIDES)}, found {self.guide!r}.")
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"average_decay is a share from 0 to below 1, found {self.average_decay}.")
        if self.predictions > self.steps:
            raise ValueError(f"{self.predictions} predictions need at least as many steps, found {self.steps}.")
        if self.augmented < 0:
            raise ValueError(f"augmented predictions are counted from 0, found {self.augmented}.")


ADAPTED, AUGMENTED = "adapted", "test_time_augmentation"

_CHANGES: dict[str, dict[str, object]] = {
    ADAPTED: {},
    "no_deformation": {"deform": False},
    "intensity_only": {"guide": INTENSITY},
    "masks_only": {"guide": MASKS},
    "no_moving_average": {"moving_average": False},
    "no_intensity_matching": {"match_intensity": False},
    "fine_tuning": {"deform": False, "match_intensity": False, "moving_average": False},
    AUGMENTED: {"augmented": 32},
}
VARIANTS = tuple(_CHANGES)
"""The method, and what is left of it with one part switched off; ``fine_tuning`` is on neighbours as they are, at equal budget."""


def variant(name: str, settings: AdaptationSettings) -> AdaptationSettings:
    """Settings with the change that one of ``VARIANTS`` stands for."""
    return replace(settings, **_CHANGES[name])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Start:
    """A trained run to begin with: its weights below the study, their digest, and what it is called."""

    weights: str
    sha256: str
    name: str


@dataclass(frozen=True)
class AdaptationPlan:
    """Everything that an adaptation follows from but the machine. ``case`` and ``ending`` name its files.

    ``images`` and their digests are of the inference case; nothing names a reference of it. ``training_cases`` are cases of
    ``study`` with their digest; the most useful ones among them become neighbours.
    """

    schema: int
    case: str
    ending: str
    images: tuple[str, ...]
    images_sha256: tuple[str, ...]
    study: str
    starts: tuple[Start, ...]
    training_cases: tuple[str, ...]
    training_digest: str
    variant: str
    settings: AdaptationSettings
    seed: int
    device: str
    threads: int

    def __post_init__(self) -> None:
        for what, found in (
            ("start", self.starts),
            ("training case", self.training_cases),
            ("image", self.images),
        ):
            if not found or len(set(found)) < len(found):
                raise ValueError(f"expected at least one {what}, each once, found {len(found)}.")

    @property
    def inputs(self) -> str:
        """Digest of all of it but places: the same files elsewhere give the same adaptation."""
        content = to_json(self)
        for name in ("case", "ending", "images", "study", "device", "variant"):
            del content[name]
        content["starts"] = [start.sha256 for start in self.starts]
        return sha256_of_json(content)

    def write(self, path: Path) -> None:
        write_json(path, to_json(self))

    @classmethod
    def read(cls, path: Path) -> AdaptationPlan:
        """Raises SegVarianceError: no plan, one of another schema, or a name or path that would leave its folder."""
        content = read_json(path)
        if isinstance(content, dict) and content.get("schema") != SCHEMA:
            raise SegVarianceError(
                f"{path} has schema {content.get('schema')!r}; this version reads {SCHEMA}. Adapt the case again, into a new folder."
            )
        plan = from_json(cls, content, str(path))
        for name in (plan.case, plan.case + plan.ending, *plan.training_cases):
            safe_name(name, "case id")
        for start in plan.starts:
            path_inside(Path(plan.study), start.weights, f"{path}, weights:")
        return plan


def training_digest(study: StudyFolder, cases: Sequence[Case]) -> str:
    """Of images and references of these cases of a study."""
    remembered = study.dataset
    folder, channels = Path(remembered.folder), remembered.channels
    return dataset_digest(
        Dataset(folder, remembered.name, channels, study.labels, tuple(cases), remembered.file_ending, "")
    )
