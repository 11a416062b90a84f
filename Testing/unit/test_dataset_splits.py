"""Splits: fixed by one seed, by case or by group, and never a case on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.dataset.splits import read_groups, split

IDS = [f"case_{i:03d}" for i in range(200)]


@given(
    ids=st.sets(st.text("abc123", min_size=1, max_size=6), min_size=4, max_size=40),
    kind=st.sampled_from(["holdout", "2-fold", "4-fold"]),
    seed=st.integers(0, 2**31),
)
def test_no_case_is_on_both_sides_and_none_is_lost(ids: set[str], kind: str, seed: int) -> None:
    folds = split(sorted(ids), kind, seed)
    for fold in folds:
        assert set(fold.training).isdisjoint(fold.held_out)
        assert set(fold.training) | set(fold.held_out) == ids
        assert fold.training
        assert fold.held_out
    if kind != "holdout":
        held_out = [case for fold in folds for case in fold.held_out]
        assert sorted(held_out) == sorted(ids)


def test_a_fifth_of_two_hundred_cases_is_held_out() -> None:
    (fold,) = split(IDS, "holdout", 0)
    assert (len(fold.training), len(fold.held_out)) == (160, 40)


def test_the_order_in_which_cases_are_given_does_not_matter_but_the_seed_does() -> None:
    assert split(IDS, "5-fold", 3) == split(IDS[::-1], "5-fold", 3)
    assert split(IDS, "5-fold", 3) != split(IDS, "5-fold", 4)


def test_images_of_one_patient_stay_together() -> None:
    groups = {case: f"patient_{i // 3}" for i, case in enumerate(IDS)}
    for fold in split(IDS, "5-fold", 0, groups):
        assert {groups[case] for case in fold.training}.isdisjoint({groups[case] for case in fold.held_out})


@pytest.mark.parametrize("kind", ["1-fold", "201-fold", "five-fold", "-fold", "hold-out", ""])
def test_an_impossible_split_says_what_is_possible(kind: str) -> None:
    with pytest.raises(SegVarianceError, match="k-fold' with k from 2 to 200"):
        split(IDS, kind, 0)


def test_a_case_without_a_group_is_named() -> None:
    with pytest.raises(SegVarianceError, match="1 cases have no group, the first is 'case_007'"):
        split(IDS, "holdout", 0, {case: "a" for case in IDS if case != "case_007"})


def test_groups_are_read_from_a_column_and_a_contradiction_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("case,site,patient\na,x,1\nb,x,1\nc,y,2\n")
    assert read_groups(table, "patient") == {"a": "1", "b": "1", "c": "2"}
    with pytest.raises(SegVarianceError, match="needs the columns 'case' and 'scanner'; it has case, site, patient"):
        read_groups(table, "scanner")
    table.write_text("case,patient\na,1\na,2\n")
    with pytest.raises(SegVarianceError, match="gives case 'a' two groups"):
        read_groups(table, "patient")
    with pytest.raises(SegVarianceError, match="cannot be read"):
        read_groups(tmp_path / "none.csv", "patient")
