"""Datasets between the layouts of the Medical Segmentation Decathlon (MSD) and of nnU-Net v2 raw data.

Files that both can read as they are become hard links, or copies on another disk; sources are never written to.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)

from ..core.errors import ProblemsFound, SegVarianceError
from ..core.files import path_inside, read_json, safe_name, write_beside_and_rename, write_json
from ..core.labels import BACKGROUND, LabelSet
from .case import Case, Dataset
from .dataset_json import MSD
from .image_io import IMAGE_ENDINGS, read_case_images, read_image, read_label_map, write_label_map, write_map
from .label_declaration import IGNORE
from .nnunet_labels import ENDINGS, nnunet_description, nnunet_values, renumbered

Progress = Callable[[int, int], object]
"""Called with the number of cases done and of all cases."""

_MSD_ENDING = ".nii.gz"
_NUMBERED = re.compile(r"(?:Task|Dataset)(\d+)_(.+)")


def to_nnunet(dataset: Dataset, folder: Path, progress: Progress | None = None) -> Path:
    """Write an nnU-Net raw dataset as ``folder/Dataset004_Hippocampus``, or as ``folder`` itself if it is called so.

    An image with all channels becomes a file a channel. Label values that leave gaps are counted up anew (nnU-Net takes
    none); regions, the ignore label and channel names are kept.

    Raises:
        ProblemsFound: the dataset has entries that are no cases.
        SegVarianceError: there is something in the folder already, or a file cannot be read.
    """
    _require_whole(dataset)
    target = _target(folder, "Dataset", 3, dataset)
    with whole_or_nothing(target):
        _write_nnunet(dataset, target, progress)
    return target


def _write_nnunet(dataset: Dataset, target: Path, progress: Progress | None) -> None:
    ending = dataset.file_ending if dataset.file_ending in ENDINGS else _MSD_ENDING
    values = nnunet_values(dataset.labels)
    tests = dict(_test_images(dataset))
    for done, case in enumerate(dataset.cases, start=1):
        _channel_files(case.images, target / "imagesTr" / case.id, ending, dataset)
        assert case.label is not None, "a dataset's cases have references"  # noqa: S101
        _label_file(case.label, target / "labelsTr" / f"{case.id}{ending}", values)
        if progress is not None:
            progress(done, len(dataset.cases) + len(tests))
    for done, (case_id, images) in enumerate(tests.items(), start=len(dataset.cases) + 1):
        _channel_files(images, target / "imagesTs" / case_id, ending, dataset)
        if progress is not None:
            progress(done, len(dataset.cases) + len(tests))
    content = nnunet_description(dataset.labels, dataset.channels, len(dataset.cases), ending)
    write_json(target / "dataset.json", {"name": dataset.name, **content})


def to_msd(dataset: Dataset, folder: Path, progress: Progress | None = None) -> Path:
    """Write a dataset of the Decathlon as ``folder/Task04_Hippocampus``, or as ``folder`` itself if it is called so.

    All files become ``.nii.gz``, the channels of an image one file. The Decathlon knows no regions: where there are some,
    ``labels`` are written as nnU-Net does, with ``regions_class_order``.

    Raises:
        As ``to_nnunet``.
    """
    _require_whole(dataset)
    target = _target(folder, "Task", 2, dataset)
    with whole_or_nothing(target):
        _write_msd(dataset, target, progress)
    return target


def _write_msd(dataset: Dataset, target: Path, progress: Progress | None) -> None:
    tests = dict(_test_images(dataset))
    for done, case in enumerate(dataset.cases, start=1):
        _one_file(case.images, target / "imagesTr" / f"{case.id}{_MSD_ENDING}")
        assert case.label is not None, "a dataset's cases have references"  # noqa: S101
        _label_file(case.label, target / "labelsTr" / f"{case.id}{_MSD_ENDING}", {})
        if progress is not None:
            progress(done, len(dataset.cases) + len(tests))
    for done, (case_id, images) in enumerate(tests.items(), start=len(dataset.cases) + 1):
        _one_file(images, target / "imagesTs" / f"{case_id}{_MSD_ENDING}")
        if progress is not None:
            progress(done, len(dataset.cases) + len(tests))
    write_json(target / "dataset.json", _msd_description(dataset, list(tests)))


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[None]:
    """For a folder that is empty or not there: what was written into it goes where writing fails or is interrupted."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def link(source: Path, target: Path) -> None:
    """``target`` becomes another name of the file ``source`` (read through links), or its copy on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        write_beside_and_rename(target, lambda beside: shutil.copyfile(source, beside))


def _require_whole(dataset: Dataset) -> None:
    if fatal := [problem for problem in dataset.problems if problem.fatal]:
        raise ProblemsFound(f"{dataset.folder} cannot be converted:", fatal)


def _target(folder: Path, word: str, digits: int, dataset: Dataset) -> Path:
    named = _NUMBERED.fullmatch(folder.name)
    known = _NUMBERED.fullmatch(dataset.folder.resolve().name)
    number, name = (int(known[1]), known[2]) if known else (1, re.sub("[^A-Za-z0-9]", "", dataset.name))
    fits = named is not None and folder.name.startswith(word)
    target = folder if fits else folder / safe_name(f"{word}{number:0{digits}d}_{name}", "dataset's name")
    if target.exists() and any(target.iterdir()):
        raise SegVarianceError(f"{target} is not empty. Give another folder, or empty it.")
    return target


def _test_images(dataset: Dataset) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Case id and channel files of the images without references."""
    if dataset.layout == MSD:
        for entry in read_json(dataset.folder / "dataset.json").get("test", []):
            path = path_inside(dataset.folder, entry["image"] if isinstance(entry, dict) else entry, "test image")
            ending = next((each for each in IMAGE_ENDINGS if path.name.endswith(each)), "")
            if path.is_file():
                yield safe_name(path.name.removesuffix(ending), "case id"), (path,)
    elif (dataset.folder / "imagesTs").is_dir():
        yield from read_case_images(dataset.folder / "imagesTs").items()


