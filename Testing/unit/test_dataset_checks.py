"""A clean dataset has no problems; each way to spoil it is found, with its file and a remedy, and all at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)

from SegVarianceLib.core.errors import Problem, ProblemsFound
from SegVarianceLib.dataset.checks import check_dataset, require_clean
from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.image_io import read_geometry, read_image, read_label_map, write_label_map, write_map
from SegVarianceLib.dataset.phantom import make_phantom


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    return make_phantom(tmp_path_factory.mktemp("clean"), seed=3, cases=3)


@pytest.fixture
def phantom(clean, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(clean, tmp_path / "phantom")


def image_of(folder: Path) -> Path:
    return folder / "imagesTr" / "phantom_001_0000.nii.gz"


def label_of(folder: Path) -> Path:
    return folder / "labelsTr" / "phantom_001.nii.gz"


def repaint(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Rewrite an image with changed voxels, by SimpleITK, so that any type of voxel goes."""
    image = sitk.ReadImage(str(path))
    changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(path))


def with_voxel(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float32)
        array[4, 5, 6] = value
        return array

    return change


def move(path: Path) -> None:
    geometry = read_geometry(path)
    write_label_map(path, read_label_map(path).array, replace(geometry, origin_mm=(0.0, 0.0, 5.0)))


def test_the_phantom_and_the_hippocampus_are_clean(phantom, real_data):
    assert check_dataset(open_dataset(phantom)) == []
    hippocampus = open_dataset(real_data / "Task04_Hippocampus")
    assert check_dataset(replace(hippocampus, cases=hippocampus.cases[::10])) == []


SPOILT = {
    "label removed": (lambda folder: label_of(folder).unlink(), "has no label file"),
    "image removed": (lambda folder: image_of(folder).unlink(), "has no such image file"),
    "label elsewhere": (lambda folder: move(label_of(folder)), "differs from its image in origin"),
    "fractions": (lambda folder: repaint(label_of(folder), with_voxel(0.5)), "holds fractions"),
    "unknown value": (lambda folder: repaint(label_of(folder), with_voxel(9)), "holds the label values 9"),
    "NaN": (lambda folder: repaint(image_of(folder), with_voxel(np.nan)), "NaN or infinite"),
    "infinity": (lambda folder: repaint(image_of(folder), with_voxel(np.inf)), "NaN or infinite"),
    "image cut short": (lambda folder: image_of(folder).write_bytes(image_of(folder).read_bytes()[:4000]), "cut short"),
    "label is text": (lambda folder: label_of(folder).write_text("no image"), "not an image"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_case_is_named_with_a_remedy_and_stops_training(phantom, how):
    spoil, words = SPOILT[how]
    spoil(phantom)
    problems = [problem for problem in check_dataset(open_dataset(phantom)) if problem.fatal]
    assert len(problems) == 1
    assert words in str(problems[0])
    assert "phantom_001" in str(problems[0])
    assert problems[0].remedy
    with pytest.raises(ProblemsFound, match="1 problem to mend"):
        require_clean(open_dataset(phantom))


def test_channels_that_lie_apart_are_found(phantom):
    declaration = json.loads((phantom / "dataset.json").read_text())
    (phantom / "dataset.json").write_text(json.dumps({**declaration, "channel_names": {"0": "T1", "1": "T2"}}))
    for path in sorted((phantom / "imagesTr").iterdir()):
        volume = read_image([path])
        apart = replace(volume.geometry, spacing_mm=(1.0, 1.0, 1.5))
        second = path.with_name(path.name.replace("_0000", "_0001"))
        write_map(second, volume.array[0], apart if "_001_" in path.name else volume.geometry)
    (problem,) = check_dataset(open_dataset(phantom))
    assert "phantom_001_0001.nii.gz are channels of one image but differ in spacing" in str(problem)


def test_a_second_channel_in_the_file_that_nobody_declared_is_found(phantom):
    repaint(image_of(phantom), lambda array: np.stack([array, array], axis=-1))
    problems = check_dataset(open_dataset(phantom))
    assert ["2 channels, dataset.json names 1" in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize(("path", "words"), [(image_of, "constant (0)"), (label_of, "reference is empty")])
def test_what_may_be_meant_so_is_told_and_stops_nothing(phantom, path, words):
    repaint(path(phantom), np.zeros_like)
    (problem,) = require_clean(open_dataset(phantom))
    assert words in problem.what
    assert problem.where == str(path(phantom))


def test_a_structure_that_no_case_has_is_found_unless_a_label_could_not_be_read(phantom):
    declaration = json.loads((phantom / "dataset.json").read_text())
    declaration["labels"]["cyst"] = 4
    (phantom / "dataset.json").write_text(json.dumps(declaration))
    assert "no case has any voxel of 'cyst'" in str(check_dataset(open_dataset(phantom)))
    label_of(phantom).write_text("no image")
    assert "cyst" not in str(check_dataset(open_dataset(phantom)))


def test_one_case_alone_is_too_few(phantom):
    dataset = open_dataset(phantom)
    assert "at least 2" in str(check_dataset(replace(dataset, cases=dataset.cases[:1]))[0])


def test_every_problem_comes_at_once_and_progress_is_told(phantom):
    label_of(phantom).write_text("no image")
    repaint(phantom / "imagesTr" / "phantom_000_0000.nii.gz", with_voxel(np.nan))
    (phantom / "labelsTr" / "phantom_002.nii.gz").unlink()
    steps: list[tuple[int, int]] = []
    problems = check_dataset(open_dataset(phantom), lambda *step: steps.append(step))
    assert [name for problem in problems for name in ("000", "001", "002") if f"phantom_{name}" in str(problem)] == [
        "002",
        "000",
        "001",
    ]
    assert steps == [(1, 2), (2, 2)]
    assert all(isinstance(problem, Problem) for problem in problems)
