"""Rules, maps and numbers of one open case, as panels and commands ask for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.dataset.labelling import labels_of_values
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities, mean_logit, mean_probability
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.ensemble.side_by_side import ANY_LABEL
from SegVarianceLib.ensemble.uncertainty import maps_of_probabilities
from SegVarianceLib.review.open_case import OpenCase, read_case
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.rules_of_case import (
    combine_case,
    influence_of_members,
    maps_and_numbers,
    maps_of_case,
    rules_of_case,
    side_by_side,
    uncertainty_maps,
    uncertainty_numbers,
)

GRID = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
LABELS = labels_of_values((1, 2))


def softmaxes(number: int) -> list[np.ndarray]:
    """8-bit probabilities of background and two labels, as they come back from their files."""
    logits = np.random.default_rng(4).normal(0, 2, (number, 3, *GRID.shape_zyx))
    exponentials = np.exp(logits)
    return [quantise_probabilities(each / each.sum(axis=0)) for each in exponentials]


@pytest.fixture
def opened(tmp_path: Path) -> OpenCase:
    """Three members with label maps and probabilities of one case, and a reference."""
    for number, probabilities in enumerate(softmaxes(3)):
        folder = tmp_path / f"seed_{number}"
        write_label_map(folder / "p.nii.gz", labels_from_probabilities(probabilities, LABELS), GRID)
        write_probabilities(folder / "probabilities" / "p.nrrd", probabilities, GRID, ("background", "1", "2"))
    write_label_map(tmp_path / "truth" / "p.nii.gz", labels_from_probabilities(softmaxes(1)[0], LABELS), GRID)
    members = [tmp_path / f"seed_{number}" for number in range(3)]
    return read_case(open_review(members, references=tmp_path / "truth", labels=LABELS), "p")


def test_what_members_kept_says_which_rules_and_maps_there_are(opened):
    votes = RunningVotes(opened.maps)
    rules = [facts.id for facts in rules_of_case(opened, votes)]
    assert rules == ["mean_probability", "mean_logit", "plurality", "absolute_majority", "staple"]
    assert [kind.id for kind in maps_of_case(opened, votes)][2:] == [
        *("predictive_entropy", "expected_entropy", "mutual_information", "variance")
    ]
    next(iter(opened.members[1].probabilities.values())).unlink()
    forgotten = read_case(open_review([opened.members[i].files["p"].parent for i in range(3)], labels=LABELS), "p")
    votes = RunningVotes(forgotten.maps)
    assert [facts.id for facts in rules_of_case(forgotten, votes)] == rules[2:]
    assert len(maps_of_case(forgotten, votes)) == 2
    with pytest.raises(SegVarianceError, match="seed_1 kept no probabilities"):
        combine_case(forgotten, votes, "mean_logit")
    votes.select(key for key in votes.maps.names if not key.endswith("seed_1"))
    assert [facts.id for facts in rules_of_case(forgotten, votes)] == rules


def test_rules_on_probabilities_take_the_selected_members_and_weights(opened):
    votes, stored = RunningVotes(opened.maps), softmaxes(3)
    expected = labels_from_probabilities(mean_logit(stored, LABELS), LABELS)
    np.testing.assert_array_equal(combine_case(opened, votes, "mean_logit"), expected)
    weighted = combine_case(opened, votes, "weighted_mean_probability", weights=[0, 1, 0])
    np.testing.assert_array_equal(weighted, labels_from_probabilities(stored[1], LABELS))
    votes.select(votes.maps.names[:2])
    expected = labels_from_probabilities(mean_probability(stored[:2]), LABELS)
    np.testing.assert_array_equal(combine_case(opened, votes, "mean_probability"), expected)


def test_rules_side_by_side_with_the_reference_and_where_they_differ(opened):
    found = side_by_side(opened, RunningVotes(opened.maps))
    stack = np.array(list(found.label_maps.values()))
    np.testing.assert_array_equal(found.differing > 0, (stack != stack[0]).any(axis=0))
    pairs = {(row.first, row.second): row.voxels for row in found.differences if row.structure == ANY_LABEL}
    assert len(pairs) == 5 * 6 / 2
    mean, reference = found.label_maps["mean_probability"], opened.reference
    assert pairs["mean_probability", "reference"] == (mean != reference).sum() > 0


@pytest.mark.parametrize("rule", ["plurality", "mean_probability"])
def test_the_influence_of_a_member_is_the_ensemble_without_it_and_the_selection_stays(opened, rule):
    votes = RunningVotes(opened.maps)
    found = influence_of_members(opened, votes, rule)
    assert votes.selected == opened.maps.names
    whole = combine_case(opened, votes, rule)
    votes.select(votes.maps.names[1:])
    changed = (whole != combine_case(opened, votes, rule)).sum()
    (first,) = [row for row in found if row.structure == ANY_LABEL and row.member == opened.maps.names[0]]
    assert first.voxels == changed > 0


def test_maps_and_numbers_come_with_calibration_where_probabilities_and_a_reference_are(opened):
    votes = RunningVotes(opened.maps)
    maps, numbers = maps_and_numbers(opened, votes)
    expected = maps_of_probabilities(softmaxes(3), LABELS).maps
    for name, values in expected.items():
        np.testing.assert_array_equal(maps[name], values)
    np.testing.assert_array_equal(uncertainty_maps(opened, votes)["variance"], maps["variance"])
    np.testing.assert_array_equal(maps["agreement"], votes.agreement())
    by_name = {(row.structure, row.measure): row.value for row in numbers}
    assert 0 < by_name["label_1", "ece"] < 1
    assert ("label_1", "ece") not in {row[:2] for row in uncertainty_numbers(opened, votes)}
    votes.select(votes.maps.names[:1])
    alone = {(row.structure, row.measure): row.value for row in uncertainty_numbers(opened, votes)}
    assert alone["label_1", "mean_pairwise_dice"] is None
    assert alone["label_1", "dice_to_vote"] == alone["label_1", "dice_to_reference"] == 1.0
