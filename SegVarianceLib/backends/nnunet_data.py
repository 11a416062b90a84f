"""A study's cases as a raw dataset of nnU-Net: a description that names the files where they lie, copies only where it must."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.arrays import values_present
from ..core.files import write_json
from ..core.labels import LabelSet
from ..dataset.case import Case
from ..dataset.image_io import read_image, read_label_map, write_label_map, write_map
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
    numbers = _consecutive(labels)
    keep = all(value == number for value, number in numbers.items())
    entries = {}
    for case in cases:
        images = case.images if len(case.images) == len(channels) else _channel_files(folder, case)
        label = case.label if keep else _renumbered(folder, case, numbers)
        entries[case.id] = {"images": [str(path.absolute()) for path in images], "label": str(label)}
    regions = labels.regions_class_order
    named = {
        s.name: [numbers[v] for v in s.values] if len(s.values) > 1 else numbers[s.values[0]] for s in labels.structures
    }
    ignored = {} if labels.ignore_value is None else {"ignore": numbers[labels.ignore_value]}
    description = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, **named, **ignored},
        **({} if regions is None else {"regions_class_order": [numbers[value] for value in regions]}),
        "numTraining": len(entries),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",  # reads every format that we do
        "dataset": entries,
    }
    write_json(folder / "dataset.json", description)


def own_values(found: np.ndarray, labels: LabelSet) -> np.ndarray:
    """A label map of nnU-Net in the dataset's own values."""
    values = np.asarray(class_values(labels))
    return values.astype(np.uint8 if values.max() < 256 else np.uint16)[found]


def _consecutive(labels: LabelSet) -> dict[int, int]:
    """The dataset's value to nnU-Net's, which count up without gaps, the ignored one last."""
    ignored = () if labels.ignore_value is None else (labels.ignore_value,)
    return {value: number for number, value in enumerate((*class_values(labels), *ignored))}


def _channel_files(folder: Path, case: Case) -> list[Path]:
    volume = read_image(case.images)
    paths = [folder / "imagesTr" / f"{case.id}_{number:04d}.nii.gz" for number in range(len(volume.array))]
    for path, channel in zip(paths, volume.array, strict=True):
        write_map(path, channel, volume.geometry)
    return paths


def _renumbered(folder: Path, case: Case, numbers: Mapping[int, int]) -> Path:
    assert case.label is not None, "a case that is trained on has a reference"  # noqa: S101
    label_map = read_label_map(case.label)
    renumbered = np.zeros_like(label_map.array)
    for value in values_present(label_map.array):
        renumbered[label_map.array == value] = numbers[value]
    path = folder / "labelsTr" / f"{case.id}.nii.gz"
    write_label_map(path, renumbered, label_map.geometry)
    return path
