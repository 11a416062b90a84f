"""A case as a reader sees it: the slice where reference and prediction differ most, both outlined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.errors import SegVarianceError
from ..core.geometry import CanonicalAxes, Geometry
from ..core.labels import LabelSet, Structure
from ..dataset.image_io import read_image, read_label_map
from .content import CaseFiles
from .markup import Markup, element, joined
from .outlines import SlicePlane, outline, plane_of, worst_slice
from .png import png_address

_MARGIN_MM = 15.0
_WINDOW = (1, 99)


def case_pictures(files: CaseFiles, labels: LabelSet, colour_of: Callable[[str], str]) -> Markup:
    """One picture per prediction, at the worst slice of the structure with the largest disagreement.

    Raises:
        SegVarianceError: a file cannot be read, a label map lies on another grid than the image, or no such channel.
    """
    volume = read_image([files.image])
    if not 0 <= files.channel < len(volume.array):
        raise SegVarianceError(
            f"{files.image} has {len(volume.array)} channel(s), channel {files.channel} was asked for (counted from 0)."
        )
    axes = CanonicalAxes.of(volume.geometry)
    image = axes.apply(volume.array[files.channel])
    reference = None if files.reference is None else _turned_labels(files.reference, volume.geometry, axes)
    pictures = []
    for member, path in files.predictions.items():
        prediction = _turned_labels(path, volume.geometry, axes)
        pictures.append(_picture(image, reference, prediction, volume.geometry, labels, colour_of, member))
    return element("figure", element("h4", files.case), element("div", *pictures, class_="grid"), class_="case")


def _turned_labels(path: object, geometry: Geometry, axes: CanonicalAxes) -> np.ndarray:
    label_map = read_label_map(path)  # type: ignore[arg-type]
    if difference := geometry.difference(label_map.geometry):
        raise SegVarianceError(
            f"{path} does not lie on the grid of its image ({difference}). Resample it, or name the image it belongs to."
        )
    return axes.apply(label_map.array)


def _picture(
    image: np.ndarray,
    reference: np.ndarray | None,
    prediction: np.ndarray,
    geometry: Geometry,
    labels: LabelSet,
    colour_of: Callable[[str], str],
    member: str,
) -> Markup:
    plane = plane_of(geometry)
    compared = prediction if reference is None else reference
    structure = _most_different(labels, compared, prediction)
    index = worst_slice(structure.mask(compared), structure.mask(prediction), plane.axis)
    window = _around(plane.cut((compared > 0) | (prediction > 0), index), plane, geometry)
    spacing = plane.spacing(CanonicalAxes.of(geometry).spacing(geometry.spacing_zyx_mm))
    shown = [(plane.cut(prediction, index)[window], "prediction")]
    if reference is not None:
        shown.insert(0, (plane.cut(reference, index)[window], "reference"))
    paths = [
        element("path", d=outline(s.mask(cut)), class_=f"{kind} {colour_of(s.name)}", data_tip=f"{s.name}, {kind}")
        for cut, kind in shown
        for s in labels.structures
        if s.mask(cut).any()
    ]
    svg = _drawing(
        _grey(plane.cut(image, index)[window]), paths, spacing, plane, f"{member}, {plane.name} slice {index + 1}"
    )
    at = f"{plane.name} slice {index + 1} of {image.shape[plane.axis]}"
    note = f"{at}, where {structure.name} differs most"
    return element("div", svg, element("p", element("strong", member), joined(" · ", note)))


def _most_different(labels: LabelSet, reference: np.ndarray, prediction: np.ndarray) -> Structure:
    """By share of the structure's own size, so that a small one can be the worst."""

    def share(structure: Structure) -> float:
        a, b = structure.mask(reference), structure.mask(prediction)
        return float((a != b).sum() / max(1, a.sum() + b.sum()))

    return max(labels.structures, key=share)


def _around(mask: np.ndarray, plane: SlicePlane, geometry: Geometry) -> tuple[slice, slice]:
    """Rows and columns of what is outlined, with a margin; the whole slice where nothing is."""
    if not mask.any():
        return slice(None), slice(None)
    spacing = plane.spacing(CanonicalAxes.of(geometry).spacing(geometry.spacing_zyx_mm))
    bounds = []
    for axis, step in enumerate(spacing):
        at = np.flatnonzero(mask.any(axis=1 - axis))
        margin = int(np.ceil(_MARGIN_MM / step))
        bounds.append(slice(max(0, int(at[0]) - margin), int(at[-1]) + 1 + margin))
    return bounds[0], bounds[1]


def _grey(picture: np.ndarray) -> np.ndarray:
    low, high = np.percentile(picture, _WINDOW)
    return np.rint(255 * np.clip((picture - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)


def _drawing(
    grey: np.ndarray, paths: list[Markup], spacing: tuple[float, float], plane: SlicePlane, label: str
) -> Markup:
    rows, columns = grey.shape
    height, width = rows * spacing[0], columns * spacing[1]
    image = element("image", href=png_address(grey), width=width, height=height, preserveAspectRatio="none")
    outlines = element("g", *paths, transform=f"scale({spacing[1]:.5f} {spacing[0]:.5f})")
    size = max(width, height) / 22
    letters = [
        element("text", letter, x=x, y=y, font_size=size, class_="side", text_anchor="middle")
        for letter, x, y in (
            (plane.left, size * 0.7, height / 2),
            (plane.right, width - size * 0.7, height / 2),
            (plane.top, width / 2, size * 1.1),
            (plane.bottom, width / 2, height - size * 0.4),
        )
    ]
    return element(
        "svg",
        image,
        outlines,
        *letters,
        viewBox=f"0 0 {width:.3f} {height:.3f}",
        role="img",
        aria_label=label,
        class_="picture",
    )
