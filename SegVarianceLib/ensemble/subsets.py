"""Ensembles of some of the seeds: which groups are drawn, and how scores name them.

A configuration ``default`` of ten seeds gives configurations ``default_x2``, ``default_x3`` and ``default_x5`` of 5, 3 and 2
members. Such a member is a group of seeds and named by them: ``mean_probability_of_1_4_7``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ..core.seeding import generator

SIZES = (2, 3, 5, 10, 20, 50, 100, 200, 500)

_MEMBER = re.compile(r"(?P<rule>.+)_of_(?P<seeds>-?\d+(?:_-?\d+)+)")


class Group(NamedTuple):
    """At least two seeds, ascending, whose predictions ``rule`` combines."""

    rule: str
    seeds: tuple[int, ...]

    @property
    def member(self) -> str:
        """Its name as a member: ``mean_probability_of_1_4_7``."""
        return f"{self.rule}_of_{'_'.join(map(str, self.seeds))}"

    @classmethod
    def parse(cls, member: str) -> Group | None:
        """The group that ``member`` names; None where it is no such name."""
        match = _MEMBER.fullmatch(member)
        if match is None:
            return None
        group = cls(match["rule"], tuple(map(int, match["seeds"].split("_"))))
        return group if list(group.seeds) == sorted(set(group.seeds)) else None


def subset_configuration(configuration: str, size: int) -> str:
    """Name of the configuration whose members are ensembles of ``size`` seeds of ``configuration``."""
    return f"{configuration}_x{size}"


def base_configuration(configuration: str, member: str) -> str | None:
    """Of which configuration ``member`` combines seeds; None where it is no ensemble of some seeds."""
    group = Group.parse(member)
    ending = subset_configuration("", len(group.seeds)) if group else ""
    return configuration.removesuffix(ending) if group and configuration.endswith(ending) else None


def subset_configurations(members: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Of (configuration, member) pairs, the configurations that hold nothing but ensembles of some seeds of another."""
    pairs = set(members)
    own = {configuration for configuration, member in pairs if base_configuration(configuration, member) is None}
    return frozenset(configuration for configuration, _ in pairs) - own


def draw_groups(rule: str, seeds: Iterable[int], random_seed: int) -> dict[int, tuple[Group, ...]]:
    """For each of ``SIZES`` below the number of seeds, as many groups as that size allows; no seed is in two of them.

    Groups of one size share no training and are therefore independent repetitions of "train that many, combine them".
    One permutation of the seeds a size, drawn from ``random_seed``; the order in which ``seeds`` are given does not matter.
    """
    ordered = sorted(seeds)
    drawn = {}
    for size in (size for size in SIZES if size < len(ordered)):
        order = generator(random_seed, "ensembles of some seeds", size).permutation(len(ordered))
        parts = order[: len(ordered) // size * size].reshape(-1, size)
        drawn[size] = tuple(Group(rule, tuple(ordered[i] for i in sorted(part))) for part in parts)
    return drawn
