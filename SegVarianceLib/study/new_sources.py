"""The sources of a transfer study as they are planned: pretrainings with cases, steps and pace, and weights from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import SegVarianceError
from ..core.files import read_json, sha256_of_file
from ..core.seeding import generator
from ..dataset.case import Case, Dataset
from ..dataset.checks import require_clean
from ..dataset.dataset_json import open_dataset
from ..dataset.fingerprint import Fingerprint, dataset_digest, take_fingerprint
from ..dataset.splits import read_groups
from ..plan.fine_tuning import ALL, ENCODER, FineTuning
from ..plan.planning import plan_configuration
from ..plan.pretraining_plan import Pretraining, PretrainingPlan
from ..plan.sources import cases_alone, require_no_overlap, require_unseen, run_of_weights
from ..plan.study_plan import REGIONS, Configuration
from .new_study import Progress

if TYPE_CHECKING:
    from ..model.device import Device  # torch takes seconds to load

READ_LABELS = ("segmentation",)
TRAIN_A_DECODER = ("segmentation", "masked_volume")
WEIGHTS = "weights"
"""In place of a task: nothing is pretrained here."""


@dataclass(frozen=True)
class SourceWish:
    """``dataset`` None: cases of the target's own dataset that are set apart. ``structures``: label values of each
    structure that a segmentation learns in place of the labels; ``classes``: a CSV with the columns case and class, for
    ``case_classes``. ``weights``: a file or bundle, for ``WEIGHTS``, with ``name_map``, a JSON of our tensors' names to theirs.
    ``part`` of the network that is taken; None: what the task trains."""

    name: str
    task: str
    dataset: Path | None = None
    structures: dict[str, tuple[int, ...]] | None = None
    classes: Path | None = None
    weights: Path | None = None
    name_map: Path | None = None
    part: str | None = None

    @property
    def taken(self) -> str:
        return self.part or (ALL if self.task in (*TRAIN_A_DECODER, WEIGHTS) else ENCODER)


def check_source(source: SourceWish) -> None:
    """Raises SegVarianceError where a wish asks for what its task cannot give."""
    from ..training.pretraining import PRETRAINING

    if (source.weights is not None) != (source.task == WEIGHTS):
        raise SegVarianceError(f"Source {source.name!r}: weights from elsewhere need a file. Give NAME=weights:FILE.")
    if source.task != WEIGHTS:
        PRETRAINING.facts(source.task)
    if source.structures is not None and source.task not in READ_LABELS:
        raise SegVarianceError(
            f"Source {source.name!r} reads no labels, as its task is {source.task}. Leave out --source-labels."
        )
    if (source.classes is not None) != (source.task == "case_classes"):
        raise SegVarianceError(
            f"Source {source.name!r}: --source-classes belongs to the task case_classes, which needs it; its task is {source.task}."
        )
    if source.name_map is not None and source.task != WEIGHTS:
        raise SegVarianceError(
            f"Source {source.name!r}: --source-map belongs to weights from elsewhere; its task is {source.task}."
        )
    if source.part not in (None, ENCODER) and source.task not in (*TRAIN_A_DECODER, WEIGHTS):
        raise SegVarianceError(
            f"Source {source.name!r}: {source.task} trains an encoder alone, there is no {source.part} to take. Leave out --source-part."
        )


def set_apart(
    case_ids: Sequence[str], wanted: int, split_seed: int, groups: Mapping[str, str] | None
) -> tuple[str, ...]:
    """``wanted`` cases for sources or a few more: whole patients in an order that ``split_seed`` draws; sorted.

    Raises:
        SegVarianceError: a case without a patient, or no case left for the target.
    """
    if groups is not None and (missing := sorted(set(case_ids) - set(groups))):
        raise SegVarianceError(
            f"{len(missing)} cases have no group, the first is {missing[0]!r}. Add them to the groups file."
        )
    members: dict[str, list[str]] = {}
    for case_id in sorted(case_ids):
        members.setdefault(groups[case_id] if groups is not None else case_id, []).append(case_id)
    names, found = sorted(members), list[str]()
    for index in generator(split_seed, "source cases").permutation(len(names)):
        if len(found) >= wanted:
            break
        found += members[names[index]]
    if not 0 < len(found) < len(case_ids):
        raise SegVarianceError(
            f"{wanted} of {len(case_ids)} cases cannot be set apart for sources: both sources and target need some. Give --source-cases."
        )
    return tuple(sorted(found))


class SourcePlanner:
    """Plans the pretrainings; a dataset that several use is opened and measured once."""

    def __init__(
        self,
        dataset: Dataset,
        fingerprint: Fingerprint,
        draft: Configuration,
        apart: tuple[str, ...],
        seeds: int,
        device: Device,
        progress: Progress,
    ):
        self._dataset, self._fingerprint, self._draft, self._apart = dataset, fingerprint, draft, apart
        self._seeds, self._device, self._progress = seeds, device, progress
        self._measured: dict[Path, tuple[Dataset, Fingerprint]] = {}
        self._used: list[tuple[str, Dataset]] = []

    def pretraining(self, wish: SourceWish, seconds: float) -> Pretraining:
        """With as many steps as take these seconds, by its own measured pace."""
        from ..backends.shared_pretraining import measure_pretraining

        whole, fingerprint = self._source(wish)
        labelled = wish.task in READ_LABELS
        case_ids = self._apart if wish.dataset is None else tuple(sorted(case.id for case in whole.cases))
        dataset = cases_alone(whole, case_ids, labelled)
        labels, structures = dataset.labels, wish.structures
        if unknown := {v for values in (structures or {}).values() for v in values} - set(labels.foreground_values):
            raise SegVarianceError(
                f"Source {wish.name!r} is to learn label {min(unknown)}, which {whole.folder} does not have."
            )
        overlapping = structures or (labels.structures if labels.has_regions else None)
        network = replace(
            self._draft.network,
            in_channels=len(whole.channels),
            out_channels=len(overlapping) if overlapping else 1 + len(labels.foreground_values),
        )
        classes = None
        if wish.classes is not None:
            named = read_groups(wish.classes, "class")
            classes = {case_id: named.get(case_id, "") for case_id in case_ids}

        def made(steps: int, pace: float) -> Pretraining:
            recipe = plan_configuration(wish.name, fingerprint, whole.labels, steps)
            plan = PretrainingPlan(wish.name, wish.task, recipe.preprocessing, network, recipe.training, settings={})
            return Pretraining(
                plan=plan,
                dataset_folder=str(whole.folder.resolve()),
                dataset_digest=digest,
                cases=case_ids,
                labels=labels.to_json() if labelled else None,
                structures=structures,
                case_classes=classes,
                seeds=tuple(range(self._seeds)),
                seconds_per_step=pace,
            )

        digest = dataset_digest(dataset)
        self._used.append((wish.name, dataset))
        self._progress(f"Timing source {wish.name}", 0, 1)
        pace = measure_pretraining(made(1, 1.0), dataset, self._device)
        self._progress(f"Timing source {wish.name}", 1, 1)
        return made(max(1, round(seconds / pace)), round(pace, 6))

    def require_no_overlap(self, target: Sequence[Case], groups: Mapping[str, str] | None) -> None:
        digest_of = cache(sha256_of_file)
        for name, source in self._used:
            same = source.folder.resolve() == self._dataset.folder.resolve()
            require_no_overlap(name, source.cases, target, groups if same else None, same, digest_of)

    def _source(self, wish: SourceWish) -> tuple[Dataset, Fingerprint]:
        """The whole dataset of a source. One of the target's own is seen as the target is."""
        if wish.dataset is None:
            return self._dataset, self._fingerprint
        folder = wish.dataset.resolve()
        if folder not in self._measured:
            dataset = open_dataset(folder)
            require_clean(dataset, lambda done, of: self._progress(f"Checking {dataset.name}", done, of))
            told = take_fingerprint(dataset, lambda done, of: self._progress(f"Measuring {dataset.name}", done, of))
            self._measured[folder] = dataset, told
        return self._measured[folder]


