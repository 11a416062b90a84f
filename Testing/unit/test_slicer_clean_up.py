"""The clean-up of the module without Qt: every step, recipes, and choosing one by cross-validation in a real process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map
from SegVarianceLib.ensemble.clean_up import CleanUpStep, apply_steps
from SegVarianceLib.ensemble.clean_up_recipe import ChosenOn, CleanUpRecipe
from SegVarianceLib.plan.runs import Run

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from SegVarianceSlicer.child_process import ChildProcesses
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from test_slicer_into_study import GRID, Layers, drawn, study  # noqa: F401 (a fixture)

from SegVarianceLib.review.opening import open_review

PATIENCE_S = 120


class Module:
    def __init__(self, folder, runner=None):
        self.session = ReviewSession(Layers())
        self.ensemble = EnsemblePresenter(self.session, runner=runner)
        self.cleaning = self.ensemble.cleaning
        self.session.use(open_review(folder))

    @property
    def state(self):
        return self.ensemble.state.clean


@pytest.fixture
def folder(tmp_path):
    """A shell (1) with a hole around a core (2), an island of the shell outside and one of the core within the shell."""
    label_map = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    label_map[0:3, 0:5, 0:5] = 1
    label_map[1, 2, 2] = 0
    label_map[0, 0:2, 0:2] = 2
    label_map[2, 4, 4] = 2
    label_map[4, 5, 7] = 1
    for member in "ab":
        write_label_map(tmp_path / "set" / member / "p.nii.gz", label_map, GRID)
    return tmp_path / "set"


def test_every_step_of_the_catalogue_previews_what_it_then_does(folder):
    module = Module(folder)
    assert [step.id for step in module.state.steps] == [
        "none", "keep_largest", "minimum_size", "keep_largest_foreground", "fill_holes",
    ]  # fmt: skip
    labels, before = module.session.opened.labels, module.session.result
    for step, structures, becomes, said in (
        ("keep_largest", ("label_2",), "background", "1 of 2 components would go"),
        ("keep_largest", ("label_2",), "enclosing", "1 of 2 components would go"),
        ("minimum_size", ("label_1",), "background", "1 of 2 components would go"),
        ("keep_largest_foreground", ("label_1", "label_2"), "background", "1 component would be changed"),
        ("fill_holes", ("label_1",), "", "1 hole would be filled"),
    ):
        module.ensemble.tick_all()
        module.cleaning.choose_structure(structures[0])
        module.cleaning.choose_step(step)
        module.cleaning.choose_minimum(0.01)
        if becomes:
            module.cleaning.choose_becomes(becomes)
        settings = ({"becomes": becomes} if becomes else {}) | ({"minimum_mm3": 10.0} if step == "minimum_size" else {})
        expected = apply_steps([CleanUpStep(step, structures, settings)], before, labels.structures, 2.0)
        assert module.state.goes.startswith(said), (step, module.state.goes)
        assert sorted(row.voxels for row in module.state.components) == sorted(r.voxels for r in expected.removed)
        module.ensemble.apply()
        np.testing.assert_array_equal(module.session.result, expected.label_map)
    assert module.session.result[1, 2, 2] == 1


def test_what_surrounds_is_asked_only_where_something_can(folder):
    module = Module(folder)
    for step, has in (("none", False), ("keep_largest", True), ("fill_holes", False)):
        module.cleaning.choose_step(step)
        assert module.state.has_becomes == has


def test_a_recipe_is_previewed_applied_and_says_what_it_gains(folder, tmp_path):
    module = Module(folder)
    labels, before = module.session.opened.labels, module.session.result
    steps = (CleanUpStep("keep_largest", ("label_1",), {"ties": "all"}), CleanUpStep("fill_holes", ("label_1",)))
    found = ("Nested, every case cleaned as chosen without its fold (5 folds): it is shown to help on new cases.",)
    CleanUpRecipe.of(labels, steps, ChosenOn("Livers", 9, 3, "", found)).write(tmp_path / "clean_up.json")
    module.cleaning.open_recipe(str(tmp_path / "clean_up.json"))
    assert module.state.step == "recipe" and module.state.recipe_says == ("Chosen on Livers.", *found)
    assert module.state.goes == "2 components would be changed, 0.004 ml in all."
    module.ensemble.apply()
    np.testing.assert_array_equal(module.session.result, apply_steps(steps, before, labels.structures, 2.0).label_map)
    assert module.ensemble.state.kept.endswith("as clean_up.json says'.")


def test_a_recipe_for_other_labels_or_changed_by_hand_is_refused_in_a_sentence(folder, tmp_path):
    module, path = Module(folder), tmp_path / "clean_up.json"
    labels = module.session.opened.labels
    CleanUpRecipe.of(labels, (CleanUpStep("fill_holes", ("label_1",)),)).write(path)
    changed = read_json(path)
    changed["steps"][0]["structures"] = ["label_2"]
    write_json(path, changed)
    module.cleaning.open_recipe(str(path))
    assert "changed by hand" in module.ensemble.state.problem and module.state.step == "none"
    kidney = LabelSet((Structure("kidney", (7,)),))
    CleanUpRecipe.of(kidney, (CleanUpStep("fill_holes", ("kidney",)),)).write(path)
    module.cleaning.open_recipe(str(path))
    assert "was chosen for kidney (7), the labels here are label_1 (1), label_2 (2)" in module.ensemble.state.problem
    module.cleaning.open_recipe(str(tmp_path / "nothing.json"))
    assert "nothing.json" in module.ensemble.state.problem


def wait_for(ended, runner):
    until = time.monotonic() + PATIENCE_S
    while not ended():
        assert time.monotonic() < until, "the process does not end"
        runner.poll()
        time.sleep(0.02)


@pytest.fixture
def runner():
    found = ChildProcesses()
    yield found
    found.close()


def test_a_clean_up_is_chosen_by_cross_validation_in_a_process_and_shown(study, runner, tmp_path):  # noqa: F811
    """All seeds draw the same island, which no reference has: removing it raises Dice on every case."""
    for case in "abc":
        label_map = drawn(2, case)
        label_map[4] = 0
        write_label_map(study.reference(case), label_map, GRID)
    module = Module(study.root, runner)
    module.ensemble.tick_all(frozenset(f"default/seed_{seed}" for seed in (5, 2, 9)))
    assert module.state.choosing.can_choose
    path = tmp_path / "clean_up.json"
    module.ensemble.choosing.begin(module.session.votes.selected, str(path))
    assert module.state.choosing.busy == "Reading the predictions…"
    shares = []

    def ended():
        if module.state.choosing.progress is not None:
            shares.append(module.state.choosing.progress)
        return module.state.choosing.progress is None

    wait_for(ended, runner)
    assert module.ensemble.state.problem == "" and shares == sorted(shares) and shares[-1] <= 1
    assert CleanUpRecipe.read(path).steps and module.state.recipe == str(path) and module.state.step == "recipe"
    assert module.state.recipe_says[0].startswith("Chosen on Livers: default, seeds 5, 2, 9, 3 held-out cases")
    assert any(sentence.startswith("Nested") and "95 % interval" in sentence for sentence in module.state.recipe_says)
    module.ensemble.apply()
    module.ensemble.into_study("cleaned")
    kept = read_label_map(study.root / "ensembles" / "default" / "cleaned" / "a.nii.gz").array
    assert kept[1:3].any() and not kept[4].any()


def test_choosing_can_be_stopped_and_its_errors_are_sentences(study, runner, tmp_path):  # noqa: F811
    module, path = Module(study.root, runner), tmp_path / "clean_up.json"
    voters = tuple(f"default/seed_{seed}" for seed in (5, 2, 9))
    module.ensemble.choosing.begin(voters, str(path))
    module.ensemble.choosing.stop()
    wait_for(lambda: module.state.choosing.progress is None, runner)
    assert not path.exists() and module.ensemble.state.problem == "" and module.state.step == "none"
    module.ensemble.choosing.begin((*voters, "wide/seed_5"), str(path))
    assert module.ensemble.state.problem.startswith("Members of default and wide vote.")
    study.prediction(Run("default", 0, 9), "c").unlink()
    module.ensemble.choosing.begin(voters, str(path))
    wait_for(lambda: module.state.choosing.progress is None, runner)
    assert "is not there yet" in module.ensemble.state.problem


def test_without_a_study_nothing_can_be_chosen_and_the_panel_says_why(folder, runner):
    module = Module(folder, runner)
    assert not module.state.choosing.can_choose
    assert module.state.choosing.words.startswith("Open a SegVariance study whose cases have references")
