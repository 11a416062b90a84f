"""Inference-specific learning: networks refined for the one case on the screen (Chen et al. 2025, Medical Physics, 10.1002/mp.17883).

Three stages, the last two in rounds: the networks as they were trained give a first mask (``begin``); training cases are deformed
onto the inference case, led by its image and its current mask (``deform``); the networks learn from those, and the moving average
of what they predict meanwhile is the next mask, and in the end the result (``refine``). A reference of the inference case has no
way in: everything here takes its image alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ..core.files import read_json, write_json
from ..core.labels import LabelSet
from ..core.records import from_json, to_json
from ..core.seeding import derived_seed
from ..dataset.image_io import Volume
from ..model.device import Device
from ..model.preprocessing import NetworkGrid, normalise
from ..model.sliding_window import Member, Rows, sliding_rows
from ..model.trained import TrainedFacts, class_values, load_network, save_trained
from ..plan.adaptation import AdaptationSettings
from ..plan.adaptation_folder import Neighbour
from ..plan.study_plan import TrainingPlan
from ..training.cache import read_cache, write_case
from ..training.patches import TrainingCase
from ..training.task import Segmentation
from ..training.trainer import Trainer
from .deformation import align
from .moving_average import mean_rows, write_average
from .neighbours import Target, nearest
from .predict import Prediction, Predictor, label_values

Report = Callable[..., object]
"""``report(kind, **fields)``, as ``core.events.EventLog.write`` takes it."""

_WARM_UP_SHARE = 0.1


@dataclass(frozen=True)
class Work:
    """What the stages share. ``work`` holds everything that a stopped adaptation goes on from; ``weights`` is one file a network;
    ``training`` is how they were trained, of which the patches and their augmentation are kept."""

    work: Path
    settings: AdaptationSettings
    weights: Sequence[Path]
    facts: TrainedFacts
    labels: LabelSet
    training: TrainingPlan
    volume: Volume
    seed: int
    device: Device
    key: str
    report: Report
    should_stop: Callable[[], bool]

    @property
    def grid(self) -> NetworkGrid:
        return NetworkGrid.of(self.volume.geometry, self.facts.preprocessing)

    def image(self) -> np.ndarray:
        """The inference image as the networks see it, float32 [c, z, y, x]."""
        return normalise(self.grid.image(self.volume.array), self.facts.preprocessing.channels)

    @property
    def classes(self) -> int:
        return len(class_values(self.labels))

    def average(self, member: int, number: int) -> Path:
        """A network's moving average after so many predictions; 0 is the first one, before any refinement."""
        return self.work / f"member_{member}" / f"average_{number}.npy"

    def averages(self, number: int) -> list[Path]:
        return [self.average(member, number) for member in range(len(self.weights))]

    def refined(self, member: int, rounds: int) -> Path:
        """A network's weights after so many rounds."""
        if not rounds:
            return self.weights[member]
        return self.work / f"member_{member}" / f"round_{rounds}.safetensors"

    def deformed(self, rounds: int) -> Path:
        """Neighbours of a round, as a cache of training cases."""
        return self.work / f"neighbours_{rounds}"


def begin(work: Work) -> bool:
    """First stage, initial learning: what the networks predict as they are; False if asked to stop."""
    image = work.image()
    for member, path in enumerate(work.weights):
        if not work.average(member, 0).exists():
            if work.should_stop():
                return False
            work.report("stage_step", what="First masks", done=member, of=len(work.weights))
            network = load_network(path, work.facts).to(work.device.torch)
            write_average(work.average(member, 0), predicted(work, image, network.eval), shape_of(work))
    return True


def deform(work: Work, rounds: int, cases: Callable[[], Sequence[TrainingCase]]) -> bool:
    """Second stage: the nearest training cases onto the inference case; False if asked to stop.

    Args:
        rounds: how many were made before this one; the current mask is the mean over networks after them.
        cases: all training cases on their own network grids; asked for where a neighbour is missing.
    """
    return _all_deformed(work, rounds) or _deform_all(work, rounds, cases())


def _all_deformed(work: Work, rounds: int) -> bool:
    """Then the mask that led them is not needed any more, and its average may be gone."""
    record, folder = work.work / "nearest.json", work.deformed(rounds)
    return record.exists() and all((folder / f"{case_id}.json").is_file() for case_id, _ in read_json(record))


def _deform_all(work: Work, rounds: int, cases: Sequence[TrainingCase]) -> bool:
    settings, folder = work.settings, work.deformed(rounds)
    target = Target(work.image(), current_mask(work, rounds * settings.predictions))
    chosen = _chosen(work, target, cases)
    for number, (case, closeness) in enumerate(chosen):
        facts = folder / f"{case.id}.json"
        if facts.is_file():
            continue
        if work.should_stop():
            return False
        work.report("stage_step", what="Deforming neighbours", done=number, of=len(chosen))
        aligned = align(case, target, settings, work.classes, work.facts.preprocessing.spacing_zyx_mm)
        write_case(folder, replace(aligned.case, image=aligned.case.image.astype(np.float16)))
        write_json(
            facts, to_json(Neighbour(case.id, round(closeness, 4), *aligned.facts))
        )  # last: it says that the case is there
    return True


