"""Which cases to look at first: a number for each case and structure, from scores or from the case itself, worst first."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.labels import BACKGROUND, Structure
from ..ensemble.member_maps import MemberMaps
from ..ensemble.running_votes import RunningVotes
from ..evaluation.score_table import ScoreTable
from ..metrics.overlap import confusion_matrix, overlap
from .open_case import OpenCase

DICE = "dice"
OF_VOTE = "Dice of the members' vote against the reference"
OF_PAIRS = "mean Dice between two members, since there is no reference"
_PIECE = 1 << 20
"""So many voxels at a time are turned into floats: 50 members of them take 200 MB."""

ByStructure = Mapping[str, float]


@dataclass(frozen=True)
class CaseNumbers:
    """``what`` says in words what the numbers are, 1 being best; ``of`` has them by case and structure."""

    what: str
    of: Mapping[str, ByStructure]

    def by_case(self, structure: str = "") -> dict[str, float]:
        """Of one structure, or the mean of all that a case has; a case without a number is left out."""
        chosen = {
            case: [value for name, value in found.items() if structure in ("", name)] for case, found in self.of.items()
        }
        return {case: float(np.mean(values)) for case, values in chosen.items() if values}


def worst_first(cases: Iterable[str], numbers: Mapping[str, float]) -> tuple[str, ...]:
    """``cases``, the lowest number first; those without a number last, in their order."""
    return tuple(sorted(cases, key=lambda case: numbers.get(case, np.inf)))


def numbers_in_table(table: ScoreTable, ensembles: Sequence[str], members: Collection[str]) -> CaseNumbers | None:
    """Dice from a score table: of the first of ``ensembles`` that it holds, else the mean of the members.

    Args:
        ensembles, members: keys (``<configuration>/<name>``) of the review. Others in the table, such as ensembles of some
            of the seeds, do not count where it holds any of these.

    Returns:
        None where the table holds no Dice.
    """
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    for score in table.scores:
        if score.metric == DICE and score.value is not None:
            who = found.setdefault(f"{score.configuration}/{score.member}", {})
            who.setdefault((score.case, score.structure), []).append(score.value)
    if not found:
        return None
    ensemble = next((key for key in ensembles if key in found), None)
    chosen = [ensemble] if ensemble else [key for key in found if key in members] or list(found)
    values: dict[str, dict[str, list[float]]] = {}
    for key in chosen:
        for (case, structure), given in found[key].items():
            values.setdefault(case, {}).setdefault(structure, []).extend(given)
    means = {case: {name: float(np.mean(v)) for name, v in of.items()} for case, of in values.items()}
    return CaseNumbers(f"Dice of {ensemble or 'the members on average'} against the reference", means)


def number_steps(opened: OpenCase) -> Generator[None, None, dict[str, float]]:
    """By structure the Dice of the members' vote against the case's reference; without a reference ``pairwise_dice``.

    A structure that neither has is left out; one that is missed, or drawn where there is none, counts 0.
    """
    structures = opened.labels.structures
    if opened.reference is None:
        found = {}
        for structure in structures:
            found[structure.name] = pairwise_dice(opened.maps, structure)
            yield
        return {name: value for name, value in found.items() if value is not None}
    vote = RunningVotes(opened.maps).label_map()
    yield
    ignored = opened.labels.ignore_value
    reference = opened.reference
    if ignored is not None:
        vote, reference = (np.where(opened.reference == ignored, BACKGROUND, each) for each in (vote, reference))
    values = sorted(opened.labels.known_values)
    counts = confusion_matrix(reference, vote, values)
    shared = {structure.name: overlap(counts, values, structure) for structure in structures}
    return {
        name: 2 * each.both / (each.reference + each.prediction)
        for name, each in shared.items()
        if each.reference + each.prediction
    }


def pairwise_dice(maps: MemberMaps, structure: Structure) -> float | None:
    """Mean Dice over all pairs of members: how far they agree on a structure where nobody knows what is right.

    A pair counts 0 where one of the two lacks the structure, and not at all where both do. None with a single member, or
    where nobody drew it.
    """
    both = _shared_voxels(maps, structure)
    sizes = np.diag(both)
    pairs = np.triu_indices(len(sizes), 1)
    together = (sizes[:, None] + sizes)[pairs]
    drawn = together > 0
    return float((2 * both[pairs][drawn] / together[drawn]).mean()) if drawn.any() else None


def _shared_voxels(maps: MemberMaps, structure: Structure) -> np.ndarray:
    """Voxels of the structure that members i and j both drew, [member, member]; on the diagonal its size in each."""
    everyone = structure.mask(maps.shared)
    agreed = int(everyone.sum()) - int(everyone.ravel()[maps.places].sum())
    both = np.full((len(maps.names), len(maps.names)), float(agreed))
    for start in range(0, maps.places.size, _PIECE):
        drew = structure.mask(maps.drawn[:, start : start + _PIECE]).astype(np.float32)
        both += drew @ drew.T  # whole numbers up to 2^20: exact in float32
    return both
