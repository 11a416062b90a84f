"""What can be compared: the cases and structures that every seed of every configuration has a value for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.errors import SegVarianceError
from ..core.labels import LABEL_VALUE
from .score_cube import NO_ROW, ScoreCube

FOREGROUND_MEAN = "foreground mean"
"""The structure's name where a case's value is its mean over structures."""

MIN_SEEDS = 2
MIN_CASES = 3


@dataclass(frozen=True)
class Exclusion:
    """A structure of a case that counts for no seed, because at least one seed has no value for it."""

    case: str
    structure: str
    reason: str


@dataclass(frozen=True)
class SharedCells:
    """Cubes of one metric on the same cases (sorted) and structures; ``left_out_seeds`` are no longer in them."""

    cubes: tuple[ScoreCube, ...]
    left_out_seeds: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, cubes: Sequence[ScoreCube], structure: str, min_seeds: int) -> SharedCells:
        """Keep all seeds and only what all of them have, or leave out the seeds whose runs are missing, if that keeps more.

        A seed's run is missing where it has no line and another seed of its configuration has one; a line without a
        value (a missed structure has no distance) never costs a seed. More means more values. No configuration that
        loses seeds may have fewer than ``min_seeds``, or 2, thereafter; fewer than 3 cases are kept only where there is
        no other way.
        """
        structures = _structures(cubes, structure)
        cases = sorted({case for cube in cubes for case in cube.cases})
        aligned = [cube.on(cases, structures) for cube in cubes]
        lacking = [seeds_that_lack_lines(cube) for cube in aligned]
        complete = [cube.without(seeds) for cube, seeds in zip(aligned, lacking, strict=True)]
        ways = [cls(tuple(aligned), ((),) * len(aligned))]
        least = max(min_seeds, MIN_SEEDS)
        if all(not seeds or len(cube.seeds) >= least for cube, seeds in zip(complete, lacking, strict=True)):
            ways.append(cls(tuple(complete), tuple(lacking)))
        return max(ways, key=lambda way: way._size)

    @cached_property
    def counted(self) -> np.ndarray:
        """Boolean [case, structure]: every seed has a value."""
        return np.asarray(np.concatenate([np.isfinite(cube.seed_values) for cube in self.cubes]).all(axis=0))

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Why each (case, structure) that does not count does not, by case and structure."""
        found = []
        for case, structure in np.argwhere(~self.counted):
            reasons = [
                reason + (f" of {cube.configuration!r}" if len(self.cubes) > 1 else "")
                for cube in self.cubes
                for reason in _reasons(cube, cube.seed_gaps[:, case, structure])
            ]
            found.append(Exclusion(self.cubes[0].cases[case], self.cubes[0].structures[structure], "; ".join(reasons)))
        return tuple(found)

    @property
    def _size(self) -> tuple[bool, int]:
        enough = int(self.counted.any(axis=1).sum()) >= MIN_CASES
        return enough, int(self.counted.sum()) * sum(len(cube.seeds) for cube in self.cubes)


def averaged(structures: Collection[str]) -> set[str]:
    """What the foreground mean is over: regions where there are any, never regions and the labels within them together."""
    declared = {name for name in structures if not name.startswith(LABEL_VALUE)}
    return declared or set(structures)


def seeds_that_lack_lines(cube: ScoreCube) -> tuple[int, ...]:
    """Seeds without a line where another seed has one (a case scored only by an ensemble is nobody's lack)."""
    lacking = cube.seed_gaps == NO_ROW
    by_seed = (lacking & ~lacking.all(axis=0)).any(axis=(1, 2))
    return tuple(seed for seed, lacks in zip(cube.seeds, by_seed, strict=True) if lacks)


def _structures(cubes: Sequence[ScoreCube], structure: str) -> tuple[str, ...]:
    """The structures that ``structure`` stands for, sorted."""
    first = cubes[0].metric
    for cube in cubes:
        if cube.metric != first:
            raise SegVarianceError(
                f"{cubes[0].configuration!r} is given by its {first.title}, {cube.configuration!r} by its "
                f"{cube.metric.title}. Compare them by the same metric."
            )
    of_any = {name for cube in cubes for name in cube.structures}
    wanted = averaged(of_any) if structure == FOREGROUND_MEAN else {structure}
    lacking = [
        f"configuration {cube.configuration!r} lacks {', '.join(sorted(wanted.difference(cube.structures)))}"
        for cube in cubes
        if not wanted <= set(cube.structures)
    ]
    if lacking:
        raise SegVarianceError(
            f"{first.title} of {structure!r}: {'; '.join(lacking)}. Score the same structures in all, or choose one that "
            f"all have (in any: {', '.join(sorted(of_any))})."
        )
    return tuple(sorted(wanted))


def _reasons(cube: ScoreCube, gaps: np.ndarray) -> list[str]:
    """``gaps`` [seed] of one cell in words, such as ``missed: seeds 1, 2``."""
    seeds_of: dict[str, list[int]] = {}
    for seed, gap in zip(cube.seeds, gaps, strict=True):
        if gap:
            seeds_of.setdefault(gap, []).append(seed)
    return [f"{gap}: {_named(seeds, len(cube.seeds))}" for gap, seeds in seeds_of.items()]


def _named(seeds: Sequence[int], of: int) -> str:
    return "all seeds" if len(seeds) == of else f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