def refine(work: Work, rounds: int) -> bool:
    """Third stage: each network learns from the deformed neighbours, of which there is at least one, and what it predicts meanwhile enters its
    moving average; False if asked to stop."""
    ids = [each.case for each in neighbours(work, rounds) if not each.left_out]
    cases = read_cache(work.deformed(rounds), ids, work.classes)
    return all(_refine_member(work, rounds, member, cases) for member in range(len(work.weights)))


def neighbours(work: Work, rounds: int) -> list[Neighbour]:
    """The neighbours of a round, nearest first."""
    order = [case_id for case_id, _ in read_json(work.work / "nearest.json")]
    files = [work.deformed(rounds) / f"{case_id}.json" for case_id in order]
    return [from_json(Neighbour, read_json(file), str(file)) for file in files]


def predicted(work: Work, image: np.ndarray, member: Member) -> Iterator[Rows]:
    """Probabilities of one network for the whole image, row by row."""
    network = work.facts.network
    shapes = network.out_channels, network.patch_zyx, network.multiple_zyx
    return sliding_rows(image, [member], *shapes, work.device, exclusive=work.facts.exclusive)


def current_mask(work: Work, number: int) -> np.ndarray:
    """Class indices uint8 [z, y, x] on the network's grid, of the mean over networks."""
    mask = np.zeros(work.grid.shape, np.uint8)
    values = np.asarray(class_values(work.labels))
    for piece in mean_rows(work.averages(number)):
        rows = slice(piece.start, piece.start + piece.probabilities.shape[1])
        found = label_values(piece.probabilities, work.facts)
        np.moveaxis(mask, piece.axis, 0)[rows] = np.searchsorted(values, found)
    return mask


def on_input_grid(work: Work, averages: Sequence[Path], keep_probabilities: bool) -> Prediction:
    """The mean of some moving averages, as a prediction on the inference image's own grid."""
    shape = work.volume.geometry.shape_zyx
    return Predictor(work.facts, [], work.device).on_input_grid(
        mean_rows(averages), work.grid, shape, keep_probabilities
    )


def _refine_member(work: Work, rounds: int, member: int, cases: list[TrainingCase]) -> bool:
    if work.refined(member, rounds + 1).exists():
        return True
    settings, first = work.settings, rounds * work.settings.predictions
    trainer, checkpoint = (
        trainer_of(work, rounds, member, cases),
        work.work / f"member_{member}" / "checkpoint.safetensors",
    )
    key = f"{work.key} {rounds} {member}"
    if not trainer.resume(checkpoint, key):
        trainer.start_from(_tensors(work, rounds, member))
    image = work.image()
    for number in range(settings.predictions):
        bound = round(settings.steps * (number + 1) / settings.predictions)
        before, after = work.average(member, first + number), work.average(member, first + number + 1)
        if trainer.step > bound or (trainer.step == bound and after.exists()):
            continue
        while trainer.step < bound:
            if work.should_stop():
                trainer.save(checkpoint, key)
                return False
            result = trainer.train_step()
            done = member * settings.steps + result.step
            work.report(
                "stage_step",
                what="Learning",
                done=done,
                of=len(work.weights) * settings.steps,
                loss=round(result.loss, 4),
            )
        rows = predicted(work, image, trainer.average.eval)
        kept = settings.average_decay if settings.moving_average else 0.0
        write_average(after, rows, shape_of(work), before, kept)
        # The average first, then the state that comes after it, then away with what neither needs: a kill at any place goes on from one pair.
        trainer.save(checkpoint, key)
        if first + number:
            before.unlink(missing_ok=True)
    save_trained(work.refined(member, rounds + 1), trainer.weights(), work.facts)
    checkpoint.unlink(missing_ok=True)
    return True


def trainer_of(work: Work, rounds: int, member: int, cases: list[TrainingCase]) -> Trainer:
    settings = work.settings
    plan = replace(
        work.training, steps=settings.steps, learning_rate=settings.learning_rate, warm_up_share=_WARM_UP_SHARE
    )
    regions = None
    if not work.facts.exclusive:
        values = class_values(work.labels)
        regions = [[values.index(value) for value in structure.values] for structure in work.labels.structures]
    task = Segmentation(cases, work.facts.network, plan, regions)
    return Trainer(task, plan, derived_seed(work.seed, "adaptation", rounds, member), work.device)


def _tensors(work: Work, rounds: int, member: int) -> dict[str, Tensor]:
    return load_network(work.refined(member, rounds), work.facts).state_dict()


def _chosen(work: Work, target: Target, cases: Sequence[TrainingCase]) -> list[tuple[TrainingCase, float]]:
    """The neighbours, chosen in the first round and the same in all."""
    record, settings = work.work / "nearest.json", work.settings
    if not record.exists():

        def compared(done: int, of: int) -> None:
            work.report("stage_step", what="Comparing training cases", done=done, of=of)

        found = nearest(target, cases, work.classes, settings.guide, settings.neighbours, compared)
        write_json(record, [[case.id, closeness] for case, closeness in found])
    by_id = {case.id: case for case in cases}
    return [(by_id[case_id], closeness) for case_id, closeness in read_json(record)]


def shape_of(work: Work) -> tuple[int, int, int, int]:
    z, y, x = work.grid.shape
    return work.facts.network.out_channels, z, y, x