@dataclass(frozen=True)
class WeightsFound:
    """Weights from elsewhere that fit: how they are taken, what fits, and what is known of the cases behind them."""

    name: str
    rules: FineTuning
    sentence: str


def plan_weights(
    wish: SourceWish,
    rules: FineTuning,
    recipe: Configuration,
    dataset: Dataset,
    target: Sequence[Case],
    groups: Mapping[str, str] | None,
) -> WeightsFound:
    """Read the weights and fit them into the network, as each training will.

    Args:
        rules: how they are taken; digest and name map are filled in.
        target: all cases that any fold trains on or holds out.

    Raises:
        SegVarianceError: they are missing, damaged, hostile, do not fit, or have learned from a case of the target.
    """
    from ..model.foreign_weights import read_foreign_weights, weights_file
    from ..model.network import build_network
    from ..model.trained import class_names
    from ..model.transfer_weights import transfer

    path = Path(rules.weights).resolve()
    rules = replace(
        rules, weights=str(path), sha256=sha256_of_file(weights_file(path)), name_map=_name_map(wish.name_map)
    )
    labels, regions = dataset.labels, recipe.trains == REGIONS
    outputs = tuple(region.name for region in labels.structures) if regions else class_names(labels)
    given = transfer(build_network(recipe.network).state_dict(), read_foreign_weights(path), rules, outputs)
    require_unseen(wish.name, rules, target, dataset.folder, groups)
    known = run_of_weights(path)
    behind = (
        "what they have learned from is not known here, so nobody can check whether cases of the target were among it"
        if known is None
        else f"of {known[1]} in {known[0].root}, which has learned from no case of the target"
    )
    return WeightsFound(wish.name, rules, f"{path.name}, {given.sentence}; {behind}")


def _name_map(path: Path | None) -> dict[str, str] | None:
    if path is None:
        return None
    names = read_json(path)
    if not isinstance(names, dict) or not all(isinstance(theirs, str) for theirs in names.values()):
        raise SegVarianceError(
            f'{path} is no name map. Expected JSON such as {{"stem.weight": "conv1.weight"}}: our names to theirs.'
        )
    return names
