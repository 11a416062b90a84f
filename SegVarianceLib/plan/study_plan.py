"""Everything that decides what a study trains, in one frozen record: ``plan.json``.

Triples of shapes, strides and spacings are in canonical array order (S, P, L as in ``core.geometry.CanonicalAxes``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import read_json, safe_name, write_json
from ..core.records import from_json, to_json
from .fine_tuning import FineTuning
from .nnunet_plan import NnunetConfiguration

SCHEMA = 1
NORMALISATIONS = ("z_score", "z_score_nonzero", "ct")
LABELS, REGIONS = "labels", "regions"
"""What a network's channels are: classes of which a voxel has one, or regions that may overlap."""


@dataclass(frozen=True)
class ChannelPlan:
    """How one channel is normalised: ``z_score`` over the image, ``z_score_nonzero`` over its non-zero voxels, or
    ``ct``: clipped to [low, high], then with the dataset's mean and std."""

    name: str
    normalisation: str
    low: float
    high: float
    mean: float
    std: float

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"expected a normalisation of {', '.join(NORMALISATIONS)}, found {self.normalisation!r}.")


@dataclass(frozen=True)
class PreprocessingPlan:
    """From a file to what the network sees: canonical axes, this spacing, these normalisations."""

    spacing_zyx_mm: tuple[float, float, float]
    channels: tuple[ChannelPlan, ...]

    def __post_init__(self) -> None:
        _require_positive("spacings", self.spacing_zyx_mm)


@dataclass(frozen=True)
class NetworkPlan:
    """One member of the residual U-Net family. ``out_channels`` counts the background, but with regions there is none."""

    in_channels: int
    out_channels: int
    patch_zyx: tuple[int, int, int]
    stem_stride: tuple[int, int, int]
    strides: tuple[tuple[int, int, int], ...]
    channels: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.out_channels, *self.patch_zyx, *self.channels)
        _require_positive(
            "sizes", (*sizes, *self.stem_stride, *(length for stride in self.strides for length in stride))
        )
        if len(self.channels) != len(self.strides) + 1:
            raise ValueError(f"{len(self.strides)} strides need one channel number more, found {len(self.channels)}.")
        if any(length % by for length, by in zip(self.patch_zyx, self.multiple_zyx, strict=True)):
            raise ValueError(
                f"patch {self.patch_zyx} is no multiple of {self.multiple_zyx}, by which the strides divide it."
            )

    @property
    def multiple_zyx(self) -> tuple[int, int, int]:
        """The network halves so often that each side of its input must be a multiple of this."""
        z, y, x = (math.prod(stride[axis] for stride in (self.stem_stride, *self.strides)) for axis in range(3))
        return z, y, x


@dataclass(frozen=True)
class TrainingPlan:
    """One training, planned as a whole: the learning rate follows ``steps``, so fewer steps means another plan."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up_share: float
    ema_decay: float
    foreground_share: float
    mirror_axes: tuple[int, ...]
    rotation_axes: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_positive("steps and batch_size", (self.steps, self.batch_size))
        if not {*self.mirror_axes, *self.rotation_axes} <= {0, 1, 2}:
            raise ValueError(f"axes are 0, 1 and 2, found {self.mirror_axes} and {self.rotation_axes}.")


@dataclass(frozen=True)
class Configuration:
    """A recipe whose luck is studied; ``backend`` names what trains it, ``trains`` on what: ``LABELS`` or ``REGIONS``.

    ``fine_tuning`` says what it starts from; None: from weights that its seed draws.
    """

    name: str
    backend: str
    preprocessing: PreprocessingPlan
    network: NetworkPlan
    training: TrainingPlan
    trains: str = LABELS
    fine_tuning: FineTuning | None = None

    def __post_init__(self) -> None:
        if self.trains not in (LABELS, REGIONS):
            raise ValueError(f"expected to train {LABELS} or {REGIONS}, found {self.trains!r}.")


AnyConfiguration = Configuration | NnunetConfiguration


@dataclass(frozen=True)
class StudyPlan:
    """Configurations x folds x seeds on one dataset with one split, and what is made of the predictions."""

    schema: int
    title: str
    dataset_folder: str
    dataset_digest: str
    split: str
    split_seed: int
    seeds: tuple[int, ...]
    configurations: tuple[AnyConfiguration, ...]
    device: str
    threads_per_run: int
    keep_probabilities: bool
    clean_up: str
    tolerance_mm: float

    def __post_init__(self) -> None:
        _require_positive("threads_per_run", (self.threads_per_run,))
        for what, found in (("seed", self.seeds), ("configuration", [each.name for each in self.configurations])):
            if not found or len(set(found)) < len(found):
                raise ValueError(f"expected at least one {what}, each once, found {list(found)}.")

    def configuration(self, name: str) -> AnyConfiguration:
        """Raises SegVarianceError where the plan has none of that name."""
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        known = ", ".join(configuration.name for configuration in self.configurations)
        raise SegVarianceError(f"The plan has no configuration {name!r}. It has: {known}.")

    def write(self, path: Path) -> None:
        write_json(path, to_json(self))

    @classmethod
    def read(cls, path: Path) -> StudyPlan:
        """Read a ``plan.json``.

        Raises:
            SegVarianceError: not a plan, another schema, a field of the wrong type, a name that cannot be a folder.
        """
        content = read_json(path)
        if isinstance(content, dict) and content.get("schema") != SCHEMA:
            raise SegVarianceError(
                f"{path} has schema {content.get('schema')!r}; this version reads {SCHEMA}. Plan the study again."
            )
        plan = from_json(cls, content, str(path))
        for configuration in plan.configurations:
            safe_name(configuration.name, "configuration name")
        return plan


def _require_positive(what: str, numbers: Iterable[float]) -> None:
    found = list(numbers)
    if not all(0 < number < math.inf for number in found):
        raise ValueError(f"{what} must be above zero, found {found}.")
