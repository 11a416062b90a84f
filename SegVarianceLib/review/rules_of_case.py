"""Rules, maps and numbers of one open case, for panels and commands: whatever its members' files allow.

``votes`` are ``RunningVotes(opened.maps)``; all functions look at the members selected there, and leave the selection as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.labels import LabelSet, Structure
from ..core.stepwise import result_of, translated
from ..ensemble.disagreement import Measured, disagreement
from ..ensemble.rules import RULES, distinct_rules
from ..ensemble.running_votes import RunningVotes
from ..ensemble.side_by_side import Difference, Influence, differences, leave_one_out_steps, where_rules_differ
from ..ensemble.uncertainty import MAPS, MapFacts, ProbabilityMaps, maps_of_votes, probability_map_steps
from ..metrics.calibration import calibration, probability_levels
from .description import ReviewMember
from .open_case import OpenCase
from .probabilities import KeptProbabilities, kept_probabilities

Progress = Callable[[int, int], object]
"""Called with the number of probability files read and of all."""


@dataclass(frozen=True)
class SideBySide:
    """``label_maps`` [z, y, x] by rule; ``differing`` uint8 [z, y, x], 0 where all rules agree; what differs in numbers."""

    label_maps: dict[str, np.ndarray]
    differing: np.ndarray
    differences: list[Difference]


def rules_of_case(opened: OpenCase, votes: RunningVotes) -> tuple[Facts, ...]:
    """The rules that these members allow, in the catalogue's order: those on probabilities only where all selected kept them."""
    reads = None if _all_kept(opened, votes) else "labels"
    return tuple(RULES.facts(rule) for rule in distinct_rules(opened.labels, reads))


def maps_of_case(opened: OpenCase, votes: RunningVotes) -> tuple[MapFacts, ...]:
    """The kinds of maps that these members allow."""
    kept = _all_kept(opened, votes)
    return tuple(kind for kind in MAPS if kept or kind.reads == "labels")


