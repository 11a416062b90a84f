"""One seeded training of nnU-Net: its trainer, its steps, its checkpoints; what is ours is the seeds, the loop and the events.

Every step draws from seeds of its own, made from (seed, epoch, step). So a training that goes on from a checkpoint, in the
middle of an epoch too, draws what an undisturbed one draws.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_REPORT_EVERY_S = 0.5
_CHECKPOINT_EVERY_S = 60.0
_LATEST, _FINAL = "checkpoint_latest.pth", "checkpoint_final.pth"


def measure(request: dict[str, Any], say: Callable[..., None], should_stop: Callable[[], bool]) -> bool:
    """Time steps, with their share of nnU-Net's validation, and one prediction, on the first cases."""
    from nnunet_predicting import open_device, segment
    from nnunet_preparing import prepare

    device, cases = open_device(request, say), list(request["cases"])[:2]
    if not prepare(request, cases, say, should_stop):
        return False
    trainer = _trainer(request, device, say)
    trainer.do_split = lambda: (cases, cases)
    trainer.on_train_start()
    trainer.network.train()
    step_s = min([_timed(lambda: trainer.train_step(next(trainer.dataloader_train))) for _ in range(3)][1:])
    validation_s = _timed(lambda: trainer.validation_step(next(trainer.dataloader_val)))
    predictor, images = _predictor(trainer), request["cases"][cases[0]]
    case_s = _timed(lambda: segment(predictor, images, request["probabilities"]))
    per_step_s = step_s + validation_s * _validation_steps(request) / request["iterations"]
    weights_bytes = 2 * sum(each.numel() * each.element_size() for each in trainer.network.parameters())  # and momentum
    times = {"seconds_per_step": per_step_s, "seconds_per_case": case_s}
    say("measured", device=device.type, weights_bytes=weights_bytes, **times)
    return True


def run(request: dict[str, Any], say: Callable[..., None], should_stop: Callable[[], bool]) -> bool:
    """Train to the end from where the state file says, then predict the cases that are not done; False if stopped."""
    from nnunet_predicting import open_device, segment, write_arrays
    from nnunet_preparing import prepare

    device = open_device(request, say)
    if not prepare(request, request["prepare"], say, should_stop):
        return False
    say("prepared")
    machine = _machine(request, device)
    key = {"inputs": request["inputs"], "machine": machine}
    training = _Training(request, _trainer(request, device, say), key, say)
    resumed = training.resume()
    say("begun", machine=machine, resumed=resumed)
    if not training.to_end(should_stop):
        return False
    predictor = _predictor(training.trainer)
    for case, files in request["cases"].items():
        if resumed and files["done"]:
            continue
        if should_stop():
            return False
        found = segment(predictor, files["images"], request["probabilities"])
        write_arrays(Path(request["out"]), case, *found, say)
    say("done", sha256=training.state["sha256"], cpu_s=round(time.process_time(), 2))
    return True


