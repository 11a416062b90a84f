"""What the clean-up of the result shows: the step, what it would take away, a recipe, and choosing one. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from .state_review import Choice

NO_CLEAN_UP, RECIPE = "none", "recipe"
"""Beside the steps of the catalogue: nothing, and what a recipe file says."""


@dataclass(frozen=True)
class ListedComponent:
    """A component that the clean-up would remove, or a hole that it would fill."""

    number: int
    volume_ml: float
    voxels: int


@dataclass(frozen=True)
class ChoiceState:
    """Choosing a clean-up by cross-validation: ``can_choose`` where a study with references is open, else ``words`` say why not.

    While it runs, ``busy`` says how far it is and ``progress`` is the share that is done.
    """

    can_choose: bool = False
    words: str = ""
    busy: str = ""
    progress: float | None = None


@dataclass(frozen=True)
class CleanUpState:
    """``step`` is one of ``steps``; ``step_in_words`` says what it does. ``becomes`` is what removed voxels are afterwards.

    ``recipe`` is the path of the recipe file that was opened, ``recipe_says`` what it was chosen on and what it gains.
    """

    structures: tuple[str, ...] = ()
    structure: str = ""
    has_structure: bool = False
    steps: tuple[Choice, ...] = ()
    step: str = NO_CLEAN_UP
    step_in_words: str = ""
    minimum_ml: float = 0.1
    has_minimum: bool = False
    ways: tuple[Choice, ...] = ()
    becomes: str = "background"
    has_becomes: bool = False
    components: tuple[ListedComponent, ...] = ()
    goes: str = ""
    recipe: str = ""
    recipe_says: tuple[str, ...] = ()
    choosing: ChoiceState = ChoiceState()
