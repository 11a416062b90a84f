"""Labels, regions, seeds and 8-bit probabilities: the small words that everything else is built of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from SegVarianceLib.core.arrays import PROBABILITY_ERROR_BOUND, dequantise_probabilities, quantise_probabilities
from SegVarianceLib.core.errors import Problem, ProblemsFound
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.seeding import derived_seed, generator

BRATS = LabelSet(
    (Structure("whole", (1, 2, 3)), Structure("core", (2, 3)), Structure("enhancing", (3,))),
    ignore_value=4,
    regions_class_order=(1, 2, 3),
)


def test_a_region_covers_all_its_values_and_no_other():
    labels = np.array([[[0, 1, 2, 3, 4]]], np.uint8)
    masks = [structure.mask(labels).ravel().tolist() for structure in BRATS.structures]
    assert masks == [[0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 0]]


def test_known_values_are_background_structures_and_ignore():
    assert BRATS.has_regions
    assert BRATS.foreground_values == (1, 2, 3)
    assert BRATS.known_values == {0, 1, 2, 3, 4}
    plain = LabelSet((Structure("tail", (2,)), Structure("head", (1,))))
    assert not plain.has_regions
    assert plain.known_values == {0, 1, 2}


@pytest.mark.parametrize("labels", [BRATS, LabelSet((Structure("tail", (2,)), Structure("head", (1,))))])
def test_a_label_set_survives_json_in_its_declared_order(labels):
    again = LabelSet.from_json(json.loads(json.dumps(labels.to_json())))
    assert again == labels
    assert [structure.name for structure in again.structures] == [structure.name for structure in labels.structures]


def test_seeds_of_another_purpose_or_number_give_other_streams_and_the_same_give_the_same():
    seeds = {derived_seed(seed, *purpose) for seed in (0, 1) for purpose in ((), ("a",), ("a", 1), ("a1",), ("b",))}
    assert len(seeds) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert generator(7, "a").random() == generator(7, "a").random() != generator(7, "b").random()
    # By hand, sha256 of 7, augmentation, fold, 2: a later version must repeat an old study.
    assert derived_seed(7, "augmentation", "fold", 2) == 3355547283718852347


@given(hnp.arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)))
def test_eight_bits_keep_a_probability_within_the_stated_bound(probabilities):
    again = dequantise_probabilities(quantise_probabilities(probabilities))
    assert again.dtype == np.float32
    assert np.abs(again - probabilities).max() <= PROBABILITY_ERROR_BOUND + 1e-7


@given(hnp.arrays(np.uint8, (2, 3)))
def test_eight_bits_survive_reading_and_writing_again(quantised):
    np.testing.assert_array_equal(quantise_probabilities(dequantise_probabilities(quantised)), quantised)


def test_probabilities_a_rounding_error_outside_zero_and_one_do_not_wrap_around():
    assert quantise_probabilities(np.array([-1e-6, 1 + 1e-6, 1.5])).tolist() == [0, 255, 255]


def test_problems_are_told_one_a_line_each_with_its_remedy():
    error = ProblemsFound(
        "Two problems:", [Problem("a.nii", "is empty.", "Draw it."), Problem("b.nii", "is gone.", "Add it.")]
    )
    assert str(error) == "Two problems:\n  - a.nii: is empty. Draw it.\n  - b.nii: is gone. Add it."
    assert [problem.where for problem in error.problems] == ["a.nii", "b.nii"]


def test_a_sentence_that_says_where_is_not_told_where_again():
    assert (
        str(Problem("/d/a.nii", "/d/a.nii is cut short. Copy it again.", "")) == "/d/a.nii is cut short. Copy it again."
    )
    assert str(Problem("seed 1", "seed 12 is empty.", "Draw it.")) == "seed 1: seed 12 is empty. Draw it."
