"""A small made-up dataset, MRI-like, for the demonstration and for tests: made from a seed, never kept as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..core.files import write_json
from ..core.geometry import Geometry
from ..core.seeding import generator
from .image_io import write_label_map, write_map

_FIELD_MM = np.array([40.0, 44.0, 36.0])  # x, y, z
_HEAD_RADII_MM = np.array([19.0, 21.0, 17.0])
_AIR, _TISSUE, _SHELL, _BODY, _CORE = 8.0, 90.0, 118.0, 146.0, 112.0  # the core looks like the shell: only place tells
_EDGE_SHARPNESS = 9.0  # of the step between two tissues; a scanner's point spread would do the same
_RIM = 0.18  # of a radius: what is left at least of an outer structure around an inner one, more than a millimetre
_NOISE = 9.0
_BIAS = 0.22
_LABELS = {"background": 0, "shell": 1, "body": 2, "core": 3}


def make_phantom(folder: Path, seed: int, cases: int = 24) -> Path:
    """Write an nnU-Net raw dataset of 3-D images with three nested structures, and return its folder.

    Every third case has 2 mm slices, every fourth a left-handed and every sixth an oblique grid; anatomy is laid down in
    patient space, so that none of this changes it. The same seed gives the same voxels.
    """
    folder = Path(folder)
    for number in range(cases):
        geometry = _grid(number)
        image, labels = _draw(geometry, generator(seed, "phantom", number))
        name = f"phantom_{number:03d}"
        write_map(folder / "imagesTr" / f"{name}_0000.nii.gz", image, geometry)
        write_label_map(folder / "labelsTr" / f"{name}.nii.gz", labels, geometry)
    write_json(
        folder / "dataset.json",
        {
            "name": "Phantom",
            "channel_names": {"0": "MRI"},
            "labels": _LABELS,
            "numTraining": cases,
            "file_ending": ".nii.gz",
        },
    )
    return folder


def _grid(number: int) -> Geometry:
    spacing = np.array([1.0, 1.0, 2.0 if number % 3 == 1 else 1.0])
    direction = np.eye(3)
    if number % 4 == 2:
        direction = np.diag([-1.0, 1.0, 1.0])
    if number % 6 == 5:
        direction = Rotation.from_euler("xz", [12, 20], degrees=True).as_matrix()
    size = np.rint(_FIELD_MM / spacing).astype(int)
    origin = -direction @ ((size - 1) / 2 * spacing)  # the patient's (0, 0, 0) is the middle of every grid
    return Geometry(_tuple(size, int), _tuple(spacing, float), _tuple(origin, float), _tuple(direction.ravel(), float))


def _draw(geometry: Geometry, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image float32 and labels uint8, both [z, y, x]."""
    z, y, x = np.indices(geometry.shape_zyx)
    point = geometry.index_to_lps_mm(np.stack([x, y, z], axis=-1))

    turn = _any_turn(rng)
    centre = rng.uniform(-5, 5, size=3)
    radii = rng.uniform([9.5, 8.0, 7.0], [12.5, 10.0, 8.5])
    shell = _depth(point, centre, radii, turn, rng)
    body = np.minimum(_depth(point, centre + _shift(rng, 1.0), 0.72 * radii, turn, rng), shell - _RIM)
    core = np.minimum(_depth(point, centre + _shift(rng, 1.5), 0.42 * radii, turn, rng), body - _RIM)

    image = np.full(geometry.shape_zyx, _AIR)
    image = _paint(image, _depth(point, np.zeros(3), _HEAD_RADII_MM, Rotation.identity(), rng), _TISSUE)
    image += 10 * _waves(point / 6, rng) * (image > (_AIR + _TISSUE) / 2)
    for value in (_SHELL, _BODY):  # look like parts of the target, and are none
        away = centre - np.sign(centre) * rng.uniform(15, 18) * _unit(np.abs(centre) + rng.uniform(0.5, 3, size=3))
        image = _paint(image, _depth(point, away, rng.uniform(3, 5.5, size=3), _any_turn(rng), rng), value)
    for depth, value in ((shell, _SHELL), (body, _BODY), (core, _CORE)):
        image = _paint(image, depth, value)

    image *= 1 + _BIAS * _waves(point / 25, rng)
    noise = rng.normal(0, _NOISE, size=(2, *geometry.shape_zyx))
    image = np.hypot(image + noise[0], noise[1]) * rng.uniform(0.8, 1.25)  # magnitude of a complex signal; scanner gain
    labels = (shell > 0).astype(np.uint8) + (body > 0) + (core > 0)
    return np.rint(image).astype(np.float32), labels.astype(np.uint8)


def _depth(
    point: np.ndarray, centre: np.ndarray, radii: np.ndarray, turn: Rotation, rng: np.random.Generator
) -> np.ndarray:
    """1 in the centre of a bumpy ellipsoid, 0 on its surface, negative outside; ``point`` [z, y, x, 3] in mm."""
    inside = turn.apply((point - centre).reshape(-1, 3)).reshape(point.shape) / radii
    return 1 - np.linalg.norm(inside, axis=-1) * (1 + 0.16 * _waves(inside * 1.6, rng))


def _paint(image: np.ndarray, depth: np.ndarray, value: float) -> np.ndarray:
    share = 1 / (1 + np.exp(np.clip(-4 * _EDGE_SHARPNESS * depth, -60, 60)))
    return image + share * (value - image)


def _waves(point: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field within about -1 to 1: a few plane waves of length around 2 pi."""
    waves = rng.normal(0, 0.8, size=(5, 3))
    return np.sin(point @ waves.T + rng.uniform(0, 2 * np.pi, size=5)).mean(axis=-1) * 1.6


def _any_turn(rng: np.random.Generator) -> Rotation:
    return Rotation.from_quat(rng.normal(size=4))


def _shift(rng: np.random.Generator, length_mm: float) -> np.ndarray:
    return _unit(rng.normal(size=3)) * length_mm


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _tuple(values: np.ndarray, kind: type) -> tuple:
    return tuple(kind(value) for value in values)
