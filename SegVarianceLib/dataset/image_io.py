"""Images and label maps between files and arrays ``[z, y, x]``; what is written lies exactly where its image lies."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)

from ..core.errors import SegVarianceError
from ..core.files import write_beside_and_rename
from ..core.geometry import Geometry
from .nifti_header import is_nifti, read_voxels, write_with_header_of
from .nrrd_place import take_nrrd_place

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # our sentences say what is wrong; ITK's own would print between them

IMAGE_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")
"""What an image file may end in; of two that fit, the longer one stands first."""

_CHANNEL_SUFFIX = re.compile(r"(.+)_(\d{4})")
GRID_KEY = "segvariance_grid"
"""In the header of an NRRD file that holds a part of its grid: see ``PartOfGrid``."""
_MOST_VOXELS = 1 << 32
"""Of a grid of which a part is stored; a header that says more was made to mislead."""


@dataclass(frozen=True)
class Volume:
    """An image: ``array`` float32 [c, z, y, x], all finite."""

    array: np.ndarray
    geometry: Geometry


@dataclass(frozen=True)
class LabelMap:
    """Label values: ``array`` uint8, or uint16 where a value is above 255, [z, y, x]."""

    array: np.ndarray
    geometry: Geometry


def read_image(paths: Sequence[Path]) -> Volume:
    """Read one file per channel, or one file with all channels (a 4-D NIfTI, a vector NRRD), as float32 [c, z, y, x].

    Raises:
        SegVarianceError: a file cannot be read, holds NaN or infinity, or lies elsewhere than the first channel.
    """
    channels: list[np.ndarray] = []
    geometry = None
    for path in paths:
        array, here = _read(path)
        geometry = geometry or here
        if difference := geometry.difference(here):
            raise SegVarianceError(
                f"{paths[0]} and {path} are channels of one image but differ in {difference}. Resample one to the other."
            )
        with np.errstate(over="ignore"):
            channels.append(array.astype(np.float32, copy=False))
        if not np.isfinite(channels[-1]).all():
            raise SegVarianceError(f"{path} holds NaN or infinite values. Expected numbers: mend or replace the image.")
    assert geometry is not None, "an image has at least one file"  # noqa: S101
    return Volume(channels[0] if len(channels) == 1 else np.concatenate(channels), geometry)


def read_label_map(path: Path) -> LabelMap:
    """Read whole numbers from 0 to 65535, stored as any type, as uint8 or uint16 [z, y, x].

    Raises:
        SegVarianceError: the file cannot be read, or holds several channels, fractions, NaN or values out of that range.
    """
    array, geometry = _read(path)
    if len(array) != 1:
        raise SegVarianceError(
            f"{path} holds {len(array)} layers. Expected one label map: export overlapping segments one by one or as regions."
        )
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= np.iinfo(np.uint16).max):  # NaN is refused too
        raise SegVarianceError(f"{path} holds values from {low} to {high}. Expected label values from 0 to 65535.")
    labels = array[0].astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16, copy=False)
    if array.dtype.kind == "f" and not np.array_equal(labels, array[0]):
        raise SegVarianceError(
            f"{path} holds fractions. Expected whole label values: it may be an image, or labels resampled without nearest neighbour."
        )
    return LabelMap(labels, geometry)


class PartOfGrid(NamedTuple):
    """What a file says that holds only the box of ``grid`` from voxel ``start_xyz``: all others are like ``outside``."""

    grid: Geometry
    start_xyz: tuple[int, int, int]
    outside: tuple[int, ...]


def read_geometry(path: Path) -> Geometry:
    """Read where the voxels of an image are from its header alone; of a 4-D image the three axes in space.

    Of a file that holds a part of its grid (dataset/probability_maps.py), the whole grid.

    Raises:
        SegVarianceError: the file has no readable header, or not three axes in space.
    """
    header, here = read_header(path)
    part = part_of_grid(path, header, here)
    return here if part is None else part.grid


def read_header(path: Path) -> tuple[sitk.ImageFileReader, Geometry]:
    """What SimpleITK reads of a file without its voxels, and where those are that it holds; errors as ``read_geometry``."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    _refuse_unreadable(path, reader.ReadImageInformation)
    return reader, _geometry(path, reader)


