"""One training run: the same key gives the same bytes, stopped and resumed at any step or not.

No random generator lives through the run: order, patches and augmentation of a step are drawn from (seed, step), so
the whole state is network, moving average, optimizer and the number of the next step.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.errors import SegVarianceError
from ..core.seeding import derived_seed, generator
from ..model import checkpoint
from ..model.device import Device
from ..model.network import ResidualUNet, build_network
from ..plan.study_plan import NetworkPlan, TrainingPlan
from .augmentation import augment, draw_augmentation
from .losses import dice_and_binary_cross_entropy, dice_and_cross_entropy
from .patches import TrainingCase, block_shape, case_order, draw_blocks

_CLIP_NORM = 12.0


@dataclass(frozen=True)
class StepResult:
    """What a viewer may want of one step; ``dice`` is the soft Dice of the step's own training patches."""

    step: int
    loss: float
    dice: float


class Trainer:
    """Trains one network on cached cases.

    Args:
        cases: on the network's grid, in a fixed order; they are part of the key, as are both plans, ``seed`` and ``device``.
        regions: where the network's channels are regions, the class indices that each is made of.
    """

    def __init__(
        self,
        cases: list[TrainingCase],
        network: NetworkPlan,
        training: TrainingPlan,
        seed: int,
        device: Device,
        regions: Sequence[Sequence[int]] | None = None,
    ):
        self.cases, self.plan, self.network_plan, self.seed = cases, training, network, seed
        self.device = device = training_device(device, network)
        first = torch.Generator().manual_seed(derived_seed(seed, "weights"))
        self.network = build_network(network, first).to(device.torch)
        self.average = build_network(network).to(device.torch)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=device.fused
        )
        self._membership = None if regions is None else _membership(regions).to(device.torch)
        self.step = 0

    @property
    def finished(self) -> bool:
        return self.step >= self.plan.steps

    def train_step(self) -> StepResult:
        """One update of the weights."""
        image, classes = self._batch()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.plan, self.step)
        self.network.train()
        with self.device.autocast():
            logits = self.network(image)
        if self._membership is None:
            loss, dice = dice_and_cross_entropy(logits, classes)
        else:
            loss, dice = dice_and_binary_cross_entropy(logits, classes, self._membership)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP_NORM)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return StepResult(self.step, float(loss.detach()), float(dice))

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        rng = generator(self.seed, "step", self.step)
        order = case_order(
            len(self.cases), self.plan.batch_size, self.step, lambda epoch: derived_seed(self.seed, "epoch", epoch)
        )
        draw = draw_augmentation(self.plan, len(order), self.network_plan.in_channels, rng)
        shape = block_shape(self.network_plan.patch_zyx, draw.matrix)
        blocks = draw_blocks(self.cases, order, self.network_plan, self.plan.foreground_share, shape, rng)
        image = torch.from_numpy(blocks.image).to(self.device.torch)
        label_map = torch.from_numpy(blocks.label_map).to(self.device.torch)
        return augment(image, label_map, self.network_plan.patch_zyx, draw)

    @torch.no_grad()
    def _update_average(self) -> None:
        """Moving average of weights and of batch-norm statistics, faster at the start so that it forgets the first draw."""
        decay = min(self.plan.ema_decay, (1 + self.step) / (10 + self.step))
        for kept, current in zip(_floats(self.average), _floats(self.network), strict=True):
            kept.lerp_(current, 1 - decay)

    def weights(self) -> dict[str, torch.Tensor]:
        """The averaged network's tensors: what predicts."""
        return self.average.state_dict()

    def save(self, path: Path, key: str) -> None:
        """Write the whole state, with the key that it belongs to."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        checkpoint.save(path, tensors, {"step": self.step, "key": key})

    def resume(self, path: Path, key: str) -> bool:
        """Continue from a saved state; False, and nothing changed, if there is none or it belongs to another key.

        Raises:
            SegVarianceError: the file is damaged, or holds something else than this network's state.
        """
        if not path.exists():
            return False
        tensors, facts = checkpoint.load(path)
        if facts.get("key") != key:
            return False
        step = facts.get("step")
        if not isinstance(step, int) or not 0 <= step <= self.plan.steps:
            raise SegVarianceError(f"{path} holds step {step!r} of {self.plan.steps}. Delete it to start the run anew.")
        parameters = list(self.network.parameters()) if step else []
        moments = _below(tensors, "optimizer.")
        shapes = [{"step": ()} | dict.fromkeys(("exp_avg", "exp_avg_sq"), tuple(each.shape)) for each in parameters]
        expected = {f"{index}.{field}": shape for index, fields in enumerate(shapes) for field, shape in fields.items()}
        checkpoint.require_shapes(moments, expected, str(path))
        for prefix, module in (("network.", self.network), ("average.", self.average)):
            checkpoint.fill(module, _below(tensors, prefix), str(path))
        state = {
            index: {field: _laid_out_like(parameter, moments[f"{index}.{field}"]) for field in shapes[index]}
            for index, parameter in enumerate(parameters)
        }
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step = step
        return True


def training_device(device: Device, network: NetworkPlan) -> Device:
    """The device with the precision that this network can be trained in: float32 where a level is two voxels deep.

    On CPUs the bfloat16 weight gradient of a 3x3x3 convolution is left uninitialised at exactly that depth, whatever the
    other sides and channels (oneDNN in torch 2.13; output and image gradient are right). Can go when that is mended.
    """
    strides = [stride[0] for stride in (network.stem_stride, *network.strides)]
    two_deep = 2 in itertools.accumulate(strides, operator.floordiv, initial=network.patch_zyx[0])
    return replace(device, half=device.half and not two_deep)


def learning_rate(plan: TrainingPlan, step: int) -> float:
    """Linear warm-up, then a cosine to zero over the planned steps."""
    warm_up = max(1, round(plan.warm_up_share * plan.steps))
    if step < warm_up:
        return plan.learning_rate * (step + 1) / warm_up
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, plan.steps - warm_up)))


def _membership(regions: Sequence[Sequence[int]]) -> torch.Tensor:
    """Bool [regions, classes]: whether the class is a part of the region."""
    classes = 1 + max(index for region in regions for index in region)
    return torch.tensor([[index in region for index in range(classes)] for region in regions])


def _floats(network: ResidualUNet) -> list[torch.Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def _laid_out_like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The optimizer's fused kernel walks memory, not indices: its state must lie as the (channels-last) weight lies."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
