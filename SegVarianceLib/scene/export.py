"""A segmentation node, as it was made or edited, to a file that lies exactly where its image lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from ..core.errors import SegVarianceError
from ..core.files import write_beside_and_rename, write_text
from ..core.geometry import Geometry
from ..core.labels import BACKGROUND, LabelSet
from ..dataset.image_io import write_label_map
from ..dataset.nrrd_place import take_nrrd_place
from .segmentations import label_map_of, painted_values

SEGMENTATION = ".seg.nrrd"


def export_segmentation(node: Any, path: Path, like: Path | None = None) -> None:
    """Write a segmentation node as ``.seg.nrrd``: every segment, overlap, names, colours and terminology.

    With ``like``, the NRRD file of the image, its header lines that place the voxels are taken over to the letter;
    without it Slicer writes them, right to about 1e-14 of their size.

    Raises:
        SegVarianceError: the name does not end in .seg.nrrd, or the file cannot be written.
    """
    if not Path(path).name.endswith(SEGMENTATION):
        raise SegVarianceError(f"{path} cannot hold a segmentation. Expected a name that ends in {SEGMENTATION}.")

    def write(beside: Path) -> None:
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(str(beside))
        if not storage.WriteData(node) or not beside.is_file():
            raise SegVarianceError(
                f"{path} cannot be written. Expected a folder that may be written and room on the disk."
            )
        if like is not None and Path(like).name.endswith(".nrrd"):
            take_nrrd_place(like, beside)

    write_beside_and_rename(path, write)


def export_label_map(node: Any, path: Path, geometry: Geometry, labels: LabelSet, like: Path | None = None) -> Path:
    """Write a segmentation node as one label map, and beside it ``<name>_ColorTable.ctbl``, whose path is returned.

    A label map file has no room for names and colours; Slicer reads the colour table when it loads both together.
    ``like`` as in dataset.image_io.write_label_map: with it, the geometry is that of the image file to the last bit.

    Raises:
        SegVarianceError: as label_map_of and write_label_map.
    """
    path = Path(path)
    write_label_map(path, label_map_of(node, geometry, labels), geometry, like)
    table = path.with_name(f"{path.name.split('.')[0]}_ColorTable.ctbl")
    segmentation = node.GetSegmentation()
    lines = [f"# Color table file {table.name}", f"{BACKGROUND} Background 0 0 0 0"]
    for structure, value in zip(labels.structures, painted_values(labels), strict=True):
        segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(structure.name))
        red, green, blue = (round(255 * part) for part in segment.GetColor())
        lines.append(f"{value} {structure.name.replace(' ', '_')} {red} {green} {blue} 255")
    write_text(table, "\n".join(lines) + "\n")
    return table
