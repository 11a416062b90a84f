"""Region definitions: where they come from, what painting them in order does, and what a sorted dataset.json does to them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.nesting import (
    APART,
    INSIDE,
    OVERLAP,
    arrangement_that_fits,
    damaged_regions,
    parents,
    relations,
    repainted,
)
from SegVarianceLib.dataset.checks import check_dataset
from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.dataset.label_declaration import declaration, read_labels, regions_of_text
from SegVarianceLib.dataset.region_checks import definition_problems, described

WHOLE, CORE, ENHANCING = Structure("whole", (1, 2, 4)), Structure("core", (1, 4)), Structure("enhancing", (4,))
BRATS = LabelSet((WHOLE, CORE, ENHANCING), regions_class_order=(2, 1, 4))
GRID = Geometry((6, 5, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


@st.composite
def label_sets(draw) -> LabelSet:
    sets = draw(st.lists(st.frozensets(st.integers(1, 9), min_size=1), min_size=1, max_size=5, unique=True))
    names = draw(st.lists(st.text(st.characters(categories=["L"]), min_size=1), min_size=5, max_size=5, unique=True))
    names = [f"{name}!" for name in names]
    structures = [Structure(name, tuple(sorted(values))) for name, values in zip(names, sets, strict=False)]
    structures.append(Structure("two", (10, 11)))
    order = tuple(draw(st.sampled_from(structure.values)) for structure in structures)
    return LabelSet(tuple(structures), draw(st.sampled_from([None, 12])), order)


def problems_of(labels: LabelSet) -> list[tuple[str, bool]]:
    return [(problem.what, problem.fatal) for problem in definition_problems(labels, "here")]


@given(label_sets())
def test_what_is_written_back_is_what_was_read_in_declared_order(labels):
    text = json.dumps(declaration(labels))
    assert read_labels(json.loads(text), "here") == labels


def test_regions_from_one_line_are_those_of_a_dataset_json():
    assert regions_of_text("whole=1,2,4; core=1,4; enhancing=4", "2,1,4") == BRATS
    assert regions_of_text(" whole = 4, 2,1 ;core=1,4;enhancing=4;", None).regions_class_order == (2, 1, 4)
    assert regions_of_text("whole=1,2", "1", ignore_value=3).ignore_value == 3


@pytest.mark.parametrize(
    ("text", "order", "sentence"),
    [
        ("whole 1,2", None, "cannot read 'whole 1,2'"),
        ("core=1,2; core=2", None, "each name once"),
        ("whole=1,2,4; core=4", None, "leaves 1, 2 once the later ones are painted"),
        ("core=4; whole=1,4", None, "leaves no value"),
        ("whole=1,x", "1", "gives label 'whole' the value 'x'"),
        ("a=1; b=2", None, "single labels only"),
        ("whole=1,2; core=2", "1", "declares 2 regions but"),
        ("", None, "declares no labels"),
        ("label value 1=1,2", "1", "Name the region differently"),
    ],
)
def test_a_line_that_defines_no_regions_is_refused_with_what_is_wrong(text, order, sentence):
    with pytest.raises(SegVarianceError, match=sentence):
        regions_of_text(text, order)


def test_pairs_are_nested_partly_overlapping_or_apart():
    structures = (WHOLE, CORE, Structure("edge", (2, 3)), Structure("bone", (9,)))
    found = {(first.name, second.name): kind for first, second, kind in relations(structures)}
    assert found == {
        ("core", "whole"): INSIDE,
        ("whole", "edge"): OVERLAP,
        ("whole", "bone"): APART,
        ("core", "edge"): APART,
        ("core", "bone"): APART,
        ("edge", "bone"): APART,
    }


def test_parents_are_the_smallest_regions_around_and_there_may_be_two():
    chain = (ENHANCING, WHOLE, CORE)
    assert parents(chain) == ((2,), (), (1,))
    diamond = (Structure("all", (1, 2, 3)), Structure("a", (1, 2)), Structure("b", (2, 3)), Structure("both", (2,)))
    assert parents(diamond) == ((), (0,), (0,), (1, 2))


def test_an_ideal_segmentation_comes_back_when_large_regions_are_painted_first():
    assert repainted(BRATS) == {1: 1, 2: 2, 4: 4}
    assert damaged_regions(BRATS) == ()
    assert problems_of(BRATS) == []


def test_a_label_that_no_region_has_for_itself_comes_back_as_another_and_that_may_be_meant_so():
    labels = LabelSet((WHOLE, ENHANCING), regions_class_order=(2, 4))
    assert repainted(labels) == {1: 2, 2: 2, 4: 4}
    assert damaged_regions(labels) == ()
    assert problems_of(labels) == [("not every label can be rebuilt from the regions: label 1 comes back as 2.", False)]


def test_small_regions_painted_first_are_painted_over_and_that_is_fatal():
    labels = LabelSet((Structure("tail", (2,)), Structure("both", (1, 2))), regions_class_order=(2, 1))
    assert [structure.name for structure in damaged_regions(labels)] == ["tail"]
    ((what, fatal),) = problems_of(labels)
    assert fatal and "does not give back 'tail' even from an ideal segmentation: label 2 comes back as 1." in what
    (problem,) = definition_problems(labels, "here")
    assert "Write large regions first" in problem.remedy  # no order of these two fits 2, 1


def test_sorted_names_that_paint_foreign_values_are_explained_with_the_order_that_fits():
    damaged = json.loads(json.dumps(declaration(BRATS), sort_keys=True))
    with pytest.raises(SegVarianceError) as found:
        read_labels(damaged, "dataset.json")
    assert "paints region 'core' with 2, which it does not hold" in str(found.value)
    assert "alphabetical order" in str(found.value)
    assert "2, 1, 4 fits the order whole, core, enhancing" in str(found.value)
    assert "sort_keys=False" in str(found.value)


@given(st.lists(st.text("abcxyzABC_ 123", min_size=1).filter(str.strip), min_size=2, max_size=5, unique=True))
def test_a_writer_that_sorts_names_never_damages_nested_regions_unseen(names):
    structures = tuple(Structure(name, tuple(range(i + 1, len(names) + 2))) for i, name in enumerate(names))
    labels = LabelSet(structures, None, tuple(range(1, len(names) + 1)))
    sorted_ = json.loads(json.dumps(declaration(labels), sort_keys=True))
    if names == sorted(names):
        assert read_labels(sorted_, "here") == labels
    else:
        with pytest.raises(SegVarianceError) as found:
            read_labels(sorted_, "here")
        assert f"fits the order {', '.join(names)}: restore it" in str(found.value)


def test_an_order_that_fits_no_arrangement_is_told_so_and_another_one_is_found():
    assert arrangement_that_fits(LabelSet((WHOLE, CORE), regions_class_order=(1, 2))) is None
    shuffled = LabelSet((CORE, ENHANCING, WHOLE), regions_class_order=(2, 1, 4))
    assert arrangement_that_fits(shuffled) == (WHOLE, CORE, ENHANCING)
    unsorted = json.loads(json.dumps({"labels": {"whole": [1, 2], "core": 2}, "regions_class_order": [2, 1]}))
    with pytest.raises(SegVarianceError, match=r"paints region 'core' with 1") as found:
        read_labels(unsorted, "dataset.json")
    assert "alphabetical" not in str(found.value)


def test_regions_are_described_in_sentences():
    assert described(BRATS) == [
        "Regions in declared order, later over earlier: whole (1, 2, 4) paints 2; core (1, 4) paints 1; enhancing (4) paints 4.",
        "core lies inside whole; enhancing lies inside whole; enhancing lies inside core.",
        "Every label comes back.",
    ]
    assert described(LabelSet((Structure("a", (1,)),))) == []


def test_a_dataset_with_regions_is_checked_against_its_cases(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "enhancing": 4}
    content = {
        "channel_names": {"0": "T1"},
        "labels": labels,
        "regions_class_order": [2, 1, 4],
        "file_ending": ".nii.gz",
    }
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    write_json(tmp_path / "dataset.json", content)
    for number in range(2):
        label_map = np.zeros((4, 5, 6), np.uint8)
        label_map[1:3, 1:4, 1:4] = 4
        write_map(tmp_path / f"imagesTr/c{number}_0000.nii.gz", np.random.default_rng(0).random((4, 5, 6)), GRID)
        write_label_map(tmp_path / f"labelsTr/c{number}.nii.gz", label_map, GRID)
    problems = check_dataset(open_dataset(tmp_path))
    assert [problem.what for problem in problems] == [
        "'whole' and 'core' hold the same voxels in every case.",
        "'whole' and 'enhancing' hold the same voxels in every case.",
        "'core' and 'enhancing' hold the same voxels in every case.",
    ]
    assert not any(problem.fatal for problem in problems)
    label_map[1, 1, 1:3] = 1, 2
    write_label_map(tmp_path / "labelsTr/c1.nii.gz", label_map, GRID)
    assert check_dataset(open_dataset(tmp_path)) == []
