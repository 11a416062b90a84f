"""Seeds x cases of one structure: the table that every seed statistic starts from, and what was left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..evaluation.score_table import patients_together
from .patients import fold_of_columns, images_by_column, mean_over_images, over_images
from .score_cube import NO_ROW, ScoreCube, metric_of_column
from .shared_cells import FOREGROUND_MEAN, MIN_CASES, MIN_SEEDS, Exclusion, SharedCells, averaged, seeds_that_lack_lines


@dataclass(frozen=True)
class SeedMatrix:
    """``values`` [seed, case], complete: every number in it is a measured one.

    A (case, structure) counts only if *every* seed has a value for it, so that all seeds are judged on the same
    patients (intersected before anything is averaged). In the foreground mean, a case's value is the mean over its
    structures that count; a structure that all agree is absent therefore leaves the others of that case in. What does
    not count is listed in ``exclusions``, and a missed structure's distance is among them: no number is invented, the
    miss itself shows as Dice 0. ``failures`` [seed, case] is true where the seed missed a structure of the case or saw
    one that is not there, whether that cell counts or not; ``failures_left_out`` says the same of the cases that are not
    in the matrix although every seed has a line for them.

    With patients, each of ``cases`` is a patient: the mean of its ``images`` images (their number, by case).
    ``left_out_seeds`` are not in the matrix, because their runs are missing; ``incomplete_seeds`` are in it and lack
    lines that other seeds have. ``folds`` (by case) are all None where unknown, and where configurations compared have
    other splits; ``notes`` are sentences to print beside every figure made from the matrix, and say so.
    """

    configuration: str
    metric: Facts
    structure: str
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    values: np.ndarray
    failures: np.ndarray
    failures_left_out: np.ndarray
    images: tuple[int, ...]
    folds: tuple[int | None, ...]
    exclusions: tuple[Exclusion, ...] = ()
    incomplete_seeds: tuple[int, ...] = ()
    left_out_seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, cube: ScoreCube, structure: str) -> SeedMatrix:
        """The matrix of one configuration alone; errors as in ``matched``."""
        return matched([cube], structure)[0]

    @classmethod
    def of_array(
        cls,
        values: np.ndarray,
        configuration: str,
        metric: str,
        structure: str = FOREGROUND_MEAN,
        folds: Sequence[int] | None = None,
    ) -> SeedMatrix:
        """From ``values`` [seed, case] made elsewhere; seeds and cases are numbered, so arrays of one width match.

        Args:
            metric: a column of ``scores.csv``, such as ``dice`` or ``hd95_mm``.
            folds: the fold that predicted each case; None for a hold-out.

        Raises:
            SegVarianceError: not a table of finite numbers, fewer than 3 cases, or not as many folds as cases.
        """
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or not values.shape[0] or values.shape[1] < MIN_CASES or not np.isfinite(values).all():
            raise SegVarianceError(
                f"{configuration!r}: expected finite numbers [seed, case] with at least {MIN_CASES} cases, found shape "
                f"{values.shape} with {np.isfinite(values).sum()} finite number(s). Leave out what not every seed has."
            )
        seeds, cases = values.shape
        if folds is not None and len(folds) != cases:
            raise SegVarianceError(f"{configuration!r}: {len(folds)} folds for {cases} cases. Give one fold a case.")
        digits = len(str(cases - 1))
        return cls(
            configuration=configuration,
            metric=metric_of_column(metric),
            structure=structure,
            seeds=tuple(range(seeds)),
            cases=tuple(f"{case:0{digits}}" for case in range(cases)),
            values=values,
            failures=np.zeros(values.shape, dtype=bool),
            failures_left_out=np.zeros((seeds, 0), dtype=bool),
            images=(1,) * cases,
            folds=(None,) * cases if folds is None else tuple(folds),
        )


def matched(cubes: Sequence[ScoreCube], structure: str, min_seeds: int = MIN_SEEDS) -> tuple[SeedMatrix, ...]:
    """One matrix per configuration, all on the same cases in the same order.

    Images of one patient are averaged where the tables name patients (``ScoreTable.patients``).
    Seeds whose runs are missing are left out where that keeps more values (``SharedCells.of``).

    Args:
        cubes: one per configuration, all of one metric.
        structure: one that all cubes have, or ``FOREGROUND_MEAN``, for which all must have the same ones.
        min_seeds: how many each configuration must have.

    Raises:
        SegVarianceError: cubes of several metrics, or without the structure; a case without a patient, or a patient in two
            folds; fewer than ``min_seeds`` seeds, or fewer than 3 cases (patients) that every seed has scored.
    """
    shared = SharedCells.of(cubes, structure, min_seeds)
    counts = np.asarray(shared.counted.any(axis=1))
    of_column = images_by_column(shared.cubes[0].cases, patients_together(cube.patients for cube in cubes))
    kept = {
        name: [case for case in images if counts[case]] for name, images in of_column.items() if counts[images].any()
    }
    if len(kept) < MIN_CASES or any(len(cube.seeds) < min_seeds for cube in shared.cubes):
        raise SegVarianceError(_too_small(shared, structure, len(kept), min_seeds))
    all_images = {name: of_column[name] for name in kept}
    lines = np.asarray(np.concatenate([cube.seed_gaps != NO_ROW for cube in shared.cubes]).all(axis=0))
    said = np.asarray(lines.any(axis=1))
    left_out_images = [images for name, images in of_column.items() if name not in kept and said[images].any()]
    folds = [fold_of_columns(cube.folds, all_images) for cube in shared.cubes]
    notes = _notes_on_splits(shared.cubes, tuple(kept), folds)
    images = tuple(map(len, kept.values()))
    return tuple(
        SeedMatrix(
            configuration=cube.configuration,
            metric=cube.metric,
            structure=structure,
            seeds=cube.seeds,
            cases=tuple(kept),
            values=mean_over_images(_case_means(cube, shared.counted), kept.values()),
            failures=_missed(cube, list(all_images.values())),
            failures_left_out=_missed(cube, left_out_images),
            images=images,
            folds=(None,) * len(kept) if notes else folds[0],
            exclusions=shared.exclusions,
            incomplete_seeds=seeds_that_lack_lines(cube),
            left_out_seeds=left_out,
            notes=notes,
        )
        for cube, left_out in zip(shared.cubes, shared.left_out_seeds, strict=True)
    )


def chosen(cube: ScoreCube, structure: str) -> np.ndarray:
    """Boolean [structure] mask: the one named, or those that the foreground mean is over."""
    wanted = averaged(cube.structures) if structure == FOREGROUND_MEAN else {structure}
    return np.array([name in wanted for name in cube.structures])


def mean_of_counted(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the last axis of ``values`` [..., case, structure], only where ``counted`` [case, structure] is true.

    The same to the last bit in whatever order the structures stand.
    """
    return np.sort(np.where(counted, values, 0.0), axis=-1).sum(axis=-1) / counted.sum(axis=-1)


