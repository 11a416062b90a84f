"""One training case deformed onto the inference case, with SimpleITK: an affine transform, then diffeomorphic demons.

Both are led by the image, by the organ masks (the training case's labels against the current mask of the inference case), or by both
laid over each other (Chen et al. 2025). Demons: Vercauteren et al. 2009, NeuroImage 45:S61.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name every SimpleITK text uses)
import torch

from ..plan.adaptation import INTENSITY, MASKS, AdaptationSettings
from ..training.losses import IGNORED
from ..training.patches import TrainingCase, foreground_voxels
from .neighbours import Target, correlation

_MOST_VOXELS = 2**19
"""Transforms are found on a grid of at most so many voxels; they are applied on the network's own."""
_AFFINE_VOXELS = 2**15
_AFFINE_ITERATIONS = 60
_DEMONS = ((2, 30), (1, 15))
"""Shrinking and iterations of each level."""
_FIELD_SD_VOXELS = 1.3
_MASK_SD_VOXELS = 0.7
_BINS = 24

_LEAST_OVERLAP = 0.4
_MOST_FOLDED = 0.01
_LEAST_SIMILARITY = 0.15


@dataclass(frozen=True)
class Aligned:
    """``case``: the training case on the inference case's grid, with its labels moved along. ``facts``: Dice with the current mask,
    correlation of intensities after the affine transform, share of folded voxels, and why it must not be learnt from ('' where it may)."""

    case: TrainingCase
    facts: tuple[float, float, float, str]


def align(
    case: TrainingCase,
    target: Target,
    settings: AdaptationSettings,
    classes: int,
    spacing_zyx_mm: tuple[float, float, float],
) -> Aligned:
    """Deform ``case`` onto ``target``; both on grids of the network's spacing, classes as indices below ``classes``.

    Without ``settings.deform`` nothing is moved or judged. The same input gives the same bytes with the same number of threads.
    """
    image = np.asarray(case.image, np.float32)
    if not settings.deform:
        return Aligned(replace(case, image=image), (0.0, 0.0, 0.0, ""))
    guide = settings.guide if target.mask.any() else INTENSITY
    fixed = _image(target.image[0], spacing_zyx_mm), _codes(target.mask, classes, spacing_zyx_mm)
    moving = _image(image[0], spacing_zyx_mm), _codes(case.label_map, classes, spacing_zyx_mm)
    affine = _affine(fixed, moving, guide)
    field = _demons(fixed, moving, affine, guide)
    both = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(sitk.Image(field))])
    moved = np.stack([_moved(channel, fixed[0], both, spacing_zyx_mm) for channel in image])
    labels = _moved_labels(case.label_map, fixed[0], both, spacing_zyx_mm)
    # As far as the affine transform brings them: demons bend even noise towards an image.
    rough = _moved(image[0], fixed[0], affine, spacing_zyx_mm)
    similarity = abs(correlation(torch.from_numpy(rough), torch.from_numpy(target.image[0])))
    if settings.match_intensity:
        moved = np.stack([_matched(new, own) for new, own in zip(moved, target.image, strict=True)])
    made = TrainingCase(case.id, moved, labels, foreground_voxels(labels, classes))
    overlap = _dice(labels, target.mask, classes)
    folded = _folded_share(field)
    return Aligned(
        made, (round(overlap, 4), round(similarity, 4), round(folded, 5), _refusal(guide, overlap, similarity, folded))
    )


def _refusal(guide: str, overlap: float, similarity: float, folded: float) -> str:
    if folded > _MOST_FOLDED:
        return f"{folded:.1%} of it would be folded over"
    if guide != INTENSITY and overlap < _LEAST_OVERLAP:
        return f"its labels meet the current mask with a Dice of {overlap:.2f} only"
    if guide != MASKS and similarity < _LEAST_SIMILARITY:
        return f"its intensities correlate with the image by {similarity:.2f} only"
    return ""


Pair = tuple[sitk.Image, sitk.Image]
"""Intensities and classes of one side; classes as smooth numbers, 0 is background."""


def _affine(fixed: Pair, moving: Pair, guide: str) -> sitk.AffineTransform:
    """By the masks where they lead or help to: they are blind to contrast and have no far optima. Else by the squared correlation of
    intensities, which an inverted image has too."""
    channel = 0 if guide == INTENSITY else 1
    f, m = (_shrunk(pair[channel], _AFFINE_VOXELS) for pair in (fixed, moving))
    how = sitk.CenteredTransformInitializerFilter
    start = sitk.CenteredTransformInitializer(
        f, m, sitk.AffineTransform(3), how.GEOMETRY if guide == INTENSITY else how.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation() if guide == INTENSITY else method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, _AFFINE_ITERATIONS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=True)
    try:
        method.Execute(f, m)
    except RuntimeError:  # the two do not overlap any more: the start is then the best that is known, and the demons or the check judge it
        start = sitk.CenteredTransformInitializer(f, m, sitk.AffineTransform(3), how.GEOMETRY)
    return sitk.AffineTransform(start)


