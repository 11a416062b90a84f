"""A made-up study to try the module on, without a network and without torch: a phantom and six who drew it differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.seeding import generator
from SegVarianceLib.dataset.image_io import find_images, read_label_map, write_label_map
from SegVarianceLib.dataset.phantom import make_phantom

CASES, MEMBERS = 6, 6
_WANDER_MM = 0.8
"""How far a member's borders lie off, as a standard deviation: two trainings of one network differ by about as much."""
_SMOOTH_MM = 3.0
_ISLAND_RADIUS_MM = 1.6
_ISLAND_AWAY_MM = 14.0


def make_sample(folder: Path, seed: int = 1, cases: int = CASES) -> Path:
    """Write images, references and the label maps of ``MEMBERS`` members, a folder each; return ``folder``."""
    folder = make_phantom(folder, seed, cases)
    for number, (case_id, path) in enumerate(find_images(folder / "labelsTr").items()):
        reference = read_label_map(path)
        for member in range(1, MEMBERS + 1):
            drawn = _redrawn(reference.array, reference.geometry, generator(seed, "member", number, member))
            write_label_map(
                folder / "members" / f"seed_{member:02d}" / f"{case_id}.nii.gz", drawn, reference.geometry, path
            )
    return folder


def sample_in(folder: Path) -> Path:
    """The sample in ``folder``, made first where it is not all there (the same again, from the same seed)."""
    wanted = CASES * MEMBERS
    return folder if len(list(folder.glob("members/*/*.nii.gz"))) == wanted else make_sample(folder)


def _redrawn(labels: np.ndarray, geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
    """The nested structures [z, y, x] with borders moved by a smooth random field, and a false island or two."""
    spacing = np.asarray(geometry.spacing_zyx_mm)
    field = ndimage.gaussian_filter(rng.normal(size=labels.shape), _SMOOTH_MM / spacing)
    moved_mm = (field / field.std() + rng.normal(0, 0.5)) * _WANDER_MM
    drawn = np.zeros_like(labels)
    for value in range(1, int(labels.max()) + 1):
        drawn[_depth_mm(labels >= value, spacing) > moved_mm] = value
    for _ in range(rng.integers(1, 3)):
        away = np.argwhere(np.abs(_depth_mm(labels > 0, spacing) + _ISLAND_AWAY_MM) < 2)
        if len(away):
            offset = (np.indices(labels.shape).T - rng.choice(away)).T * spacing[:, None, None, None]
            drawn[(offset**2).sum(axis=0) < _ISLAND_RADIUS_MM**2] = 1
    return drawn


def _depth_mm(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance to the border, positive inside."""
    return ndimage.distance_transform_edt(mask, spacing) - ndimage.distance_transform_edt(~mask, spacing)
