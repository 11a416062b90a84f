"""Datasets between MSD and nnU-Net: what both know survives, and the sources stay as they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.case import Dataset
from SegVarianceLib.dataset.checks import check_dataset
from SegVarianceLib.dataset.convert import to_msd, to_nnunet
from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.image_io import read_image, read_label_map, write_label_map, write_map
from SegVarianceLib.study.cli import main

GRID = Geometry((7, 6, 5), (1.0, 1.5, 2.0), (-3.0, 4.0, 5.5), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
REGIONS = {
    "labels": {"background": 0, "whole": [1, 2, 4], "inner": [2, 4], "active": 4, "ignore": 9},
    "regions_class_order": [1, 2, 4],
}


def nnunet(folder: Path, ending: str = ".nii.gz", channels: int = 2, **declared: object) -> Dataset:
    rng = np.random.default_rng(0)
    for case in ("anna", "ben"):
        for channel in range(channels):
            write_map(folder / "imagesTr" / f"{case}_{channel:04d}{ending}", rng.normal(size=GRID.shape_zyx), GRID)
        write_label_map(folder / "labelsTr" / f"{case}{ending}", rng.choice([0, 1, 2, 4, 9], GRID.shape_zyx), GRID)
    for channel in range(channels):
        write_map(folder / "imagesTs" / f"new_{channel:04d}{ending}", rng.normal(size=GRID.shape_zyx), GRID)
    names = {str(channel): f"T{channel + 1}" for channel in range(channels)}
    content = {"channel_names": names, "numTraining": 2, "file_ending": ending}
    write_json(folder / "dataset.json", content | (declared or REGIONS))
    return open_dataset(folder)


def digests(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_regions_ignore_label_and_channels_survive_the_way_to_msd_and_back(tmp_path: Path, ending: str):
    dataset = nnunet(tmp_path / "Dataset007_Glioma", ending)
    before = digests(dataset.folder)
    as_msd = open_dataset(to_msd(dataset, tmp_path / "msd"))
    assert as_msd.folder.name == "Task07_Glioma"
    back = open_dataset(to_nnunet(as_msd, tmp_path / "back"))
    assert back.folder.name == "Dataset007_Glioma"
    for made, values in ((as_msd, (0, 1, 2, 4, 9)), (back, (0, 1, 2, 3, 4))):
        assert made.channels == ("T1", "T2")
        assert not check_dataset(made)
        for case in dataset.cases:
            theirs, ours = read_image(made.case(case.id).images), read_image(case.images)
            assert np.array_equal(theirs.array, ours.array)
            assert ours.geometry.difference(theirs.geometry) is None
            found = read_label_map(made.case(case.id).label).array
            assert np.array_equal(
                found, np.array(values)[np.searchsorted((0, 1, 2, 4, 9), read_label_map(case.label).array)]
            )
    assert as_msd.labels == dataset.labels
    assert back.labels == LabelSet(
        (Structure("whole", (1, 2, 3)), Structure("inner", (2, 3)), Structure("active", (3,))), 4, (1, 2, 3)
    )
    assert (back.folder / "imagesTs" / "new_0001.nii.gz").is_file()
    assert digests(dataset.folder) == before


def test_files_that_both_can_read_are_hard_links(tmp_path: Path):
    labels = {"background": 0, "a": 1, "b": 2, "c": 4, "d": 9}
    dataset = nnunet(tmp_path / "raw", channels=1, labels=labels)
    made = open_dataset(to_msd(dataset, tmp_path / "Task11_Liver"))
    assert made.folder == tmp_path / "Task11_Liver"
    content = json.loads((made.folder / "dataset.json").read_text())
    assert content["labels"] == {"0": "background", "1": "a", "2": "b", "4": "c", "9": "d"}
    assert content["training"][0] == {"image": "./imagesTr/anna.nii.gz", "label": "./labelsTr/anna.nii.gz"}
    assert content["test"] == ["./imagesTs/new.nii.gz"]
    for source, target in zip(dataset.cases, made.cases, strict=True):
        assert source.images[0].samefile(target.images[0])
        assert source.label.samefile(target.label)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path):
    dataset = nnunet(tmp_path / "raw", channels=1)
    (tmp_path / "Dataset001_X").mkdir()
    (tmp_path / "Dataset001_X" / "notes.txt").touch()
    with pytest.raises(SegVarianceError, match="is not empty"):
        to_nnunet(dataset, tmp_path / "Dataset001_X")


def test_an_incomplete_dataset_is_not_converted(tmp_path: Path):
    dataset = nnunet(tmp_path / "raw", channels=1)
    (tmp_path / "raw" / "labelsTr" / "ben.nii.gz").unlink()
    with pytest.raises(SegVarianceError, match="has no label file"):
        to_nnunet(open_dataset(dataset.folder), tmp_path / "out")


@pytest.mark.parametrize("way", [to_nnunet, to_msd])
def test_a_file_that_cannot_be_read_leaves_nothing_half_written(tmp_path: Path, way: Callable):
    dataset = nnunet(tmp_path / "raw", channels=2)
    stopped = dataset.cases[-1].id

    def stop(done: int, of: int) -> None:
        if done == len(dataset.cases):
            raise SegVarianceError(f"{stopped} cannot be read")

    with pytest.raises(SegVarianceError, match="cannot be read"):
        way(dataset, tmp_path / "out", stop)
    assert not any((tmp_path / "out").rglob("*")), "so that the same command can be given again"
    way(dataset, tmp_path / "out")


def test_an_image_with_another_number_of_channels_is_one_sentence(tmp_path: Path):
    dataset = nnunet(tmp_path / "raw", channels=2)
    wrong = replace(dataset, channels=("T1", "T2", "FLAIR"))
    with pytest.raises(SegVarianceError, match=r"has 2 channels, .* names 3"):
        to_nnunet(wrong, tmp_path / "out")


def test_the_command_says_which_values_were_counted_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    nnunet(tmp_path / "raw")
    assert main(["convert", str(tmp_path / "raw"), str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "4 is 3, 9 is 4" in said and "Dataset001_raw" in said


def test_the_real_decathlon_becomes_nnunets_and_comes_back(real_data: Path, tmp_path: Path):
    dataset = open_dataset(real_data / "Task04_Hippocampus")
    few = replace(dataset, cases=dataset.cases[:3])
    made = open_dataset(to_nnunet(few, tmp_path))
    assert made.folder.name == "Dataset004_Hippocampus"
    assert made.labels == dataset.labels and made.channels == dataset.channels
    again = open_dataset(to_msd(made, tmp_path))
    assert [case.id for case in again.cases] == sorted(case.id for case in few.cases)
