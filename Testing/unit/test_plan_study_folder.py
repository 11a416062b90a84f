"""Where a study keeps its files, its runs in order, and what makes a run count as done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.splits import Fold
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.runs import Run, RunRecord
from SegVarianceLib.plan.study_folder import StudyDataset, StudyFolder
from SegVarianceLib.plan.study_plan import (
    SCHEMA,
    ChannelPlan,
    Configuration,
    NetworkPlan,
    PreprocessingPlan,
    StudyPlan,
    TrainingPlan,
)

LARGE = Configuration(
    "large",
    "builtin",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NetworkPlan(1, 3, (8, 8, 8), (2, 2, 2), (), (4,)),
    TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
)
PLAN = StudyPlan(
    SCHEMA, "T", "/data", "digest", "2-fold", 0, (5, 2), (LARGE, replace(LARGE, name="small")), "cpu", 1, False, "none", 1.0
)  # fmt: skip
FOLDS = (Fold(("a", "b"), ("c",)), Fold(("c",), ("a", "b")))


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    cases = ("a", "b", "c")
    dataset = StudyDataset(
        folder=str(tmp_path / "data"),
        name="D",
        channels=("T1",),
        file_ending=".nii.gz",
        images={case: (f"imagesTr/{case}.nii.gz",) for case in cases},
        references={case: f"labelsTr/{case}.nii.gz" for case in cases},
        labels={"structures": {"whole": [1, 2], "core": [2]}, "ignore_value": 9, "regions_class_order": [1, 2]},
    )
    folder = StudyFolder(tmp_path / "study")
    PLAN.write(folder.plan_path)
    write_json(folder.dataset_path, to_json(dataset))
    write_json(folder.splits_path, to_json(FOLDS))
    return StudyFolder.open(folder.root)


def edit(path: Path, **changes: object) -> None:
    write_json(path, read_json(path) | changes)


def test_whole_passes_are_trained_first(study):
    expected = [Run(name, fold, seed) for seed in (5, 2) for name in ("large", "small") for fold in (0, 1)]
    assert list(study.runs) == expected
    assert len({study.run_folder(run) for run in study.runs}) == 8


def test_every_file_of_a_study_lies_below_it(study):
    run = study.runs[0]
    for path in (study.checkpoint(run), study.weights(run), study.prediction(run, "a"), study.probabilities(run, "a")):
        assert path.is_relative_to(study.root / "runs" / "large" / "fold_0" / "seed_5")
    assert study.prediction(run, "a").name == "a.nii.gz"


def test_labels_folds_and_cases_are_read_as_they_were_planned(study):
    assert study.folds == FOLDS
    assert study.held_out_cases == ("a", "b", "c")
    assert study.labels.foreground_values == (1, 2)
    assert study.labels.ignore_value == 9
    case = study.case("b")
    assert case.images == (Path(study.dataset.folder) / "imagesTr/b.nii.gz",)
    assert case.label == Path(study.dataset.folder) / "labelsTr/b.nii.gz"


def test_a_run_is_done_only_while_its_record_names_what_the_plan_says(study):
    run = study.runs[0]
    assert not study.is_done(run)
    record = RunRecord(1, run, study.run_inputs(run), "key", {"device": "cpu"}, "sha", False, 1.0, 2.0, 3.0)
    write_json(study.record_path(run), to_json(record))
    assert study.record(run) == record
    assert study.is_done(run)
    assert not study.is_done(study.runs[1])
    longer = replace(LARGE, training=replace(LARGE.training, steps=11))
    replace(PLAN, configurations=(longer, PLAN.configurations[1])).write(study.plan_path)
    assert not StudyFolder.open(study.root).is_done(run)


def test_other_seeds_folds_and_data_are_other_inputs(study):
    seen = {study.run_inputs(run) for run in study.runs}
    replace(PLAN, dataset_digest="changed").write(study.plan_path)
    changed = StudyFolder.open(study.root)
    seen |= {changed.run_inputs(run) for run in changed.runs}
    assert len(seen) == 16


def test_more_seeds_leave_finished_runs_done(study):
    inputs = study.run_inputs(study.runs[0])
    replace(PLAN, seeds=(5, 2, 11), title="renamed").write(study.plan_path)
    assert StudyFolder.open(study.root).run_inputs(study.runs[0]) == inputs


def test_runs_planned_before_there_was_fine_tuning_are_still_done(study):
    """Digest of a release without it."""
    of_before = "16a123d0ddef3d0a6b8489026416519ad1375ccc496a522c4521f5a8479e5024"
    assert study.run_inputs(study.runs[0]) == of_before
    content = read_json(study.plan_path)
    for configuration in content["configurations"]:
        assert configuration.pop("fine_tuning") is None
    write_json(study.plan_path, content)
    assert StudyFolder.open(study.root).run_inputs(study.runs[0]) == of_before


def test_other_weights_to_start_from_are_other_inputs_and_the_same_elsewhere_are_not(study):
    here = FineTuning("/here/weights.safetensors", "0" * 64, name_map={"stem.weight": "conv1.weight"})
    other = [None, here, replace(here, sha256="1" * 64), replace(here, rate_decay=0.5), replace(here, name_map=None)]
    digests = []
    for rules in [*other, replace(here, weights="/there")]:
        replace(PLAN, configurations=(replace(LARGE, fine_tuning=rules),)).write(study.plan_path)
        opened = StudyFolder.open(study.root)
        assert opened.plan.configurations[0].fine_tuning == rules
        digests.append(opened.run_inputs(opened.runs[0]))
    assert len(set(digests[:5])) == 5
    assert digests[5] == digests[1]


def test_a_folder_without_a_plan_is_no_study(tmp_path):
    with pytest.raises(SegVarianceError, match="is not a study: it has no plan"):
        StudyFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": {"../a": ["imagesTr/a.nii.gz"]}}, "cannot be a case id"),
        ({"images": {"a": ["../../secret.nii.gz"]}}, "leads out of"),
        ({"images": {"a": ["/etc/passwd"]}}, "leads out of"),
        ({"references": {"a": "../a.nii.gz", "b": "b.nii.gz", "c": "c.nii.gz"}}, "leads out of"),
        ({"file_ending": "/../../../a.nii.gz"}, "cannot be a file name"),
        ({"images": ["a"]}, "dataset.json, images: expected"),
    ],
)
def test_a_dataset_record_that_leads_elsewhere_is_refused(study, changes, words):
    edit(study.dataset_path, **changes)
    with pytest.raises(SegVarianceError, match=words):
        _ = StudyFolder.open(study.root).dataset


@pytest.mark.parametrize("labels", [{}, {"structures": [1], "ignore_value": None, "regions_class_order": None}])
def test_labels_that_name_no_structures_are_refused(study, labels):
    edit(study.dataset_path, labels=labels)
    with pytest.raises(SegVarianceError, match="'labels' name no structures"):
        _ = StudyFolder.open(study.root).labels


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        ([], "should hold a list of folds"),
        ({"training": []}, "should hold a list of folds"),
        ([{"training": ["a"], "held_out": ["z"]}], "case 'z' is not in the dataset"),
        (
            [{"training": ["a", "b"], "held_out": ["b"]}],
            "case 'b' is not in the dataset, or both trained on and held out",
        ),
        ([{"training": ["a"]}], "splits.json, fold 0: field 'held_out' is missing"),
    ],
)
def test_a_split_that_leaks_or_names_strangers_is_refused(study, folds, words):
    write_json(study.splits_path, folds)
    with pytest.raises(SegVarianceError, match=words):
        _ = StudyFolder.open(study.root).folds
