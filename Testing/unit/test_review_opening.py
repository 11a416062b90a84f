"""Opening folders: what is understood, by which rule, and one sentence for each thing that is wrong."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from SegVarianceLib.core.errors import ProblemsFound, SegVarianceError
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.review.description import Review, landed
from SegVarianceLib.review.opening import open_review, refresh

GRID = Geometry((4, 3, 2), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
LABEL_MAP = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 3
NNUNET_JSON = {
    "channel_names": {"0": "T1"},
    "labels": {"background": 0, "liver": 1, "tumour": 2},
    "file_ending": ".nii.gz",
}


def draw(folder: Path, *names: str, geometry: Geometry = GRID, label_map: np.ndarray = LABEL_MAP) -> None:
    for name in names:
        path = folder / (name if "." in name else f"{name}.nii.gz")
        write_label_map(path, label_map, geometry)


def table(review: Review) -> set[tuple[str, str, str]]:
    return {(m.configuration, m.name, case_id) for m in review.members for case_id in m.files}


def sentences(review: Review, fatal: bool = True) -> list[str]:
    return [str(problem) for problem in review.problems if problem.fatal == fatal]


def test_folders_of_members_are_opened_with_images_references_and_ensembles(tmp_path):
    for member in ("seed_1", "seed_02"):
        draw(tmp_path / member, "a", "b")
    draw(tmp_path / "labelsTr", "a", "b", "c")
    draw(tmp_path / "imagesTr", "a_0000", "a_0001", "b_0000", "b_0001")
    draw(tmp_path / "ensembles" / "mean", "a", "b")
    write_json(tmp_path / "dataset.json", NNUNET_JSON)
    review = open_review(tmp_path)
    assert table(review) == {(tmp_path.name, f"seed_{seed}", case) for seed in ("1", "02") for case in "ab"}
    assert [member.seed for member in review.members] == [2, 1]
    assert [case.id for case in review.cases] == ["a", "b"]
    assert review.case("b").label == tmp_path / "labelsTr" / "b.nii.gz"
    assert [path.name for path in review.case("a").images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert [(each.name, sorted(each.files)) for each in review.ensembles] == [("mean", ["a", "b"])]
    assert [structure.name for structure in review.labels.structures] == ["liver", "tumour"]
    assert review.labels_from == str(tmp_path / "dataset.json")
    assert review.guesses[0].pattern == "{member}/{case}"
    assert review.guesses[0].rule == "each folder is a member, each file in it a case"
    assert ("a", "seed_1", tmp_path / "seed_1" / "a.nii.gz") in review.guesses[0].table
    assert not review.problems


@pytest.mark.parametrize(
    ("files", "pattern", "expected"),
    [
        (["p1_anna", "p1_ben", "p2_anna", "p2_ben"], "{case}_{member}", {("anna", "p1"), ("ben", "p2")}),
        (["unet-p1", "unet-p2", "unet-p3", "vit-p1", "vit-p2", "vit-p3"], "{member}-{case}", {("vit", "p3")}),
        (["patient_1", "patient_2", "patient_3"], "{case}", {("root", "patient_3")}),
        (["members/unet-20", "members/vit-20"], "members/{member}-20", {("unet", "root"), ("vit", "root")}),
        (["p1/members/x", "p1/members/y", "p2/members/x"], "{case}/members/{member}", {("x", "p2"), ("y", "p1")}),
        (["p1/x", "p1/images/t1", "p2/x"], "{case}/{member}", {("x", "p1"), ("x", "p2")}),
        (["predictions/p1", "predictions/p2"], "predictions/{case}", {("root", "p2")}),
        (["large/s1/p1", "large/s2/p1", "small/s1/p1"], "{configuration}/{member}/{case}", {("s2", "p1")}),
        (["a/p1_seg", "b/p1_seg", "a/p2_seg", "b/p2_seg", "labels/p1", "labels/p2"], "{member}/{case}_seg", {("a", "p1")}),
    ],
)  # fmt: skip
def test_names_are_read_by_the_shape_of_the_folders(tmp_path, files, pattern, expected):
    draw(tmp_path / "root", *files)
    review = open_review(tmp_path / "root")
    assert review.guesses[0].pattern == pattern
    assert expected <= {(member, case) for _, member, case in table(review)}


def test_names_that_are_known_cases_are_not_taken_apart(tmp_path):
    names = ["p1_left", "p1_right", "p2_left", "p2_right"]
    draw(tmp_path, *names)
    assert len(open_review(tmp_path).members) == 2
    draw(tmp_path / "labels", *names)
    assert sorted(open_review(tmp_path).members[0].files) == names


def test_the_guess_can_be_overridden_and_what_does_not_fit_is_told(tmp_path):
    draw(tmp_path, "fold_0/seed_3/p1", "fold_0/seed_4/p1", "fold_0/notes/deep/er/p1")
    review = open_review(tmp_path, pattern="fold_0/{member}/{case}")
    assert {(m, c) for _, m, c in table(review)} == {("seed_3", "p1"), ("seed_4", "p1")}
    assert review.guesses[0].rule == "the pattern that was given"
    assert sentences(review, fatal=False) == [
        f"{tmp_path}: 1 of 3 label maps, such as fold_0/notes/deep/er/p1.nii.gz, do not fit 'fold_0/{{member}}/{{case}}' "
        "and are left out. Give another pattern to have them."
    ]
    for pattern, sentence in (
        ("{who}/{case}", "cannot be read"),
        ("x/{case}", "No file below"),
        ("{case}{case}", "once"),
    ):
        with pytest.raises(SegVarianceError, match=sentence):
            open_review(tmp_path, pattern=pattern)


def test_two_files_of_one_case_and_member_are_refused(tmp_path):
    draw(tmp_path / "m", "p1.nii.gz", "p1.nrrd")
    with pytest.raises(SegVarianceError, match=r"would both be case 'p1' of member"):
        open_review(tmp_path / "m")


def test_several_folders_are_a_member_each_and_given_folders_count(tmp_path):
    draw(tmp_path / "x" / "predictions", "p1", "p2")
    draw(tmp_path / "y", "p1", "p2")
    draw(tmp_path / "truth_here", "p1", "p2")
    labels = LabelSet((Structure("organ", (1, 2)),), regions_class_order=(1,))
    review = open_review(
        [tmp_path / "x" / "predictions", tmp_path / "y"], references=tmp_path / "truth_here", labels=labels
    )
    assert {(m, c) for _, m, c in table(review)} == {(m, c) for m in "xy" for c in ("p1", "p2")}
    assert review.case("p2").label == tmp_path / "truth_here" / "p2.nii.gz"
    assert review.labels is labels
    with pytest.raises(SegVarianceError, match="would both be member"):
        open_review([tmp_path / "y", tmp_path / "y"])


def test_labels_nobody_declared_are_gathered_from_one_case_and_said_to_be(tmp_path):
    for member in "ab":
        draw(tmp_path / member, "p1", "p2")
    review = open_review(tmp_path)
    assert [structure.name for structure in review.labels.structures] == ["label_1", "label_2"]
    assert not review.labels_declared
    assert review.labels_from == "the values in 2 label maps of p1"


def segmentation(path: Path, names: Iterable[str]) -> None:
    """A ``.seg.nrrd`` as Slicer writes it: names and values of the segments in its header."""
    image = SimpleITK.GetImageFromArray(LABEL_MAP)
    for number, name in enumerate(names):
        for key, value in (
            ("ID", f"Segment_{number}"),
            ("Name", name),
            ("LabelValue", str(number + 1)),
            ("Layer", "0"),
        ):
            image.SetMetaData(f"Segment{number}_{key}", value)
    path.parent.mkdir(exist_ok=True)
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def test_segments_of_slicer_keep_their_names_and_another_order_is_refused(tmp_path):
    segmentation(tmp_path / "anna" / "p1.seg.nrrd", ("liver", "tumour"))
    segmentation(tmp_path / "ben" / "p1.seg.nrrd", ("liver", "tumour"))
    review = open_review(tmp_path)
    assert review.labels.structures == (Structure("liver", (1,)), Structure("tumour", (2,)))
    assert not review.problems
    segmentation(tmp_path / "ben" / "p1.seg.nrrd", ("tumour", "liver"))
    (sentence,) = sentences(refresh(review))
    assert "value 1 is 'tumour' here and 'liver' in" in sentence


def test_what_landed_since_is_found_by_opening_again(tmp_path):
    draw(tmp_path / "a", "p1")
    draw(tmp_path / "b", "p1")
    before = open_review(tmp_path)
    draw(tmp_path / "b", "p2")
    after = refresh(before)
    assert landed(before, after) == ((f"{tmp_path.name}/b", "p2"),)
    assert sentences(after, fatal=False) == [
        f"{tmp_path.name}/a: it has 1 of 2 cases. Only cases that it has are compared; predict the others."
    ]
    after.require_sound()


def test_members_on_another_grid_are_one_problem_each_whoever_comes_first(tmp_path):
    draw(tmp_path / "a", "p1", "p2", geometry=replace(GRID, origin_mm=(0.0, 5.0, 0.0)))
    for member in "bc":
        draw(tmp_path / member, "p1", "p2")
    draw(tmp_path / "labels", "p1", "p2")
    review = open_review(tmp_path)
    (sentence,) = sentences(review)
    assert sentence.startswith(f"{tmp_path.name}/a: 2 of 2 label maps lie elsewhere than the others of their case (")
    assert "origin (0.0, 0.0, 0.0) against (0.0, 5.0, 0.0) mm" in sentence
    with pytest.raises(ProblemsFound, match="problems to mend before"):
        review.require_sound()


def test_an_image_elsewhere_is_told_and_stops_nothing(tmp_path):
    draw(tmp_path / "a", "p1")
    draw(tmp_path / "images", "p1", geometry=replace(GRID, spacing_mm=(1.0, 1.0, 3.0)))
    review = open_review(tmp_path)
    assert "1 image files lie elsewhere" in sentences(review, fatal=False)[0]
    review.require_sound()


def test_a_probability_map_among_label_maps_is_one_sentence(tmp_path):
    draw(tmp_path / "a", "p1")
    write_map(tmp_path / "b" / "p1.nii.gz", LABEL_MAP / 7, GRID)
    (sentence,) = sentences(open_review(tmp_path))
    assert "b/p1.nii.gz holds fractions. Expected whole label values" in sentence


def test_label_values_stored_as_floating_point_are_fine(tmp_path):
    write_map(tmp_path / "b" / "p1.nii.gz", LABEL_MAP.astype(float), GRID)
    assert not open_review(tmp_path).problems


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd"])
def test_a_file_cut_short_is_one_sentence(tmp_path, ending):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 3, (30, 40, 50), dtype=np.uint8)
    grid = replace(GRID, size=(50, 40, 30))
    for case in ("p1", "p2"):
        draw(tmp_path / "a", case + ending, geometry=grid, label_map=noise)
    path = tmp_path / "a" / f"p2{ending}"
    path.write_bytes(path.read_bytes()[: 40 if ending == ".nrrd" else -2000])
    (sentence,) = sentences(open_review(tmp_path))
    assert str(path) in sentence
    assert "cut short" in sentence
    assert "\n" not in sentence


def test_a_sound_file_of_two_gzip_parts_is_no_problem(tmp_path):
    draw(tmp_path / "a", "p1.nii")
    content = (tmp_path / "a" / "p1.nii").read_bytes()
    (tmp_path / "a" / "p1.nii").unlink()
    (tmp_path / "a" / "p1.nii.gz").write_bytes(gzip.compress(content[:360]) + gzip.compress(content[360:]))
    assert not open_review(tmp_path).problems


def test_declarations_that_contradict_each_other_are_fatal(tmp_path):
    for member, names in (("a", ("liver", "tumour")), ("b", ("tumour", "liver"))):
        draw(tmp_path / member, "p1")
        labels = {"background": 0, names[0]: 1, names[1]: 2}
        write_json(tmp_path / member / "dataset.json", NNUNET_JSON | {"labels": labels})
    assert "declares other labels than" in sentences(open_review(tmp_path))[0]
    assert "declares other labels than" in sentences(open_review([tmp_path / "a", tmp_path / "b"]))[0]


def test_folders_without_label_maps_say_what_is_missing(tmp_path):
    with pytest.raises(SegVarianceError, match="is not a folder"):
        open_review(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SegVarianceError, match=r"holds no label maps of members. Expected files that end in \.nii\.gz"):
        open_review(tmp_path)
    draw(tmp_path / "labelsTr", "p1")
    with pytest.raises(SegVarianceError, match="holds references but no label maps"):
        open_review(tmp_path)
    draw(tmp_path, "a/b/c/p1")
    with pytest.raises(SegVarianceError, match="nested too deep"):
        open_review(tmp_path)


def results(tmp_path: Path) -> Path:
    """Two trainers of one dataset: one with two folds and probabilities, one with ``fold_all`` beside fold 0."""
    dataset = tmp_path / "nnUNet_results" / "Dataset007_Liver"
    first, second = dataset / "nnUNetTrainer__nnUNetPlans__2d", dataset / "nnUNetTrainerSeed3__nnUNetPlans__2d"
    draw(first / "fold_0" / "validation", "p1", "p2")
    draw(first / "fold_1" / "validation", "p3")
    np.savez_compressed(first / "fold_1" / "validation" / "p3.npz", probabilities=np.zeros((3, 2, 3, 4), np.float32))
    draw(second / "fold_0" / "validation", "p1", "p2", "p3")
    draw(second / "fold_all" / "validation", "p1", "p2", "p3")
    draw(dataset / "ensembles" / "ensemble___a___b", "p1", "p2", "p3")
    draw(tmp_path / "nnUNet_raw" / "Dataset007_Liver" / "labelsTr", "p1", "p2", "p3", "p4")
    draw(tmp_path / "nnUNet_raw" / "Dataset007_Liver" / "imagesTr", "p1_0000", "p2_0000", "p3_0000", "p4_0000")
    for trainer in (first, second):
        write_json(trainer / "dataset.json", NNUNET_JSON)
    return dataset


@pytest.mark.parametrize("above", [0, 1, 2])
def test_folds_of_nnunet_become_one_cross_validated_member(tmp_path, above):
    dataset = results(tmp_path)
    review = open_review([dataset, *dataset.parents][above])
    assert [(m.name, m.seed, m.fold) for m in review.members] == [("seed_3", 3, 0), ("folds_0_1", 0, None)]
    assert {member.configuration for member in review.members} == {"nnUNetTrainer__nnUNetPlans__2d"}
    assert dict(review.members[1].folds) == {"p1": 0, "p2": 0, "p3": 1}
    assert list(review.members[1].probabilities) == ["p3"]
    assert [case.id for case in review.cases] == ["p1", "p2", "p3"]
    assert review.case("p3").label and len(review.case("p3").images) == 1
    assert [each.name for each in review.ensembles] == ["ensemble___a___b"]
    assert review.labels.structures[1].name == "tumour"
    assert review.channels == ("T1",)
    (note,) = sentences(review, fatal=False)
    assert "fold_all was trained on all cases" in note
    assert not review.fatal


def test_overlapping_folds_of_nnunet_are_refused(tmp_path):
    dataset = results(tmp_path)
    draw(dataset / "nnUNetTrainer__nnUNetPlans__2d" / "fold_1" / "validation", "p1")
    assert "case 'p1' is held out here and in fold 0" in sentences(open_review(dataset))[0]


def test_raw_data_of_nnunet_that_cannot_be_read_is_told_and_left_out(tmp_path):
    dataset = results(tmp_path)
    draw(tmp_path / "nnUNet_raw" / "Dataset007_Liver" / "imagesTr", "p1_0001")
    review = open_review(dataset)
    assert any(
        "case 'p2' has 1 channel files, others have 2" in sentence for sentence in sentences(review, fatal=False)
    )
    assert [case.images for case in review.cases] == [(), (), ()]
    assert all(case.label for case in review.cases)


def test_results_without_validation_and_of_several_datasets_are_refused(tmp_path):
    dataset = results(tmp_path)
    (dataset.parent / "Dataset008_X" / "T__P__2d" / "fold_0").mkdir(parents=True)
    with pytest.raises(SegVarianceError, match=r"several datasets: Dataset007_Liver, Dataset008_X"):
        open_review(dataset.parent)
    with pytest.raises(SegVarianceError, match="no validation predictions: expected T__P__2d/fold_0/validation"):
        open_review(dataset.parent / "Dataset008_X")


def test_a_plain_folder_of_nnunet_predictions_takes_its_declarations_and_probabilities(tmp_path):
    draw(tmp_path / "out", "p1", "p2")
    np.savez_compressed(tmp_path / "out" / "p1.npz", probabilities=np.zeros((3, 2, 3, 4), np.float32))
    for name in ("dataset.json", "plans.json"):
        write_json(tmp_path / "out" / name, NNUNET_JSON)
    review = open_review(tmp_path / "out")
    assert list(review.members[0].probabilities) == ["p1"]
    assert review.labels.structures[0].name == "liver"
    assert review.labels_declared


def test_the_glioma_patient_opens_with_five_members_four_channels_and_two_fusions(real_data):
    for folder in (real_data / "brats_ensemble", real_data / "brats_ensemble" / "TCGA-DU-7294"):
        review = open_review(folder)
        assert [member.name for member in review.members] == ["hnfnetv1", "isen", "sanet0", "scan", "yixinmpl"]
        assert [case.id for case in review.cases] == ["TCGA-DU-7294"]
        assert review.channels == ("flair", "t1", "t1c", "t2")
        assert [ensemble.name for ensemble in review.ensembles] == ["mav", "simple"]
        assert review.labels.foreground_values == (1, 2, 4)
        assert not review.problems
