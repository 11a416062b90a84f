"""Weights of one network for another: each tensor taken, fitted or left as it was drawn, and a report that says which and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import SegVarianceError
from ..plan.fine_tuning import ALL, CENTRE, DECODER, ENCODER, MEAN, NO_INFLATION, FineTuning
from .foreign_weights import ForeignWeights
from .network import ENCODER_MODULES, HEAD_MODULES

LOADED, RESIZED, INFLATED, INITIALISED = "loaded", "resized", "inflated", "initialised"


@dataclass(frozen=True)
class TensorFate:
    """What became of one tensor of the network. ``source`` names the tensor that it was taken from; ``why`` says how it was
    fitted, or why it was not taken."""

    name: str
    fate: str
    source: str
    why: str


@dataclass(frozen=True)
class Transfer:
    """All tensors of a network, and the fate of each that learns or is learnt from data."""

    tensors: dict[str, Tensor]
    fates: tuple[TensorFate, ...]

    @property
    def sentence(self) -> str:
        counts = Counter(fate.fate for fate in self.fates)
        return ", ".join(f"{counts[fate]} {fate}" for fate in (LOADED, RESIZED, INFLATED, INITIALISED) if counts[fate])


class _NoFitError(Exception):
    pass


def transfer(
    own: Mapping[str, Tensor], source: ForeignWeights, rules: FineTuning, outputs: tuple[str, ...]
) -> Transfer:
    """Fit the source's weights into a network.

    Args:
        own: the network's tensors as they were drawn; they stay where nothing fits.
        outputs: names of the network's classes or regions; a head is taken only from a source that names the same, or through
            the name map.

    Raises:
        SegVarianceError: the name map names a tensor that one side lacks, or nothing at all fits.
    """
    names = rules.name_map or {}
    _check_map(names, own, source)
    tensors, fates = dict(own), []
    for name, drawn in own.items():
        if not drawn.is_floating_point():
            continue
        theirs = names.get(name, name)
        try:
            _require_wanted(name, rules, source, outputs)
            if theirs not in source.tensors:
                raise _NoFitError(f"the source has no {theirs!r}")
            tensors[name], fate, why = _fitted(name, source.tensors[theirs], drawn, rules)
            fates.append(TensorFate(name, fate, theirs, why))
        except _NoFitError as reason:
            fates.append(TensorFate(name, INITIALISED, "", str(reason)))
    if all(fate.fate == INITIALISED for fate in fates):
        mapped = [fate for fate in fates if fate.name in names]
        wanted = mapped or [
            fate for fate in fates if _part(fate.name) in ((ENCODER, DECODER) if rules.part == ALL else (rules.part,))
        ]
        reasons = Counter(fate.why for fate in wanted)
        raise SegVarianceError(
            f"No weights of the source fit this network: {reasons.most_common(1)[0][0]}. "
            "Give a name map (JSON, our names to theirs), or another source."
        )
    return Transfer(tensors, tuple(fates))


def _check_map(names: Mapping[str, str], own: Mapping[str, Tensor], source: ForeignWeights) -> None:
    for ours, theirs in names.items():
        for name, tensors, whose in ((ours, own, "the network"), (theirs, source.tensors, "the source")):
            if name not in tensors:
                known = ", ".join(map(repr, list(tensors)[:3]))
                raise SegVarianceError(
                    f"The name map names {name!r}, and {whose} has no such tensor. It has {len(tensors)}, such as {known}. "
                    "Mend the map."
                )


def _require_wanted(name: str, rules: FineTuning, source: ForeignWeights, outputs: tuple[str, ...]) -> None:
    part = _part(name)
    if rules.part != ALL and part != rules.part:
        raise _NoFitError(f"only the {rules.part} was asked for")
    if part not in (ENCODER, DECODER) and name not in (rules.name_map or {}) and source.outputs != outputs:
        has = "does not name its outputs" if source.outputs is None else f"tells {', '.join(source.outputs)}"
        raise _NoFitError(f"the source {has}, here they are {', '.join(outputs)}")


def _part(name: str) -> str:
    module = name.partition(".")[0]
    if module in ENCODER_MODULES:
        return ENCODER
    return "head" if module in HEAD_MODULES else DECODER


def _fitted(name: str, theirs: Tensor, drawn: Tensor, rules: FineTuning) -> tuple[Tensor, str, str]:
    found, fate, why = theirs, LOADED, ""
    if theirs.ndim == 4 and drawn.ndim == 5:
        if rules.inflation == NO_INFLATION:
            raise _NoFitError("its kernel is 2-D, and inflation was not asked for")
        found, fate, why = _inflated(found, drawn.shape[2], rules.inflation), INFLATED, f"2-D kernel, {rules.inflation}"
    before = _channels_before_image(name, drawn)
    if before is not None and found.ndim == drawn.ndim and found.shape[1] != drawn.shape[1]:
        there, here = found.shape[1] - before, drawn.shape[1] - before
        if there > 0 and found.shape[:1] + found.shape[2:] == drawn.shape[:1] + drawn.shape[2:]:
            found = torch.cat([found[:, :before], _resized(found[:, before:], here, rules.channels)], 1)
            fate, why = RESIZED, "; ".join(filter(None, [why, f"{there} input channels to {here}, {rules.channels}"]))
    if found.shape != drawn.shape:
        raise _NoFitError(f"it is {tuple(theirs.shape)} at the source, {tuple(drawn.shape)} here")
    return found.contiguous(), fate, why


def _channels_before_image(name: str, kernel: Tensor) -> int | None:
    """Of the inputs of a kernel that sees the image, last, how many are not the image's; None for other kernels."""
    return {"stem.weight": 0, "refine.weight": kernel.shape[0]}.get(name) if kernel.ndim == 5 else None


def _inflated(kernel: Tensor, depth: int, rule: str) -> Tensor:
    """A 2-D kernel [o, i, y, x] to [o, i, depth, y, x]."""
    if rule == CENTRE:
        deep = torch.zeros(*kernel.shape[:2], depth, *kernel.shape[2:], dtype=kernel.dtype)
        deep[:, :, depth // 2] = kernel
        return deep
    return kernel[:, :, None].expand(-1, -1, depth, -1, -1) / depth


def _resized(kernel: Tensor, channels: int, rule: str) -> Tensor:
    """Input channels [o, i, ...] to another number; their outputs together keep their size."""
    there = kernel.shape[1]
    if rule == MEAN:
        kernel = kernel.mean(1, keepdim=True)
    return kernel[:, torch.arange(channels) % kernel.shape[1]] * (there / channels)
