"""A study's cases as a raw dataset of nnU-Net: a description that names the files where they lie, copies only where it must."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.files import write_json
from ..core.labels import LabelSet
from ..dataset.case import Case
from ..dataset.image_io import read_image, read_label_map, write_label_map, write_map
from ..dataset.nnunet_labels import nnunet_description, nnunet_values, renumbered
from ..model.trained import class_values


def dataset_name(name: str) -> str:
    """nnU-Net's name of a dataset, which is the only one of its study: ``Dataset001_`` and the letters of ``name``."""
    return f"Dataset001_{re.sub('[^A-Za-z0-9]', '', name) or 'Study'}"


def write_raw(folder: Path, cases: Sequence[Case], channels: Sequence[str], labels: LabelSet) -> None:
    """Write ``dataset.json``, unless it is there; images and labels stay where they lie.

    Copied into ``folder`` are images that hold all channels in one file, and label maps whose values leave gaps: nnU-Net
    takes neither.
    """
    if (folder / "dataset.json").exists():
        return
    values = nnunet_values(labels)
    keep = all(value == number for value, number in values.items())
    entries = {}
    for case in cases:
        images = case.images if len(case.images) == len(channels) else _channel_files(folder, case)
        label = case.label if keep else _renumbered_file(folder, case, values)
        entries[case.id] = {"images": [str(path.absolute()) for path in images], "label": str(label)}
    description = nnunet_description(labels, channels, len(entries), ".nii.gz")
    write_json(folder / "dataset.json", description | {"dataset": entries})


def own_values(found: np.ndarray, labels: LabelSet) -> np.ndarray:
    """A label map of nnU-Net in the dataset's own values."""
    values = np.asarray(class_values(labels))
    return values.astype(np.uint8 if values.max() < 256 else np.uint16)[found]


def _channel_files(folder: Path, case: Case) -> list[Path]:
    volume = read_image(case.images)
    paths = [folder / "imagesTr" / f"{case.id}_{number:04d}.nii.gz" for number in range(len(volume.array))]
    for path, channel in zip(paths, volume.array, strict=True):
        write_map(path, channel, volume.geometry, like=case.images[0])
    return paths


def _renumbered_file(folder: Path, case: Case, values: Mapping[int, int]) -> Path:
    assert case.label is not None, "a case that is trained on has a reference"  # noqa: S101
    label_map = read_label_map(case.label)
    path = folder / "labelsTr" / f"{case.id}.nii.gz"
    write_label_map(path, renumbered(label_map.array, values, case.label), label_map.geometry, like=case.label)
    return path
