"""Transfer studies before anything is trained: who may learn from whom, what a run follows from, and which cells there are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.case import Case
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.dataset.splits import Fold, split
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.pretraining_plan import Pretraining, PretrainingPlan
from SegVarianceLib.plan.runs import Run
from SegVarianceLib.plan.sources import require_no_overlap, require_sources
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
from SegVarianceLib.plan.transfer import Cell, cells_of
from SegVarianceLib.study.new_sources import SourceWish, set_apart
from SegVarianceLib.study.new_transfer import TransferWishes, plan_transfer

LARGE = Configuration(
    "large",
    "builtin",
    PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    NetworkPlan(1, 3, (8, 8, 8), (2, 2, 2), (), (4,)),
    TrainingPlan(10, 2, 1e-3, 0.0, 0.1, 0.99, 0.3, (), (0, 1, 2)),
)
TUNED = replace(LARGE, name="tuned", fine_tuning=FineTuning("/weights", "0" * 64, part="encoder", frozen_share=0.25))
PLAN = StudyPlan(
    SCHEMA, "T", "/data", "digest", "2-fold", 0, (5, 2), (LARGE, TUNED), "cpu", 1, False, "none", 1.0
)  # fmt: skip
FILLED_IN = Pretraining(
    PretrainingPlan("filled_in", "masked_volume", LARGE.preprocessing, LARGE.network, LARGE.training),
    *("/data", "source digest", ("x", "y"), None, None, None, (0, 1), 0.1),
)
FROM_IT = replace(LARGE, name="filled_in_2", fine_tuning=FineTuning(pretraining="filled_in"), training_cases=2)


def study_of(root: Path, plan: StudyPlan, training: tuple[str, ...] = ("a", "b")) -> StudyFolder:
    folder, cases = StudyFolder(root), (*training, "c")
    labels = {"structures": {"core": [1]}, "ignore_value": None, "regions_class_order": None}
    images, references = {c: (f"i/{c}.nii.gz",) for c in cases}, {c: f"l/{c}.nii.gz" for c in cases}
    plan.write(folder.plan_path)
    write_json(folder.dataset_path, to_json(StudyDataset("/data", "D", ("T1",), ".nii.gz", images, references, labels)))
    write_json(folder.splits_path, to_json((Fold(training, ("c",)),)))
    return StudyFolder.open(root)


def quiet(what: str, done: int, of: int) -> None:
    return


def test_runs_of_plans_without_pretrainings_have_the_digests_of_before(tmp_path):
    study = study_of(tmp_path, PLAN)  # both digests were printed by the version before pretrainings were planned
    assert study.run_inputs(Run("large", 0, 5)) == "bb286baa5516ba83e7897f0c12024f4a8ff52922bdde7baf6ca6908e70b8f6a3"
    assert study.run_inputs(Run("tuned", 0, 5)) == "65af97823f4063ed366458a4d8412f6386db05935ab22ed99abd405155fda648"


def test_a_plan_file_of_before_is_read_and_has_no_pretrainings(tmp_path):
    PLAN.write(tmp_path / "plan.json")
    content = read_json(tmp_path / "plan.json")
    del content["pretrainings"]
    for configuration in content["configurations"]:
        del configuration["training_cases"]
    write_json(tmp_path / "plan.json", content)
    assert StudyPlan.read(tmp_path / "plan.json") == PLAN


def test_a_run_follows_from_the_pretraining_of_its_seed_and_from_no_other(tmp_path):
    plan = replace(PLAN, seeds=(0, 1, 2), configurations=(LARGE, FROM_IT), pretrainings=(FILLED_IN,))
    study = study_of(tmp_path / "study", plan)
    assert [study.started_from(Run("filled_in_2", 0, seed)) for seed in (0, 1, 2)] == [
        Run("filled_in", 0, 0), Run("filled_in", 0, 1), Run("filled_in", 0, 0),
    ]  # fmt: skip
    assert study.started_from(Run("large", 0, 0)) is None
    longer = replace(FILLED_IN.plan, training=replace(LARGE.training, steps=20))
    other = study_of(tmp_path / "other", replace(plan, pretrainings=(replace(FILLED_IN, plan=longer),)))
    assert other.run_inputs(Run("filled_in_2", 0, 0)) != study.run_inputs(Run("filled_in_2", 0, 0))
    assert other.run_inputs(Run("large", 0, 0)) == study.run_inputs(Run("large", 0, 0))
    slower = study_of(tmp_path / "slower", replace(plan, pretrainings=(replace(FILLED_IN, seconds_per_step=9.0),)))
    assert slower.run_inputs(Run("filled_in_2", 0, 0)) == study.run_inputs(Run("filled_in_2", 0, 0))


def test_pretrainings_have_folders_of_their_own_and_are_no_runs_of_the_target(tmp_path):
    study = study_of(tmp_path, replace(PLAN, configurations=(FROM_IT,), pretrainings=(FILLED_IN,)))
    assert study.pretraining_runs == (Run("filled_in", 0, 0), Run("filled_in", 0, 1))
    assert {run.configuration for run in study.runs} == {"filled_in_2"}
    record = study.record_path(Run("filled_in", 0, 1))
    assert record.relative_to(study.root).as_posix() == "pretraining/filled_in/seed_1/pretraining.json"


def test_a_configuration_that_starts_from_a_pretraining_that_is_not_planned_is_refused():
    with pytest.raises(ValueError, match="which the plan does not have"):
        replace(PLAN, configurations=(FROM_IT,))
    with pytest.raises(ValueError, match="either weights or a pretraining"):
        FineTuning("/weights", "0" * 64, pretraining="filled_in")


@given(seed=st.integers(0, 99), counts=st.lists(st.integers(1, 12), min_size=2, max_size=4, unique=True))
def test_fewer_target_cases_are_among_more_and_the_number_is_met(tmp_path_factory, seed, counts):
    cells = tuple(replace(LARGE, name=f"n{count}", training_cases=count) for count in sorted(counts))
    plan = replace(PLAN, split_seed=seed, configurations=cells)
    study = study_of(tmp_path_factory.mktemp("nested"), plan, tuple(f"t{n:02d}" for n in range(12)))
    drawn = [study.fold_of(Run(cell.name, 0, 5)) for cell in cells]
    assert [len(fold.training) for fold in drawn] == sorted(counts)
    for fewer, more in pairwise(drawn):
        assert set(fewer.training) < set(more.training)
        assert fewer.held_out == more.held_out == ("c",)


def test_more_target_cases_than_a_fold_has_are_refused(tmp_path):
    study = study_of(tmp_path, replace(PLAN, configurations=(replace(LARGE, training_cases=3),)))
    with pytest.raises(SegVarianceError, match="trains on 3 cases, and fold 0 has 2"):
        study.fold_of(Run("large", 0, 5))


def case(name: str, image: str | None = None) -> Case:
    return Case(name, (Path(image or f"{name}.nii.gz"),), None)


@given(
    patients=st.lists(st.integers(0, 9), min_size=8, max_size=30),
    seed=st.integers(0, 999),
    share=st.floats(0.1, 0.7),
    kind=st.sampled_from(["holdout", "2-fold"]),
    grouped=st.booleans(),
)
def test_sources_never_share_a_case_or_a_patient_with_any_fold(patients, seed, share, kind, grouped):
    ids = [f"case_{n}" for n in range(len(patients))]
    groups = {name: f"p{patient}" for name, patient in zip(ids, patients, strict=True)} if grouped else None
    try:
        apart = set_apart(ids, max(1, int(share * len(ids))), seed, groups)
        folds = split([name for name in ids if name not in apart], kind, seed, groups)
    except SegVarianceError:
        return  # too few patients for both, and said
    target = {name for fold in folds for name in (*fold.training, *fold.held_out)}
    assert not set(apart) & target
    assert set(apart) | target == set(ids)
    who = groups or {name: name for name in ids}
    assert not {who[name] for name in apart} & {who[name] for name in target}
    require_no_overlap("s", map(case, apart), [case(name) for name in target], groups, True, str)


def test_a_shared_name_patient_or_image_is_refused_and_named():
    with pytest.raises(SegVarianceError, match="case 'a', which shares its name with case 'a'"):
        require_no_overlap("s", [case("a", "1")], [case("a", "2")], None, True, str)
    with pytest.raises(SegVarianceError, match="case 'b', which shares its patient with case 'a'"):
        require_no_overlap("s", [case("b")], [case("a")], {"a": "p", "b": "p"}, True, str)
    with pytest.raises(SegVarianceError, match="case 'x', which shares its image with case 'a'"):
        require_no_overlap("s", [case("x", "1")], [case("a", "1")], None, False, str)
    require_no_overlap("s", [case("a", "1")], [case("a", "2")], None, False, str)  # two datasets may both name a case 1


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return make_phantom(tmp_path_factory.mktemp("phantom") / "dataset", seed=1, cases=8)


WISHES = TransferWishes(
    (SourceWish("whole", "segmentation", structures={"whole": (1, 2, 3)}), SourceWish("filled_in", "masked_volume")),
    target_cases=(2, 3),
    seeds=2,
    source_cases=3,
    budget="4 steps",
    source_budget="6 steps",
    device="cpu",
)


def test_a_copy_of_the_target_under_another_name_is_refused_as_a_source(phantom, tmp_path):
    copy = make_phantom(tmp_path / "copy", seed=1, cases=3)
    wishes = replace(WISHES, sources=(SourceWish("copied", "position", dataset=copy),))
    with pytest.raises(SegVarianceError, match="shares its image with case 'phantom_00"):
        plan_transfer(phantom, tmp_path / "study", wishes, quiet)
    assert not (tmp_path / "study" / "plan.json").exists()


def test_cells_budgets_and_what_a_source_may_open_are_as_planned_and_overlap_is_refused_again_when_running(
    phantom, tmp_path
):
    study, estimate = plan_transfer(phantom, tmp_path / "study", WISHES, quiet)
    assert (estimate.pretrainings, estimate.runs) == (4, 16)
    assert cells_of(study.plan)[:4] == (
        Cell("whole_2", "whole", 2),
        Cell("filled_in_2", "filled_in", 2),
        Cell("scratch_target_2", "scratch_target", 2),
        Cell("scratch_total_2", "scratch_total", 2),
    )
    steps = {each.name: each.training.steps for each in study.plan.configurations}
    assert [steps[f"{name}_3"] for name in ("whole", "filled_in", "scratch_target", "scratch_total")] == [4, 4, 4, 10]
    whole, filled_in = study.plan.pretrainings
    assert whole.plan.network.out_channels == 1
    assert filled_in.labels is None
    assert len(whole.cases) == 3
    require_sources(study)

    content = read_json(study.plan_path)
    content["pretrainings"][1]["cases"][0] = study.folds[0].held_out[0]
    write_json(study.plan_path, content)
    with pytest.raises(SegVarianceError, match="has changed since pretraining 'filled_in' was planned"):
        require_sources(StudyFolder.open(study.root))
    folds = read_json(study.splits_path)
    content["pretrainings"][1]["cases"][0] = filled_in.cases[0]
    write_json(study.plan_path, content)
    folds[0]["held_out"].append(whole.cases[0])
    write_json(study.splits_path, folds)
    with pytest.raises(SegVarianceError, match="shares its name with case"):
        require_sources(StudyFolder.open(study.root))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"target_cases": (2, 9)}, "9 target cases are wanted and 4 are left"),
        ({"source_cases": 8}, "cannot be set apart for sources"),
        ({"sources": (SourceWish("scratch_total", "position"),)}, "none of scratch_target, scratch_total"),
        ({"sources": (SourceWish("a", "position", structures={"x": (1,)}),)}, "reads no labels"),
        ({"sources": (SourceWish("a", "case_classes"),)}, "belongs to the task case_classes"),
        ({"sources": (SourceWish("a", "segmentation", structures={"x": (7,)}),)}, "to learn label 7"),
        ({"source_budget": "soon"}, "is not understood"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(phantom, tmp_path, changed, sentence):
    with pytest.raises(SegVarianceError, match=sentence):
        plan_transfer(phantom, tmp_path / "study", replace(WISHES, **changed), quiet)
