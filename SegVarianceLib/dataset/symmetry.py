"""Which axes may be mirrored in training: asked of the labels, because mirroring a head into a tail teaches nonsense."""

from __future__ import annotations

import numpy as np

from ..core.seeding import generator

MIRROR_SHARE = 0.5
"""Of the overlap that two halves of the cases have, so much must remain, for every structure, when one is mirrored.

At half, a mirrored structure still lies more in its own place than out of it. Measured on hippocampus (200 cases, the
worse of head and tail): left-right 0.56, where a tilt of two voxels is all that changes; up-down 0.29; front-back 0.02.
"""
_BINS = 16  # an axis: enough to see where a structure lies, too coarse for what sets one patient apart
_HALF_WIDTH_STD = 3.0  # the bins span so many standard deviations of the foreground to either side of its centre
_SPLITS = 8
_FEWEST_CASES = 6  # below it two halves tell nothing, and not to mirror is the safe answer


class SymmetryTest:
    """Collects where structures lie within the foreground, case by case, then answers for each canonical axis.

    The cases are halved at random several times (always the same way). Two halves overlap only so well; what counts is
    how much of that is lost when one of them is mirrored about its centre. Position and size of the whole foreground do
    not count, because a network that sees patches does not know them either.
    """

    def __init__(self, cases: int, structures: int):
        rng = generator(0, "symmetry of labels")
        self._half = np.stack([rng.permutation(cases) % 2 for _ in range(_SPLITS)], axis=1)
        self._density = np.zeros((_SPLITS, 2, structures, _BINS, _BINS, _BINS))
        self._count = np.zeros(structures, dtype=int)

    def add(self, case: int, structure: int, mask: np.ndarray, bins: list[np.ndarray]) -> None:
        """Count in a boolean ``mask`` [z, y, x] in canonical axes; ``bins`` are those of its case's foreground."""
        density = mask.astype(np.float32)
        for shares in bins:
            density = np.tensordot(density, shares, axes=(0, 1))  # after three turns the axes stand as before
        density /= density.sum()
        for split, half in enumerate(self._half[case]):
            self._density[split, half, structure] += density
        self._count[structure] += 1

    def mirror_axes(self) -> tuple[int, ...]:
        if self._count.min() < _FEWEST_CASES:
            return ()
        return tuple(axis for axis in range(3) if self.kept_shares(axis).min() >= MIRROR_SHARE)

    def kept_shares(self, axis: int) -> np.ndarray:
        """Share of the overlap that remains under mirroring, per structure; about 1 for a symmetric one."""
        first, second = self._density[:, 0], self._density[:, 1]
        return _overlap(first, np.flip(second, axis=axis - 3)) / np.maximum(_overlap(first, second), 1e-9)


def foreground_bins(foreground: np.ndarray) -> list[np.ndarray]:
    """For each axis of a boolean mask with some True: [bin, voxel], the share of each voxel that lies in each bin.

    Shares instead of whole voxels, so that a mirrored mask gives exactly mirrored bins.
    """
    bins = []
    for axis, size in enumerate(foreground.shape):
        profile = foreground.sum(axis=tuple(other for other in range(3) if other != axis))
        voxels = np.arange(size)
        centre = np.average(voxels + 0.5, weights=profile)
        half_width = _HALF_WIDTH_STD * max(np.sqrt(np.average((voxels + 0.5 - centre) ** 2, weights=profile)), 0.5)
        edges = centre + half_width * np.linspace(-1, 1, _BINS + 1)
        edges[0], edges[-1] = min(edges[0], 0), max(edges[-1], size)
        shares = np.minimum(edges[1:, None], voxels + 1) - np.maximum(edges[:-1, None], voxels)
        bins.append(np.clip(shares, 0, None).astype(np.float32))
    return bins


def _overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Overlap of densities [split, structure, z, y, x], averaged over splits, per structure."""
    axes = (2, 3, 4)
    first, second = (density / np.maximum(density.sum(axis=axes, keepdims=True), 1e-9) for density in (first, second))
    return np.minimum(first, second).sum(axis=axes).mean(axis=0)