class _Training:
    """A trainer with its state on disk: ``state`` is what the state file holds."""

    def __init__(self, request: dict[str, Any], trainer: Any, key: dict[str, Any], say: Callable[..., None]):
        self.request, self.trainer, self.say = request, trainer, say
        self.folder, self._path = Path(trainer.output_folder), Path(request["state"])
        self.state: dict[str, Any] = {"key": key, "step": 0, "losses": [], "file": None, "sha256": None}

    def resume(self) -> bool:
        """Continue from the checkpoint that the state file describes; False, and first weights, where there is none.

        nnU-Net's checkpoints are pickles: one that is not, byte for byte, what this run wrote is never opened.
        """
        from nnunet_predicting import sha256_of

        found = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        seed_all(self.request["seed"], 0)
        self.trainer.initialize()
        if found.get("key") != self.state["key"]:
            return False
        for path in (self.folder / found["file"], self.folder / f"{found['file']}.new"):
            if path.exists() and sha256_of(path) == found["sha256"]:
                self.trainer.load_checkpoint(str(path))
                self.trainer.current_epoch = (found["step"] - len(found["losses"])) // self.request["iterations"]
                self.state = found
                return True
        return False

    def to_end(self, should_stop: Callable[[], bool]) -> bool:
        """All remaining epochs, with checkpoints; False after a checkpoint if asked to stop."""
        trainer, iterations = self.trainer, self.request["iterations"]
        if self.state["file"] == _FINAL:
            return True
        trainer.on_train_start()
        progress = _Progress(trainer, self.request, self.state["step"], self.say)
        saved = time.monotonic()
        while trainer.current_epoch < trainer.num_epochs:
            trainer.on_epoch_start()
            trainer.on_train_epoch_start()
            losses = self.state["losses"]
            while len(losses) < iterations:
                seed_all(self.request["seed"], 1, trainer.current_epoch, len(losses))
                losses.append(float(trainer.train_step(next(trainer.dataloader_train))["loss"]))
                self.state["step"] += 1
                progress.after(self.state["step"], losses[-1])
                stop = should_stop()
                if stop or time.monotonic() - saved > _CHECKPOINT_EVERY_S:
                    self._save(_LATEST)
                    saved = time.monotonic()
                if stop:
                    return False
            self._end_epoch()
        self._save(_FINAL)
        (self.folder / _LATEST).unlink(missing_ok=True)
        type(trainer.logger).plot_progress_png(trainer.logger, str(self.folder))
        return True

    def _end_epoch(self) -> None:
        """nnU-Net's end of an epoch: validation on random patches, which its log and picture show."""
        import torch

        trainer, request = self.trainer, self.request
        trainer.on_train_epoch_end([{"loss": loss} for loss in self.state["losses"]])
        trainer.on_validation_epoch_start()
        results = []
        with torch.no_grad():
            for number in range(trainer.num_val_iterations_per_epoch):
                seed_all(request["seed"], 1, trainer.current_epoch, request["iterations"] + number)
                results.append(trainer.validation_step(next(trainer.dataloader_val)))
        trainer.on_validation_epoch_end(results)
        trainer.on_epoch_end()
        self.state["losses"] = []

    def _save(self, name: str) -> None:
        """nnU-Net's checkpoint, then the state that describes it, then the checkpoint's name: whatever a kill leaves of
        these three, a checkpoint that the state describes is there."""
        from nnunet_predicting import sha256_of

        trainer, new = self.trainer, self.folder / f"{name}.new"
        trainer.disable_checkpointing = False
        trainer.current_epoch -= 1  # nnU-Net stores this plus one: the number of whole epochs
        trainer.save_checkpoint(str(new))
        trainer.current_epoch += 1
        trainer.disable_checkpointing = True
        self.state |= {"file": name, "sha256": sha256_of(new)}
        beside = self._path.with_name(f".{self._path.name}.writing")
        beside.write_text(json.dumps(self.state), encoding="utf-8")
        beside.replace(self._path)
        new.replace(self.folder / name)


