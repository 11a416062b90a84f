"""From a fingerprint to a recipe: spacing, patch, levels and normalisation follow from the data, not from options."""

from __future__ import annotations

import math

from ..core.labels import LabelSet
from ..dataset.fingerprint import ChannelFacts, Fingerprint
from .study_plan import LABELS, REGIONS, ChannelPlan, Configuration, NetworkPlan, PreprocessingPlan, TrainingPlan

_CHANNELS = (32, 64, 128, 256, 320)
_MOST_PATCH_VOXELS = 96**3
_PATCH_SHARE = 0.75
_SHORT_SCHEDULE_STEPS = 1000
_SMALLEST_SIDE = 3
"""A level is added while every halved side keeps at least this many voxels."""

_THIN_VOXELS = 3.0
"""A structure thinner than this at the network's spacing may vanish in a half-resolution stem."""

_SKULL_STRIPPED_SHARE = 0.25
"""With more exact zeros than this, zero means "outside" and must not pull the mean."""


def plan_configuration(
    name: str, fingerprint: Fingerprint, labels: LabelSet, steps: int, trains: str = LABELS
) -> Configuration:
    """Plan one recipe for a dataset (rules in the spirit of nnU-Net, Isensee et al. 2021; network and schedule are ours).

    Args:
        steps: length of the training; the learning-rate schedule is planned over exactly these steps.
        trains: ``LABELS``, or ``REGIONS`` with a channel for each structure and none for the background.
    """
    channels_out = len(labels.structures) if trains == REGIONS else 1 + len(labels.foreground_values)
    network = plan_network(fingerprint, channels_out)
    flat_axis = _flat_axis(fingerprint.spacing_zyx_mm, network.patch_zyx)
    learning_rate, warm_up_share = _schedule(steps)
    training = TrainingPlan(
        steps=steps,
        batch_size=2,
        learning_rate=learning_rate,
        weight_decay=1e-2,
        warm_up_share=warm_up_share,
        ema_decay=0.99,
        foreground_share=1 / 3,
        mirror_axes=fingerprint.mirror_axes,
        rotation_axes=(0, 1, 2) if flat_axis is None else (flat_axis,),
    )
    channels = tuple(_channel(channel) for channel in fingerprint.channels)
    preprocessing = PreprocessingPlan(fingerprint.spacing_zyx_mm, channels)
    return Configuration(name, "builtin", preprocessing, network, training, trains)


def _schedule(steps: int) -> tuple[float, float]:
    """Peak learning rate, and the share of the steps that lead up to it.

    A short schedule needs long strides and a long run-up. Hippocampus at 350 steps, Dice of seeds 1 and 2: 0.818 and 0.826
    with 1e-2 after a tenth, 0.827 and 0.838 with 1.4e-2 after a third; from 1700 steps on 5e-3 and 1e-2 do equally well.
    """
    return (1.4e-2, 0.35) if steps < _SHORT_SCHEDULE_STEPS else (5e-3, 0.1)


def plan_network(fingerprint: Fingerprint, classes: int) -> NetworkPlan:
    """Patch, stem, strides and channels.

    The stem halves every axis unless a structure is thinner than three voxels (then it keeps full resolution) or the
    axis is much coarser than the others (then it keeps that axis). Levels are added while sides stay long enough.
    """
    spacing = list(fingerprint.spacing_zyx_mm)
    patch = _patch(fingerprint.shape_zyx, fingerprint.spacing_zyx_mm)
    thin = any(0 < structure.thickness_voxels < _THIN_VOXELS for structure in fingerprint.structures)
    stem = (1, 1, 1) if thin else _halving(spacing, patch)
    sides, strides = list(patch), list[tuple[int, int, int]]()
    _shrink(sides, spacing, stem)
    while len(strides) + 1 < len(_CHANNELS) and len(strides) < 4:
        stride = _halving(spacing, sides)
        if stride == (1, 1, 1):
            break
        _shrink(sides, spacing, stride)
        strides.append(stride)
    halvings = [math.prod(step[axis] for step in (stem, *strides)) for axis in range(3)]
    whole = [-(-side // by) * by for side, by in zip(patch, halvings, strict=True)]
    while math.prod(whole) > _MOST_PATCH_VOXELS and (
        long := [axis for axis in range(3) if whole[axis] > halvings[axis]]
    ):
        axis = max(long, key=lambda i: whole[i] * fingerprint.spacing_zyx_mm[i])
        whole[axis] -= halvings[axis]
    return NetworkPlan(
        in_channels=len(fingerprint.channels),
        out_channels=classes,
        patch_zyx=(whole[0], whole[1], whole[2]),
        stem_stride=stem,
        strides=tuple(strides),
        channels=_CHANNELS[: len(strides) + 1],
    )


def _patch(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> list[int]:
    """Three quarters of the median image, cut along its physically longest side until it fits the voxel budget.

    Smaller patches than images buy more updates for the same time: on hippocampus, at 100 CPU-s, Dice 0.862 with patches
    of the median image and 0.879 with three quarters of it (while the recipe was made;
    Testing/benchmarks/patch_size.py repeats the comparison).
    """
    patch = [max(8, round(_PATCH_SHARE * side / 8) * 8) if side >= 8 else side for side in shape]
    while math.prod(patch) > _MOST_PATCH_VOXELS:
        axis = max((i for i in range(3) if patch[i] > 8), key=lambda i: patch[i] * spacing[i])
        patch[axis] = max(8, patch[axis] - 8)
    return patch


def _halving(spacing: list[float], sides: list[int]) -> tuple[int, int, int]:
    """Halve the axes that are long enough and not much coarser than the finest one that can be halved."""
    long_enough = [side // 2 >= _SMALLEST_SIDE for side in sides]
    finest = min((mm for mm, enough in zip(spacing, long_enough, strict=True) if enough), default=0.0)
    first, second, third = (
        2 if enough and mm < 2 * finest else 1 for mm, enough in zip(spacing, long_enough, strict=True)
    )
    return first, second, third


def _shrink(sides: list[int], spacing: list[float], stride: tuple[int, int, int]) -> None:
    for axis in range(3):
        sides[axis] = -(-sides[axis] // stride[axis])
        spacing[axis] *= stride[axis]


def _flat_axis(spacing: tuple[float, float, float], patch: tuple[int, int, int]) -> int | None:
    """The axis about which alone patches may turn: out-of-plane rotation would mix slices that are three times as far
    apart as pixels, and turn a patch of few slices out of itself."""
    if max(spacing) > 3 * min(spacing):
        return spacing.index(max(spacing))
    return patch.index(min(patch)) if 3 * min(patch) < max(patch) else None


def _channel(facts: ChannelFacts) -> ChannelPlan:
    if facts.name.strip().lower() == "ct":
        kind = "ct"
    else:
        kind = "z_score_nonzero" if facts.zero_share > _SKULL_STRIPPED_SHARE else "z_score"
    return ChannelPlan(facts.name, kind, facts.percentile_00_5, facts.percentile_99_5, facts.mean, facts.std)