def part_of_grid(path: Path, header: sitk.ImageFileReader, here: Geometry) -> PartOfGrid | None:
    """Of which grid the voxels at ``here`` are a part; None where the file holds all of its grid.

    Raises:
        SegVarianceError: what the header says does not fit the voxels.
    """
    if not header.HasMetaDataKey(GRID_KEY):
        return None
    try:
        said = json.loads(header.GetMetaData(GRID_KEY))
        (nx, ny, nz), (x, y, z) = (map(int, said[key]) for key in ("size", "start"))
        left, posterior, superior = map(float, said["origin_mm"])
        outside = tuple(map(int, said["outside"]))
        grid = Geometry((nx, ny, nz), here.spacing_mm, (left, posterior, superior), here.direction)
        fits = all(0 <= low <= whole - side for low, side, whole in zip((x, y, z), here.size, grid.size, strict=True))
        corner = replace(grid, size=here.size, origin_mm=tuple(grid.index_to_lps_mm(np.array((x, y, z))).tolist()))
        sound = fits and math.prod(grid.size) <= _MOST_VOXELS and corner.difference(here) is None
    except (ValueError, TypeError, KeyError, OverflowError):
        sound = False
    if not sound:
        raise SegVarianceError(
            f"{path} says that it is part of a grid that does not fit its voxels, as after another program cropped it. Predict again."
        )
    return PartOfGrid(grid, (x, y, z), outside)


def write_label_map(path: Path, label_map: np.ndarray, geometry: Geometry, like: Path | None = None) -> None:
    """Write whole label values [z, y, x] compressed, as uint8 or uint16.

    With ``like``, the image file that ``geometry`` was read from, reading ``path`` back gives the same geometry to the
    last bit when both are NIfTI or both NRRD. Without it the formats round: NIfTI to float32, NRRD in the last bits.
    """
    high = int(label_map.max(initial=0))
    _write(path, label_map.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16), geometry, like)


def write_map(path: Path, values: np.ndarray, geometry: Geometry, like: Path | None = None) -> None:
    """Write a map of numbers (agreement, entropy) [z, y, x] as float32; ``like`` as in write_label_map."""
    _write(path, values.astype(np.float32, copy=False), geometry, like)


def find_images(folder: Path) -> dict[str, Path]:
    """Case id (file name without ending) to file, sorted by id; hidden files are passed over.

    Raises:
        SegVarianceError: the folder does not exist, or holds one id under two endings.
    """
    if not Path(folder).is_dir():
        raise SegVarianceError(f"{folder} is not a folder. Expected a folder of images.")
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).iterdir()):
        ending = next((ending for ending in IMAGE_ENDINGS if path.name.endswith(ending)), None)
        if ending is None or path.name.startswith(".") or not path.is_file():
            continue
        case_id = path.name.removesuffix(ending)
        if case_id in found:
            raise SegVarianceError(f"{found[case_id]} and {path} are both case {case_id!r}. Keep one of them.")
        found[case_id] = path
    return dict(sorted(found.items()))


def images_in(folder: Path) -> dict[str, Path]:
    """Case to file; an empty folder is a mistake here, never a result."""
    files = find_images(folder)
    if not files:
        raise SegVarianceError(f"{folder} holds no images. Expected files that end in {', '.join(IMAGE_ENDINGS)}.")
    return files


