"""Opening a dataset folder in the layout of the Medical Segmentation Decathlon (MSD) or of nnU-Net v2 raw data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import Problem, SegVarianceError
from ..core.files import path_inside, read_json, safe_name
from .case import Case, Dataset
from .image_io import IMAGE_ENDINGS
from .label_declaration import read_labels

MSD = "MSD"
NNUNET = "nnU-Net"


def open_dataset(folder: Path) -> Dataset:
    """Understand a dataset folder by its ``dataset.json``; no image is read.

    Entries that cannot become a case (a missing partner, a path that leaves the folder) stand in ``problems``.

    Raises:
        SegVarianceError: the folder as a whole cannot be understood.
    """
    folder = Path(folder)
    where = str(folder / "dataset.json")
    content = read_json(folder / "dataset.json")
    if not isinstance(content, dict):
        raise SegVarianceError(
            f"{where} holds a {type(content).__name__}. Expected an object with labels and channels."
        )
    is_msd = "training" in content
    channels = _channels(content, where)
    labels = read_labels(content, where)
    ending = _msd_ending(content, where) if is_msd else content.get("file_ending")
    if ending not in IMAGE_ENDINGS:
        raise SegVarianceError(
            f"{where}: files end in {ending!r}. Expected file_ending to be one of {', '.join(IMAGE_ENDINGS)}."
        )

    cases: dict[str, Case] = {}
    problems: list[Problem] = []
    if is_msd:
        found = _msd_cases(folder, content["training"])
    elif "dataset" in content:
        found = _listed_cases(folder, content["dataset"])
    else:
        found = _folder_cases(folder, len(channels), ending)
    for case in found:
        if isinstance(case, Problem):
            problems.append(case)
        elif case.id in cases:
            problems.append(Problem(where, f"case {case.id!r} is listed twice.", "Keep one entry or rename a file."))
        else:
            cases[case.id] = case
    if not cases and not problems:
        raise SegVarianceError(f"{folder} holds no cases. Expected images in imagesTr and labels in labelsTr.")
    promised = content.get("numTraining")
    if promised is not None and promised != len(cases):
        what = f"numTraining is {promised}, but {len(cases)} complete cases were found."
        problems.append(Problem(where, what, "Correct the number, or look for lost files.", fatal=False))
    name = str(content.get("name") or folder.resolve().name)
    layout = MSD if is_msd else NNUNET
    return Dataset(folder, name, channels, labels, tuple(cases.values()), ending, layout, tuple(problems))


def _channels(content: dict[str, Any], where: str) -> tuple[str, ...]:
    declared = content.get("channel_names", content.get("modality"))
    if not isinstance(declared, dict) or sorted(declared) != sorted(map(str, range(len(declared)))) or not declared:
        raise SegVarianceError(
            f'{where} names its channels {declared!r}. Expected "channel_names" (nnU-Net) or "modality" (MSD) such as {{"0": "MRI"}}.'
        )
    return tuple(str(declared[str(number)]) for number in range(len(declared)))


def _msd_ending(content: dict[str, Any], where: str) -> str:
    entries = content["training"]
    if not isinstance(entries, list) or not entries:
        raise SegVarianceError(
            f'{where}: \'training\' lists nothing. Expected entries such as {{"image": ..., "label": ...}}.'
        )
    first = entries[0].get("label") if isinstance(entries[0], dict) else entries[0]
    return next((ending for ending in IMAGE_ENDINGS if str(first).endswith(ending)), str(first))


def _msd_cases(folder: Path, entries: list[Any]) -> Iterator[Case | Problem]:
    for entry in entries:
        image, label = (entry.get("image"), entry.get("label")) if isinstance(entry, dict) else (entry, None)
        name = re.split(r"[\\/]", str(image))[-1]
        ending = next((ending for ending in IMAGE_ENDINGS if name.endswith(ending)), "")
        yield _listed_case(folder, name.removesuffix(ending), [image], label)


def _listed_cases(folder: Path, entries: Any) -> Iterator[Case | Problem]:
    if not isinstance(entries, dict):
        raise SegVarianceError(f"{folder / 'dataset.json'}: 'dataset' must name each case's images and label.")
    for case_id, entry in entries.items():
        listed = entry if isinstance(entry, dict) else {}
        images = listed.get("images")
        yield _listed_case(
            folder, case_id, images if isinstance(images, list) and images else [None], listed.get("label")
        )


def _listed_case(folder: Path, case_id: str, images: list[Any], label: Any) -> Case | Problem:
    where = str(folder / "dataset.json")
    try:
        safe_name(case_id, "case id")
        paths = [path_inside(folder, path, f"case {case_id}: path") for path in (*images, label)]
    except SegVarianceError as error:
        return Problem(where, str(error), "Mend the entry.")
    for path in paths:
        if not path.is_file():
            return Problem(str(path), f"this file of case {case_id!r} is missing.", "Add it, or take out the entry.")
    return Case(case_id, tuple(paths[:-1]), paths[-1])


def _folder_cases(folder: Path, channels: int, ending: str) -> Iterator[Case | Problem]:
    images, labels = (_names(folder / part, ending) for part in ("imagesTr", "labelsTr"))
    ids = {name[:-5] if re.search(r"_\d{4}$", name) else name for name in images}
    for case_id in sorted(ids | labels):
        wanted = [f"{case_id}_{channel:04d}" for channel in range(channels)]
        label_file = folder / "labelsTr" / (case_id + ending)
        try:
            safe_name(case_id, "case id")
        except SegVarianceError as error:
            yield Problem(str(label_file), str(error), "Rename its image and label files alike.")
            continue
        missing = [folder / "imagesTr" / (name + ending) for name in wanted if name not in images]
        if case_id not in labels:
            yield Problem(
                str(label_file),
                f"the image of case {case_id!r} has no label file.",
                "Add it, or move the image to imagesTs.",
            )
        elif missing:
            yield Problem(
                str(missing[0]),
                f"the label of case {case_id!r} has no such image file.",
                "Add it, or remove the label.",
            )
        else:
            yield Case(case_id, tuple(folder / "imagesTr" / (name + ending) for name in wanted), label_file)


def _names(folder: Path, ending: str) -> set[str]:
    """File names in ``folder`` that end so, without the ending; hidden files are passed over."""
    if not folder.is_dir():
        raise SegVarianceError(f"{folder} does not exist. Expected imagesTr and labelsTr beside dataset.json.")
    return {
        path.name.removesuffix(ending)
        for path in folder.iterdir()
        if path.name.endswith(ending) and path.name[0] != "."
    }
