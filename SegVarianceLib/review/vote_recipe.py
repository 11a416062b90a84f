"""How a result is made from the members of a case: by which rule, of whom, and what is cleaned away; and making it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..core.labels import BACKGROUND
from ..core.stepwise import translated
from ..dataset.labelling import regions_of
from ..ensemble.running_votes import LABEL_RULE, REGION_RULE, RunningVotes
from .components import Components
from .description import Review
from .open_case import OpenCase, case_steps
from .probabilities import mean_of_probabilities

BY_LABEL, BY_REGION, BY_MEAN = "label", "region", "mean"
_MEAN_RULE = "Mean of the probabilities that the ticked members kept; the label with the largest mean wins."
_READING = 0.7
"""Of the time that a case takes."""
IN_WORDS = {BY_LABEL: LABEL_RULE, BY_REGION: REGION_RULE, BY_MEAN: _MEAN_RULE}


@dataclass(frozen=True)
class CleanedAway:
    """A step of ``components.PREVIEWED`` on one structure."""

    step: str
    structure: str
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VoteRecipe:
    """``members`` are keys of a review; ``cleaned`` in the order in which it was done."""

    rule: str
    members: tuple[str, ...]
    cleaned: tuple[CleanedAway, ...] = ()


def combine(
    rule: str, opened: OpenCase, votes: RunningVotes, progress: Callable[[int, int], object] | None = None
) -> np.ndarray:
    """Label map [z, y, x] of the selected members by the rule.

    Raises:
        SegVarianceError: probabilities are wanted, and none were kept or a file of them cannot be read.
    """
    if rule == BY_MEAN:
        members = [member for member in opened.members if member.key in votes.selected]
        found = mean_of_probabilities(members, opened.case.id, opened.geometry, opened.labels, progress)
        return found.label_map
    return votes.label_map(regions_of(opened.labels) if rule == BY_REGION else None)


def clean(label_map: np.ndarray, cleaned: CleanedAway, opened: OpenCase) -> np.ndarray:
    """A copy of ``label_map`` [z, y, x] without what the step takes away; the same where the case lacks the structure."""
    label_map = label_map.copy()
    for structure in (each for each in opened.labels.structures if each.name == cleaned.structure):
        gone = Components(label_map, structure, opened.geometry).gone_mask(cleaned.step, dict(cleaned.settings))
        label_map[gone] = BACKGROUND
    return label_map


def recipe_steps(
    review: Review, case_id: str, recipe: VoteRecipe
) -> Generator[float, None, tuple[OpenCase, np.ndarray]]:
    """Read a case and make the result [z, y, x] by the recipe, in steps: yields the share that is done.

    Raises:
        SegVarianceError: no member of the recipe has the case, or a file cannot be read.
    """
    members = [member for member in review.members_of(case_id) if member.key in recipe.members]
    opened = yield from translated(case_steps(review, case_id, members), lambda step: _READING * step[0] / step[1])
    yield _READING
    result = combine(recipe.rule, opened, RunningVotes(opened.maps))
    for done, cleaned in enumerate(recipe.cleaned):
        yield _READING + (1 - _READING) * (done + 1) / (len(recipe.cleaned) + 1)
        result = clean(result, cleaned, opened)
    return opened, result