class _Progress:
    """Says step, loss, Dice on the patches of the last 50 steps and the time that is left."""

    def __init__(self, trainer: Any, request: dict[str, Any], first: int, say: Callable[..., None]):
        self._steps, self._first, self._say = request["epochs"] * request["iterations"], first, say
        self._begun, self._said, self._recent = time.monotonic(), 0.0, list[float]()
        self._regions, self._ignored = trainer.label_manager.has_regions, trainer.label_manager.ignore_label
        self._seen: tuple[Any, Any]
        trainer.loss.register_forward_hook(self._see)

    def after(self, step: int, loss: float) -> None:
        self._recent = [*self._recent[-49:], *self._dice()]
        now = time.monotonic()
        if now - self._said < _REPORT_EVERY_S and step < self._steps:
            return
        self._said = now
        left_s = (now - self._begun) / (step - self._first) * (self._steps - step)
        dice = round(sum(self._recent) / max(1, len(self._recent)), 4)
        self._say("step", step=step, steps=self._steps, loss=round(loss, 4), dice=dice, time_left_s=round(left_s, 1))

    def _see(self, _: Any, batch: tuple[Any, Any], __: Any) -> None:
        output, target = (found[0] if isinstance(found, list | tuple) else found for found in batch)
        self._seen = output.detach(), target

    def _dice(self) -> list[float]:
        """Mean Dice over the structures of the last batch of patches, as a list of one; empty where it shows none."""
        import torch

        output, target = self._seen
        if self._regions:
            found, expected = output > 0, target[:, : output.shape[1]] > 0
            counted = target[:, -1:] == 0 if target.shape[1] > output.shape[1] else torch.ones_like(expected[:, :1])
        else:
            classes = torch.arange(1, output.shape[1], device=output.device).reshape(1, -1, *[1] * (output.ndim - 2))
            found, expected = output.argmax(1, keepdim=True) == classes, target == classes
            counted = torch.ones_like(target, dtype=torch.bool) if self._ignored is None else target != self._ignored
        axes = [axis for axis in range(output.ndim) if axis != 1]
        both = (found & expected & counted).sum(axes)
        of = (found & counted).sum(axes) + (expected & counted).sum(axes)
        return [(2 * both[of > 0] / of[of > 0]).mean().item()] if (of > 0).any() else []


def seed_all(*entropy: int) -> None:
    """Seed every generator that nnU-Net and its augmentation draw from."""
    import numpy as np
    import torch

    words = np.random.SeedSequence(entropy).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002 (batchgenerators draws from it)
    torch.manual_seed(int(words[2]))


def _trainer(request: dict[str, Any], device: Any, say: Callable[..., None]) -> Any:
    """nnU-Net's trainer with our schedule. It keeps its class's name, so that nnU-Net's own commands can use its folder."""
    from nnunet_preparing import read_plans
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    base = recursive_find_trainer_class_by_name("nnUNetTrainer" + ("" if request["mirroring"] else "NoMirroring"))

    class Seeded(base):  # type: ignore[valid-type,misc]
        @staticmethod
        def get_training_transforms(*arguments: Any, **named: Any) -> Any:
            transforms = base.get_training_transforms(*arguments, **named)
            for transform in transforms.transforms:
                blur = getattr(transform, "transform", transform)
                if hasattr(blur, "benchmark"):  # else it convolves or transforms by what the clock says is faster
                    blur.benchmark = False
            return transforms

    Seeded.__name__ = base.__name__
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 (nnU-Net's name; planning before could not bear the 0)
    manager, _, description = read_plans(request, say)
    plans = manager.plans | {"continue_training": False}
    trainer = Seeded(plans, request["configuration"], request["fold"], description, device)
    trainer.num_epochs, trainer.num_iterations_per_epoch = request["epochs"], request["iterations"]
    trainer.num_val_iterations_per_epoch = _validation_steps(request)
    trainer.disable_checkpointing = True  # but for ours: nnU-Net's "best" is not used, and costs its size at each epoch
    trainer.logger.plot_progress_png = lambda folder: None  # once at the end instead of after each epoch
    return trainer


def _validation_steps(request: dict[str, Any]) -> int:
    """A fifth of the training steps, as in nnU-Net."""
    return max(1, round(request["iterations"] / 5))


def _predictor(trainer: Any) -> Any:
    from nnunet_predicting import new_predictor

    trainer.set_deep_supervision_enabled(False)
    network = trainer.network.eval()
    predictor = new_predictor(trainer.device)
    predictor.manual_initialization(
        network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    return predictor


def _machine(request: dict[str, Any], device: Any) -> dict[str, Any]:
    import platform

    import numpy as np
    import torch

    cuda = device.type == "cuda"
    capability = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    name = torch.cuda.get_device_name() if cuda else f"{platform.machine()} {capability}".strip()
    return {
        "device": device.type,
        "device_name": name,
        "precision": "float16 autocast" if cuda else "float32",
        "threads": request["threads"],
        "torch": torch.__version__,
        "numpy": np.__version__,
        "nnunetv2": request["nnunetv2"],
    }


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
