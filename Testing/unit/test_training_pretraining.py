"""Pretraining tasks: each learns something, says how it goes, and keeps a trainer's promises about bytes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.device import Device, open_device
from SegVarianceLib.model.network import ENCODER_MODULES, build_network
from SegVarianceLib.plan.study_plan import NetworkPlan, TrainingPlan
from SegVarianceLib.training.augmentation import draw_augmentation
from SegVarianceLib.training.patches import TrainingCase, block_shape, foreground_voxels
from SegVarianceLib.training.pretraining import PRETRAINING, Source
from SegVarianceLib.training.self_supervised import MaskedVolume, Position, Rotation
from SegVarianceLib.training.task import Task
from SegVarianceLib.training.trainer import Trainer

STEPS = 5
NETWORK = NetworkPlan(2, 3, (12, 16, 12), (2, 2, 2), ((2, 2, 2),), (4, 8))
PLAN = TrainingPlan(STEPS, 2, 1e-2, 1e-2, 0.2, 0.9, 1 / 3, (0,), (0, 1, 2))
SETTINGS = {"masked_volume": {"block_voxels": 4}}


def make_cases() -> list[TrainingCase]:
    """Slopes along all axes, and a bar, dark or bright by case, near one end: direction, place and case can be told."""
    rng = np.random.default_rng(0)
    cases = []
    for number in range(4):
        label_map = np.zeros((14, 22 + number, 16), np.uint8)
        label_map[5:8, 3:6, 2:14] = 1 + number % 2
        slope = np.linspace(-2, 2, label_map.shape[1])[None, :, None] * np.ones(label_map.shape)
        across = np.linspace(-2, 2, 16) + np.linspace(0, 1, 14)[:, None, None] + 0 * slope
        image = np.stack([slope + (8 * (number % 2) - 4) * (label_map > 0), across])
        image = image + rng.normal(0, 0.1, image.shape)
        cases.append(TrainingCase(str(number), image.astype(np.float16), label_map, foreground_voxels(label_map, 3)))
    return cases


CASES = make_cases()
CLASSES = {"0": "left", "1": "right", "2": "left", "3": "right"}


def made(task: str, plan: TrainingPlan = PLAN, network: NetworkPlan = NETWORK, cases=None, classes=CLASSES) -> Task:
    source = Source(cases or CASES, network, plan, case_classes=classes)
    return PRETRAINING.function(task)(source, **PRETRAINING.settings(task, SETTINGS.get(task, {})))


def trained(trainer: Trainer, folder: Path) -> bytes:
    while not trainer.finished:
        trainer.train_step()
    checkpoint.save(folder / "weights", trainer.weights(), {})
    return (folder / "weights").read_bytes()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("task", PRETRAINING.ids)
def test_stopped_after_any_step_it_ends_with_the_same_bytes_and_another_seed_with_others(task, half, tmp_path):
    if half and not open_device("cpu", 1).half:
        pytest.skip("this CPU has no bfloat16")
    device = Device("cpu", half, 1)
    undisturbed = trained(Trainer(made(task), PLAN, 4, device), tmp_path)
    trainer = Trainer(made(task), PLAN, 4, device)
    while not trainer.finished:
        trainer.train_step()
        trainer.save(tmp_path / "state", "key")
        torch.manual_seed(torch.seed())  # whatever else the process drew
        trainer = Trainer(made(task), PLAN, 4, device)
        assert trainer.resume(tmp_path / "state", "key")
    assert trained(trainer, tmp_path) == undisturbed
    assert trained(Trainer(made(task), PLAN, 5, device), tmp_path) != undisturbed


@pytest.mark.parametrize(
    ("task", "at_least"),
    [("segmentation", 0.6), ("case_classes", 0.9), ("position", 0.5), ("masked_volume", 0.4), ("rotation", 0.4)],
)
def test_it_learns_what_there_is_to_learn(task, at_least):
    """By guessing: position 1 of 4, rotation 1 of 10, masked volumes 0."""
    plan = replace(PLAN, steps=100, batch_size=6, warm_up_share=0.1, rotation_axes=(0, 1, 2), foreground_share=1.0)
    network = replace(NETWORK, channels=(8, 16))
    trainer = Trainer(made(task, plan, network), plan, 0, open_device("cpu", 1))
    results = [trainer.train_step() for _ in range(100)]
    assert np.mean([result.score for result in results[-20:]]) > at_least
    assert np.mean([result.loss for result in results[-20:]]) < np.mean([result.loss for result in results[:10]])


@pytest.mark.parametrize("task", PRETRAINING.ids)
def test_its_encoder_has_the_names_and_shapes_of_the_segmentation_networks(task):
    own, segmenting = made(task).build().state_dict(), build_network(NETWORK).state_dict()
    encoder = {name for name in segmenting if name.partition(".")[0] in ENCODER_MODULES}
    assert encoder <= own.keys()
    assert all(own[name].shape == segmenting[name].shape for name in encoder)


@pytest.mark.parametrize("task", ["position", "masked_volume", "rotation", "case_classes"])
def test_it_needs_no_segmentation(task):
    unlabelled = [replace(case, label_map=np.zeros_like(case.label_map), foreground=()) for case in CASES]
    batches = [
        made(task, cases=cases).batch(np.arange(3), np.random.default_rng(1), torch.device("cpu"))
        for cases in (unlabelled, unlabelled)
    ]
    assert all(torch.equal(first, second) for first, second in zip(*batches, strict=True))
    trainer = Trainer(made(task, cases=unlabelled), PLAN, 0, open_device("cpu", 1))
    assert math.isfinite(trainer.train_step().loss)


def masked(block: int, share: float) -> MaskedVolume:
    return MaskedVolume(CASES, replace(NETWORK, out_channels=2), PLAN, share, block)


@pytest.mark.parametrize(
    ("block", "share", "masked_share"), [(4, 0.5, 0.5), (4, 0.25, 0.25), (2, 0.75, 0.75), (64, 0.6, 1.0)]
)
def test_whole_blocks_are_masked_and_the_rest_is_seen_as_it_is(block, share, masked_share):
    seen, target = masked(block, share).batch(np.arange(2), np.random.default_rng(0), torch.device("cpu"))
    image, mask = target[:, :-1], target[:, -1:]
    assert float(mask.mean()) == pytest.approx(masked_share, abs=0.02)
    assert torch.equal(seen, image * (1 - mask))
    edge = min(block, 12)
    blocks = mask[:, 0, :edge, :edge, :edge].flatten(1)
    assert ((blocks == 0).all(1) | (blocks == 1).all(1)).all()


def test_only_masked_voxels_count_and_a_perfect_filling_explains_everything():
    task = masked(4, 0.5)
    _, target = task.batch(np.arange(2), np.random.default_rng(0), torch.device("cpu"))
    image, mask = target[:, :-1], target[:, -1:]
    loss, explained = task.loss(image + 9 * (1 - mask), target)
    assert (float(loss), float(explained)) == (0.0, 1.0)
    mean = (image * mask).sum((0, 2, 3, 4), keepdim=True) / mask.sum()
    assert float(task.loss(mean.expand_as(image), target)[1]) == pytest.approx(0.0, abs=1e-5)
    assert float(task.loss(image + 2 * mask, target)[0]) == pytest.approx(4.0)


def gradient_image() -> list[TrainingCase]:
    z, y, x = np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in (40, 40, 40)), indexing="ij")
    image = (z + 3 * y + 9 * x)[None].astype(np.float16)
    return [TrainingCase("a", image, np.zeros((40, 40, 40), np.uint8), ())]


STILL = replace(PLAN, mirror_axes=())


def slopes(image: torch.Tensor) -> np.ndarray:
    """How one crop [z, y, x] rises along each axis: the sign, times 1 for the weakest to 3 for the strongest."""
    found = np.array([float(image.diff(dim=axis).mean()) for axis in range(3)])
    return (np.sign(found) * (1 + np.abs(found).argsort().argsort())).astype(int)


def test_each_class_of_rotation_is_one_turn_and_no_two_are_alike():
    network = replace(NETWORK, in_channels=1, patch_zyx=(12, 16, 12))
    task = Rotation.of(gradient_image(), network, STILL)
    assert task.network.patch_zyx == (12, 12, 12)
    assert len(task.turns) == 10
    seen: dict[int, tuple[int, ...]] = {}
    for seed in range(40):
        image, classes = task.batch(np.zeros(2, int), np.random.default_rng(seed), torch.device("cpu"))
        for crop, turn in zip(image[:, 0], classes.tolist(), strict=True):
            if (crop == 0).float().mean() < 0.01:
                assert seen.setdefault(turn, tuple(slopes(crop))) == tuple(slopes(crop))
    assert len(seen) == 10
    assert len(set(seen.values())) == 10
    assert seen[0] == (1, 2, 3)


@pytest.mark.parametrize("task", [Rotation, Position])
def test_crops_show_no_edge_of_the_image(task):
    """An edge would tell where the crop lies, and the long side of the image from the short ones."""
    made = task.of(CASES, replace(NETWORK, patch_zyx=(16, 28, 16)), STILL)
    draw = draw_augmentation(made.training, 2000, 2, np.random.default_rng(0))
    assert max(np.abs(draw.matrix).max((1, 2))) > 1.25
    assert (np.array(block_shape(made.network.patch_zyx, draw.matrix)) <= (14, 22, 16)).all()


def test_flat_patches_are_turned_in_their_plane_only():
    flat = NetworkPlan(2, 3, (4, 16, 24), (1, 2, 2), ((1, 2, 2),), (4, 8))
    cases = [replace(case, image=np.zeros((2, 4, 21, 28)), label_map=np.zeros((4, 21, 28), np.uint8)) for case in CASES]
    task = Rotation.of(cases, flat, replace(PLAN, rotation_axes=(0,)))
    assert task.network.patch_zyx == (4, 16, 16)
    assert task.turns == ((0, 0, 0), (1, 2, 1), (1, 2, 2), (1, 2, 3))


def test_positions_are_named_by_the_halves_that_crops_lie_in():
    network = replace(NETWORK, in_channels=1, patch_zyx=(16, 16, 24))
    task = Position.of(gradient_image(), network, replace(STILL, mirror_axes=(1,)))
    assert task.axes == (0, 2)
    assert task.network.patch_zyx == (8, 8, 12)
    told = set()
    for seed in range(60):
        image, classes = task.batch(np.zeros(2, int), np.random.default_rng(seed), torch.device("cpu"))
        assert image.shape[2:] == (8, 8, 12)
        told |= set(classes.tolist())
    assert told == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        ("position", {"plan": replace(PLAN, mirror_axes=(0, 1, 2))}, "need an axis that is not mirrored"),
        ("rotation", {"plan": replace(PLAN, rotation_axes=())}, "rotation_axes is empty"),
        (
            "rotation",
            {"network": NetworkPlan(2, 3, (4, 16, 16), (2, 2, 2), ((1, 4, 4),), (4, 8))},
            "multiples of 8; patch and images have room for 4",
        ),
        ("case_classes", {"classes": {"0": "left"}}, "3 of 4 cases have no class, the first is '1'"),
        ("case_classes", {"classes": dict.fromkeys("0123", "left")}, "All cases are of class 'left'"),
    ],
)
def test_a_source_that_a_task_cannot_learn_from_is_refused_in_a_sentence(task, changes, words):
    with pytest.raises(SegVarianceError, match=words):
        made(task, **changes)


def test_an_unknown_task_or_setting_is_answered_with_those_there_are():
    with pytest.raises(SegVarianceError, match="Did you mean 'rotation'"):
        PRETRAINING.function("rotations")
    with pytest.raises(SegVarianceError, match=r"from 0.05 to 0.95"):
        PRETRAINING.settings("masked_volume", {"mask_share": 1.0})
