"""Ensembles of some of the seeds: a configuration of their own, made of held-out predictions, and known to be no recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.ensemble.subsets import Group
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.runs import Run
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.stats.ensemble_size import cube_with_groups, ensemble_curve
from SegVarianceLib.stats.score_cube import metric_of_column
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def four_seeds(planned: Callable, segvariance: Callable, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Two folds, so that a seed is a pass of two trainings."""
    study = planned(tmp_path_factory.mktemp("four") / "study", seeds=4, budget="8 steps", split="2-fold")
    ran = segvariance("run", study.root)
    assert ran.returncode == 0, ran.stderr
    return study


def test_groups_enter_the_scores_on_every_held_out_case(four_seeds: StudyFolder) -> None:
    scores = ScoreTable.read(four_seeds.scores_path)
    assert scores.unique("configuration") == ("default", "default_x2", "default_x3")
    pairs, (three,) = (scores.where(configuration=f"default_x{k}").unique("member") for k in (2, 3))
    first, second = (Group.parse(member) for member in pairs)
    assert first is not None
    assert second is not None
    assert {*first.seeds, *second.seeds} == {0, 1, 2, 3}
    assert three.startswith("mean_probability_of_")
    for number, member in enumerate(pairs):
        of_group = scores.where(member=member, metric="dice", structure=four_seeds.labels.structures[0].name)
        assert sorted(score.case for score in of_group.scores) == sorted(four_seeds.dataset.images)
        assert {(score.seed, score.fold) for score in of_group.scores} == {(number, None)}


def test_a_group_is_the_mean_of_its_own_seeds_probabilities(four_seeds: StudyFolder) -> None:
    scores = ScoreTable.read(four_seeds.scores_path).where(configuration="default_x2")
    for number, member in enumerate(scores.unique("member")):
        group = Group.parse(member)
        assert group is not None
        for fold, cases in enumerate(four_seeds.folds):
            case_id = cases.held_out[0]
            files = [four_seeds.probabilities(Run("default", fold, seed), case_id) for seed in group.seeds]
            total = np.sum([read_probabilities(path)[0].astype(int) for path in files], axis=0)
            made = four_seeds.root / "ensembles" / "default_x2" / f"group_{number}" / f"{case_id}.nii.gz"
            assert np.array_equal(read_label_map(made).array, total.argmax(axis=0))


def test_no_part_of_the_study_takes_groups_for_recipes(four_seeds: StudyFolder, segvariance: Callable) -> None:
    said = segvariance("compare", four_seeds.root, "--json")
    studies = json.loads(said.stdout)["studies"]
    assert {study["configuration"] for study in studies} == {"default"}
    assert {
        run["configuration"] for run in json.loads(segvariance("status", four_seeds.root, "--json").stdout)["runs"]
    } == {"default"}
    page = four_seeds.report_path.read_text(encoding="utf-8")
    assert "Seeds of default_x2" not in page
    assert "<h3>default_x2" not in page


def test_scores_of_a_study_give_the_curve_of_sizes(four_seeds: StudyFolder) -> None:
    cube = cube_with_groups(ScoreTable.read(four_seeds.scores_path), "default", metric_of_column("dice"))
    curve = ensemble_curve(cube, FOREGROUND_MEAN, d0=0.01)
    assert [(size.members, size.groups) for size in curve.sizes] == [(1, 4), (2, 2), (3, 1), (4, 1)]
    assert len(curve.cases) == len(four_seeds.dataset.images)


def test_going_on_makes_only_the_group_whose_members_changed(four_seeds: StudyFolder, segvariance: Callable) -> None:
    def written() -> dict[str, int]:
        return {
            folder.relative_to(four_seeds.root).as_posix(): max(path.stat().st_mtime_ns for path in folder.iterdir())
            for folder in (four_seeds.root / "ensembles").glob("default_x*/group_*")
        }

    before = written()
    assert len(before) == 3
    made = read_json(four_seeds.stages_path)
    write_json(four_seeds.stages_path, made | {"ensembles/default_x2/group_1": "made from something else"})
    assert segvariance("resume", four_seeds.root).returncode == 0
    after = written()
    assert [name for name in before if after[name] != before[name]] == ["ensembles/default_x2/group_1"]
    assert read_json(four_seeds.stages_path) == made


def test_a_recipe_with_the_name_of_a_group_is_refused_before_training(
    planned: Callable, segvariance: Callable, tmp_path: Path
) -> None:
    study = planned(tmp_path / "clash", seeds=3, budget="2 steps")
    content = read_json(study.plan_path)
    (recipe,) = content["configurations"]
    write_json(study.plan_path, content | {"configurations": [recipe, recipe | {"name": "default_x2"}]})
    ran = segvariance("run", study.root)
    assert ran.returncode == 2
    assert "'default_x2' has the name under which ensembles of 2 seeds of 'default' are kept" in ran.stdout + ran.stderr
    assert not (study.root / "runs").exists()
