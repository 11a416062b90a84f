"""One case of a review with the label maps of its members read and checked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.arrays import values_present
from ..core.errors import Problem, ProblemsFound, SegVarianceError
from ..core.geometry import Geometry
from ..core.labels import LabelSet
from ..core.stepwise import result_of
from ..dataset.case import Case
from ..dataset.grids import grid_problems
from ..dataset.image_io import read_geometry, read_label_map
from ..dataset.labelling import with_values
from ..ensemble.member_maps import MemberMaps
from .description import Review, ReviewMember

Progress = Callable[[int, int], object]
"""Called with the number of label maps read and of all."""


@dataclass(frozen=True)
class OpenCase:
    """``maps`` are those of ``members``, by key; ``reference`` [z, y, x] if there is one. ``labels`` know every value in them."""

    case: Case
    geometry: Geometry
    members: tuple[ReviewMember, ...]
    maps: MemberMaps
    reference: np.ndarray | None
    labels: LabelSet


def read_case(
    review: Review, case_id: str, members: Sequence[ReviewMember] | None = None, progress: Progress | None = None
) -> OpenCase:
    """Read the label maps of a case, one after the other, and its reference.

    Args:
        members: members or ensembles of the review; all members that have the case, unless said otherwise.

    Raises:
        ProblemsFound: label maps on different grids (before any is read), or with values that the labels do not know where
            these were declared.
        SegVarianceError: no such case, nobody has it, or a file cannot be read.
    """

    read = 0

    def step_done(step: tuple[int, int]) -> None:
        nonlocal read
        if progress is not None and step[0] > read:
            progress(*step)
        read = step[0]

    return result_of(case_steps(review, case_id, members), step_done)


def case_steps(
    review: Review, case_id: str, members: Sequence[ReviewMember] | None = None
) -> Generator[tuple[int, int], None, OpenCase]:
    """``read_case``, a label map at a time: yields how many are read and of how many."""
    case = review.case(case_id)
    chosen = tuple(review.members_of(case_id) if members is None else members)
    if not chosen:
        raise SegVarianceError(f"No member has case {case_id!r} yet. Choose another case, or open the folder again.")
    files = [member.files[case_id] for member in chosen]
    every = files + ([case.label] if case.label else [])
    _refuse(case_id, grid_problems({case_id: every[0]}, [{case_id: path} for path in every[1:]]))
    problems: list[Problem] = []
    arrays = _read(every, review, problems)
    packing = MemberMaps.steps((member.key for member in chosen), itertools.islice(arrays, len(files)))
    for done in range(1, len(files) + 1):
        next(packing)
        yield done, len(every)
    maps = result_of(packing)
    yield len(files), len(every)  # packing takes as long as reading
    reference = next(arrays, None)
    if reference is not None:
        yield len(every), len(every)
    _refuse(case_id, problems)
    values = set(maps.values) | set(() if reference is None else values_present(reference))
    return OpenCase(case, read_geometry(files[0]), chosen, maps, reference, with_values(review.labels, values))


def _read(files: Sequence[Path], review: Review, problems: list[Problem]) -> Iterator[np.ndarray]:
    known = review.labels.known_values
    for path in files:
        label_map = read_label_map(path).array
        if review.labels_declared and (unknown := set(values_present(label_map)) - known):
            what = f"it holds the label values {sorted(unknown)}, expected only {sorted(known)} ({review.labels_from})."
            problems.append(Problem(str(path), what, "Mend the label map, or give other labels."))
        yield label_map


def _refuse(case_id: str, problems: Sequence[Problem]) -> None:
    if problems:
        raise ProblemsFound(f"Case {case_id} cannot be compared:", problems)
