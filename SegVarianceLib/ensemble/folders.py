"""Ensembles of whole folders: plain label maps of any tool, or probabilities that SegVariance wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.arrays import values_present
from ..core.errors import Problem, ProblemsFound, SegVarianceError
from ..core.files import path_inside
from ..core.labels import LabelSet
from ..dataset.grids import grid_problems
from ..dataset.image_io import read_geometry, read_label_map, read_probabilities, write_label_map
from .rules import RULES

Progress = Callable[[int, int], object]
"""Called with the number of cases done and of all cases."""


def ensemble_folders(
    rule: str,
    members: Sequence[Mapping[str, Path]],
    labels: LabelSet,
    folder: Path,
    file_ending: str,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Combine the members' files case by case and write ``folder/<case><file_ending>``, on the first member's grid.

    Args:
        rule: an id of ``RULES``.
        members: case id to file, one mapping a member; label maps or probability maps, as the rule reads.
        labels: what the label values, or the probability channels in order, mean.

    Returns:
        Case id to written file.

    Raises:
        ProblemsFound: a case that not all members have, or a file on another grid; all at once, before anything is
            written.
        SegVarianceError: an unknown rule or label value, an unreadable file, classes that differ, a file that would
            overwrite a member's.
    """
    combine = RULES.function(rule)
    if not members or not any(members):
        raise SegVarianceError("There is nothing to combine: expected at least one member with at least one case.")
    _refuse([problem for number, files in enumerate(members, start=1) for problem in _missing(number, files, members)])
    targets = {case_id: path_inside(folder, f"{case_id}{file_ending}", "case id") for case_id in members[0]}
    _refuse([*_overwritten(targets, members), *grid_problems(members[0], members[1:])])

    read = _probabilities if combine.reads == "probabilities" else _label_maps
    for done, (case_id, target) in enumerate(targets.items(), start=1):
        files = [member[case_id] for member in members]
        label_map = combine(read(files, labels), labels)
        write_label_map(target, label_map, read_geometry(files[0]), like=files[0])
        if progress is not None:
            progress(done, len(targets))
    return targets


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ProblemsFound("These predictions cannot be combined:", problems)


def _missing(number: int, files: Mapping[str, Path], members: Sequence[Mapping[str, Path]]) -> Iterator[Problem]:
    where = f"member {number}" + (f" ({next(iter(files.values())).parent})" if files else "")
    for case_id in sorted({case_id for member in members for case_id in member} - set(files)):
        yield Problem(where, f"case {case_id!r} is missing, others have it.", "Predict it, or leave the case out.")


def _overwritten(targets: Mapping[str, Path], members: Sequence[Mapping[str, Path]]) -> Iterator[Problem]:
    sources = {path.resolve() for files in members for path in files.values()}
    for target in targets.values():
        if target in sources:
            yield Problem(str(target), "the ensemble would overwrite this member's file.", "Write into another folder.")


def _label_maps(files: Sequence[Path], labels: LabelSet) -> Iterator[np.ndarray]:
    for path in files:
        label_map = read_label_map(path).array
        unknown = set(values_present(label_map)) - labels.known_values
        if unknown:
            raise SegVarianceError(
                f"{path} holds the label values {sorted(unknown)}, expected only {sorted(labels.known_values)}. Mend it."
            )
        yield label_map


def _probabilities(files: Sequence[Path], labels: LabelSet) -> Iterator[np.ndarray]:
    first: tuple[str, ...] = ()
    for path in files:
        probabilities, _, names = read_probabilities(path)
        first = first or names
        if names != first:
            raise SegVarianceError(
                f"{path} holds the classes {', '.join(names)}; {files[0]} holds {', '.join(first)}. Combine one labelling only."
            )
        yield probabilities
