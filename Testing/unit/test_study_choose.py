"""choose-clean-up and clean --recipe on plain folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import find_images, read_label_map, write_label_map
from SegVarianceLib.ensemble.clean_up_recipe import CleanUpRecipe
from SegVarianceLib.study.cli import main

GRID = Geometry((10, 10, 10), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Six cases by two seeds, each with an island that is not there."""
    body = np.zeros((10, 10, 10), dtype=np.uint8)
    body[1:6, 1:6, 1:6] = 1
    for case in range(6):
        write_label_map(tmp_path / "references" / f"case_{case}.nii.gz", body, GRID)
        for seed in (0, 1):
            spoiled = body.copy()
            spoiled[8, 8, case : case + 2 + seed] = 1
            write_label_map(tmp_path / f"seed_{seed}" / f"case_{case}.nii.gz", spoiled, GRID)
    return tmp_path


def choose(folders: Path, *more: str) -> int:
    seeds = [str(folders / "seed_0"), str(folders / "seed_1")]
    output = str(folders / "clean_up.json")
    return main(["choose-clean-up", *seeds, "--references", str(folders / "references"), "--output", output, *more])


def test_folders_give_a_recipe_and_both_gains_and_the_recipe_cleans_new_cases(folders, capsys):
    assert choose(folders, "--folds", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folds"] == 3 and len(told["choice"]["steps"]) == 1
    assert told["nested"][0]["seeds"] == 2 and told["nested"][0]["after"] == 1.0
    recipe = CleanUpRecipe.read(folders / "clean_up.json")
    assert recipe.chosen_on.cases == 6
    request = ["clean", str(folders / "seed_1"), "--recipe", str(folders / "clean_up.json"), "--output"]
    assert main([*request, str(folders / "cleaned")]) == 0
    for path in find_images(folders / "cleaned").values():
        reference = read_label_map(folders / "references" / path.name).array
        np.testing.assert_array_equal(read_label_map(path).array, reference)


def test_the_sentences_say_what_flatters_and_what_holds_for_new_cases(folders, capsys):
    assert choose(folders, "--folds", "2", "--nnunet-rule") == 0
    text = capsys.readouterr().out
    assert "this flatters" in text and "Nested" in text and "shown to help on new cases" in text
    assert "2 of 2 folds chose: keep largest of all together" in text


def test_other_labels_another_folder_and_too_many_folds_are_refused(folders, capsys):
    assert choose(folders, "--folds", "7") == 2
    assert "6 cases cannot be put into 7 folds" in capsys.readouterr().err
    assert choose(folders) == 0
    strange = read_label_map(folders / "seed_0" / "case_0.nii.gz").array * 3
    write_label_map(folders / "strange" / "case_0.nii.gz", strange, GRID)
    recipe = str(folders / "clean_up.json")
    request = ["clean", str(folders / "strange"), "--recipe", recipe, "--output", str(folders / "out")]
    assert main(request) == 2
    assert "clean-up was chosen for" in capsys.readouterr().err
    assert main(["choose-clean-up", str(folders / "seed_0")]) == 2
    assert "is not a study" in capsys.readouterr().err


def test_options_that_would_say_nothing_and_too_few_patients_are_refused(folders, capsys):
    assert choose(folders, "--ensemble", "majority") == 2
    assert "--ensemble says nothing here" in capsys.readouterr().err
    lines = [f"case_{case},{'ab'[case % 2]}" for case in range(6)]
    (folders / "groups.csv").write_text("\n".join(["case,patient", *lines]))
    grouped = ["--groups", str(folders / "groups.csv"), "--group-column", "patient", "--folds"]
    assert choose(folders, *grouped, "3") == 2
    assert "2 patients cannot be put into 3 folds" in capsys.readouterr().err
    assert choose(folders, *grouped, "2") == 2
    assert "at least 3 patients, found 2" in capsys.readouterr().err
    clean = ["clean", str(folders / "seed_0"), "--output", str(folders / "out"), "--recipe", "clean_up.json"]
    assert main([*clean, "--step", "fill_holes"]) == 2
    assert "--recipe says every step" in capsys.readouterr().err
