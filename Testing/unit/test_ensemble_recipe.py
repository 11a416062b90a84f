"""The ensemble recipe: what is written is what is read, and neither a strange file nor a strange study is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import sha256_of_file
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.records import to_json
from SegVarianceLib.ensemble.clean_up import CleanUpStep
from SegVarianceLib.ensemble.clean_up_recipe import CleanUpRecipe
from SegVarianceLib.ensemble.ensemble_recipe import EnsembleRecipe, RecipeMember

CLEAN_UP = CleanUpRecipe.of(LabelSet((Structure("organ", (1,)),)), [CleanUpStep("fill_holes", ("organ",))])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study" / "runs" / "w.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return tmp_path / "study"


def recipe_of(study: Path, weights: str = "runs/w.safetensors") -> EnsembleRecipe:
    digest = sha256_of_file(study / "runs" / "w.safetensors")
    member = RecipeMember(0, "default", 0, 1, weights, digest)
    return EnsembleRecipe.of("default", ["study"], [member], "mean_probability", CLEAN_UP, "It is best.")


def test_a_recipe_comes_back_as_it_was_written_and_finds_its_weights(study, tmp_path):
    recipe_of(study).write(tmp_path / "r.json")
    read = EnsembleRecipe.read(tmp_path / "r.json")
    assert read == recipe_of(study)
    assert read.weights_files([study]) == [study / "runs" / "w.safetensors"]


def test_other_studies_other_weights_and_paths_that_leave_are_refused(study, tmp_path):
    recipe = recipe_of(study)
    with pytest.raises(SegVarianceError, match="needs 1 studies in this order: study"):
        recipe.weights_files([study, study])
    with pytest.raises(SegVarianceError, match="missing"):
        recipe.weights_files([tmp_path])
    with pytest.raises(SegVarianceError, match="leads out"):
        recipe_of(study, "../study/runs/w.safetensors").weights_files([study / "runs"])
    with pytest.raises(SegVarianceError, match="leads out"):
        recipe_of(study, "/etc/passwd").weights_files([study])
    (study / "runs" / "w.safetensors").write_bytes(b"others")
    with pytest.raises(SegVarianceError, match="not the file"):
        recipe.weights_files([study])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 2}, "schema 1"),
        ({"members": []}, "1 to 10000 members"),
        ({"rule": "exec"}, "no ensemble rule"),
        ({"rule": "weighted_mean_probability"}, "do not fit"),
        ({"weights": [1.0]}, "do not fit"),
        ({"rule": "weighted_mean_probability", "weights": [-1.0]}, "a weight from 0"),
        ({"rule": "weighted_mean_probability", "weights": [float("nan")]}, "a weight from 0"),
        ({"studies": []}, "a member is of number 0"),
        ({"clean_up": {"schema": 1}}, "missing"),
        ({"clean_up": None}, "digest"),
        ({"rule": "majority"}, "digest"),
        ({"pickle": "gASV"}, "unknown field"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(study, tmp_path, change, sentence):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(to_json(recipe_of(study)) | change))
    with pytest.raises(SegVarianceError, match=sentence):
        EnsembleRecipe.read(path)
