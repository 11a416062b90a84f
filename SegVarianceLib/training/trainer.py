"""One training run: the same key gives the same bytes, stopped and resumed at any step or not.

No random generator lives through the run: order, patches and augmentation of a step are drawn from (seed, step), so
the whole state is network, moving average, optimizer and the number of the next step.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..core.errors import SegVarianceError
from ..core.seeding import derived_seed, generator
from ..model import checkpoint
from ..model.device import Device
from ..model.network import Encoder
from ..plan.fine_tuning import FineTuning
from ..plan.study_plan import NetworkPlan, TrainingPlan
from .patches import case_order
from .stages import encoder_modules, rate_groups
from .task import Task

_CLIP_NORM = 12.0


@dataclass(frozen=True)
class StepResult:
    """What a viewer may want of one step; ``score`` is what the task calls so, on the step's own training patches."""

    step: int
    loss: float
    score: float


class Trainer:
    """Trains one network on cached cases.

    Args:
        task: with its cases in a fixed order; it is part of the key, as are the plan, ``seed`` and ``device``.
        fine_tuning: who stands still for how long and who learns how fast; the weights themselves come by ``start_from``.
    """

    def __init__(
        self, task: Task, training: TrainingPlan, seed: int, device: Device, fine_tuning: FineTuning | None = None
    ):
        self.task, self.plan, self.seed = task, training, seed
        self.device = device = training_device(device, task.network)
        first = torch.Generator().manual_seed(derived_seed(seed, "weights"))
        self.network = task.build(first).to(device.torch)
        self.average = task.build().to(device.torch)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            rate_groups(self.network, fine_tuning.rate_decay if fine_tuning else 1.0),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=device.fused,
        )
        self._frozen_steps = round(fine_tuning.frozen_share * training.steps) if fine_tuning else 0
        self.step = 0

    def start_from(self, weights: dict[str, torch.Tensor]) -> None:
        """Begin with these weights, all of the network's tensors, instead of drawn ones; only before the first step."""
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)

    @property
    def finished(self) -> bool:
        return self.step >= self.plan.steps

    def train_step(self) -> StepResult:
        """One update of the weights."""
        image, target = self._batch()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.plan, self.step) * group["share"]
        self._set_free()
        with self.device.autocast():
            output = self.network(image)
        loss, score = self.task.loss(output, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP_NORM)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return StepResult(self.step, float(loss.detach()), float(score))

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        rng = generator(self.seed, "step", self.step)
        order = case_order(
            len(self.task.cases), self.plan.batch_size, self.step, lambda epoch: derived_seed(self.seed, "epoch", epoch)
        )
        return self.task.batch(order, rng, self.device.torch)

    def _set_free(self) -> None:
        """All of the network learns, or all but the encoder."""
        free = self.step >= self._frozen_steps
        self.network.train()
        for module in encoder_modules(self.network):
            module.train(free).requires_grad_(free)

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
        moved = self._moved_after(step)
        moments = _below(tensors, "optimizer.")
        fields = ("step", "exp_avg", "exp_avg_sq")
        expected = {
            f"{index}.{field}": () if field == "step" else tuple(parameter.shape)
            for index, parameter in moved.items()
            for field in fields
        }
        checkpoint.require_shapes(moments, expected, str(path))
        for prefix, module in (("network.", self.network), ("average.", self.average)):
            checkpoint.fill(module, _below(tensors, prefix), str(path))
        state = {
            index: {field: _laid_out_like(parameter, moments[f"{index}.{field}"]) for field in fields}
            for index, parameter in moved.items()
        }
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step = step
        return True

    def _moved_after(self, step: int) -> dict[int, torch.nn.Parameter]:
        """The weights, by their number, that some step before this one has moved: the optimizer has a state for them."""
        frozen = {id(weight) for module in encoder_modules(self.network) for weight in module.parameters()}
        return {
            index: weight
            for index, weight in enumerate(self.network.parameters())
            if step > (self._frozen_steps if id(weight) in frozen else 0)
        }


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


def _floats(network: Encoder) -> list[torch.Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def _laid_out_like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The optimizer's fused kernel walks memory, not indices: its state must lie as the (channels-last) weight lies."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
