"""Seeds x cases of one structure: the table that every seed statistic starts from, and what was left out of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
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
class SeedMatrix:
    """``values`` [seed, case], complete: every number in it is a measured one.

    A (case, structure) counts only if *every* seed has a value for it, so that all seeds are judged on the same
    patients (intersected before anything is averaged). In the foreground mean, a case's value is the mean over its
    structures that count; a structure that all agree is absent therefore leaves the others of that case in. What does
    not count is listed in ``exclusions``, and a missed structure's distance is among them: no number is invented, the
    miss itself shows as Dice 0. ``incomplete_seeds`` lack lines that other seeds have.
    """

    configuration: str
    metric: Facts
    structure: str
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    values: np.ndarray
    exclusions: tuple[Exclusion, ...] = ()
    incomplete_seeds: tuple[int, ...] = ()

    @classmethod
    def of(cls, cube: ScoreCube, structure: str) -> SeedMatrix:
        """The matrix of one structure, or of ``FOREGROUND_MEAN``.

        Raises:
            SegVarianceError: fewer than 2 seeds, or fewer than 3 cases that every seed has scored.
        """
        counted = np.isfinite(cube.seed_values).all(axis=0) & chosen(cube, structure)
        kept = np.flatnonzero(counted.any(axis=1))
        incomplete = _incomplete_seeds(cube)
        if len(cube.seeds) < MIN_SEEDS or len(kept) < MIN_CASES:
            raise SegVarianceError(_too_small(cube, structure, len(kept), incomplete))
        return cls(
            cube.configuration,
            cube.metric,
            structure,
            cube.seeds,
            tuple(cube.cases[case] for case in kept),
            mean_of_counted(cube.seed_values[:, kept], counted[kept]),
            _exclusions(cube, chosen(cube, structure) & ~counted),
            incomplete,
        )


def chosen(cube: ScoreCube, structure: str) -> np.ndarray:
    """Boolean [structure] mask: the one named, or all for the foreground mean."""
    return np.array([structure in (name, FOREGROUND_MEAN) for name in cube.structures])


def mean_of_counted(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the last axis of ``values`` [..., case, structure], only where ``counted`` [case, structure] is true."""
    return np.where(counted, values, 0.0).sum(axis=-1) / counted.sum(axis=-1)


def _exclusions(cube: ScoreCube, dropped: np.ndarray) -> tuple[Exclusion, ...]:
    """Why each (case, structure) in ``dropped`` [case, structure] does not count, by seed."""
    found = []
    for case, structure in np.argwhere(dropped):
        seeds_of: dict[str, list[int]] = {}
        for row, seed in enumerate(cube.seeds):
            reason = cube.gaps.get((row, int(case), int(structure)))
            if reason is not None:
                seeds_of.setdefault(reason, []).append(seed)
        reason = "; ".join(f"{reason}: {_named(seeds, len(cube.seeds))}" for reason, seeds in seeds_of.items())
        found.append(Exclusion(cube.cases[case], cube.structures[structure], reason))
    return tuple(found)


def _incomplete_seeds(cube: ScoreCube) -> tuple[int, ...]:
    """Seeds without a line where another seed has one (a case scored only by an ensemble is nobody's lack)."""
    lacking = np.zeros(cube.seed_values.shape, dtype=bool)
    for (row, case, structure), reason in cube.gaps.items():
        if reason == NO_ROW and row < len(cube.seeds):
            lacking[row, case, structure] = True
    by_seed = np.flatnonzero((lacking & ~lacking.all(axis=0)).any(axis=(1, 2)))
    return tuple(cube.seeds[row] for row in by_seed)


def _named(seeds: list[int], of: int) -> str:
    return "all seeds" if len(seeds) == of else f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _too_small(cube: ScoreCube, structure: str, cases: int, incomplete: tuple[int, ...]) -> str:
    lacking = f" Seeds that lack cases: {', '.join(map(str, incomplete))}." if incomplete else ""
    return (
        f"{cube.metric.title} of {structure!r}, configuration {cube.configuration!r}: {len(cube.seeds)} seed(s) share "
        f"{cases} scored case(s); a seed study needs {MIN_SEEDS} seeds and {MIN_CASES} cases.{lacking} "
        "With fewer, nothing can separate the recipe from the luck of one training: train more seeds or score more cases."
    )
