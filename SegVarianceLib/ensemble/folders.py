"""Ensembles of whole folders: plain label maps of any tool, or probabilities that SegVariance or nnU-Net wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from ..core.arrays import values_present
from ..core.errors import Problem, ProblemsFound, SegVarianceError
from ..core.files import path_inside
from ..core.geometry import Geometry
from ..core.labels import LabelSet, Structure
from ..dataset.grids import grid_problems
from ..dataset.image_io import IMAGE_ENDINGS, read_geometry, read_label_map, write_label_map
from ..dataset.nnunet_plans import turning_reader
from ..dataset.nnunet_probabilities import read_nnunet_probabilities
from ..dataset.probability_maps import Box, around, probability_box, read_probabilities, whole_box
from .rules import RULES, Rule

Progress = Callable[[int, int], object]
"""Called with the number of cases done and of all cases."""


def ensemble_folders(
    rule: str,
    members: Sequence[Mapping[str, Path]],
    labels: LabelSet,
    folder: Path,
    file_ending: str,
    progress: Progress | None = None,
    weights: Sequence[float] | None = None,
    finish: Callable[[np.ndarray, Geometry], np.ndarray] | None = None,
) -> dict[str, Path]:
    """Combine the members' files case by case and write ``folder/<case><file_ending>``, on the first member's grid.

    Args:
        rule: an id of ``RULES``.
        members: case id to file, one mapping a member; label maps or probability maps, as the rule reads. Where it reads
            probabilities, a label map stands for nnU-Net's ``.npz`` beside it.
        labels: what the label values, or the probability channels in order, mean.
        weights: one for each member, in their order, where the rule is weighted.
        finish: gets each combined label map [z, y, x] and where it lies; what it gives is written.

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
    if weights is not None and len(weights) != len(members):
        raise SegVarianceError(f"There are {len(weights)} weights for {len(members)} members. Give one for each.")
    _refuse([problem for number, files in enumerate(members, start=1) for problem in _missing(number, files, members)])
    if combine.reads == "probabilities":
        _refuse([problem for files in members for problem in _left_without(files)])
    targets = {case_id: path_inside(folder, f"{case_id}{file_ending}", "case id") for case_id in members[0]}
    _refuse([*_overwritten(targets, members), *grid_problems(members[0], members[1:])])

    for done, (case_id, target) in enumerate(targets.items(), start=1):
        files = [member[case_id] for member in members]
        geometry = read_geometry(files[0])
        if combine.reads == "probabilities":
            label_map = _combine_probabilities(combine, files, geometry.shape_zyx, labels, weights)
        else:
            label_map = combine((_known_label_map(path, labels) for path in files), labels, weights)
        if finish is not None:
            label_map = finish(label_map, geometry)
        write_label_map(target, label_map, geometry, like=files[0])
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


def _left_without(files: Mapping[str, Path]) -> Iterator[Problem]:
    """Label maps of nnU-Net without probabilities, where others of the member have some."""
    lacking = [path for path in files.values() if not _beside(path).is_file()]
    if len(lacking) < len(files) and not any(turning_reader(path.parent) for path in lacking):
        for path in lacking:
            what = "no probabilities (.npz) lie beside it, as beside others."
            yield Problem(str(path), what, "Predict it again with --save_probabilities, or vote label maps.")


def _beside(path: Path) -> Path:
    """Where nnU-Net keeps the probabilities of a label map."""
    ending = next((each for each in IMAGE_ENDINGS if path.name.endswith(each)), "")
    return path.parent / f"{path.name.removesuffix(ending)}.npz"


def _overwritten(targets: Mapping[str, Path], members: Sequence[Mapping[str, Path]]) -> Iterator[Problem]:
    sources = {path.resolve() for files in members for path in files.values()}
    for target in targets.values():
        if target in sources:
            yield Problem(str(target), "the ensemble would overwrite this member's file.", "Write into another folder.")


def _known_label_map(path: Path, labels: LabelSet) -> np.ndarray:
    label_map = read_label_map(path).array
    unknown = set(values_present(label_map)) - labels.known_values
    if unknown:
        raise SegVarianceError(
            f"{path} holds the label values {sorted(unknown)}, expected only {sorted(labels.known_values)}. Mend it."
        )
    return label_map


def _combine_probabilities(
    combine: Rule,
    files: Sequence[Path],
    shape_zyx: tuple[int, int, int],
    labels: LabelSet,
    weights: Sequence[float] | None,
) -> np.ndarray:
    """The label map [z, y, x] of the members' probabilities, combined in the box outside of which no member has any doubt."""
    stored = [path for path in files if not _beside(path).is_file()]
    box = whole_box(shape_zyx) if len(stored) < len(files) else around(map(probability_box, stored))
    box, outside = _with_one_outside(box, shape_zyx)
    first, names = _classes(files[0], box)
    # The rules have done with a member when they ask for the next one, so one member's memory does for all.
    rest = (_same_classes(path, names, files[0], box, first) for path in files[1:])
    meant = labels if names is None else _labels_of_classes(names, labels, files[0])
    inside = combine(chain([first], rest), meant, weights)
    label_map = np.full(shape_zyx, inside[outside], dtype=inside.dtype)
    label_map[box] = inside
    return label_map


def _with_one_outside(box: Box, shape_zyx: tuple[int, int, int]) -> tuple[Box, tuple[int, int, int]]:
    """``box`` with one more layer, where it is not the whole image, and the place in it of a voxel of that layer."""
    sides, place = list(box), [0, 0, 0]
    for axis, (side, length) in enumerate(zip(box, shape_zyx, strict=True)):
        if side.stop < length:
            sides[axis], place[axis] = slice(side.start, side.stop + 1), -1
            break
        if side.start > 0:
            sides[axis] = slice(side.start - 1, side.stop)
            break
    return (sides[0], sides[1], sides[2]), (place[0], place[1], place[2])


def _same_classes(path: Path, names: tuple[str, ...] | None, first: Path, box: Box, into: np.ndarray) -> np.ndarray:
    probabilities, found = _classes(path, box, into)
    if found != names:
        raise SegVarianceError(
            f"{path} holds the classes {', '.join(found or ('of nnU-Net',))}; {first} holds {', '.join(names or ('of nnU-Net',))}. "
            "Combine one labelling only."
        )
    return probabilities


def _classes(path: Path, box: Box, into: np.ndarray | None = None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Probabilities [c, z, y, x] in ``box`` and the names of their classes; nnU-Net names none and stores all voxels."""
    beside = _beside(path)
    if not beside.is_file():
        probabilities, _, names = read_probabilities(path, box)
        return probabilities, names
    if reader := turning_reader(path.parent):
        raise SegVarianceError(
            f"{beside} lies on the turned axes of nnU-Net's {reader}, the label map beside it does not. Vote label maps instead."
        )
    return read_nnunet_probabilities(beside, read_geometry(path).shape_zyx, into), None


def _labels_of_classes(names: tuple[str, ...], labels: LabelSet, path: Path) -> LabelSet:
    """``labels`` where the classes are its regions; where they are background and label values, a structure for each."""
    if labels.has_regions and names == tuple(region.name for region in labels.structures):
        return labels
    values = labels.foreground_values
    if len(names) != 1 + len(values):
        raise SegVarianceError(
            f"{path} holds the classes {', '.join(names)}; expected background and {len(values)} labels. Give its own labels."
        )
    return LabelSet(tuple(Structure(name, (value,)) for name, value in zip(names[1:], values, strict=True)))