def combine_case(
    opened: OpenCase,
    votes: RunningVotes,
    rule: str,
    weights: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Label map [z, y, x] of the selected members by a rule of ``RULES``.

    Raises:
        SegVarianceError: no such rule, weights missing or too many, regions that these labels do not have, or probabilities
            that not all selected members kept, or that cannot be read.
    """
    members = len(votes.selected)

    def step_done(share: float) -> None:
        if progress is not None:
            progress(round(share * members), members)

    return result_of(combine_steps(opened, votes, rule, weights), step_done)


def combine_steps(
    opened: OpenCase, votes: RunningVotes, rule: str, weights: Sequence[float] | None = None
) -> Generator[float, None, np.ndarray]:
    """``combine_case`` in steps: yields the share that is done. The selection must not change meanwhile."""
    function, members = RULES.function(rule), len(votes.selected)
    if function.reads == "labels":
        yield 0.0
        return votes.by_rule(rule, opened.labels)
    kept = _kept(opened, votes)
    steps = function.steps(kept.arrays, kept.labels, weights)
    return (yield from translated(steps, lambda read: read / members))


def side_by_side(
    opened: OpenCase, votes: RunningVotes, rules: Sequence[str] | None = None, progress: Progress | None = None
) -> SideBySide:
    """Several rules (default: all that the case allows) on the same members; the reference beside them if there is one."""
    chosen = [facts.id for facts in rules_of_case(opened, votes)] if rules is None else rules
    label_maps = {rule: combine_case(opened, votes, rule, progress=progress) for rule in dict.fromkeys(chosen)}
    found = differences(label_maps, opened.labels, opened.geometry.voxel_volume_mm3, opened.reference)
    return SideBySide(label_maps, where_rules_differ(label_maps), found)


def influence_of_members(opened: OpenCase, votes: RunningVotes, rule: str) -> list[Influence]:
    """What each selected member changes; a rule on probabilities reads the files once for each member left out.

    Raises:
        SegVarianceError: fewer than two members are selected; or as ``combine_case``.
    """
    return result_of(influence_steps(opened, votes, rule))


def influence_steps(opened: OpenCase, votes: RunningVotes, rule: str) -> Generator[float, None, list[Influence]]:
    """``influence_of_members`` in steps: yields the share that is done."""
    own, voxel_mm3 = RunningVotes(opened.maps), opened.geometry.voxel_volume_mm3

    def combine(names: Sequence[str]) -> Generator[float, None, np.ndarray]:
        own.select(names)
        return combine_steps(opened, own, rule)

    return leave_one_out_steps(combine, votes.selected, opened.labels, voxel_mm3, opened.reference)


def uncertainty_maps(
    opened: OpenCase, votes: RunningVotes, with_probabilities: bool = True, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """All maps by name, float32 [z, y, x]: from label maps, and from probabilities where all selected members kept them."""
    found = maps_of_votes(votes, opened.labels)
    if with_probabilities and _all_kept(opened, votes):
        found |= _from_probabilities(opened, votes, progress)[0].maps
    return found


def uncertainty_map_steps(
    opened: OpenCase, votes: RunningVotes, with_probabilities: bool
) -> Generator[float, None, dict[str, np.ndarray]]:
    """``uncertainty_maps`` in steps: yields the share that is done. The selection must not change meanwhile."""
    yield 0.0
    found = maps_of_votes(votes, opened.labels)
    if with_probabilities and _all_kept(opened, votes):
        kept, members = _kept(opened, votes), len(votes.selected)
        steps = probability_map_steps(kept.arrays, kept.labels)
        found |= (yield from translated(steps, lambda read: read / members)).maps
    return found


def uncertainty_numbers(
    opened: OpenCase, votes: RunningVotes, mean: np.ndarray | None = None, channels: LabelSet | None = None
) -> list[Measured]:
    """Measures of all structures of the selected members (``ensemble.disagreement.MEASURES``).

    Calibration joins them where there is a reference and ``mean``, the mean probability [c, z, y, x] of ``channels``.
    """
    maps = opened.maps if votes.selected == opened.maps.names else opened.maps.of_members(votes.selected)
    vote = votes.by_rule("majority", opened.labels)
    found = disagreement(maps, opened.labels, opened.geometry.voxel_volume_mm3, vote, opened.reference)
    if mean is not None and channels is not None and opened.reference is not None:
        counted = None if opened.labels.ignore_value is None else opened.reference != opened.labels.ignore_value
        for structure in opened.labels.structures:
            probability = _probability_of(structure, mean, channels)
            truth = structure.mask(opened.reference)
            gaps = calibration(probability_levels(probability, truth, opened.geometry.spacing_zyx_mm, counted))
            ece, ace = (None, None) if gaps is None else (gaps.ece, gaps.ace)
            found += [Measured(structure.name, "ece", ece), Measured(structure.name, "ace", ace)]
    return found


def maps_and_numbers(
    opened: OpenCase, votes: RunningVotes, progress: Progress | None = None
) -> tuple[dict[str, np.ndarray], list[Measured]]:
    """``uncertainty_maps`` and ``uncertainty_numbers`` with probabilities, if they were kept, read once for both."""
    found = maps_of_votes(votes, opened.labels)
    if not _all_kept(opened, votes):
        return found, uncertainty_numbers(opened, votes)
    (mean, maps), channels = _from_probabilities(opened, votes, progress)
    return found | maps, uncertainty_numbers(opened, votes, mean, channels)


def _probability_of(structure: Structure, mean: np.ndarray, channels: LabelSet) -> np.ndarray:
    """Of a region its own channel, or the sum of its labels' channels."""
    if channels.has_regions:
        return mean[[each.name for each in channels.structures].index(structure.name)]
    return mean[[1 + channels.foreground_values.index(value) for value in structure.values]].sum(axis=0)


def _from_probabilities(
    opened: OpenCase, votes: RunningVotes, progress: Progress | None
) -> tuple[ProbabilityMaps, LabelSet]:
    kept = _kept(opened, votes, progress)
    return result_of(probability_map_steps(kept.arrays, kept.labels)), kept.labels


def _selected(opened: OpenCase, votes: RunningVotes) -> list[ReviewMember]:
    return [member for member in opened.members if member.key in votes.selected]


def _all_kept(opened: OpenCase, votes: RunningVotes) -> bool:
    return all(opened.case.id in member.probabilities for member in _selected(opened, votes))


def _kept(opened: OpenCase, votes: RunningVotes, progress: Progress | None = None) -> KeptProbabilities:
    members = _selected(opened, votes)
    if lacking := [member.key for member in members if opened.case.id not in member.probabilities]:
        raise SegVarianceError(
            f"{', '.join(lacking)} kept no probabilities of case {opened.case.id!r}. Leave them out, or take a vote instead."
        )
    return kept_probabilities(members, opened.case.id, opened.geometry, opened.labels, progress)
