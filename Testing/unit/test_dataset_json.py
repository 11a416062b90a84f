"""Opening dataset folders: both layouts, both directions of labels, regions, and what cannot be understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.label_declaration import read_labels

BRATS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def msd(folder: Path, entries: list, **changes: object) -> Path:
    content = {"name": "Toy", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "head", "2": "tail"}}
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({**content, "training": entries, **changes}))
    return folder


def nnunet(folder: Path, *files: str, **changes: object) -> Path:
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "tumour": 1}, "file_ending": ".mha"}
    touch(folder, *(f"{name}.mha" for name in files))
    (folder / "dataset.json").write_text(json.dumps({**content, **changes}))
    return folder


def entry(case: str) -> dict[str, str]:
    return {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}


def test_the_real_hippocampus_opens_as_msd(real_data):
    dataset = open_dataset(real_data / "Task04_Hippocampus")
    assert (dataset.name, dataset.layout, dataset.channels, len(dataset.cases)) == ("Hippocampus", "MSD", ("MRI",), 200)
    assert [(structure.name, structure.values) for structure in dataset.labels.structures] == [
        ("Anterior", (1,)),
        ("Posterior", (2,)),
    ]
    assert dataset.file_ending == ".nii.gz"
    assert dataset.problems == ()


def test_msd_cases_keep_their_order_and_their_dots(tmp_path):
    touch(tmp_path, *(f"{part}Tr/{case}.nii.gz" for part in ("images", "labels") for case in ("b", "a.v2")))
    dataset = open_dataset(msd(tmp_path, [entry("b"), entry("a.v2")]))
    assert [case.id for case in dataset.cases] == ["b", "a.v2"]
    assert dataset.case("a.v2").label == (tmp_path / "labelsTr/a.v2.nii.gz").resolve()


def test_nnunet_channels_come_in_the_order_of_their_numbers(tmp_path):
    folder = nnunet(
        tmp_path, "imagesTr/p1_0000", "imagesTr/p1_0001", "labelsTr/p1", channel_names={"1": "T2", "0": "T1"}
    )
    dataset = open_dataset(folder)
    assert dataset.channels == ("T1", "T2")
    assert [path.name for path in dataset.cases[0].images] == ["p1_0000.mha", "p1_0001.mha"]
    assert (dataset.layout, dataset.file_ending, dataset.problems) == ("nnU-Net", ".mha", ())


def test_nnunet_may_list_its_files(tmp_path):
    listed = {"p1": {"images": ["scans/t1.mha", "scans/t2.mha"], "label": "drawn/p1.mha"}}
    folder = nnunet(tmp_path, "scans/t1", "scans/t2", "drawn/p1", dataset=listed)
    assert [path.name for path in open_dataset(folder).case("p1").images] == ["t1.mha", "t2.mha"]


def test_files_without_a_partner_are_named_and_make_no_case(tmp_path):
    files = ("imagesTr/a_0000", "imagesTr/a_0001", "labelsTr/a", "imagesTr/b_0000", "imagesTr/b_0001")
    dataset = open_dataset(nnunet(tmp_path, *files, "labelsTr/c", "imagesTr/d_0000", "labelsTr/d"))
    assert [case.id for case in dataset.cases] == ["a"]
    assert [Path(problem.where).name for problem in dataset.problems] == ["b.mha", "c_0000.mha", "d_0001.mha"]
    assert all(problem.fatal and problem.remedy for problem in dataset.problems)


@pytest.mark.parametrize("path", ["../outside.nii.gz", "/etc/passwd.nii.gz", "imagesTr/../../outside.nii.gz", None, 7])
def test_an_entry_that_leaves_the_folder_never_becomes_a_case(tmp_path, path):
    folder = tmp_path / "dataset"
    touch(tmp_path, "outside.nii.gz", "dataset/imagesTr/a.nii.gz", "dataset/labelsTr/a.nii.gz")
    dataset = open_dataset(msd(folder, [entry("a"), {"image": path, "label": "labelsTr/a.nii.gz"}]))
    assert [case.id for case in dataset.cases] == ["a"]
    assert len(dataset.problems) == 1


def test_a_link_that_leads_out_of_the_folder_never_becomes_a_case(tmp_path):
    folder = tmp_path / "dataset"
    touch(tmp_path, "outside.nii.gz", "dataset/imagesTr/a.nii.gz")
    (folder / "labelsTr").mkdir()
    (folder / "labelsTr/a.nii.gz").symlink_to(tmp_path / "outside.nii.gz")
    dataset = open_dataset(msd(folder, [entry("a")]))
    assert dataset.cases == ()
    assert "leads out" in str(dataset.problems[0])


def test_an_id_that_is_no_file_name_never_becomes_a_case(tmp_path):
    folder = nnunet(tmp_path, "imagesTr/a_0000", "imagesTr/a_0001", "labelsTr/a", "labelsTr/-rf b")
    dataset = open_dataset(folder)
    assert [case.id for case in dataset.cases] == ["a"]
    assert "cannot be a case id" in str(dataset.problems[0])


def test_a_case_listed_twice_counts_once_and_is_named(tmp_path):
    touch(tmp_path, "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
    dataset = open_dataset(msd(tmp_path, [entry("a"), entry("a")]))
    assert len(dataset.cases) == 1
    assert "listed twice" in str(dataset.problems[0])


def test_a_wrong_number_of_training_cases_is_told_and_stops_nothing(tmp_path):
    touch(tmp_path, "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
    (problem,) = open_dataset(msd(tmp_path, [entry("a")], numTraining=3)).problems
    assert "numTraining is 3, but 1" in problem.what
    assert not problem.fatal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {}}, "no labels"),
        ({"labels": {"background": 0}}, "besides the background"),
        ({"labels": {"tumour": 1.5}}, "whole number"),
        ({"labels": {"tumour": True}}, "whole number"),
        ({"labels": {"tumour": -1}}, "whole number"),
        ({"labels": {"tumour": ["9" * 5000]}}, "whole number"),
        ({"labels": {"one": 1, "other": 1}}, "same values"),
        ({"labels": {"tumour": [0, 1]}, "regions_class_order": [1]}, "holds the background"),
        ({"labels": {"1": "head", "2": "head"}}, "names two labels"),
        ({"labels": BRATS}, "regions_class_order is None"),
        ({"labels": BRATS, "regions_class_order": [1, 2]}, "3 regions"),
        ({"labels": {"core": [2, 3], "whole": [1, 2, 3]}, "regions_class_order": [1, 2]}, "does not hold"),
        ({"channel_names": {}}, "channel"),
        ({"channel_names": {"0": "T1", "2": "T2"}}, "channel"),
        ({"file_ending": ".png"}, "file_ending"),
        ({"training": []}, "lists nothing"),
        ({"dataset": ["a"]}, "must name"),
    ],
)
def test_a_folder_that_cannot_be_understood_is_refused_in_a_sentence(tmp_path, changes, words):
    with pytest.raises(SegVarianceError, match=words):
        open_dataset(nnunet(tmp_path, "imagesTr/a_0000", "imagesTr/a_0001", "labelsTr/a", **changes))


@pytest.mark.parametrize("text", ["", "[]", "{", "7", '{"training": 5}'])
def test_a_dataset_json_that_is_none_is_refused_in_a_sentence(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(SegVarianceError, match=r"dataset\.json"):
        open_dataset(tmp_path)


def test_a_folder_without_cases_or_without_its_parts_is_refused(tmp_path):
    with pytest.raises(SegVarianceError, match="imagesTr does not exist"):
        open_dataset(nnunet(tmp_path))
    touch(tmp_path, "imagesTr/notes.txt", "labelsTr/notes.txt")
    with pytest.raises(SegVarianceError, match="holds no cases"):
        open_dataset(tmp_path)


def test_both_directions_of_labels_mean_the_same():
    by_value = read_labels({"labels": {"0": "background", "2": "tail", "1": "head"}}, "a")
    by_name = read_labels({"labels": {"background": 0, "tail": 2, "head": 1}}, "b")
    assert by_value == by_name
    assert by_value.known_values == {0, 1, 2}


def test_regions_keep_their_declared_order_and_the_ignore_label_is_no_structure():
    content = {"labels": {**BRATS, "ignore": 4}, "regions_class_order": [1, 2, 3]}
    labels = read_labels(content, "a")
    assert [structure.name for structure in labels.structures] == ["whole", "core", "enhancing"]
    assert labels.regions_class_order == (1, 2, 3)
    assert labels.ignore_value == 4
    assert labels.foreground_values == (1, 2, 3)


def test_a_class_order_without_regions_means_nothing():
    assert read_labels({"labels": {"a": 1, "b": 2}, "regions_class_order": [2, 1]}, "a").regions_class_order is None
