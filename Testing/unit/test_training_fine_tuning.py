"""Fine-tuning: who stands still, who learns how fast, and that leaving it out changes no byte of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.records import from_json, to_json
from SegVarianceLib.core.seeding import derived_seed, generator
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.device import Device, open_device
from SegVarianceLib.model.network import ENCODER_MODULES, build_network
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.study_plan import NetworkPlan, TrainingPlan
from SegVarianceLib.training.augmentation import augment, draw_augmentation
from SegVarianceLib.training.losses import dice_and_cross_entropy
from SegVarianceLib.training.patches import TrainingCase, block_shape, case_order, draw_blocks, foreground_voxels
from SegVarianceLib.training.stages import rate_groups
from SegVarianceLib.training.task import Segmentation
from SegVarianceLib.training.trainer import Trainer, learning_rate

STEPS = 6
NETWORK = NetworkPlan(1, 2, (12, 8, 12), (2, 2, 2), ((2, 2, 1), (1, 1, 2)), (4, 6, 8))
PLAN = TrainingPlan(STEPS, 2, 5e-3, 1e-2, 0.2, 0.99, 1 / 3, (2,), (0, 1, 2))
CAREFUL = FineTuning("weights.safetensors", "0" * 64, frozen_share=0.5, rate_decay=0.5)


def make_cases() -> list[TrainingCase]:
    label_map = np.zeros((10, 12, 14), np.uint8)
    label_map[3:7, 4:9, 5:9] = 1
    noise = np.random.default_rng(0).normal(0, 0.3, (3, 1, *label_map.shape))
    return [
        TrainingCase(str(n), (label_map + noise[n]).astype(np.float16), label_map, foreground_voxels(label_map, 2))
        for n in range(3)
    ]


CASES = make_cases()


@pytest.fixture(params=[False, True], ids=["float32", "bfloat16"])
def device(request) -> Device:
    if request.param and not open_device("cpu", 1).half:
        pytest.skip("this CPU has no bfloat16")
    open_device("cpu", 1)
    return Device("cpu", request.param, 1)


def begun(device: Device, fine_tuning: FineTuning | None = CAREFUL, seed: int = 4) -> Trainer:
    trainer = Trainer(Segmentation(CASES, NETWORK, PLAN), PLAN, seed, device, fine_tuning)
    if fine_tuning:
        given_weights = build_network(NETWORK, torch.Generator().manual_seed(99))
        given_weights.stem_norm.running_mean += 0.25
        trainer.start_from(given_weights.state_dict())
    return trainer


def tensors_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def is_encoder(name: str) -> bool:
    return name.partition(".")[0] in ENCODER_MODULES


def final(trainer: Trainer, folder: Path) -> bytes:
    while not trainer.finished:
        trainer.train_step()
    checkpoint.save(folder / "weights", trainer.weights(), {})
    return (folder / "weights").read_bytes()


def test_without_fine_tuning_a_training_ends_with_the_bytes_of_the_plain_loop_written_out(device, tmp_path):
    network = build_network(NETWORK, torch.Generator().manual_seed(derived_seed(4, "weights")))
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2, fused=True)
    for step in range(STEPS):
        rng = generator(4, "step", step)
        order = case_order(3, 2, step, lambda epoch: derived_seed(4, "epoch", epoch))
        draw = draw_augmentation(PLAN, 2, 1, rng)
        blocks = draw_blocks(CASES, order, NETWORK, 1 / 3, block_shape(NETWORK.patch_zyx, draw.matrix), rng)
        parts = (torch.from_numpy(part) for part in (blocks.image, blocks.label_map))
        image, classes = augment(*parts, NETWORK.patch_zyx, draw)
        optimizer.param_groups[0]["lr"] = learning_rate(PLAN, step)
        with torch.autocast("cpu", torch.bfloat16, enabled=begun(device, None).device.half):
            logits = network(image)
        optimizer.zero_grad(set_to_none=True)
        dice_and_cross_entropy(logits, classes)[0].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimizer.step()
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                average[name].lerp_(tensor, 1 - min(0.99, (1 + step) / (10 + step)))
    trainer = begun(device, None)
    final(trainer, tmp_path)
    assert all(torch.equal(tensor, average[name]) for name, tensor in trainer.weights().items())


def test_the_encoder_stands_still_for_its_share_of_the_steps_and_then_learns(device):
    trainer = begun(device)
    first = tensors_of(trainer)
    for _ in range(STEPS // 2):
        trainer.train_step()
    half_way = tensors_of(trainer)
    assert all(torch.equal(half_way[name], first[name]) for name in first if is_encoder(name))
    assert all(not torch.equal(half_way[name], first[name]) for name in ("logits.weight", "up.0.expand.weight"))
    assert all(torch.equal(trainer.weights()[name], first[name]) for name in first if is_encoder(name))
    trainer.train_step()
    after = tensors_of(trainer)
    learning = [name for name in first if is_encoder(name) and first[name].ndim]
    assert all(not torch.equal(after[name], half_way[name]) for name in learning)


@pytest.mark.parametrize("stop", range(STEPS + 1))
def test_stopped_at_any_step_frozen_or_not_it_ends_with_the_same_bytes(device, stop, tmp_path):
    trainer = begun(device)
    for _ in range(stop):
        trainer.train_step()
    trainer.save(tmp_path / "state", "key")
    resumed = Trainer(Segmentation(CASES, NETWORK, PLAN), PLAN, 4, device, CAREFUL)
    assert resumed.resume(tmp_path / "state", "key")
    assert final(resumed, tmp_path) == final(begun(device), tmp_path)


def test_a_state_of_another_freeze_schedule_is_refused_and_not_half_loaded(device, tmp_path):
    trainer = begun(device)
    trainer.train_step()
    trainer.save(tmp_path / "state", "key")
    with pytest.raises(SegVarianceError, match="is nothing, the network plan needs"):
        begun(device, replace(CAREFUL, frozen_share=0.0)).resume(tmp_path / "state", "key")


def test_the_seed_still_decides_what_is_not_given(device, tmp_path):
    assert final(begun(device), tmp_path) == final(begun(device), tmp_path)
    assert final(begun(device, seed=5), tmp_path) != final(begun(device), tmp_path)


def test_rates_fall_by_the_same_factor_from_the_output_back_to_the_stem():
    network = build_network(NETWORK)
    groups = rate_groups(network, 0.5)
    share = {id(weight): group["share"] for group in groups for weight in group["params"]}
    of = {name: share[id(weight)] for name, weight in network.named_parameters()}
    assert {of[f"{name}.weight"] for name in ("logits", "refine", "expand")} == {1.0}
    assert [of[f"{name}.weight"] for name in ("up.1.expand", "up.0.expand", "down.1.merge", "down.0.merge")] == [
        0.5, 0.25, 0.125, 0.0625,
    ]  # fmt: skip
    assert {of[f"{name}.weight"] for name in ("stem", "stem_norm", "first.second")} == {0.03125}
    in_order = [id(weight) for group in groups for weight in group["params"]]
    assert in_order == [id(weight) for weight in network.parameters()]


def test_a_slower_stage_moves_less():
    open_device("cpu", 1)
    single = Device("cpu", False, 1)
    moved = []
    for decay in (1.0, 0.5):
        trainer = begun(single, replace(CAREFUL, frozen_share=0.0, rate_decay=decay))
        before = tensors_of(trainer)
        trainer.train_step()
        after = tensors_of(trainer)
        moved.append(
            {name: float((after[name] - before[name]).abs().mean()) for name in ("stem.weight", "logits.weight")}
        )
    assert moved[1]["logits.weight"] == pytest.approx(moved[0]["logits.weight"])
    assert moved[1]["stem.weight"] == pytest.approx(0.5**5 * moved[0]["stem.weight"], rel=0.01)


@given(
    st.floats(0, 1),
    st.floats(0.01, 1),
    st.sampled_from(["encoder", "decoder", "all"]),
    st.none() | st.dictionaries(st.text(), st.text()),
)
def test_the_record_comes_back_from_json_as_it_was(share, decay, part, names):
    record = FineTuning("w", "s", part=part, frozen_share=share, rate_decay=decay, name_map=names)
    assert from_json(FineTuning, to_json(record), "plan.json") == record


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"part": "head"}, "expected part to be one of encoder, decoder, all, found 'head'"),
        ({"channels": "first"}, "expected channels to be one of mean, tile"),
        ({"inflation": "copy"}, "expected inflation to be one of none, repeat, centre"),
        ({"frozen_share": 1.5}, "share of the steps from 0 to 1, found 1.5"),
        ({"frozen_share": float("nan")}, "share of the steps"),
        ({"rate_decay": 0.0}, "lies above 0"),
        ({"name_map": {"stem.weight": 3}}, "name_map, stem.weight: expected str, found 3"),
        ({"name_map": ["stem.weight"]}, "name_map: expected"),
        ({"freeze": 1}, "unknown field 'freeze'"),
    ],
)
def test_a_record_that_says_nonsense_is_refused_in_a_sentence(change, words):
    with pytest.raises(SegVarianceError, match=words):
        from_json(FineTuning, to_json(CAREFUL) | change, "plan.json")
