"""The parts of a network that fine-tuning treats differently: who stands still, and who learns how fast."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from torch import nn

from ..model.network import ENCODER_MODULES, Encoder

_STEM = ("stem", "stem_norm", "first")


def rate_groups(network: Encoder, decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer, in the order of ``network.parameters()``, each with the ``share`` of the learning rate
    that it gets: 1 at the output, ``decay`` times as much at each stage further back to the stem. One group where decay is 1."""
    if decay == 1:
        return [{"params": list(network.parameters()), "share": 1.0}]
    stages = [
        [weight for _, weight in group] for _, group in groupby(network.named_parameters(), lambda it: _stage(it[0]))
    ]
    return [
        {"params": stage, "share": decay**back} for back, stage in zip(range(len(stages))[::-1], stages, strict=True)
    ]


def encoder_modules(network: Encoder) -> list[nn.Module]:
    return [getattr(network, name) for name in ENCODER_MODULES]


def _stage(name: str) -> str:
    """The stem with its block, each level down, each level up, and all that follows."""
    first, second, *_ = name.split(".")
    if first in _STEM:
        return "stem"
    return f"{first}.{second}" if first in ("down", "up") else "head"
