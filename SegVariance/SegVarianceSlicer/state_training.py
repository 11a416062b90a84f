"""What the Train panel shows, and the one translation between what a user wishes and the arguments of ``segvariance``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP
from SegVarianceLib.plan.study_folder import StudyFolder

BUDGET_UNITS = ("minutes", "epochs", "steps")
DEVICES = {
    "auto": "The best that is there",
    "cpu": "Processor",
    "cuda": "NVIDIA graphics card",
    "mps": "Apple graphics processor",
}
CLEAN_UPS = {facts.id: facts.title for facts in CLEAN_UP}
_NO_PROBABILITIES = "--no-probabilities"
_OPTIONS = {
    "configuration": "--configuration",
    "seeds": "--seeds",
    "first_seed": "--first-seed",
    "split_seed": "--split-seed",
    "groups": "--groups",
    "group_column": "--group-column",
    "device": "--device",
    "threads": "--threads",
    "clean_up": "--clean-up",
    "tolerance_mm": "--tolerance-mm",
    "title": "--title",
}


@dataclass(frozen=True)
class TrainingWishes:
    """A study as a user asks for it. ``folds`` 1 holds a fifth of the cases out; ``groups`` and ``title`` may be empty."""

    dataset: str = ""
    study: str = ""
    configuration: str = "default"
    seeds: int = 10
    first_seed: int = 0
    folds: int = 1
    split_seed: int = 0
    groups: str = ""
    group_column: str = "group"
    budget: int = 5
    budget_unit: str = "minutes"
    device: str = "auto"
    threads: int = 1
    keep_probabilities: bool = True
    clean_up: str = "keep_largest"
    tolerance_mm: float = 1.0
    title: str = ""


def arguments_of(wishes: TrainingWishes) -> list[str]:
    """Arguments of ``segvariance plan``, behind the command's name."""
    given = {option: str(getattr(wishes, name)) for name, option in _OPTIONS.items()}
    given["--split"] = "holdout" if wishes.folds == 1 else f"{wishes.folds}-fold"
    given["--budget"] = f"{wishes.budget} {wishes.budget_unit}"
    options = [f"{option}={value}" for option, value in given.items() if value]
    return [wishes.dataset, wishes.study, *options, *([] if wishes.keep_probabilities else [_NO_PROBABILITIES])]


def wishes_of(arguments: Sequence[str]) -> TrainingWishes:
    """The way back.

    Raises:
        SegVarianceError: an option or a value that ``arguments_of`` does not write.
    """
    dataset, study, *options = arguments
    types = {field.name: type(getattr(TrainingWishes, field.name)) for field in fields(TrainingWishes)}
    names = {option: name for name, option in _OPTIONS.items()}
    found: dict[str, object] = {"keep_probabilities": _NO_PROBABILITIES not in options}
    for option, _, value in (each.partition("=") for each in options if each != _NO_PROBABILITIES):
        try:
            if option == "--split":
                found["folds"] = 1 if value == "holdout" else int(value.removesuffix("-fold"))
            elif option == "--budget":
                amount, found["budget_unit"] = value.split()
                found["budget"] = int(amount)
            else:
                found[names[option]] = types[names[option]](value)
        except (KeyError, ValueError):
            raise SegVarianceError(f"{option}={value} is no argument of a study that this panel plans.") from None
    return TrainingWishes(dataset=dataset, study=study, **found)  # type: ignore[arg-type]


def wishes_of_study(study: StudyFolder) -> TrainingWishes:
    """What was wished when a study was planned, as far as its plan remembers: the length in steps, no table of patients."""
    plan = study.plan
    return TrainingWishes(
        dataset=plan.dataset_folder,
        study=str(study.root),
        configuration=plan.configurations[0].name,
        seeds=len(plan.seeds),
        first_seed=min(plan.seeds),
        folds=len(study.folds),
        split_seed=plan.split_seed,
        budget=plan.configurations[0].training.steps,
        budget_unit="steps",
        device=plan.device,
        threads=plan.threads_per_run,
        keep_probabilities=plan.keep_probabilities,
        clean_up=plan.clean_up,
        tolerance_mm=plan.tolerance_mm,
    )


@dataclass(frozen=True)
class RunRow:
    """One training in the table. ``state`` is waiting, training, done or failed; ``curve`` holds (step, Dice) on the
    patches it trains on; ``dice`` is the mean over held-out cases so far."""

    name: str
    state: str = "waiting"
    step: int = 0
    steps: int = 0
    dice: float | None = None
    predicted: int = 0
    curve: tuple[tuple[int, float], ...] = ()

    @property
    def percent(self) -> int:
        return 100 * self.step // self.steps if self.steps else 0


@dataclass(frozen=True)
class TrainingState:
    """Everything that the panel shows. ``sentence`` says where the study stands, ``problem`` what went wrong."""

    wishes: TrainingWishes = TrainingWishes()
    sentence: str = "Choose a dataset and a new folder for the study, or open a study."
    problem: str = ""
    cost: str = ""
    study: str = ""
    runs: tuple[RunRow, ...] = ()
    busy: bool = False
    can_cancel: bool = False
    can_plan: bool = False
    can_start: bool = False
    can_stop: bool = False
    start_text: str = "Start"

    @property
    def percent(self) -> int:
        return sum(run.percent for run in self.runs) // len(self.runs) if self.runs else 0


def duration_text(seconds: float) -> str:
    """For people: less than a minute, 3 min, 2 h 05 min."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
