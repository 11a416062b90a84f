"""Everything that decides what a study trains, in one frozen record: ``plan.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import read_json, safe_name, write_json
from ..core.records import from_json, to_json
from .fine_tuning import FineTuning
from .nnunet_plan import NnunetConfiguration
from .pretraining_plan import Pretraining
from .recipe import ChannelPlan as ChannelPlan
from .recipe import NetworkPlan as NetworkPlan
from .recipe import PreprocessingPlan as PreprocessingPlan
from .recipe import TrainingPlan as TrainingPlan
from .recipe import require_positive

SCHEMA = 1
LABELS, REGIONS = "labels", "regions"
"""What a network's channels are: classes of which a voxel has one, or regions that may overlap."""


@dataclass(frozen=True)
class Configuration:
    """A recipe whose luck is studied; ``backend`` names what trains it, ``trains`` on what: ``LABELS`` or ``REGIONS``.

    ``fine_tuning`` says what it starts from; None: from weights that its seed draws. ``training_cases``: of each fold that many
    (None: all), where those of a smaller number are among those of a larger one.
    """

    name: str
    backend: str
    preprocessing: PreprocessingPlan
    network: NetworkPlan
    training: TrainingPlan
    trains: str = LABELS
    fine_tuning: FineTuning | None = None
    training_cases: int | None = None

    def __post_init__(self) -> None:
        if self.trains not in (LABELS, REGIONS):
            raise ValueError(f"expected to train {LABELS} or {REGIONS}, found {self.trains!r}.")
        require_positive("training_cases", () if self.training_cases is None else (self.training_cases,))


AnyConfiguration = Configuration | NnunetConfiguration


@dataclass(frozen=True)
class StudyPlan:
    """Configurations x folds x seeds on one dataset with one split, and what is made of the predictions.

    ``pretrainings`` are made first; configurations may start from them.
    """

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
    pretrainings: tuple[Pretraining, ...] = ()

    def __post_init__(self) -> None:
        require_positive("threads_per_run", (self.threads_per_run,))
        names = [each.name for each in (*self.configurations, *self.pretrainings)]
        for what, found in (("seed", self.seeds), ("configuration", names)):
            if not found or len(set(found)) < len(found):
                raise ValueError(f"expected at least one {what}, each once, found {list(found)}.")
        known = {each.name for each in self.pretrainings}
        for each in self.configurations:
            rules = each.fine_tuning if isinstance(each, Configuration) else None
            if rules and rules.pretraining and rules.pretraining not in known:
                raise ValueError(
                    f"{each.name} starts from pretraining {rules.pretraining!r}, which the plan does not have."
                )

    def configuration(self, name: str) -> AnyConfiguration:
        """Raises SegVarianceError where the plan has none of that name."""
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        known = ", ".join(configuration.name for configuration in self.configurations)
        raise SegVarianceError(f"The plan has no configuration {name!r}. It has: {known}.")

    def pretraining(self, name: str) -> Pretraining | None:
        """The pretraining of that name, None where it is none."""
        return next((each for each in self.pretrainings if each.name == name), None)

    def steps_of(self, name: str) -> int:
        """Of one training of a configuration or pretraining."""
        return (self.pretraining(name) or self.configuration(name)).training.steps

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
        for each in (*plan.configurations, *plan.pretrainings):
            safe_name(each.name, "configuration name")
        return plan
