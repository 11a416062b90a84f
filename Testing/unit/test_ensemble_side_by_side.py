"""Several rules on the same members, and what each member changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.labelling import labels_of_values
from SegVarianceLib.ensemble.member_maps import MemberMaps
from SegVarianceLib.ensemble.rules import RULES
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.ensemble.side_by_side import (
    ANY_LABEL,
    combine_votes,
    differences,
    k_of_n,
    leave_one_out,
    where_rules_differ,
)

LABELS = labels_of_values((1, 2, 4))


def line(*values: int) -> np.ndarray:
    return np.array([[values]], np.uint8)


def test_two_label_maps_differ_in_known_voxels_and_dice():
    found = differences({"a": line(1, 1, 2, 0), "b": line(1, 2, 2, 0)}, LABELS, 500.0, reference=line(1, 1, 2, 0))
    by_key = {(row.first, row.second, row.structure): row[3:] for row in found}
    assert by_key["a", "b", ANY_LABEL] == (1, 0.5, None)
    assert by_key["a", "b", "label_1"] == (1, 0.5, pytest.approx(2 / 3))
    assert by_key["a", "b", "label_4"] == (0, 0.0, None)
    assert by_key["a", "reference", "label_2"] == (0, 0.0, 1.0)
    assert len(found) == 3 * 4


def test_voxels_that_the_reference_ignores_differ_in_nothing():
    labels = LabelSet((Structure("a", (1,)),), ignore_value=9)
    (any_label, of_a) = differences({"a": line(1, 1, 0)}, labels, 1.0, reference=line(1, 9, 9))
    assert (any_label.voxels, of_a.dice) == (0, 1.0)


def test_the_map_counts_further_labels():
    found = where_rules_differ({"a": line(1, 1, 1, 0), "b": line(1, 2, 2, 0), "c": line(1, 2, 4, 0)})
    assert found.tolist() == [[[0, 1, 2, 0]]]


def test_at_least_k_members_and_their_dice():
    maps = MemberMaps.of("abc", [line(1, 1, 1, 0), line(1, 1, 0, 0), line(1, 0, 0, 0)])
    one = LabelSet((Structure("a", (1,)),))
    found = k_of_n(RunningVotes(maps), one, 1000.0, reference=line(1, 1, 0, 0))
    assert [(row.k, row.volume_ml, row.dice) for row in found] == [
        (1, 3.0, pytest.approx(0.8)),
        (2, 2.0, 1.0),
        (3, 1.0, pytest.approx(2 / 3)),
    ]


def test_leaving_out_the_member_that_decides_changes_the_vote_and_its_dice():
    members = {"a": line(1, 1, 0), "b": line(1, 0, 0), "c": line(1, 1, 0)}
    votes = RunningVotes(MemberMaps.of(members, members.values()))
    one = LabelSet((Structure("s", (1,)),))
    found = leave_one_out(combine_votes(votes, "plurality", one), list(members), one, 1.0, reference=line(1, 1, 0))
    rows = {(row.member, row.structure): row for row in found}
    assert [rows[name, ANY_LABEL].voxels for name in "abc"] == [1, 0, 1]  # without a or c one of two is a draw
    assert rows["a", "s"].dice == rows["a", "s"].reference_without == pytest.approx(2 / 3)
    assert rows["a", "s"].reference_with == 1
    with pytest.raises(SegVarianceError, match="at least two"):
        leave_one_out(combine_votes(votes, "plurality", one), ["a"], one, 1.0)


@given(
    st.integers(0, 2**32),
    st.integers(2, 6),
    st.sampled_from(["majority", "absolute_majority", "region_vote", "staple"]),
)
def test_packed_members_give_by_every_rule_what_their_label_maps_give(seed, number, rule):
    stack = np.random.default_rng(seed).choice(np.array([0, 1, 2, 4], np.uint8), (number, 2, 3, 4))
    votes = RunningVotes(MemberMaps.of_all(stack))
    np.testing.assert_array_equal(votes.by_rule(rule, LABELS), RULES.function(rule)(list(stack), LABELS))
    some = votes.maps.of_members(votes.maps.names[:0:-1])
    np.testing.assert_array_equal([some.member(name) for name in some.names], stack[:0:-1])


def test_a_rule_on_probabilities_is_none_for_packed_label_maps():
    with pytest.raises(SegVarianceError, match="no rule for label maps"):
        RunningVotes(MemberMaps.of_all([line(1)])).by_rule("mean_logit", LABELS)
