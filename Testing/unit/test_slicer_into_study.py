"""A result goes into the study as an ensemble of its own: written, read again, and no trouble to the study's worker."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib import __version__
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.image_io import read_geometry, read_label_map, write_label_map
from SegVarianceLib.dataset.splits import Fold
from SegVarianceLib.ensemble.rules import RULES
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.runs import Run
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
from SegVarianceLib.review.into_study import ensemble_folder
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.vote_recipe import VoteRecipe
from SegVarianceLib.study import stages
from SegVarianceLib.study.status import status_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_review import VOTE, ReviewSession

GRID = Geometry((8, 6, 5), (1.0, 1.0, 2.0), (3.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SEEDS = (5, 2, 9)


class Layers:
    """A scene that keeps label maps by key."""

    most_shown = 6

    def __init__(self):
        self.layers: dict[str, np.ndarray] = {}

    def open(self, case, geometry, labels):
        self.layers = {}

    def has(self, key):
        return key in self.layers

    def put(self, key, folder, title, label_map):
        self.layers[key] = label_map

    def keep(self, title, label_map): ...

    def arrange(self, views): ...

    def show_map(self, kind, values): ...

    def jump(self, lps_mm): ...

    def forget(self): ...


def drawn(seed: int, case: str) -> np.ndarray:
    """A bar that grows with the seed, and an island of one voxel that all seeds draw."""
    label_map = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    label_map[1:3, 1:4, 1 : 3 + SEEDS.index(seed)] = 1
    label_map[4, 5, 7 if case == "a" else 6] = 1
    return label_map


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Seeds 5, 2 and 9 on two folds of the cases a, b and c, all predicted, with references."""
    recipes = tuple(
        Configuration(
            name,
            "builtin",
            PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
            NetworkPlan(1, 3, (8, 8, 8), (2, 2, 2), (), (4,)),
            TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
        )
        for name in ("default", "wide")
    )
    folder = StudyFolder(tmp_path / "study")
    plan = StudyPlan(
        SCHEMA, "Livers", "/data", "digest", "2-fold", 0, SEEDS, recipes, "cpu", 1, False, "keep_largest", 1.0
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
    study = StudyFolder.open(folder.root)
    for case in "abc":
        write_label_map(study.reference(case), drawn(2, case), GRID)
    for run in study.runs:
        for case in study.folds[run.fold].held_out:
            write_label_map(study.prediction(run, case), drawn(run.seed, case), GRID)
    return study


class Module:
    def __init__(self, study: StudyFolder, later=lambda act: act()):
        self.session = ReviewSession(Layers(), later=later)
        ticks = itertools.count()  # a turn is one step
        self.look = LookPresenter(self.session)
        self.ensemble = EnsemblePresenter(self.session, clock=lambda: float(next(ticks)))
        self.session.use(open_review(study.root))
        self.ensemble.tick_all(frozenset(f"default/seed_{seed}" for seed in SEEDS))

    @property
    def said(self) -> str:
        return self.ensemble.state.study.said


def test_the_result_on_screen_is_kept_as_it_stands_with_how_it_was_made_and_is_an_ensemble_at_once(study):
    module = Module(study)
    module.ensemble.cleaning.choose_step("minimum_size")
    module.ensemble.cleaning.choose_minimum(0.005)
    module.ensemble.apply()
    module.ensemble.into_study("reviewed")
    folder = study.root / "ensembles" / "default" / "reviewed"
    assert module.ensemble.state.problem == "" and sorted(p.name for p in folder.iterdir()) == ["a.json", "a.nii.gz"]
    kept = read_label_map(folder / "a.nii.gz")
    np.testing.assert_array_equal(kept.array, module.session.result)
    assert kept.array[1:3].any() and not kept.array[4].any()
    assert read_geometry(folder / "a.nii.gz") == read_geometry(study.prediction(Run("default", 1, 5), "a"))
    assert read_json(folder / "a.json") == {
        "case": "a",
        "made_by": f"SegVariance {__version__}",
        "rule": "plurality",
        "members": ["default/seed_5", "default/seed_2", "default/seed_9"],
        "cleaned": [{"step": "minimum_size", "structures": ["liver"], "settings": {"minimum_mm3": 5.0}}],
        "weights": None,
    }
    assert module.said.startswith("Kept ensembles/default/reviewed/a.nii.gz")
    assert "default/reviewed" in {layer.key for layer in module.look.state.layers}
    module.look.tick("default/seed_5", False)
    module.look.tick("default/reviewed", True)
    np.testing.assert_array_equal(module.session.scene.layers["default/reviewed"], kept.array)
    found = {each.key: sorted(each.files) for each in open_review(study.root).ensembles}
    assert found == {"default/reviewed": ["a"]}
    module.ensemble.into_study("reviewed")
    assert module.said.startswith("Replaced what you kept before")


def test_all_cases_are_voted_and_cleaned_in_the_same_way(study):
    module = Module(study)
    module.ensemble.tick("default/seed_5", False)
    module.ensemble.cleaning.choose_step("keep_largest")
    module.ensemble.apply()
    module.ensemble.all_into_study("two_seeds")
    assert module.said == "3 of 3 cases are in ensembles/default/two_seeds."
    for case in "abc":
        kept = read_label_map(study.root / "ensembles" / "default" / "two_seeds" / f"{case}.nii.gz").array
        expected = drawn(2, case) & drawn(9, case)  # of two voters a draw makes no structure
        expected[4] = 0
        np.testing.assert_array_equal(kept, expected)
    assert module.session.opened.case.id == "a"
    assert [sorted(each.files) for each in module.session.review.ensembles] == [["a", "b", "c"]]


def test_stopped_in_the_middle_what_is_written_stays_and_is_counted(study):
    waiting = []
    module = Module(study, later=waiting.append)
    while waiting:
        waiting.pop(0)()
    module.ensemble.tick_all(frozenset(f"default/seed_{seed}" for seed in SEEDS))
    module.ensemble.all_into_study("some")
    while "b" not in module.ensemble.state.study.busy.split("…")[0].split():
        waiting.pop(0)()
    module.ensemble.stop()
    while waiting:
        waiting.pop(0)()
    assert module.said == "1 of 3 cases are in ensembles/default/some."
    assert module.ensemble.state.study.progress is None and len(open_review(study.root).ensembles[0].files) == 1


def test_cases_that_a_voter_has_not_predicted_yet_are_left_out_and_counted(study):
    study.prediction(Run("default", 0, 9), "c").unlink()
    module = Module(study)
    module.ensemble.all_into_study("reviewed")
    assert module.said == (
        "2 of 3 cases are in ensembles/default/reviewed. Left out: 1, which a ticked member has not predicted."
    )


def test_what_a_case_lacks_because_its_file_is_broken_is_said(study):
    module = Module(study)
    study.prediction(Run("default", 1, 9), "b").write_bytes(b"")
    module.ensemble.all_into_study("reviewed")
    assert "b.nii.gz" in module.ensemble.state.problem and module.said.startswith("1 of 3 cases")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Give the ensemble a name first"),
        ("../runs", "cannot be a name of an ensemble"),
        ("majority", "a name that the study gives to its own ensembles"),
        ("mean_probability_clean", "a name that the study gives to its own ensembles"),
        ("foreign", "holds an ensemble that was not made here"),
    ],
)
def test_names_that_would_leave_the_folder_or_hide_the_studys_own_are_refused(study, name, sentence):
    write_label_map(study.ensemble("default", "foreign") / "a.nii.gz", drawn(2, "a"), GRID)
    before = sorted(study.root.rglob("*"))
    module = Module(study)
    module.ensemble.into_study(name)
    assert sentence in module.ensemble.state.problem
    module.ensemble.all_into_study(name)
    assert sentence in module.ensemble.state.problem and sorted(study.root.rglob("*")) == before