def read_case_images(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Case id to its channel files: one file a case, or nnU-Net's ``<case>_0000``, ``<case>_0001`` and so on.

    Raises:
        SegVarianceError: as find_images; or some files have a channel suffix and others none, or a channel is missing.
    """
    files = find_images(folder)
    suffixes = {name: _CHANNEL_SUFFIX.fullmatch(name) for name in files}
    if not any(match and match[2] == "0000" for match in suffixes.values()):
        return {name: (path,) for name, path in files.items()}
    cases: dict[str, tuple[Path, ...]] = {}
    for name, match in suffixes.items():  # sorted, so channels come in order
        if match is None or int(match[2]) != len(cases.get(match[1], ())):
            raise SegVarianceError(
                f"{files[name]} does not fit the channel files beside it. Expected <case>_0000, <case>_0001 and so on for every case."
            )
        cases[match[1]] = (*cases.get(match[1], ()), files[name])
    counts = {case_id: len(paths) for case_id, paths in cases.items()}
    if fewer := [case_id for case_id, count in counts.items() if count < max(counts.values())]:
        raise SegVarianceError(
            f"{folder}: case {fewer[0]!r} has {counts[fewer[0]]} channel files, others have {max(counts.values())}. Add the missing ones."
        )
    return cases


def _read(path: Path) -> tuple[np.ndarray, Geometry]:
    if is_nifti(Path(path)):
        geometry, array = read_geometry(path), read_voxels(Path(path))
    else:
        image = read_file(path)
        geometry, array = _geometry(path, image), channels_first(image)
    if array.ndim == 3:
        array = array[np.newaxis]
    if array.dtype.kind not in "uif" or array.ndim != 4:
        raise SegVarianceError(
            f"{path} holds {array.dtype} values on {array.ndim} axes. Expected real numbers on a 3-D grid with channels: convert the image."
        )
    return array, geometry


def read_file(path: Path) -> sitk.Image:
    """Header and voxels as SimpleITK reads them; raises SegVarianceError where it cannot."""
    return _refuse_unreadable(path, lambda: sitk.ReadImage(str(path)))


def _refuse_unreadable(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RuntimeError:  # SimpleITK's only exception; its text is a page of addresses in C++
        fault = "is not an image that can be read, or is cut short" if Path(path).exists() else "does not exist"
        raise SegVarianceError(f"{path} {fault}. Check or replace the file.") from None


def channels_first(image: sitk.Image) -> np.ndarray:
    """The voxels [z, y, x], or [c, z, y, x] of a vector image."""
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    return array


def _geometry(path: Path, header: sitk.Image | sitk.ImageFileReader) -> Geometry:
    axes = header.GetDimension()
    if axes not in (3, 4):
        raise SegVarianceError(
            f"{path} has {axes} axes. Expected a 3-D image, or a 4-D one whose last axis is the channel."
        )
    direction = np.reshape(header.GetDirection(), (axes, axes))[:3, :3]
    return Geometry(
        tuple(header.GetSize()[:3]),
        tuple(header.GetSpacing()[:3]),
        tuple(header.GetOrigin()[:3]),
        tuple(direction.ravel().tolist()),
    )


def _write(path: Path, array: np.ndarray, geometry: Geometry, like: Path | None) -> None:
    if array.shape != geometry.shape_zyx:
        raise ValueError(f"an array of shape {array.shape} for a grid of {geometry.shape_zyx}")
    if like is not None and is_nifti(Path(path)) and is_nifti(Path(like)):
        _require_same_place(geometry, like)
        write_beside_and_rename(path, lambda beside: write_with_header_of(like, beside, array))
    else:
        _write_image(path, sitk.GetImageFromArray(np.ascontiguousarray(array)), geometry, like)


def _write_image(path: Path, image: sitk.Image, geometry: Geometry, like: Path | None) -> None:
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)

    def write(beside: Path) -> None:
        try:
            sitk.WriteImage(image, str(beside), useCompression=True)
        except RuntimeError:
            raise SegVarianceError(
                f"{path} cannot be written. Expected a name that ends in {', '.join(IMAGE_ENDINGS)}, a folder that may be written and room on the disk."
            ) from None
        if like is not None and beside.name.endswith(".nrrd") and Path(like).name.endswith(".nrrd"):
            _require_same_place(geometry, like)
            take_nrrd_place(like, beside)

    write_beside_and_rename(path, write)


def _require_same_place(geometry: Geometry, like: Path) -> None:
    if difference := geometry.difference(read_geometry(like)):
        raise ValueError(f"{like} does not lie where the array lies: {difference}")
