"""The mean of the members' probabilities of one case, where they were kept: by SegVariance, or by nnU-Net as ``.npz``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.errors import SegVarianceError
from ..core.geometry import Geometry
from ..core.labels import LabelSet
from ..dataset.labelling import labels_of_values
from ..dataset.nnunet_probabilities import read_nnunet_probabilities
from ..dataset.probability_maps import read_probabilities
from ..ensemble.probability_rules import labels_from_probabilities, mean_probability
from .description import ReviewMember


@dataclass(frozen=True)
class MeanProbability:
    """``probabilities`` float32 [c, z, y, x]: background and label values ascending, or regions; ``label_map`` [z, y, x]."""

    probabilities: np.ndarray
    label_map: np.ndarray
    members: tuple[str, ...]


class KeptProbabilities(NamedTuple):
    """``arrays`` [c, z, y, x] of the ``members`` in their order, read one after the other; ``labels`` are what the channels mean."""

    arrays: Iterator[np.ndarray]
    labels: LabelSet
    members: tuple[str, ...]


def kept_probabilities(
    members: Sequence[ReviewMember],
    case_id: str,
    geometry: Geometry,
    labels: LabelSet,
    progress: Callable[[int, int], object] | None = None,
) -> KeptProbabilities:
    """The probabilities of those members that kept them of the case.

    Args:
        geometry: where the case's label maps lie.
        labels: what the channels mean, as in ``labels_from_probabilities``. Where they are regions, and a file names other
            classes, its channels are background and the label values.

    Raises:
        SegVarianceError: nobody kept any, or (while reading) a file cannot be read, lies elsewhere or has other channels.
    """
    kept = [member for member in members if case_id in member.probabilities]
    if not kept:
        raise SegVarianceError(f"No member kept probabilities of case {case_id!r}. Take the majority vote instead.")
    names: list[tuple[str, ...]] = []
    arrays = _read_all(kept, case_id, geometry, names, progress)
    first = next(arrays)
    regions = tuple(structure.name for structure in labels.structures)
    meant = labels_of_values(labels.foreground_values) if names[0] and names[0] != regions else labels
    return KeptProbabilities(chain([first], arrays), meant, tuple(member.key for member in kept))


def mean_of_probabilities(
    members: Sequence[ReviewMember],
    case_id: str,
    geometry: Geometry,
    labels: LabelSet,
    progress: Callable[[int, int], object] | None = None,
) -> MeanProbability:
    """Average the members that kept probabilities of the case; arguments and errors as ``kept_probabilities``."""
    kept = kept_probabilities(members, case_id, geometry, labels, progress)
    mean = mean_probability(kept.arrays)
    return MeanProbability(mean, labels_from_probabilities(mean, kept.labels), kept.members)


def _read_all(
    members: Sequence[ReviewMember],
    case_id: str,
    geometry: Geometry,
    names: list[tuple[str, ...]],
    progress: Callable[[int, int], object] | None,
) -> Iterator[np.ndarray]:
    """Appends the class names of each file to ``names``; nnU-Net gives none."""
    for done, member in enumerate(members, start=1):
        path = member.probabilities[case_id]
        probabilities, found = _read(path, geometry)
        names.append(found)
        if found != names[0]:
            raise SegVarianceError(
                f"{path} holds the classes {', '.join(found) or 'of nnU-Net'}, others {', '.join(names[0]) or 'of nnU-Net'}. Combine one labelling only."
            )
        yield probabilities
        if progress is not None:
            progress(done, len(members))


def _read(path: Path, geometry: Geometry) -> tuple[np.ndarray, tuple[str, ...]]:
    if path.suffix != ".npz":
        probabilities, found, names = read_probabilities(path)
        if difference := geometry.difference(found):
            raise SegVarianceError(
                f"{path} lies elsewhere than the label maps of its case: {difference}. Predict again."
            )
        return probabilities, names
    return read_nnunet_probabilities(path, geometry.shape_zyx).astype(np.float32, copy=False), ()