def _missed(cube: ScoreCube, columns: Sequence[Sequence[int]]) -> np.ndarray:
    """[seed, column]: whether a seed missed a structure in one of the column's images, or saw one that is not there."""
    if not columns:
        return np.zeros((len(cube.seeds), 0), dtype=bool)
    return over_images(np.logical_or, np.asarray(cube.seed_missed.any(axis=2)), columns)


def _case_means(cube: ScoreCube, counted: np.ndarray) -> np.ndarray:
    """[seed, case]; NaN where no structure counts."""
    kept = counted.any(axis=1)
    means = np.full(cube.seed_values.shape[:2], np.nan)
    means[:, kept] = mean_of_counted(cube.seed_values[:, kept], counted[kept])
    return means


def _notes_on_splits(
    cubes: Sequence[ScoreCube], cases: Sequence[str], folds: Sequence[tuple[int | None, ...]]
) -> tuple[str, ...]:
    """A sentence where the ``folds`` of the cubes, each by case, are not the same."""
    differ = [case for case in range(len(cases)) if len({of_cube[case] for of_cube in folds}) > 1]
    if not differ:
        return ()
    named = (
        f"{cube.configuration!r} by {'an unknown fold' if of_cube[differ[0]] is None else f'fold {of_cube[differ[0]]}'}"
        for cube, of_cube in zip(cubes, folds, strict=True)
    )
    return (
        f"The configurations do not share one split ({len(differ)} of {len(cases)} cases differ): case "
        f"{cases[differ[0]]!r} was predicted in {', in '.join(named)}. Folds are therefore not used, and the difference "
        "holds the luck of two splits.",
    )


def _too_small(shared: SharedCells, structure: str, cases: int, min_seeds: int) -> str:
    who = ", ".join(f"configuration {cube.configuration!r}: {len(cube.seeds)} seed(s)" for cube in shared.cubes)
    incomplete = [
        f"{', '.join(map(str, seeds))} of {cube.configuration!r}"
        for cube, left_out in zip(shared.cubes, shared.left_out_seeds, strict=True)
        if (seeds := (*left_out, *seeds_that_lack_lines(cube)))
    ]
    lacking = f" Seeds that lack cases: {'; '.join(incomplete)}." if incomplete else ""
    return (
        f"{shared.cubes[0].metric.title} of {structure!r}, {who} share {cases} scored case(s) or patient(s); needed are "
        f"{min_seeds} seed(s) of each and {MIN_CASES} cases.{lacking} "
        "With fewer, nothing can separate the recipe from the luck of one training: train more seeds or score more cases."
    )
