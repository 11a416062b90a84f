"""An ensemble beside the single seeds it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import SegVarianceError
from .patients import images_by_column, mean_over_images
from .score_cube import ScoreCube, higher_is_better
from .seed_matrix import chosen, mean_of_counted


@dataclass(frozen=True)
class EnsembleGain:
    """``mean`` of the ensemble over ``cases`` cases; the single seeds' means on the very same cases beside it.

    ``difference`` is the ensemble minus the mean of single seeds, in the metric's unit (a good one is negative for a
    distance); ``seeds_exceeded`` the share of seeds whose mean is worse. ``cases_left_out`` have no value of the ensemble.
    """

    ensemble: str
    cases: int
    mean: float
    single_mean: float
    difference: float
    seeds_exceeded: float
    cases_left_out: tuple[str, ...]


def ensemble_gain(cube: ScoreCube, structure: str, ensemble: str) -> EnsembleGain:
    """One ensemble of the cube against its seeds, for one structure or ``FOREGROUND_MEAN``.

    A (case, structure) counts only if the ensemble and every seed have a value.

    Raises:
        SegVarianceError: the ensemble shares no scored case with the seeds.
    """
    seeds_have = np.isfinite(cube.seed_values).all(axis=0) & chosen(cube, structure)
    values = cube.ensemble_values(ensemble)
    counted = seeds_have & np.isfinite(values)
    kept = counted.any(axis=1)
    if not kept.any():
        raise SegVarianceError(
            f"Ensemble {ensemble!r} of configuration {cube.configuration!r} shares no case with a "
            f"{cube.metric.title} of {structure!r} with its seeds. Score both on the same cases."
        )
    rows = mean_of_counted(np.concatenate([cube.seed_values, values[None]])[:, kept], counted[kept])
    columns = images_by_column([cube.cases[case] for case in np.flatnonzero(kept)], cube.patients)
    *seed_means, mean = (float(row.mean()) for row in mean_over_images(rows, columns.values()))
    single = float(np.mean(seed_means))
    sign = 1 if higher_is_better(cube.metric) else -1
    lacking = np.flatnonzero((seeds_have & ~counted).any(axis=1))
    return EnsembleGain(
        ensemble,
        len(columns),
        mean,
        single,
        mean - single,
        float((sign * (mean - np.array(seed_means)) > 0).mean()),
        tuple(cube.cases[case] for case in lacking),
    )
