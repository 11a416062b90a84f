"""Everything that is wrong with a dataset, found before training and told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..core.errors import Problem, ProblemsFound, SegVarianceError
from ..core.geometry import Geometry
from .case import Case, Dataset
from .image_io import read_image, read_label_map
from .region_checks import definition_problems, unused_problems

FEWEST_CASES = 2


def check_dataset(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> list[Problem]:
    """Read every file and list every problem, those of the folder first, then case by case.

    Not fatal, because it may be meant so: an empty reference (a healthy patient), a constant channel, a wrong numTraining.
    """
    problems = list(dataset.problems)
    where = str(dataset.folder / "dataset.json")
    problems += definition_problems(dataset.labels, where)
    if len(dataset.cases) < FEWEST_CASES:
        problems.append(
            Problem(
                where, f"{len(dataset.cases)} complete cases.", f"Give at least {FEWEST_CASES}: one must be held out."
            )
        )
    seen: set[int] = set()
    unread = False
    for number, case in enumerate(dataset.cases):
        values, found = _check_case(case, dataset)
        problems += found
        seen |= values
        unread = unread or not values
        if progress is not None:
            progress(number + 1, len(dataset.cases))
    if not unread:  # else a file that could not be read may hold it
        for structure in dataset.labels.structures:
            if not seen.intersection(structure.values):
                remedy = "Correct its values, or take it out of the labels."
                problems.append(Problem(where, f"no case has any voxel of {structure.name!r}.", remedy))
        problems += unused_problems(dataset.labels, seen, where)
    return problems


def require_clean(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> list[Problem]:
    """Check, and return the problems that stop nothing.

    Raises:
        ProblemsFound: there are fatal ones; it carries all.
    """
    problems = check_dataset(dataset, progress)
    fatal = sum(problem.fatal for problem in problems)
    if fatal:
        raise ProblemsFound(
            f"{dataset.folder} has {fatal} problem{'s' * (fatal > 1)} to mend before training:", problems
        )
    return problems


def _check_case(case: Case, dataset: Dataset) -> tuple[set[int], list[Problem]]:
    """The label values of one case (none if its label cannot be read) and its problems."""
    problems: list[Problem] = []
    geometries: list[Geometry] = []
    try:
        image = read_image(case.images)
        geometries.append(image.geometry)
        problems += _image_problems(case.images, image.array, dataset.channels)
    except SegVarianceError as error:
        problems.append(_unreadable(case, error))
    values: set[int] = set()
    assert case.label is not None, "the cases of a dataset have labels"  # noqa: S101
    try:
        labels = read_label_map(case.label)
        geometries.append(labels.geometry)
        values = set(np.unique(labels.array).tolist())
        problems += _label_problems(case.label, values, dataset)
    except SegVarianceError as error:
        problems.append(_unreadable(case, error))
    if len(geometries) == 2 and (difference := geometries[0].difference(geometries[1])):
        what = f"differs from its image in {difference}."
        problems.append(Problem(str(case.label), what, "Resample the label map to the image (nearest neighbour)."))
    return values, problems


def _image_problems(paths: tuple[Path, ...], array: np.ndarray, channels: tuple[str, ...]) -> Iterator[Problem]:
    if len(array) != len(channels):
        what = f"the image has {len(array)} channels, dataset.json names {len(channels)}."
        yield Problem(str(paths[0]), what, "Correct one of them.")
    for number, channel in enumerate(array):
        if channel.min() == channel.max():
            path = paths[number] if len(paths) == len(array) else paths[0]
            what = f"channel {number} is constant ({channel.flat[0]:g})."
            yield Problem(str(path), what, "If it should show something, replace it.", fatal=False)


def _label_problems(path: Path, values: set[int], dataset: Dataset) -> Iterator[Problem]:
    known = dataset.labels.known_values
    if unknown := sorted(values - known):
        what = f"holds the label values {', '.join(map(str, unknown[:8]))}, dataset.json knows {', '.join(map(str, sorted(known)))}."
        yield Problem(str(path), what, "Declare them in dataset.json, or correct the label map.")
    elif not values.intersection(dataset.labels.foreground_values):
        yield Problem(str(path), "the reference is empty.", "If something is there, draw it.", fatal=False)


def _unreadable(case: Case, error: SegVarianceError) -> Problem:
    what, _, remedy = str(error).rpartition(". ")
    return Problem(f"case {case.id}", f"{what}.", remedy)
