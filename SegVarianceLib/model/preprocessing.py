"""From an image file's grid to what the network sees, and the way back. Arrays are [c, z, y, x] or [z, y, x]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..core.errors import SegVarianceError
from ..core.geometry import CanonicalAxes, Geometry
from ..plan.study_plan import ChannelPlan, PreprocessingPlan


@dataclass(frozen=True)
class NetworkGrid:
    """How one image's grid maps to the network's: turn to canonical axes, then resample to the planned spacing."""

    axes: CanonicalAxes
    canonical_shape: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, geometry: Geometry, plan: PreprocessingPlan) -> NetworkGrid:
        axes = CanonicalAxes.of(geometry)
        spacing = axes.spacing(geometry.spacing_zyx_mm)
        first, second, third = (geometry.shape_zyx[axis] for axis in axes.permutation)
        canonical = (first, second, third)
        planned = tuple(
            max(1, round(n * mm / target))
            for n, mm, target in zip(canonical, spacing, plan.spacing_zyx_mm, strict=True)
        )
        return cls(axes, canonical, planned)  # type: ignore[arg-type]

    @property
    def resamples(self) -> bool:
        return self.shape != self.canonical_shape

    def geometry(self, geometry: Geometry) -> Geometry:
        """Where this grid's voxels lie in the patient, for an image of ``geometry``: arrays on the network's grid can be written and
        shown as they are."""
        spacing = self.axes.spacing(geometry.spacing_zyx_mm)
        direction, first = np.zeros((3, 3)), np.zeros(3)
        for axis, of in enumerate(self.axes.permutation):
            flipped, count = self.axes.flipped[axis], self.canonical_shape[axis]
            direction[:, 2 - axis] = geometry.direction_matrix[:, 2 - of] * (-1 if flipped else 1)
            centre = 0.5 * count / self.shape[axis] - 0.5
            first[2 - of] = count - 1 - centre if flipped else centre
        x, y, z = (
            mm * n / m for mm, n, m in zip(spacing[::-1], self.canonical_shape[::-1], self.shape[::-1], strict=True)
        )
        left, back, head = map(float, geometry.index_to_lps_mm(first))
        return Geometry(self.shape[::-1], (x, y, z), (left, back, head), tuple(map(float, direction.flatten())))

    def image(self, array: np.ndarray) -> np.ndarray:
        """Image as read [c, z, y, x] to the network's grid, trilinear, float32."""
        turned = self.axes.apply(array)
        if not self.resamples:
            return np.ascontiguousarray(turned, dtype=np.float32)
        # A copy: ascontiguousarray lets a flipped axis of one slice keep its negative stride, which torch refuses.
        return _resample(np.array(turned, np.float32, order="C"), self.shape)

    def label_map(self, array: np.ndarray) -> np.ndarray:
        """Label map as read [z, y, x] to the network's grid: each value's mask resampled, the strongest wins."""
        turned = np.ascontiguousarray(self.axes.apply(array))
        if not self.resamples:
            return turned
        labels = np.zeros(self.shape, turned.dtype)
        strongest = np.zeros(self.shape, np.float32)
        for value in np.unique(turned):
            share = _resample((turned == value).astype(np.float32)[None], self.shape)[0]
            wins = share > strongest
            labels[wins] = value
            strongest[wins] = share[wins]
        return labels


def normalise(image: np.ndarray, channels: tuple[ChannelPlan, ...]) -> np.ndarray:
    """Each channel of a float32 image [c, z, y, x] by its plan; in native intensities in, about zero mean and unit SD out.

    Raises:
        SegVarianceError: another number of channels than planned.
    """
    if len(image) != len(channels):
        names = ", ".join(channel.name for channel in channels)
        raise SegVarianceError(
            f"The image has {len(image)} channels, the plan expects {len(channels)} ({names}). Give one file per channel."
        )
    return np.stack([_normalise(values, plan) for values, plan in zip(image, channels, strict=True)])


def _normalise(values: np.ndarray, plan: ChannelPlan) -> np.ndarray:
    if plan.normalisation == "ct":
        return (np.clip(values, plan.low, plan.high) - np.float32(plan.mean)) / np.float32(max(plan.std, 1e-8))
    outside = values == 0 if plan.normalisation == "z_score_nonzero" else np.zeros(values.shape, bool)
    counted = values[~outside]
    if not counted.size:
        return np.zeros_like(values)
    # float32 but for the sums: numpy's float64 scalars would double the memory of a large image.
    mean = np.float32(counted.mean(dtype=np.float64))
    std = np.float32(np.sqrt(np.square(counted - mean).mean(dtype=np.float64)))
    scaled = (values - mean) / max(std, np.float32(1e-8))
    # Far outliers would turn into inf in the 16-bit cache, and carry no anatomy.
    np.clip(scaled, -20, 20, out=scaled)
    scaled[outside] = 0
    return scaled


def _resample(array: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Trilinear over the same physical extent; voxel centres, not corners, keep their places."""
    return F.interpolate(torch.from_numpy(array)[None], size=shape, mode="trilinear", align_corners=False)[0].numpy()
