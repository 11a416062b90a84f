"""What a dataset looks like in numbers: the plan of a study is made from this, and its digest says when data changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file, sha256_of_json
from ..core.geometry import CanonicalAxes
from .case import Case, Dataset
from .image_io import read_geometry, read_image, read_label_map
from .symmetry import SymmetryTest, foreground_bins

Spacing = tuple[float, float, float]
Shape = tuple[int, int, int]

_COARSE_FACTOR = (
    3  # nnU-Net: an axis three times as coarse, and of a third of the voxels, is planned at its finer cases
)
_COARSE_PERCENTILE = 10
_FOREGROUND_VOXELS_PER_CASE = 20_000  # evenly spaced among all of them, so that a large case does not outweigh the rest
_THICKNESS_CASES = 40  # the distance transform is the dear part, and a median needs no more


@dataclass(frozen=True)
class ChannelFacts:
    """Intensities of one channel over the foreground of all cases; ``zero_share`` is the median share of zeros an image."""

    name: str
    mean: float
    std: float
    percentile_00_5: float
    percentile_99_5: float
    zero_share: float


@dataclass(frozen=True)
class StructureFacts:
    """Over the cases that have the structure; ``thickness_voxels`` is twice its largest depth, in voxels of target spacing."""

    name: str
    present_share: float
    median_volume_ml: float
    thickness_voxels: float


@dataclass(frozen=True)
class Fingerprint:
    """All in canonical axes (core/geometry.py), array order.

    ``cases`` gives shape and spacing in mm of each case; ``spacing_zyx_mm`` is the target of resampling, ``shape_zyx``
    the median shape there, ``voxels_total`` and ``bytes_float32`` (all channels) what all cases take there.
    ``digest`` follows from the meaning of dataset.json and the bytes of all files, not from where the folder lies.
    """

    digest: str
    cases: dict[str, tuple[Shape, Spacing]]
    spacing_zyx_mm: Spacing
    shape_zyx: Shape
    channels: tuple[ChannelFacts, ...]
    structures: tuple[StructureFacts, ...]
    mirror_axes: tuple[int, ...]
    voxels_total: int
    bytes_float32: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Fingerprint:
        return cls(
            digest=content["digest"],
            cases={case: (tuple(shape), tuple(spacing)) for case, (shape, spacing) in content["cases"].items()},
            spacing_zyx_mm=tuple(content["spacing_zyx_mm"]),
            shape_zyx=tuple(content["shape_zyx"]),
            channels=tuple(ChannelFacts(**channel) for channel in content["channels"]),
            structures=tuple(StructureFacts(**structure) for structure in content["structures"]),
            mirror_axes=tuple(content["mirror_axes"]),
            voxels_total=content["voxels_total"],
            bytes_float32=content["bytes_float32"],
        )


def take_fingerprint(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> Fingerprint:
    """Read every file once and measure; deterministic.

    Raises:
        SegVarianceError: a file cannot be read, or no case has any foreground. Check the dataset first.
    """
    cases = {case.id: _grid(case) for case in dataset.cases}
    shapes, spacings = (np.array([grid[part] for grid in cases.values()], dtype=float) for part in (0, 1))
    target = _target_spacing(shapes, spacings)
    resampled = np.maximum(np.rint(shapes * spacings / target), 1)
    voxels = int(resampled.prod(axis=1).sum())

    measures = _Measures(dataset, target)
    for number, case in enumerate(dataset.cases):
        measures.add(number, case)
        if progress is not None:
            progress(number + 1, len(dataset.cases))
    return Fingerprint(
        digest=dataset_digest(dataset),
        cases=cases,
        spacing_zyx_mm=_triple(target, float),
        shape_zyx=_triple(np.rint(np.median(resampled, axis=0)), int),
        channels=measures.channels(),
        structures=measures.structures(),
        mirror_axes=measures.symmetry.mirror_axes(),
        voxels_total=voxels,
        bytes_float32=4 * voxels * len(dataset.channels),
    )


def dataset_digest(dataset: Dataset) -> str:
    """SHA-256 over what dataset.json means and the bytes of all files; neither folder nor order of cases count."""
    files = {
        case.id: [sha256_of_file(path) for path in (*case.images, case.label) if path is not None]
        for case in dataset.cases
    }
    labels = dataset.labels.to_json()
    structures = [[structure.name, structure.values] for structure in dataset.labels.structures]  # their order counts
    return sha256_of_json([dataset.channels, labels, structures, files])


def _grid(case: Case) -> tuple[Shape, Spacing]:
    geometry = read_geometry(case.images[0])
    axes = CanonicalAxes.of(geometry)
    shape = axes.spacing(geometry.shape_zyx)
    return _triple(shape, int), axes.spacing(geometry.spacing_zyx_mm)


def _target_spacing(shapes: np.ndarray, spacings: np.ndarray) -> np.ndarray:
    """Median spacing an axis; for one much coarser axis a finer one, so that thin-slice cases lose less (nnU-Net)."""
    target, shape = np.median(spacings, axis=0), np.median(shapes, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    if target[worst] > _COARSE_FACTOR * target[others].max() and shape[worst] * _COARSE_FACTOR < shape[others].min():
        target[worst] = max(np.percentile(spacings[:, worst], _COARSE_PERCENTILE), target[others].max())
    return target


class _Measures:
    """What is gathered while the cases pass by."""

    def __init__(self, dataset: Dataset, target_zyx_mm: np.ndarray):
        self._dataset = dataset
        self._target = target_zyx_mm
        self._thickness_step = -(-len(dataset.cases) // _THICKNESS_CASES)
        self._foreground: list[np.ndarray] = []
        self._zero_shares: list[np.ndarray] = []
        self._volumes_ml: list[list[float]] = [[] for _ in dataset.labels.structures]
        self._thickness: list[list[float]] = [[] for _ in dataset.labels.structures]
        self.symmetry = SymmetryTest(len(dataset.cases), len(dataset.labels.structures))

    def add(self, number: int, case: Case) -> None:
        assert case.label is not None, "the cases of a dataset have labels"  # noqa: S101
        volume, labels = read_image(case.images), read_label_map(case.label)
        axes = CanonicalAxes.of(volume.geometry)
        image, label_map = axes.apply(volume.array), axes.apply(labels.array)
        spacing = np.array(axes.spacing(volume.geometry.spacing_zyx_mm))
        self._zero_shares.append((image == 0).mean(axis=(1, 2, 3)))
        foreground = np.isin(label_map, self._dataset.labels.foreground_values)
        if not foreground.any():
            return
        values = image[:, foreground]
        self._foreground.append(values[:, :: -(-values.shape[1] // _FOREGROUND_VOXELS_PER_CASE)])
        bins = foreground_bins(foreground)
        for index, structure in enumerate(self._dataset.labels.structures):
            mask = structure.mask(label_map)
            if not mask.any():
                continue
            from scipy import ndimage  # slow to load, and only needed for label maps

            box = ndimage.find_objects(mask.astype(np.uint8))[0]
            self._volumes_ml[index].append(float(mask[box].sum() * spacing.prod() / 1000))
            self.symmetry.add(number, index, mask, bins)
            if len(self._thickness[index]) * self._thickness_step <= number:
                depth = ndimage.distance_transform_edt(np.pad(mask[box], 1), sampling=spacing / self._target)
                self._thickness[index].append(2 * float(depth.max()))

    def channels(self) -> tuple[ChannelFacts, ...]:
        if not self._foreground:
            raise SegVarianceError(f"{self._dataset.folder} has no labelled voxel in any case. Check its label files.")
        values = np.concatenate(self._foreground, axis=1).astype(np.float64)
        zero_share = np.median(self._zero_shares, axis=0)
        low, high = np.percentile(values, [0.5, 99.5], axis=1)
        facts = zip(values.mean(axis=1), values.std(axis=1), low, high, zero_share, strict=True)
        return tuple(
            ChannelFacts(name, *map(float, numbers))
            for name, numbers in zip(self._dataset.channels, facts, strict=True)
        )

    def structures(self) -> tuple[StructureFacts, ...]:
        return tuple(
            StructureFacts(
                structure.name, len(volumes) / len(self._dataset.cases), _median(volumes), _median(thickness)
            )
            for structure, volumes, thickness in zip(
                self._dataset.labels.structures, self._volumes_ml, self._thickness, strict=True
            )
        )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else 0.0


def _triple(values: Any, kind: type) -> Any:
    return tuple(kind(value) for value in values)