def test_every_name_that_the_worker_gives_is_refused(study):
    for rule in RULES:
        for name in (rule.id, rule.id + stages.CLEANED):
            with pytest.raises(SegVarianceError, match="gives to its own ensembles"):
                ensemble_folder(study, VoteRecipe("plurality", ("default/seed_2",)), name)


def test_members_of_two_configurations_have_no_place_together(study):
    module = Module(study)
    module.ensemble.tick_all()
    module.ensemble.into_study("reviewed")
    assert module.ensemble.state.problem.startswith("Members of default and wide vote. Tick members of one")


def test_without_a_study_nothing_can_be_kept_and_the_panel_says_why(study, tmp_path):
    module = Module(study)
    assert module.ensemble.state.study.can_write
    for seed in (2, 5):
        write_label_map(tmp_path / "plain" / f"m{seed}" / "a.nii.gz", drawn(seed, "a"), GRID)
    module.session.use(open_review(tmp_path / "plain"))
    assert not module.ensemble.state.study.can_write
    assert module.ensemble.state.study.words == "Open a SegVariance study to keep results in it."


def test_the_worker_ensembles_cleans_and_scores_a_study_that_holds_a_readers_ensemble(study):
    module = Module(study)
    module.ensemble.all_into_study("reviewed")
    stages.require_free_names(study)
    assert status_of(study).state == "stopped"
    for step in (stages.ensemble, stages.ensemble_groups, stages.clean, stages.score):
        step(study, lambda what, done, of: None)
    scored = {score.member for score in ScoreTable.read(study.scores_path).scores}
    assert "reviewed" not in scored and {"majority", "majority_clean", "seed_2"} <= scored
    found = {each.key for each in open_review(study.root).ensembles}
    assert {"default/reviewed", "default/majority", "wide/majority"} <= found
    assert module.session.scene.has(VOTE)
