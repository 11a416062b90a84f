"""Where a study keeps what: the one place that knows the file names. Reading a study needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.errors import SegVarianceError
from ..core.files import path_inside, read_json, safe_name, sha256_of_json
from ..core.labels import LabelSet
from ..core.records import from_json, to_json
from ..core.seeding import generator
from ..dataset.case import Case
from ..dataset.splits import Fold
from .runs import Run, RunRecord, pretraining_runs_of, runs_of
from .study_plan import LABELS, Configuration, StudyPlan
from .work_folder import WorkFolder


@dataclass(frozen=True)
class StudyDataset:
    """What a study remembers of its dataset: paths, channels and labels as they were when it was planned."""

    folder: str
    name: str
    channels: tuple[str, ...]
    file_ending: str
    images: dict[str, tuple[str, ...]]
    references: dict[str, str]
    labels: dict[str, Any]


class StudyFolder(WorkFolder):
    """Paths and small files of one study. Plan, dataset and splits never change once written and are read once."""

    @classmethod
    def open(cls, root: Path) -> StudyFolder:
        """A folder that holds a study.

        Raises:
            SegVarianceError: it holds none.
        """
        study = cls(root)
        if not study.plan_path.is_file():
            raise SegVarianceError(
                f"{root} is not a study: it has no plan.json. Make one with: segvariance plan DATASET {root}"
            )
        return study

    @property
    def plan_path(self) -> Path:
        return self.root / "plan.json"

    @property
    def dataset_path(self) -> Path:
        return self.root / "dataset.json"

    @property
    def fingerprint_path(self) -> Path:
        return self.root / "fingerprint.json"

    @property
    def splits_path(self) -> Path:
        return self.root / "splits.json"

    @property
    def patients_path(self) -> Path:
        """Patient of each case, where the study was planned with groups."""
        return self.root / "patients.json"

    @property
    def environment_path(self) -> Path:
        return self.root / "environment.json"

    @property
    def scores_path(self) -> Path:
        return self.root / "scores.csv"

    @property
    def uncertainty_path(self) -> Path:
        """How much the members of each case disagree."""
        return self.root / "uncertainty.csv"

    @property
    def statistics_path(self) -> Path:
        return self.root / "statistics.json"

    @property
    def report_path(self) -> Path:
        return self.root / "report.html"

    @property
    def stages_path(self) -> Path:
        """For each step after training, the digest of what it was made from."""
        return self.root / "stages.json"

    def cache(self, configuration: str) -> Path:
        return self.root / "cache" / configuration

    def run_folder(self, run: Run) -> Path:
        if self.plan.pretraining(run.configuration):
            return self.root / "pretraining" / run.configuration / run.member
        return self.root / run.folder

    def record_path(self, run: Run) -> Path:
        """Written last: a run is done when this is there."""
        name = "pretraining.json" if self.plan.pretraining(run.configuration) else "run.json"
        return self.run_folder(run) / name

    def run_log(self, run: Run) -> Path:
        """The run's own events, in full."""
        return self.run_folder(run) / "log.jsonl"

    def checkpoint(self, run: Run) -> Path:
        return self.run_folder(run) / "checkpoint.safetensors"

    def weights(self, run: Run) -> Path:
        return self.run_folder(run) / "weights.safetensors"

    def transfer(self, run: Run) -> Path:
        """What became of each tensor of a run that started from given weights."""
        return self.run_folder(run) / "transfer.json"

    def prediction(self, run: Run, case: str) -> Path:
        return self.run_folder(run) / "predictions" / f"{case}{self.dataset.file_ending}"

    def probabilities(self, run: Run, case: str) -> Path:
        return self.run_folder(run) / "probabilities" / f"{case}.nrrd"

    def ensemble(self, configuration: str, name: str) -> Path:
        return self.root / "ensembles" / configuration / name

    def map(self, configuration: str, name: str) -> Path:
        return self.root / "maps" / configuration / name

    @cached_property
    def patients(self) -> dict[str, str] | None:
        """Patient of each case; None where each case is a patient of its own."""
        if not self.patients_path.exists():
            return None
        content = read_json(self.patients_path)
        if not isinstance(content, dict) or not all(isinstance(patient, str) for patient in content.values()):
            raise SegVarianceError(f"{self.patients_path}: expected the patient's name of each case. Restore the file.")
        return content

    @cached_property
    def plan(self) -> StudyPlan:
        return StudyPlan.read(self.plan_path)

    @cached_property
    def dataset(self) -> StudyDataset:
        """Raises SegVarianceError where an id or a path would leave its folder."""
        dataset = from_json(StudyDataset, read_json(self.dataset_path), str(self.dataset_path))
        for case_id, images in dataset.images.items():
            safe_name(case_id, "case id")
            safe_name(case_id + dataset.file_ending, "file name")
            for relative in (*images, dataset.references.get(case_id, "")):
                path_inside(Path(dataset.folder), relative, f"{self.dataset_path}, case {case_id}:")
        return dataset

    @cached_property
    def labels(self) -> LabelSet:
        try:
            return LabelSet.from_json(self.dataset.labels)
        except (KeyError, TypeError, AttributeError):
            raise SegVarianceError(f"{self.dataset_path}: 'labels' name no structures. Plan the study again.") from None

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        content = read_json(self.splits_path)
        if not isinstance(content, list) or not content:
            raise SegVarianceError(f"{self.splits_path} should hold a list of folds. Plan the study again.")
        folds = tuple(from_json(Fold, fold, f"{self.splits_path}, fold {i}") for i, fold in enumerate(content))
        for fold in folds:
            strangers = {*fold.training, *fold.held_out} - set(self.dataset.references)
            if wrong := sorted(strangers | set(fold.training) & set(fold.held_out)):
                raise SegVarianceError(
                    f"{self.splits_path}: case {wrong[0]!r} is not in the dataset, or both trained on and held out. Plan the study again."
                )
        return folds

    @property
    def held_out_cases(self) -> tuple[str, ...]:
        """All cases that some fold holds out, sorted."""
        return tuple(sorted(case_id for fold in self.folds for case_id in fold.held_out))

    @property
    def runs(self) -> tuple[Run, ...]:
        return runs_of(self.plan, len(self.folds))

    @property
    def pretraining_runs(self) -> tuple[Run, ...]:
        """Made before all runs; each has a folder, events, a checkpoint and a record as a run has, but predicts nothing."""
        return pretraining_runs_of(self.plan)

    def started_from(self, run: Run) -> Run | None:
        """The pretraining of this study from which a run starts."""
        configuration = self.plan.configuration(run.configuration)
        rules = configuration.fine_tuning if isinstance(configuration, Configuration) else None
        pretraining = self.plan.pretraining(rules.pretraining) if rules and rules.pretraining else None
        return Run(pretraining.name, 0, pretraining.seed_for(run.seed)) if pretraining else None

    def fold_of(self, run: Run) -> Fold:
        """Cases that a run trains on and predicts: all of its fold, or the first ones of the fold's one permutation, so that
        fewer are among more.

        Raises:
            SegVarianceError: the fold has fewer than the configuration wants.
        """
        fold, configuration = self.folds[run.fold], self.plan.configuration(run.configuration)
        count = configuration.training_cases if isinstance(configuration, Configuration) else None
        if count is None:
            return fold
        if count > len(fold.training):
            raise SegVarianceError(
                f"{run.configuration} trains on {count} cases, and fold {run.fold} has {len(fold.training)}. Plan fewer."
            )
        order = generator(self.plan.split_seed, "training cases", run.fold).permutation(len(fold.training))
        return Fold(tuple(sorted(fold.training[i] for i in order[:count])), fold.held_out)

    def case(self, case_id: str) -> Case:
        folder = Path(self.dataset.folder)
        return Case(case_id, tuple(folder / path for path in self.dataset.images[case_id]), self.reference(case_id))

    def reference(self, case_id: str) -> Path:
        return Path(self.dataset.folder) / self.dataset.references[case_id]

    def run_inputs(self, run: Run) -> str:
        """Digest of everything a run follows from but the machine: data, split, recipe and seed."""
        if pretraining := self.plan.pretraining(run.configuration):
            return pretraining.inputs(run.seed)
        recipe = to_json(self.plan.configuration(run.configuration))
        recipe.pop("training_cases", None)  # they stand in the fold
        if recipe.get("trains") == LABELS:
            del recipe["trains"]  # as in studies of before there was a choice
        if given := recipe.pop("fine_tuning", None):  # where none, as in studies of before
            recipe["fine_tuning"] = {
                name: value for name, value in given.items() if name not in ("weights", "pretraining")
            }
            if source := self.started_from(run):
                recipe["fine_tuning"]["pretraining"] = self.run_inputs(source)
        fold = to_json(self.fold_of(run))
        parts = [self.plan.dataset_digest, self.dataset.labels, fold, recipe, run.seed, self.plan.keep_probabilities]
        return sha256_of_json(parts)

    def is_done(self, run: Run) -> bool:
        """Whether the run's record is there and was made from what the plan says now."""
        return self.record_path(run).is_file() and self.record(run).inputs == self.run_inputs(run)

    def record(self, run: Run) -> RunRecord:
        """Raises SegVarianceError where ``run.json`` is missing or not what this version writes."""
        path = self.record_path(run)
        return from_json(RunRecord, read_json(path), str(path))
