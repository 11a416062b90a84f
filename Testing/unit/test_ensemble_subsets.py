"""Which seeds are combined in groups, and that their names say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.ensemble.subsets import (
    Group,
    base_configuration,
    draw_groups,
    subset_configuration,
    subset_configurations,
)

seed_sets = st.sets(st.integers(0, 999), min_size=1, max_size=120)


@given(seeds=seed_sets, random_seed=st.integers(0, 2**32))
def test_groups_of_one_size_share_no_seed_and_leave_fewer_than_a_group_over(seeds: set[int], random_seed: int) -> None:
    drawn = draw_groups("majority", seeds, random_seed)
    assert list(drawn) == [size for size in (2, 3, 5, 10, 20, 50, 100) if size < len(seeds)]
    for size, groups in drawn.items():
        used = [seed for group in groups for seed in group.seeds]
        assert len(groups) == len(seeds) // size
        assert len(set(used)) == len(used) == len(groups) * size
        assert set(used) <= seeds


def test_the_same_draw_comes_from_the_same_random_seed_whatever_the_order_of_seeds() -> None:
    drawn = draw_groups("majority", range(10), 3)
    assert draw_groups("majority", reversed(range(10)), 3) == drawn
    assert draw_groups("majority", range(10), 4) != drawn


def test_every_pair_of_seeds_can_come_together() -> None:
    pairs = {group.seeds for random_seed in range(200) for group in draw_groups("majority", range(5), random_seed)[2]}
    assert len(pairs) == 10


def test_three_seeds_give_one_pair_and_two_seeds_none() -> None:
    assert {size: len(groups) for size, groups in draw_groups("majority", [4, 7, 9], 0).items()} == {2: 1}
    assert draw_groups("majority", [4, 7], 0) == {}


@given(
    rule=st.sampled_from(["majority", "mean_probability", "soft_of_2"]),
    seeds=st.sets(st.integers(0, 999), min_size=2, max_size=30),
    base=st.sampled_from(["default", "large_x3", "x2"]),
)
def test_a_name_tells_rule_seeds_and_configuration(rule: str, seeds: set[int], base: str) -> None:
    group = Group(rule, tuple(sorted(seeds)))
    assert Group.parse(group.member) == group
    assert base_configuration(subset_configuration(base, len(seeds)), group.member) == base


def test_the_name_reads_as_it_is_written_here() -> None:
    assert Group("mean_probability", (1, 4, 7)).member == "mean_probability_of_1_4_7"
    assert subset_configuration("default", 3) == "default_x3"


@pytest.mark.parametrize(
    "member", ["seed_1", "majority", "majority_of_3", "majority_of_3_1", "majority_of_1_1", "_of_1_2"]
)
def test_other_names_are_no_groups(member: str) -> None:
    assert Group.parse(member) is None


def test_a_recipe_that_only_sounds_like_a_group_stays_a_recipe() -> None:
    found = [
        ("default", "seed_0"),
        ("default_x3", "majority_of_0_1_2"),
        ("large_x3", "seed_0"),  # somebody's own recipe
        ("mixed_x2", "majority_of_0_1"),
        ("mixed_x2", "seed_0"),
        ("short_x3", "majority_of_0_1"),  # two seeds are no group of three
        ("large_x3_x2", "majority_of_0_1"),
    ]
    assert subset_configurations(found) == {"default_x3", "large_x3_x2"}
