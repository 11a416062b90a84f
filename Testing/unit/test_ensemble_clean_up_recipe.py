"""The recipe file: what is written is what is read, and a file from anywhere is refused with a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.records import to_json
from SegVarianceLib.ensemble.clean_up import CleanUpStep
from SegVarianceLib.ensemble.clean_up_recipe import ChosenOn, CleanUpRecipe

LABELS = LabelSet((Structure("organ", (1, 2)), Structure("lesion", (2,))), ignore_value=9)
STEPS = (
    CleanUpStep("keep_largest_foreground", ("organ", "lesion"), {"ties": "all"}),
    CleanUpStep("minimum_size", ("lesion",), {"minimum_mm3": 30.0, "becomes": "enclosing"}),
    CleanUpStep("fill_holes", ("organ",)),
)
RECIPE = CleanUpRecipe.of(LABELS, STEPS, ChosenOn("a study", 20, 4, "0" * 64))


def test_a_recipe_comes_back_as_it_was_written(tmp_path):
    RECIPE.write(tmp_path / "clean_up.json")
    assert CleanUpRecipe.read(tmp_path / "clean_up.json") == RECIPE
    assert RECIPE.known_values == {0, 1, 2, 9}
    RECIPE.require_same_labels(LABELS)
    with pytest.raises(SegVarianceError, match="chosen for organ"):
        RECIPE.require_same_labels(LabelSet((Structure("organ", (1,)),)))


def test_recipes_that_clean_alike_have_one_digest_wherever_they_were_chosen():
    assert CleanUpRecipe.of(LABELS, STEPS).digest == RECIPE.digest
    assert CleanUpRecipe.of(LABELS, STEPS[::-1]).digest != RECIPE.digest


HOSTILE = {
    "not an object": ([], "expected an object"),
    "another schema": ({"schema": 7}, "schema 1"),
    "an unknown field": ({"code": "import os"}, "unknown field"),
    "an unknown step": ({"steps": [{"step": "rm -rf", "structures": ["organ"], "settings": {}}]}, "no clean-up step"),
    "no structure": ({"steps": [{"step": "fill_holes", "structures": [], "settings": {}}]}, "must name structures"),
    "a strange structure": ({"steps": [{"step": "fill_holes", "structures": ["x"], "settings": {}}]}, "must name"),
    "an unknown setting": (
        {"steps": [{"step": "fill_holes", "structures": ["organ"], "settings": {"x": 1}}]},
        "no setting",
    ),
    "a size without end": (
        {"steps": [{"step": "minimum_size", "structures": ["organ"], "settings": {"minimum_mm3": 10**400}}]},
        "not allowed",
    ),
    "a size that is no number": (
        {"steps": [{"step": "minimum_size", "structures": ["organ"], "settings": {"minimum_mm3": float("nan")}}]},
        "not allowed",
    ),
    "a list as a choice": (
        {"steps": [{"step": "keep_largest", "structures": ["organ"], "settings": {"ties": ["all"]}}]},
        "not allowed",
    ),
    "a million steps": ({"steps": [{"step": "fill_holes", "structures": ["organ"], "settings": {}}] * 1001}, "at most"),
    "background as a structure": ({"structures": {"organ": [0], "lesion": [2]}}, "label values from 1"),
    "a value too high": ({"structures": {"organ": [1, 2**40], "lesion": [2]}}, "label values from 1"),
    "truth as a value": ({"structures": {"organ": [True], "lesion": [2]}}, "expected int"),
    "steps changed by hand": ({"steps": []}, "digest"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, name):
    change, sentence = HOSTILE[name]
    content = change if isinstance(change, list) else to_json(RECIPE) | change
    path = tmp_path / "clean_up.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SegVarianceError, match=sentence):
        CleanUpRecipe.read(path)


def test_a_number_of_thousands_of_digits_is_a_sentence_too(tmp_path):
    path = tmp_path / "clean_up.json"
    path.write_text('{"schema": ' + "1" * 10_000 + "}")
    with pytest.raises(SegVarianceError, match="not valid JSON"):
        CleanUpRecipe.read(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(list(to_json(RECIPE))), json_values)
def test_whatever_stands_in_a_field_reading_gives_a_recipe_or_a_sentence(tmp_path_factory, field, value):
    path = tmp_path_factory.mktemp("hostile") / "clean_up.json"
    path.write_text(json.dumps(to_json(RECIPE) | {field: value}))
    try:
        found = CleanUpRecipe.read(path)
    except SegVarianceError:
        return
    assert found.steps == RECIPE.steps and found.structures == RECIPE.structures
