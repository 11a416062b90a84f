"""How a result is made from the members of a case: by which rule, of whom, and what is cleaned away; and making it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from ..core.stepwise import translated, within
from ..ensemble.clean_up import CleanUpStep, apply_steps
from ..ensemble.postprocessing import Cleaned
from ..ensemble.running_votes import RunningVotes
from .description import Review
from .open_case import OpenCase, case_steps
from .rules_of_case import combine_steps

_READING, _COMBINING = 0.6, 0.3
"""Of the time that a case takes."""


@dataclass(frozen=True)
class VoteRecipe:
    """``rule`` is an id of ``RULES``, ``members`` are keys of a review, in the order of ``weights`` where the rule is weighted;
    ``cleaned`` in the order in which it was done."""

    rule: str
    members: tuple[str, ...]
    cleaned: tuple[CleanUpStep, ...] = ()
    weights: tuple[float, ...] | None = None


def clean(label_map: np.ndarray, step: CleanUpStep, opened: OpenCase) -> Cleaned:
    """A copy of ``label_map`` [z, y, x] after the step, and what it took away; structures that the case lacks are passed over.

    Raises:
        SegVarianceError: an unknown step or setting.
    """
    known = {structure.name for structure in opened.labels.structures}
    there = replace(step, structures=tuple(name for name in step.structures if name in known))
    if not there.structures:
        return Cleaned(label_map, [])
    return apply_steps([there], label_map, opened.labels.structures, opened.geometry.voxel_volume_mm3)


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
    votes, done = RunningVotes(opened.maps), _READING + _COMBINING
    weight_of = dict(zip(recipe.members, recipe.weights or (), strict=False))
    weights = None if recipe.weights is None else [weight_of[member.key] for member in members]
    result = yield from within(combine_steps(opened, votes, recipe.rule, weights), _READING, done)
    for number, step in enumerate(recipe.cleaned):
        yield done + (1 - done) * number / len(recipe.cleaned)
        result = clean(result, step, opened).label_map
    return opened, result
