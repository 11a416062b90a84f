"""Two small studies, from held-out predictions to recipes that predict and clean new cases."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from SegVarianceLib.core.files import read_json
from SegVarianceLib.dataset.image_io import find_images, read_label_map
from SegVarianceLib.ensemble.clean_up import apply_steps
from SegVarianceLib.ensemble.clean_up_recipe import CleanUpRecipe
from SegVarianceLib.evaluation.score_table import ScoreTable

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(planned, segvariance, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    studies = [
        planned(folder / name, split="2-fold", budget=budget, configuration=name, first_seed=first)
        for name, budget, first in (("long", "40 steps", 0), ("short", "20 steps", 2))
    ]
    for study in studies:
        ran = segvariance("run", study.root)
        assert ran.returncode == 0, ran.stderr
    return studies


def test_a_clean_up_is_chosen_on_a_study_and_cleans_new_cases_and_the_best_of_two_studies_predicts(
    two, phantom, segvariance, tmp_path
):
    roots = [study.root for study in two]
    chosen = segvariance("choose-clean-up", roots[0], "--output", tmp_path / "clean_up.json", "--json")
    assert chosen.returncode == 0, chosen.stderr
    unknown = segvariance("choose-clean-up", roots[0], "--ensemble", "median", "--output", tmp_path / "none.json")
    assert unknown.returncode == 2 and "no ensemble 'median' of long. It has: majority" in unknown.stderr
    recipe = CleanUpRecipe.read(tmp_path / "clean_up.json")
    assert recipe.chosen_on.predictions == 2 and recipe.chosen_on.cases == 8

    best = segvariance("best", *roots, "--output", tmp_path / "best", "--clean-up", tmp_path / "clean_up.json")
    assert best.returncode == 0, best.stderr
    assert "cannot be scored on these cases" in best.stdout
    found = read_json(tmp_path / "best" / "best_configuration.json")
    rows = {each["name"]: each["rows"] for each in found["standings"]}
    assert rows == {"long": 2, "long_x2": 1, "short": 2, "short_x2": 1, "long+short": 2, "long+short_all": 1}
    table = ScoreTable.read(tmp_path / "best" / "scores.csv")
    single = ScoreTable.read(two[0].scores_path).where(configuration="long", metric="dice", seed=1)
    again = table.where(configuration="long", metric="dice", seed=1)
    assert {(s.case, s.structure): s.value for s in single.scores} == {
        (s.case, s.structure): s.value for s in again.scores
    }

    images = phantom / "imagesTr"
    with_recipe = segvariance(
        "predict", *roots, "--recipe", tmp_path / "best" / "ensemble_recipe.json", "--images", images,
        "--output", tmp_path / "new",
    )  # fmt: skip
    assert with_recipe.returncode == 0, with_recipe.stderr
    members = {"long": roots[:1], "short": roots[1:], "long+short": roots}[found["chosen"].removesuffix("_x2")]
    plain = segvariance("predict", *members, "--images", images, "--output", tmp_path / "plain")
    assert plain.returncode == 0, plain.stderr
    for case_id, path in find_images(tmp_path / "plain").items():
        uncleaned = read_label_map(path)
        cleaned = apply_steps(
            recipe.steps, uncleaned.array, recipe.labels, uncleaned.geometry.voxel_volume_mm3
        ).label_map
        np.testing.assert_array_equal(read_label_map(find_images(tmp_path / "new")[case_id]).array, cleaned)
    command = segvariance(
        "clean", tmp_path / "plain", "--recipe", tmp_path / "clean_up.json", "--output", tmp_path / "cleaned"
    )
    assert command.returncode == 0, command.stderr
    for case_id, path in find_images(tmp_path / "cleaned").items():
        np.testing.assert_array_equal(
            read_label_map(path).array, read_label_map(find_images(tmp_path / "new")[case_id]).array
        )


def test_the_simplest_is_one_training_where_the_best_is_all_and_a_study_is_never_the_output(two, segvariance, tmp_path):
    root = two[0].root
    scores = two[0].scores_path.read_bytes()
    ran = segvariance("best", root, "--output", root)
    assert ran.returncode == 2 and "is a study" in ran.stderr
    assert two[0].scores_path.read_bytes() == scores
    ran = segvariance("best", *[study.root for study in two], "--output", tmp_path, "--simplest")
    assert ran.returncode == 0, ran.stderr
    members = read_json(tmp_path / "ensemble_recipe.json")["members"]
    chosen = read_json(tmp_path / "best_configuration.json")["chosen"]
    assert len({(member["configuration"], member["seed"]) for member in members}) == 1 + chosen.count("+")


def test_studies_that_are_not_of_one_split_or_not_done_are_refused(two, planned, segvariance, tmp_path):
    other = planned(tmp_path / "other", split="2-fold", configuration="other", split_seed=1)
    ran = segvariance("best", two[0].root, other.root, "--output", tmp_path / "best")
    assert ran.returncode == 2 and "is not trained yet" in ran.stderr
    ran = segvariance("best", two[0].root, two[0].root, "--output", tmp_path / "best")
    assert ran.returncode == 2 and "one name" in ran.stderr


def test_a_study_that_lacks_its_ensembles_is_told_to_be_run_again_before_anything_is_written(
    two, segvariance, tmp_path
):
    shutil.copytree(two[0].root, tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "ensembles")
    ran = segvariance("best", tmp_path / "half", two[1].root, "--output", tmp_path / "best")
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    assert f"segvariance run {tmp_path / 'half'}" in ran.stderr.replace("\n", " ")
    assert not (tmp_path / "best").exists()
