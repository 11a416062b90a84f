"""Columns of a seed matrix: cases, or patients with their images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..core.errors import SegVarianceError


def images_by_column(cases: Sequence[str], patients: Mapping[str, str] | None) -> dict[str, list[int]]:
    """Positions in ``cases`` of each patient's images, patients sorted by name; without patients each case is its own.

    Raises:
        SegVarianceError: a case without a patient.
    """
    columns: dict[str, list[int]] = {}
    for position, case in enumerate(cases):
        patient = case if patients is None else patients.get(case)
        if not patient:
            raise SegVarianceError(
                f"Case {case!r} has no patient. Name it in the scores' column 'patient': taken alone or left out, it would pass for "
                "independent of the others, or be missing in silence."
            )
        columns.setdefault(patient, []).append(position)
    return {patient: columns[patient] for patient in sorted(columns)}


def over_images(operation: np.ufunc, values: np.ndarray, columns: Collection[Sequence[int]]) -> np.ndarray:
    """Reduce ``values`` [seed, case] to [seed, column] by ``operation``, such as ``np.add``; no column is empty."""
    starts = np.cumsum([0, *map(len, columns)])[:-1]
    return operation.reduceat(values[:, [case for column in columns for case in column]], starts, axis=1)


def mean_over_images(values: np.ndarray, columns: Collection[Sequence[int]]) -> np.ndarray:
    """Mean of ``values`` [seed, case] over each column's images, [seed, column]."""
    return over_images(np.add, values, columns) / [len(images) for images in columns]


def fold_of_columns(folds: Sequence[int | None], columns: Mapping[str, Sequence[int]]) -> tuple[int | None, ...]:
    """The fold of each column from ``folds`` by case.

    Raises:
        SegVarianceError: a patient with images in two folds.
    """
    found = {name: {folds[case] for case in of} for name, of in columns.items()}
    for patient, several in found.items():
        if len(several - {None}) > 1:
            raise SegVarianceError(
                f"The images of patient {patient!r} were predicted by the folds "
                f"{', '.join(sorted(map(str, several - {None})))}. A patient must lie in one fold, or its models have seen "
                "it in training: split by patient and train again."
            )
    return tuple(max(several, key=lambda fold: -1 if fold is None else fold) for several in found.values())
