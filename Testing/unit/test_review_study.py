"""A study seen from outside: what has landed, what is awaited, and what cannot be trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.dataset.splits import Fold
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
from SegVarianceLib.review.description import STUDY, landed
from SegVarianceLib.review.opening import open_review, refresh

RECIPE = Configuration(
    "default",
    "builtin",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NetworkPlan(1, 3, (8, 8, 8), (2, 2, 2), (), (4,)),
    TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
)
GRID = Geometry((4, 3, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
LABEL_MAP = np.ones((2, 3, 4), dtype=np.uint8)


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Seeds 5 and 2 on two folds of the cases a, b and c; nothing is trained yet."""
    folder = StudyFolder(tmp_path / "study")
    plan = StudyPlan(
        SCHEMA, "Livers", "/data", "digest", "2-fold", 0, (5, 2), (RECIPE,), "cpu", 1, True, "none", 1.0
    )  # fmt: skip
    plan.write(folder.plan_path)
    dataset = StudyDataset(
        folder=str(tmp_path / "data"),
        name="D",
        channels=("T1",),
        file_ending=".nii.gz",
        images={case: (f"imagesTr/{case}.nii.gz",) for case in "abc"},
        references={case: f"labelsTr/{case}.nii.gz" for case in "abc"},
        labels={"structures": {"liver": [1]}, "ignore_value": None, "regions_class_order": None},
    )
    write_json(folder.dataset_path, to_json(dataset))
    write_json(folder.splits_path, to_json((Fold(("a", "b"), ("c",)), Fold(("c",), ("a", "b")))))
    return StudyFolder.open(folder.root)


def predict(study: StudyFolder, run: Run, case_id: str) -> None:
    write_label_map(study.prediction(run, case_id), LABEL_MAP, GRID)


def finish(study: StudyFolder, run: Run, inputs: str | None = None) -> None:
    record = RunRecord(SCHEMA, run, inputs or study.run_inputs(run), "", {}, "", False, 1.0, 1.0, 1.0)
    write_json(study.record_path(run), to_json(record))


def test_a_study_that_is_still_training_shows_what_has_landed(study):
    predict(study, Run("default", 0, 5), "c")
    finish(study, Run("default", 0, 5))
    review = open_review(study.root)
    assert (review.kinds, review.title) == ((STUDY,), "Livers")
    assert [(m.key, m.seed, sorted(m.files), dict(m.folds)) for m in review.members] == [
        ("default/seed_5", 5, ["c"], {"c": 0})
    ]
    assert review.awaited == 5  # two seeds, three cases, one prediction there
    predict(study, Run("default", 1, 5), "a")  # the run goes on: its record is not written yet
    predict(study, Run("default", 0, 2), "c")
    path = study.probabilities(Run("default", 0, 2), "c")
    write_probabilities(path, np.zeros((2, 2, 3, 4), np.uint8), GRID, ("background", "liver"))
    after = refresh(review)
    assert landed(review, after) == (("default/seed_2", "c"), ("default/seed_5", "a"))
    assert after.awaited == 3
    assert after.members[0].fold is None
    assert after.members[1].probabilities == {"c": path}
    assert not after.fatal
    assert not any("of 2 cases" in str(problem) for problem in after.problems)


def test_ensembles_images_and_references_come_along_and_what_is_elsewhere_is_told(study, tmp_path):
    for case_id in "abc":
        predict(study, Run("default", 0 if case_id == "c" else 1, 5), case_id)
        write_label_map(study.ensemble("default", "majority") / f"{case_id}.nii.gz", LABEL_MAP, GRID)
    write_label_map(study.ensemble("default_x2", "group_0") / "a.nii.gz", LABEL_MAP, GRID)
    write_label_map(tmp_path / "data" / "labelsTr" / "a.nii.gz", LABEL_MAP, GRID)
    review = open_review(study.root)
    assert [(each.key, sorted(each.files)) for each in review.ensembles] == [("default/majority", ["a", "b", "c"])]
    assert review.case("a").label == tmp_path / "data" / "labelsTr" / "a.nii.gz"
    assert review.case("b").label is None
    images, references = (str(problem) for problem in review.problems)
    assert "the images of 3 of 3 cases are not on this machine, such as a." in images
    assert "the references of 2 of 3 cases are not on this machine, such as b." in references


def test_predictions_made_from_another_plan_are_left_out_with_a_word(study):
    predict(study, Run("default", 0, 5), "c")
    finish(study, Run("default", 0, 5), inputs="of another plan")
    predict(study, Run("default", 0, 2), "c")
    finish(study, Run("default", 0, 2))
    review = open_review(study.root)
    assert [member.key for member in review.members] == ["default/seed_2"]
    assert "made from another plan" in str(review.problems[0])


def test_a_study_without_predictions_or_of_another_version_is_one_sentence(study):
    with pytest.raises(SegVarianceError, match="holds no prediction yet"):
        open_review(study.root)
    write_json(study.plan_path, read_json(study.plan_path) | {"schema": 99})
    with pytest.raises(SegVarianceError, match="has schema 99; this version reads") as told:
        open_review(study.root)
    assert "\n" not in str(told.value)


def test_a_study_and_a_folder_of_others_are_reviewed_together(study, tmp_path):
    predict(study, Run("default", 0, 5), "c")
    write_label_map(tmp_path / "theirs" / "c.nii.gz", LABEL_MAP, GRID)
    write_label_map(tmp_path / "moved" / "c.nii.gz", LABEL_MAP, replace(GRID, origin_mm=(3.0, 0.0, 0.0)))
    review = open_review([study.root, tmp_path / "theirs", tmp_path / "moved"])
    assert [member.name for member in review.members] == ["seed_5", "theirs", "moved"]
    assert review.labels.structures[0].name == "liver"
    assert [problem.where for problem in review.fatal] == [f"{tmp_path.name}/moved"]