def _demons(fixed: Pair, moving: Pair, affine: sitk.Transform, guide: str) -> sitk.Image:
    """The displacement field that follows the affine transform, on a grid of at most ``_MOST_VOXELS``."""
    f = [_shrunk(image, _MOST_VOXELS) for image in fixed]
    m = [sitk.Resample(image, f[0], affine, sitk.sitkLinear, _edge(image)) for image in moving]
    first, second = _laid_over(f, m, guide)
    field: sitk.Image | None = None
    for shrink, iterations in _DEMONS:
        near, far = (_smaller(image, shrink) for image in (first, second))
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetStandardDeviations(_FIELD_SD_VOXELS)
        demons.SetSmoothDisplacementField(True)
        if field is None:
            field = demons.Execute(near, far)
        else:
            start = sitk.Resample(field, near, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkVectorFloat64)
            field = demons.Execute(near, far, start)
    return sitk.Cast(field, sitk.sitkVectorFloat64)


def _laid_over(fixed: list[sitk.Image], moving: list[sitk.Image], guide: str) -> tuple[sitk.Image, sitk.Image]:
    """What demons compare: intensities brought to one range by what corresponds, classes, or their sum."""
    if guide == MASKS:
        return fixed[1], moving[1]
    own = sitk.GetArrayViewFromImage(fixed[0])
    theirs = _matched(sitk.GetArrayFromImage(moving[0]), np.asarray(own))
    low, high = np.percentile(own, (1, 99))
    scaled = [
        _like(np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32), fixed[0])
        for values in (own, theirs)
    ]
    return (scaled[0], scaled[1]) if guide == INTENSITY else (scaled[0] + fixed[1], scaled[1] + moving[1])


def _matched(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``values`` [z, y, x] mapped to the intensities that ``like`` has at the same voxels: its mean for each range of ``values``, stretched
    to its spread, so that inverted or otherwise bent intensities follow too. Nothing is changed where they tell nothing."""
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1))
    middles = (edges[1:] + edges[:-1]) / 2
    which = np.clip(np.searchsorted(edges, values, "right") - 1, 0, _BINS - 1)
    counts = np.bincount(which.ravel(), minlength=_BINS)
    means = np.bincount(which.ravel(), like.ravel().astype(np.float64), _BINS) / np.maximum(counts, 1)
    filled = counts > 0
    mapped = np.interp(values, middles[filled], means[filled]).astype(np.float32)
    spread = float(mapped.std())
    if spread < 1e-3 * float(like.std()):
        return values
    return (mapped - mapped.mean()) * np.float32(like.std() / spread) + np.float32(like.mean())


def _image(values: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> sitk.Image:
    """With its middle at the origin, so that two of them begin centre on centre."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values, np.float32))
    spacing = spacing_zyx_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin([-mm * (n - 1) / 2 for mm, n in zip(spacing, image.GetSize(), strict=True)])
    return image


def _codes(classes_map: np.ndarray, classes: int, spacing_zyx_mm: tuple[float, float, float]) -> sitk.Image:
    """Numbers from 1 to 2 for the foreground classes, smoothed; what is ignored counts as background."""
    numbers = np.zeros(max(classes, IGNORED + 1), np.float32)
    numbers[1:classes] = np.linspace(1.0, 2.0, max(classes - 1, 1))[: classes - 1]
    numbers[IGNORED] = 0
    image = _image(numbers[classes_map], spacing_zyx_mm)
    return sitk.DiscreteGaussian(image, [(_MASK_SD_VOXELS * mm) ** 2 for mm in image.GetSpacing()])


def _like(values: np.ndarray, image: sitk.Image) -> sitk.Image:
    made = sitk.GetImageFromArray(values)
    made.CopyInformation(image)
    return made


def _shrunk(image: sitk.Image, most_voxels: int) -> sitk.Image:
    """At most so many voxels, by one whole factor along every axis."""
    return _smaller(image, math.ceil((image.GetNumberOfPixels() / most_voxels) ** (1 / 3)))


def _smaller(image: sitk.Image, factor: int) -> sitk.Image:
    if factor <= 1:
        return image
    smooth = sitk.SmoothingRecursiveGaussian(image, [0.5 * factor * mm for mm in image.GetSpacing()])
    return sitk.Shrink(smooth, [min(factor, max(1, n // 4)) for n in image.GetSize()])


def _edge(image: sitk.Image) -> float:
    """What lies outside a moved image: its darkest value."""
    return float(sitk.GetArrayViewFromImage(image).min())


def _moved(
    values: np.ndarray, onto: sitk.Image, transform: sitk.Transform, spacing: tuple[float, float, float]
) -> np.ndarray:
    image = _image(values, spacing)
    return sitk.GetArrayFromImage(sitk.Resample(image, onto, transform, sitk.sitkLinear, _edge(image)))


def _moved_labels(
    classes_map: np.ndarray, onto: sitk.Image, transform: sitk.Transform, spacing: tuple[float, float, float]
) -> np.ndarray:
    image = sitk.Cast(_image(classes_map, spacing), sitk.sitkUInt8)
    return sitk.GetArrayFromImage(sitk.Resample(image, onto, transform, sitk.sitkNearestNeighbor, 0))


def _folded_share(field: sitk.Image) -> float:
    determinant = sitk.GetArrayViewFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    return float((determinant <= 0).mean())


def _dice(a: np.ndarray, b: np.ndarray, classes: int) -> float:
    """Mean over foreground classes that either side has."""
    found = [2 * ((a == k) & (b == k)).sum() / n for k in range(1, classes) if (n := (a == k).sum() + (b == k).sum())]
    return float(np.mean(found)) if found else 0.0
