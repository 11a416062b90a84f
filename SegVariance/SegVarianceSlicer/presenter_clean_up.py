"""Clean-up of the result on screen: one step at a time or as a recipe file says, with what would go before anything goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.words import counted
from SegVarianceLib.ensemble.clean_up import CleanUpStep
from SegVarianceLib.ensemble.clean_up_recipe import CleanUpRecipe
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP
from SegVarianceLib.review.components import PREVIEWED, Component, Components, components_of
from SegVarianceLib.review.vote_recipe import clean

from .presenter_review import ReviewSession, structure_named
from .state_clean_up import NO_CLEAN_UP, RECIPE, CleanUpState, ListedComponent
from .state_review import Choice

_MINIMUM, _TOGETHER, _HOLES = "minimum_size", "keep_largest_foreground", "fill_holes"
_MOST_LISTED = 500
"""Rows of the list of components: more are not read, and a table of Qt is slow with thousands."""
_WAYS = (Choice("background", "Background"), Choice("enclosing", "What surrounds it"))
_IN_WORDS = {
    NO_CLEAN_UP: "",
    "keep_largest": "Only the largest connected piece of the structure stays.",
    _MINIMUM: "Pieces of the structure smaller than this go.",
    _TOGETHER: "All structures count as one: only what hangs together with the largest piece stays.",
    _HOLES: "Background that the structure closes in on all sides is filled.",
}


class CleanUp:
    """Keeps ``state`` and tells ``changed`` whenever it changes; ``failed`` hears what was wrong with a setting or a file."""

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object],
        failed: Callable[[SegVarianceError | OSError | None], object],
    ):
        self._session, self._changed, self._failed = session, changed, failed
        self._components: Components | None = None
        self._listed: dict[int, Component] = {}
        self._recipe: CleanUpRecipe | None = None
        self.state = CleanUpState()

    def follow(self) -> None:
        """Another case is on screen, or none; ``look`` comes next where there is one."""
        opened = self._session.opened
        self._components, self._listed = None, {}
        if opened is None:
            self._recipe, self.state = None, CleanUpState()
            return
        names = tuple(structure.name for structure in opened.labels.structures)
        chosen = self.state.structure if self.state.structure in names else next(iter(names), "")
        self.state = replace(self.state, structures=names, structure=chosen, ways=_WAYS)
        if self._recipe is not None and not self._fits(self._recipe):
            self._recipe = None
            self.state = replace(self.state, recipe="", recipe_says=())
        self._offer(self.state.step)

    def look(self) -> None:
        """Another result is on screen: find its components."""
        opened, result = self._session.opened, self._session.result
        self._components = None
        if opened is not None and result is not None and self.state.structure:
            structure = structure_named(opened.labels, self.state.structure)
            self._components = Components(result, structure, opened.geometry)
        self._preview()

    def choose_structure(self, name: str) -> None:
        self.state = replace(self.state, structure=name)
        self.look()

    def choose_step(self, step: str) -> None:
        self._offer(step)
        self._preview()

    def choose_minimum(self, minimum_ml: float) -> None:
        self.state = replace(self.state, minimum_ml=minimum_ml)
        self._preview()

    def choose_becomes(self, becomes: str) -> None:
        self.state = replace(self.state, becomes=becomes)
        self._preview()

    def open_recipe(self, path: str) -> None:
        """Take a ``clean_up.json`` and show what it would do."""
        opened = self._session.opened
        if opened is None:
            return
        try:
            recipe = CleanUpRecipe.read(Path(path))
            recipe.require_same_labels(opened.labels)
        except (SegVarianceError, OSError) as error:
            self._failed(error)
            return
        self._failed(None)
        self._recipe = recipe
        self.state = replace(self.state, recipe=path, recipe_says=_says(recipe))
        self.choose_step(RECIPE)

    def jump_to(self, number: int) -> None:
        """Look at a listed component."""
        if number in self._listed:
            self._session.scene.jump(self._listed[number].centre_mm)

    @property
    def steps(self) -> tuple[CleanUpStep, ...]:
        """What is to be done, in order."""
        step, settings = self.state.step, self._settings()
        if step == NO_CLEAN_UP:
            return ()
        if step == RECIPE:
            return () if self._recipe is None else self._recipe.steps
        names = self.state.structures if step == _TOGETHER else (self.state.structure,)
        return (CleanUpStep(step, names, settings),)

    @property
    def title(self) -> str:
        """What is done, for the name of the result; empty for nothing."""
        title = next((each.title.lower() for each in self.state.steps if each.id == self.state.step), "")
        if self.state.step in (NO_CLEAN_UP, RECIPE, _TOGETHER):
            return "" if self.state.step == NO_CLEAN_UP else title
        return f"{self.state.structure} · {title}"

    def applied(self, label_map: np.ndarray) -> np.ndarray:
        """The label map [z, y, x] after ``steps``."""
        return self._removed(label_map)[0]

    def _removed(self, label_map: np.ndarray) -> tuple[np.ndarray, tuple[Component, ...]]:
        opened, removed = self._session.opened, []
        if opened is None:
            return label_map, ()
        for step in self.steps:
            label_map, found = clean(label_map, step, opened)
            removed += found
        return label_map, components_of(removed, opened.geometry)

    def _offer(self, step: str) -> None:
        """Show the steps that there are, and choose one of them."""
        steps = [Choice(NO_CLEAN_UP, "Remove nothing"), *(Choice(facts.id, facts.title) for facts in CLEAN_UP)]
        if self._recipe is not None:
            steps.append(Choice(RECIPE, f"As {Path(self.state.recipe).name} says"))
        step = step if step in {each.id for each in steps} else NO_CLEAN_UP
        several = len(self.state.structures) > 1
        self.state = replace(
            self.state,
            steps=tuple(steps),
            step=step,
            step_in_words=_recipe_in_words(self._recipe) if step == RECIPE else _IN_WORDS[step],
            has_structure=step not in (RECIPE, _TOGETHER),
            has_minimum=step == _MINIMUM,
            has_becomes=several and step not in (NO_CLEAN_UP, RECIPE, _HOLES),
        )

    def _preview(self) -> None:
        components, result = self._components, self._session.result
        if components is None or result is None:
            self.state = replace(self.state, components=(), goes="")
            self._changed()
            return
        pieces, state = len(components.listed), self.state
        try:
            if state.step == NO_CLEAN_UP:
                listed, goes = components.listed, f"{counted(pieces, 'component')}; nothing is removed."
            elif state.step in PREVIEWED:  # the components are known: another setting shows at once
                listed = components.goes(state.step, self._settings())
                goes = f"{len(listed)} of {counted(pieces, 'component')} would go, {_volume(listed)} in all."
            else:
                listed = self._removed(result)[1]
                what, done = ("hole", "filled") if state.step == _HOLES else ("component", "changed")
                goes = f"{counted(len(listed), what)} would be {done}, {_volume(listed)} in all."
        except SegVarianceError as error:
            self._failed(error)
            return
        if len(listed) > _MOST_LISTED:
            goes += f" The largest {_MOST_LISTED} are listed."
        self._listed = {component.number: component for component in listed[:_MOST_LISTED]}
        rows = tuple(ListedComponent(each.number, each.volume_ml, each.voxels) for each in self._listed.values())
        self.state = replace(self.state, components=rows, goes=goes)
        self._changed()

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"minimum_mm3": self.state.minimum_ml * 1000} if self.state.has_minimum else {}
        return settings | ({"becomes": self.state.becomes} if self.state.has_becomes else {})

    def _fits(self, recipe: CleanUpRecipe) -> bool:
        opened = self._session.opened
        named = {} if opened is None else {each.name: each.values for each in opened.labels.structures}
        return named == recipe.structures


def _volume(components: tuple[Component, ...]) -> str:
    return f"{sum(component.volume_ml for component in components):.3f} ml"


def _recipe_in_words(recipe: CleanUpRecipe | None) -> str:
    steps = () if recipe is None else recipe.steps
    return f"The recipe: {'; then '.join(map(str, steps))}." if steps else "The recipe says: clean nothing."


def _says(recipe: CleanUpRecipe) -> tuple[str, ...]:
    on = recipe.chosen_on
    if on is None:
        return ("The recipe does not say what it was chosen on, nor what it gains.",)
    found = on.found or ("What it gains on other cases is not written in it.",)
    return (f"Chosen on {on.what}.", *found)
