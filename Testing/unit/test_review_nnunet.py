"""Results of the real nnU-Net v2, versions 2.2 to 2.8 (``Testing/fixtures``): read, scored and compared as they lie there."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_geometry, read_label_map
from SegVarianceLib.dataset.nnunet_probabilities import read_nnunet_probabilities, write_nnunet_probabilities
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities
from SegVarianceLib.evaluation.nnunet_summary import foreground_mean, read_summary
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.review.description import ReviewMember
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.probabilities import mean_of_probabilities
from SegVarianceLib.study.cli import main

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.glob("nnunet_2*"))
LABELS, REGIONS = "Dataset001_Labels", "Dataset002_Regions"
DATASETS = (LABELS, REGIONS)
TRAINER = "nnUNetTrainer__nnUNetPlans__3d_fullres"

every_result = pytest.mark.parametrize(
    "results",
    [FIXTURES / version / "nnUNet_results" / dataset for version in VERSIONS for dataset in DATASETS],
    ids=str,
)


@pytest.fixture
def trees(tmp_path: Path) -> Callable[..., Path]:
    """Copies of one results folder below folders of these names, as several trainings of one recipe would lie."""

    def make(*names: str) -> Path:
        for name in names:
            shutil.copytree(FIXTURES / "nnunet_2.8.1" / "nnUNet_results", tmp_path / name)
            shutil.rmtree(tmp_path / name / REGIONS)
        shutil.copytree(FIXTURES / "nnunet_2.8.1" / "nnUNet_raw", tmp_path / "nnUNet_raw")
        return tmp_path

    return make


def test_versions_from_2_2_to_2_8_are_tested():
    assert [name.removeprefix("nnunet_")[:3] for name in VERSIONS] == ["2.2", "2.4", "2.6", "2.8"]


@every_result
def test_folds_are_one_member_and_configurations_are_told_apart(results: Path):
    review = open_review(results)
    configurations = ["2d", "3d_fullres"] if results.name == LABELS else ["3d_fullres"]
    assert [m.configuration for m in review.members] == [f"nnUNetTrainer__nnUNetPlans__{c}" for c in configurations]
    assert {member.seed for member in review.members} == {0}
    assert dict(review.members[-1].folds) == {"anna": 0, "ben": 0, "cleo": 1}
    assert sorted(review.members[-1].probabilities) == ["anna", "ben", "cleo"]
    assert all(case.label is not None for case in review.cases)
    assert not review.fatal


@every_result
def test_regions_and_the_ignore_label_are_understood(results: Path):
    labels = open_review(results).labels
    if results.name == LABELS:
        assert labels == LabelSet((Structure("organ", (1,)), Structure("core", (2,))))
    else:
        regions = (Structure("whole", (1, 2, 3)), Structure("inner", (2, 3)), Structure("core", (3,)))
        assert labels == LabelSet(regions, ignore_value=4, regions_class_order=(1, 2, 3))


@every_result
def test_probabilities_lie_in_the_axes_of_their_label_maps(results: Path):
    """nnU-Net trained on transposed axes; the label map it made of the probabilities is the one beside them."""
    review = open_review(results)
    member = review.members[-1]
    for case_id, path in member.probabilities.items():
        label_map = read_label_map(member.files[case_id])
        assert len(set(label_map.array.shape)) == 3
        probabilities = read_nnunet_probabilities(path, label_map.array.shape)
        assert np.array_equal(labels_from_probabilities(probabilities, review.labels), label_map.array)


@every_result
def test_our_scores_are_those_of_its_summary(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = tmp_path / "scores.csv"
    assert main(["score", str(results), "--output", str(table)]) == 0
    said = capsys.readouterr().out
    scores, labels = ScoreTable.read(table), open_review(results).labels
    structures = [structure.name for structure in labels.structures]
    assert {(s.fold, s.seed) for s in scores.where(case="cleo").scores} == {(1, 0)}
    for trainer in scores.unique("configuration"):
        summary = results / trainer / "crossval_results_folds_0_1" / "summary.json"
        own = scores.where(configuration=trainer)
        theirs = json.loads(summary.read_text())["foreground_mean"]
        for metric, name in (("dice", "Dice"), ("iou", "IoU")):
            assert foreground_mean(own.scores, structures, metric).value == theirs[name]
        assert f"as nnU-Net reckons it: {theirs['Dice']:.4f}" in said
        read = read_summary(summary, labels)
        found = {(s.case, s.structure, s.metric): (s.value, s.note) for s in own.scores}
        for case_id, values in read.items():
            assert all(found[case_id, v.structure, v.metric] == (v.value, v.note) for v in values)


def test_results_are_compared_without_an_image_from_what_nnunet_scored(trees, tmp_path: Path, capsys):
    root = trees("seed_3", "seed_14", "seed_15")
    for path in root.rglob("*.nii.gz"):
        if "labelsTr" in path.parts:
            path.write_bytes(b"")
    shutil.rmtree(root / "nnUNet_raw")
    assert main(["compare", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "nnUNetTrainer__nnUNetPlans__2d" in json.dumps(found)
    assert main(["report", str(root), "--output", str(tmp_path / "report.html")]) == 0


def test_seeds_come_from_the_names_of_folders(trees, tmp_path: Path, capsys):
    root = trees("seed_3", "seed_14", "no_number")
    review = open_review(root)
    of_2d = {m.name: m.seed for m in review.members if m.configuration.endswith("2d")}
    assert of_2d == {"seed_3": 3, "seed_14": 14, "folds_0_1": 0}
    assert {m.configuration for m in review.members} == {"nnUNetTrainer__nnUNetPlans__2d", TRAINER}
    assert len({each.key for each in review.ensembles}) == 3
    assert main(["score", str(root), "--output", str(tmp_path / "scores.csv")]) == 0
    assert "6 members on 3 cases" in capsys.readouterr().out
    table = ScoreTable.read(tmp_path / "scores.csv")
    assert {(s.member, s.seed, s.fold) for s in table.where(case="anna").scores} == {
        ("seed_3", 3, 0), ("seed_14", 14, 0), ("folds_0_1", 0, 0)
    }  # fmt: skip


def test_trees_without_numbers_are_trainings_in_the_order_given(trees):
    root = trees("first", "second")
    review = open_review([root / "second", root / "first"])
    assert {(m.name, m.seed) for m in review.members} == {("second", 0), ("first", 1)}


def test_references_are_found_where_nnunets_variables_say(trees, monkeypatch):
    root = trees("results")
    elsewhere = root.parent / f"{root.name}_raw"
    (root / "nnUNet_raw").rename(elsewhere)
    assert all(case.label is None for case in open_review(root / "results").cases)
    monkeypatch.setenv("nnUNet_raw", str(elsewhere))
    assert all(case.label is not None for case in open_review(root / "results").cases)


def test_without_references_score_says_where_to_look(trees, capsys):
    root = trees("results")
    shutil.rmtree(root / "nnUNet_raw")
    assert main(["score", str(root / "results")]) == 2
    assert "3 of 3 cases have no reference" in " ".join(capsys.readouterr().err.split())


def test_probabilities_on_turned_axes_are_left_out_with_a_sentence(trees):
    root = trees("results")
    for path in root.rglob("plans.json"):
        path.write_text(path.read_text().replace('"SimpleITKIO"', '"SimpleITKIOWithReorient"'))
    review = open_review(root / "results")
    assert not any(member.probabilities for member in review.members)
    assert any("turned axes of nnU-Net's SimpleITKIOWithReorient" in str(problem) for problem in review.problems)
    plain = open_review(root / "results" / LABELS / "predictions_0")
    assert not plain.members[0].probabilities and len(plain.members[0].files) == 3


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_plain_predictions_are_averaged_as_nnunet_does_it_since_2_6_5(version: str, dataset: str):
    """Before, regions were merged wrongly: every probability above 0 became foreground. Ours are the right ones then."""
    folder = FIXTURES / version / "nnUNet_results" / dataset
    review = open_review([folder / "predictions_0", folder / "predictions_1"])
    case = review.case("anna")
    path = next(iter(review.members[0].files.values()))
    ours = mean_of_probabilities(review.members, case.id, read_geometry(path), review.labels).label_map
    theirs = read_label_map(folder / "predictions_ensemble" / path.name).array
    right = dataset == LABELS or version == "nnunet_2.8.1"
    assert np.array_equal(ours, theirs) == right
    if not right:
        assert (theirs == 3).all()


def test_a_structure_that_is_nowhere_makes_nnunets_mean_nan_and_ours_says_so():
    def score(structure: str, case: str, value: float | None) -> Score:
        return Score("c", 0, 0, "m", case, structure, "dice", value, "" if value else "agreed absent")

    scores = [score("organ", "a", 0.5), score("organ", "b", 0.7), score("core", "a", None), score("core", "b", None)]
    found = foreground_mean(scores, ("organ", "core"))
    assert found.value is None
    assert found.words == "NaN, because core is in no case; our means are over the structures that are there"
    assert foreground_mean(scores, ("organ",)).value == pytest.approx(0.6)


@pytest.mark.parametrize("kind", ["float32", "float16", "fortran", "stored"])
def test_probabilities_are_read_as_numpy_reads_them(tmp_path: Path, kind: str):
    array = np.random.default_rng(0).random((3, 40, 50, 60)).astype("float16" if kind == "float16" else "float32")
    array = np.asfortranarray(array) if kind == "fortran" else array
    (np.savez if kind == "stored" else np.savez_compressed)(tmp_path / "a.npz", probabilities=array)
    found = read_nnunet_probabilities(tmp_path / "a.npz", (40, 50, 60))
    assert found.dtype == array.dtype and np.array_equal(found, array)
    write_nnunet_probabilities(tmp_path / "b.npz", found)
    assert np.array_equal(np.load(tmp_path / "b.npz")["probabilities"], array.astype(np.float32))


@pytest.mark.parametrize("damage", ["cut", "flipped", "objects", "labels", "other", "empty", "larger"])
def test_probabilities_that_cannot_be_trusted_are_one_sentence(tmp_path: Path, damage: str):
    path, array = tmp_path / "a.npz", np.random.default_rng(0).random((2, 30, 40, 50)).astype(np.float32)
    content: dict[str, np.ndarray] = {
        "objects": {"probabilities": np.array([{}], dtype=object)},
        "labels": {"probabilities": np.zeros((2, 30, 40, 50), np.uint8)},
        "other": {"softmax": array},
        "larger": {"probabilities": np.zeros((2, 30, 40, 51), np.float32)},
    }.get(damage, {"probabilities": array})  # fmt: skip
    np.savez_compressed(path, **content)
    written = bytearray(path.read_bytes())
    if damage == "flipped":
        written[len(written) // 2] ^= 1
    path.write_bytes(written[: len(written) // 2] if damage == "cut" else b"" if damage == "empty" else written)
    with pytest.raises(SegVarianceError, match=r"a\.npz holds"):
        read_nnunet_probabilities(path, (30, 40, 50))


@pytest.mark.parametrize(
    "change", [{"prediction_file": "fold_0/anna.tif"}, {"Dice": float("nan")}, {"Dice": 7}, {"IoU": 10**400}], ids=str
)
def test_a_summary_with_impossible_entries_is_one_sentence(tmp_path: Path, change: dict):
    metrics = {"n_ref": 5, "n_pred": 5, "Dice": 0.5, "IoU": 0.3} | change
    entry = {"prediction_file": change.get("prediction_file", "anna.nii.gz"), "metrics": {"1": metrics}}
    (tmp_path / "summary.json").write_text(json.dumps({"metric_per_case": [entry]}))
    labels = LabelSet((Structure("organ", (1,)),))
    if "prediction_file" in change:
        assert list(read_summary(tmp_path / "summary.json", labels)) == ["anna.tif"]
    else:
        with pytest.raises(SegVarianceError, match="is no summary of nnU-Net v2"):
            read_summary(tmp_path / "summary.json", labels)


def test_a_dataset_name_that_leads_elsewhere_is_not_followed(trees):
    root = trees("results")
    for path in root.rglob("plans.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"dataset_name": str(root / "nnUNet_raw" / content["dataset_name"])}))
    assert open_review(root / "results").title == LABELS


def test_a_folder_of_nnunet_of_which_some_cases_lack_probabilities_is_refused_before_anything_is_written(
    tmp_path, capsys
):
    folder = FIXTURES / "nnunet_2.8.1" / "nnUNet_results" / LABELS
    members = [str(folder / "predictions_0"), str(folder / "predictions_1")]
    assert main(["ensemble", *members, "--rule", "mean_probability", "--output", str(tmp_path / "out")]) == 2
    assert "ben.nii.gz: no probabilities (.npz) lie beside it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4, 5), }"


@pytest.mark.parametrize(
    "header",
    [
        HEADER.replace("(2,", "(1000000000000,"),
        HEADER.replace("}", ""),
        HEADER.replace("'shape'", "b'shape'"),
        "'" * 3,
        "(" * 5000,
    ],
    ids=["more than any memory", "not closed", "bytes for a name", "quotes", "nested"],
)
def test_probabilities_with_a_header_that_misleads_are_one_sentence(tmp_path: Path, header: str):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        archive.writestr("probabilities.npy", start + header.encode() + bytes(480))
    with pytest.raises(SegVarianceError, match=r"a\.npz holds"):
        read_nnunet_probabilities(tmp_path / "a.npz", (3, 4, 5))


def test_an_archive_that_asks_for_a_later_zip_is_one_sentence(tmp_path: Path):
    np.savez(tmp_path / "a.npz", probabilities=np.zeros((2, 3, 4, 5), np.float32))
    written = bytearray((tmp_path / "a.npz").read_bytes())
    written[written.index(b"PK\x01\x02") + 6] = 200
    (tmp_path / "a.npz").write_bytes(written)
    with pytest.raises(SegVarianceError, match=r"a\.npz holds"):
        read_nnunet_probabilities(tmp_path / "a.npz", (3, 4, 5))


def test_members_without_probabilities_are_told_apart(tmp_path: Path):
    member = ReviewMember("c", "m", {"a": tmp_path / "a.nii.gz"})
    with pytest.raises(SegVarianceError, match="kept probabilities"):
        mean_of_probabilities([member], "a", read_geometry(FIXTURES / "nnunet_2.8.1/nnUNet_raw" / LABELS / "labelsTr/anna.nii.gz"), LabelSet((Structure("x", (1,)),)))  # fmt: skip


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_command_averages_folders_of_nnunet_as_they_are(dataset: str, tmp_path: Path):
    folder = FIXTURES / "nnunet_2.8.1" / "nnUNet_results" / dataset
    members = tmp_path / "0", tmp_path / "1"
    for number, place in enumerate(members):
        shutil.copytree(folder / f"predictions_{number}", place)
        for path in place.glob("[bc]*"):
            path.unlink()
    assert main(["ensemble", *map(str, members), "--rule", "mean_probability", "--output", str(tmp_path / "out")]) == 0
    (made,) = tmp_path.glob("out/anna*")
    assert np.array_equal(read_label_map(made).array, read_label_map(folder / "predictions_ensemble" / made.name).array)


def test_turned_probabilities_are_not_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(FIXTURES / "nnunet_2.8.1" / "nnUNet_results" / LABELS / "predictions_0", tmp_path / "0")
    plans = tmp_path / "0" / "plans.json"
    plans.write_text(plans.read_text().replace('"SimpleITKIO"', '"NibabelIOWithReorient"'))
    assert main(["ensemble", str(tmp_path / "0"), "--rule", "mean_probability", "--output", str(tmp_path / "out")]) == 2
    assert "turned axes of nnU-Net's NibabelIOWithReorient" in " ".join(capsys.readouterr().err.split())
