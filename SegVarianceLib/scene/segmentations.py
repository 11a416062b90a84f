"""A label map ``[z, y, x]`` as one segmentation node, and back. One member is one node; its structures are segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..core.arrays import foreground_box, values_present
from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from ..core.labels import LabelSet, Structure
from .arrays import geometry_of_ras, ras_directions, ras_mm, scalars_of
from .colours import Colour, structure_colours
from .lattice import laid_on
from .terminology import terminology_entry

_LABEL_MAP = "Binary labelmap"  # Slicer's names of representations; its constants moved between 5.10 and 5.13
_SURFACE = "Closed surface"
_FILL = 0.12
_ONE_VOXEL = (slice(0, 1),) * 3


def add_segmentation(
    scene: Any,
    name: str,
    label_map: np.ndarray,
    geometry: Geometry,
    labels: LabelSet,
    colours: Mapping[str, Colour] | None = None,
) -> Any:
    """A new vtkMRMLSegmentationNode with one segment a structure, empty ones too; outlines with a low fill, no surfaces.

    Structures that share no label value share one layer, cropped to where they are, under their own values; regions that
    overlap get layers of their own. Voxels to ignore are left out. Writing cropped layers directly is three times as
    fast as Slicer's label map import and needs no node in between.

    Raises:
        SegVarianceError: the label map holds fractions or a value that ``labels`` does not know, or does not fit the
            grid; the scene is then as it was before.
    """
    _refuse_no_label_map(name, label_map, geometry, labels)
    colours = colours or structure_colours(structure.name for structure in labels.structures)
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(_LABEL_MAP)
    segmentation.SetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), _serialised(geometry)
    )
    segment_of: dict[str, Any] = {}
    for structures in _without_overlap(labels.structures):
        layer = _layer(label_map, geometry, structures)
        for structure in structures:
            segment = slicer.vtkSegment()
            segment.SetName(structure.name)
            segment.SetLabelValue(structure.values[0])
            segment.SetColor(*colours[structure.name])
            segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(structure.name))
            segment.AddRepresentation(_LABEL_MAP, layer)
            segment_of[structure.name] = segment
    for structure in labels.structures:
        segmentation.AddSegment(segment_of[structure.name], structure.name)
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(_FILL)
    display.SetOpacity2DOutline(1.0)
    display.SetVisibility3D(False)
    return node


def label_map_of(node: Any, geometry: Geometry, labels: LabelSet) -> np.ndarray:
    """The label map [z, y, x] on ``geometry`` of a segmentation node, edited or not.

    Segments are found by name. Each paints its structure's value, of a region the value of ``regions_class_order``,
    later ones over earlier ones, as nnU-Net does. Voxels outside the grid are dropped.

    Raises:
        SegVarianceError: the node's segments are not the structures of ``labels``, or do not lie on the grid.
    """
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]
    present = {segment.GetName(): segment for segment in segments}
    wanted = [structure.name for structure in labels.structures]
    if set(present) != set(wanted):
        raise SegVarianceError(
            f"{node.GetName()} has the segments {sorted(present)}, expected {wanted}. Rename, add or remove segments."
        )
    paints = _painted_values(labels)
    label_map = np.zeros(geometry.shape_zyx, dtype=np.min_scalar_type(max(paints)))
    layers: dict[Any, np.ndarray] = {}
    for structure, value in zip(labels.structures, paints, strict=True):
        segment = present[structure.name]
        image = segment.GetRepresentation(_LABEL_MAP)
        if image is None:
            raise SegVarianceError(
                f"{node.GetName()}: the segment {structure.name} has no binary label map. Create one in the Segmentations module."
            )
        if image not in layers:
            layers[image] = _on_grid(node, image, geometry)
        label_map[layers[image] == segment.GetLabelValue()] = value
    return label_map


def show_surfaces(node: Any, shown: bool) -> None:
    """Build the closed surfaces of a segmentation node (about a second each) and show them in 3D; or drop them."""
    if shown:
        node.CreateClosedSurfaceRepresentation()
    else:
        node.GetSegmentation().RemoveRepresentation(_SURFACE)
    node.GetDisplayNode().SetVisibility3D(shown)


def _refuse_no_label_map(name: str, label_map: np.ndarray, geometry: Geometry, labels: LabelSet) -> None:
    if label_map.dtype.kind != "u":
        raise SegVarianceError(
            f"{name} holds {label_map.dtype} values. Expected a label map of whole numbers (uint8 or uint16): "
            "it may be an image or a probability map; read it with read_label_map, which checks."
        )
    if label_map.shape != geometry.shape_zyx:
        raise SegVarianceError(
            f"{name} has {label_map.shape} voxels [z, y, x], its grid {geometry.shape_zyx}. Give the label map's own geometry."
        )
    if strange := sorted(set(values_present(label_map)) - labels.known_values):
        raise SegVarianceError(
            f"{name} holds the label values {strange}, expected only {sorted(labels.known_values)}. "
            "Mend the label map or the dataset's list of labels."
        )


def _without_overlap(structures: tuple[Structure, ...]) -> Iterator[list[Structure]]:
    """The structures in groups that share no label value: each group fits in one layer."""
    left = list(structures)
    while left:
        group: list[Structure] = []
        for structure in left:
            if not any(set(structure.values) & set(other.values) for other in group):
                group.append(structure)
        yield group
        left = [structure for structure in left if structure not in group]


def _layer(label_map: np.ndarray, geometry: Geometry, structures: list[Structure]) -> Any:
    """A vtkOrientedImageData cropped to what ``structures`` cover, each painted with its first value."""
    box = foreground_box(label_map) or _ONE_VOXEL
    layer = np.zeros(label_map[box].shape, dtype=label_map.dtype)
    for structure in structures:
        layer[structure.mask(label_map[box])] = structure.values[0]
    inner = foreground_box(layer) or _ONE_VOXEL
    first = [outside.start + inside.start for outside, inside in zip(box, inner, strict=True)]
    return _oriented_image(layer[inner], first, geometry)


def _oriented_image(array: np.ndarray, first_zyx: list[int], geometry: Geometry) -> Any:
    image = _empty_image(geometry)
    (z, y, x), (depth, height, width) = first_zyx, array.shape
    image.SetExtent(x, x + width - 1, y, y + height - 1, z, z + depth - 1)
    scalars = scalars_of(array, "a layer")
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def _empty_image(geometry: Geometry) -> Any:
    image = slicer.vtkOrientedImageData()
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(ras_mm(np.asarray(geometry.origin_mm)).tolist())
    image.SetDirections(ras_directions(geometry))
    width, height, depth = geometry.size
    image.SetExtent(0, width - 1, 0, height - 1, 0, depth - 1)
    return image


def _serialised(geometry: Geometry) -> str:
    """The whole grid as Slicer notes it: what export, editing and saving go by, though layers are cropped."""
    image, matrix = _empty_image(geometry), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.vtkSegmentationConverter.SerializeImageGeometry(matrix, image)


def _painted_values(labels: LabelSet) -> tuple[int, ...]:
    if not labels.has_regions:
        return tuple(structure.values[0] for structure in labels.structures)
    if labels.regions_class_order is None or len(labels.regions_class_order) != len(labels.structures):
        raise SegVarianceError(
            f"Regions need regions_class_order with {len(labels.structures)} values, it is {labels.regions_class_order}. "
            "Add it to dataset.json: the i-th value is what the i-th region paints."
        )
    return labels.regions_class_order


def _on_grid(node: Any, image: Any, geometry: Geometry) -> np.ndarray:
    extent = image.GetExtent()
    size = tuple(max(0, extent[2 * axis + 1] - extent[2 * axis] + 1) for axis in range(3))
    if 0 in size:
        return np.zeros(geometry.shape_zyx, dtype=np.uint8)
    directions = [[0.0] * 3 for _ in range(3)]
    image.GetDirections(directions)
    steps = np.asarray(directions) * np.asarray(image.GetSpacing())
    first = np.asarray(image.GetOrigin()) + steps @ np.asarray(extent[::2], dtype=float)
    here = geometry_of_ras(size, image.GetSpacing(), tuple(first), directions, node.GetName())
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(here.shape_zyx)
    laid = laid_on(array, here, geometry)
    if laid is None:
        raise SegVarianceError(
            f"{node.GetName()} does not lie on the voxels of the grid asked for. Resample it there, or export it by itself."
        )
    return laid