def _channel_files(images: tuple[Path, ...], stem: Path, ending: str, dataset: Dataset) -> None:
    """A file for each channel: the ones there are, where they may stay as they are, else written anew as float32."""
    targets = [stem.parent / f"{stem.name}_{number:04d}{ending}" for number in range(len(dataset.channels))]
    if len(images) == len(targets) and all(path.name.endswith(ending) for path in images):
        for path, target in zip(images, targets, strict=True):
            link(path, target)
        return
    volume = read_image(images)
    if len(volume.array) != len(targets):
        raise SegVarianceError(
            f"{images[0]} has {len(volume.array)} channels, {dataset.folder / 'dataset.json'} names {len(targets)}. Mend one of them."
        )
    for channel, target in zip(volume.array, targets, strict=True):
        write_map(target, channel, volume.geometry, like=images[0] if len(images) == 1 else None)


def _label_file(source: Path, target: Path, values: Mapping[int, int]) -> None:
    """The label map in nnU-Net's ``values``, or in its own where there are none."""
    gaps = any(value != number for value, number in values.items())
    ending = next(each for each in ENDINGS if target.name.endswith(each))
    if source.name.endswith(ending) and not gaps:
        link(source, target)
        return
    label_map = read_label_map(source)
    array = renumbered(label_map.array, values, source) if gaps else label_map.array
    write_label_map(target, array, label_map.geometry, like=source)


def _one_file(images: tuple[Path, ...], target: Path) -> None:
    if len(images) == 1 and images[0].name.endswith(_MSD_ENDING):
        link(images[0], target)
        return
    volume = read_image(images)
    channels = []
    for channel in volume.array:
        image = sitk.GetImageFromArray(channel)
        image.SetSpacing(volume.geometry.spacing_mm)
        image.SetOrigin(volume.geometry.origin_mm)
        image.SetDirection(volume.geometry.direction)
        channels.append(image)
    whole = channels[0] if len(channels) == 1 else sitk.JoinSeries(channels)
    write_beside_and_rename(target, lambda beside: sitk.WriteImage(whole, str(beside), useCompression=True))


def _msd_description(dataset: Dataset, tests: list[str]) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "tensorImageSize": "3D" if len(dataset.channels) == 1 else "4D",
        "modality": {str(number): name for number, name in enumerate(dataset.channels)},
        **_msd_labels(dataset.labels),
        "numTraining": len(dataset.cases),
        "numTest": len(tests),
        "training": [_msd_entry(case) for case in dataset.cases],
        "test": [f"./imagesTs/{case_id}{_MSD_ENDING}" for case_id in tests],
    }


def _msd_entry(case: Case) -> dict[str, str]:
    return {"image": f"./imagesTr/{case.id}{_MSD_ENDING}", "label": f"./labelsTr/{case.id}{_MSD_ENDING}"}


def _msd_labels(labels: LabelSet) -> dict[str, Any]:
    if labels.regions_class_order is not None:
        named = {s.name: list(s.values) if len(s.values) > 1 else s.values[0] for s in labels.structures}
        ignored = {} if labels.ignore_value is None else {IGNORE: labels.ignore_value}
        return {
            "labels": {"background": BACKGROUND, **named, **ignored},
            "regions_class_order": list(labels.regions_class_order),
        }
    names = {BACKGROUND: "background"}
    names |= {value: structure.name for structure in labels.structures for value in structure.values}
    if labels.ignore_value is not None:
        names[labels.ignore_value] = IGNORE
    return {"labels": {str(value): name for value, name in sorted(names.items())}}
