"""Ensemble and clean: which members vote by which rule, what a clean-up would take away, a new segmentation, a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.dataset.labelling import regions_of
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.review.components import PREVIEWED, Component, Components
from SegVarianceLib.review.open_case import OpenCase
from SegVarianceLib.review.vote_recipe import (
    BY_LABEL,
    BY_MEAN,
    BY_REGION,
    IN_WORDS,
    CleanedAway,
    VoteRecipe,
    clean,
    combine,
)

from .presenter_into_study import IntoStudy
from .presenter_review import ReviewSession, structure_named, title_of
from .state_review import Choice, EnsembleState, Layer, ListedComponent, StructureVolume

NO_CLEAN_UP = "none"
_MINIMUM = "minimum_size"
_MOST_LISTED = 500
"""Rows of the list of components: more are not read, and a table of Qt is slow with thousands."""


class EnsemblePresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes; calls ``changed`` after another vote."""

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.session, self._changed = session, changed
        self.state = EnsembleState()
        self.show: Callable[[EnsembleState], object] = lambda state: None
        self._on_screen: object = None
        self._preferred: frozenset[str] = frozenset()
        self._components: Components | None = None
        self._listed: dict[int, Component] = {}
        self._cleaned: tuple[CleanedAway, ...] = ()
        self._study = IntoStudy(session, self._studied, self._say, clock)
        session.listen(self._follow)

    def prefer(self, rule: str, keys: frozenset[str]) -> None:
        """The rule and the members that are to vote when a case is opened next: those of a saved scene."""
        self.state, self._preferred = replace(self.state, rule=rule), keys

    def choose_rule(self, rule: str) -> None:
        self._vote(replace(self.state, rule=rule))

    def tick(self, key: str, ticked: bool) -> None:
        """Have a member vote or not; the last one stays."""
        members = tuple(replace(each, ticked=ticked) if each.key == key else each for each in self.state.members)
        self._vote(replace(self.state, members=members))

    def tick_all(self, keys: frozenset[str] | None = None) -> None:
        """Have all members vote, or those with ``keys``."""
        members = tuple(replace(each, ticked=keys is None or each.key in keys) for each in self.state.members)
        self._vote(replace(self.state, members=members))

    def choose_structure(self, name: str) -> None:
        """The structure to clean."""
        self._find_components(replace(self.state, structure=name, kept=""))

    def choose_step(self, step: str) -> None:
        self._preview(replace(self.state, step=step, has_minimum=step == _MINIMUM, kept=""))

    def choose_minimum(self, minimum_ml: float) -> None:
        self._preview(replace(self.state, minimum_ml=minimum_ml, kept=""))

    def jump_to(self, number: int) -> None:
        """Look at a listed component."""
        if number in self._listed:
            self.session.scene.jump(self._listed[number].centre_mm)

    def apply(self) -> None:
        """Clean the result and make a new segmentation node of it; the next clean-up goes on from there."""
        if self.session.result is None:
            return
        opened, label_map, title = self.session.opened, self.session.result, self._title()
        if opened is not None and self._components is not None and self.state.step != NO_CLEAN_UP:
            cleaned = CleanedAway(self.state.step, self.state.structure, self._settings(self.state))
            label_map, self._cleaned = clean(label_map, cleaned, opened), (*self._cleaned, cleaned)
        self.session.scene.keep(title, label_map)
        self.session.set_result(label_map)
        self._describe(replace(self.state, kept=f"Made the segmentation '{title}'."))
        self._changed()

    def export(self, path: str) -> None:
        """Write the result as it stands, cleaned or not."""
        if self.session.result is None or not path:
            return
        try:
            self.session.scene.save(Path(path), self._title(), self.session.result)
        except (SegVarianceError, OSError) as error:
            self._say(error)
            return
        self._set(replace(self.state, kept=f"Wrote {path}.", problem=""))

    def into_study(self, name: str) -> None:
        """Keep the result as it stands in the study that is open, as an ensemble of that name."""
        self._say(None)
        self._study.write(name, self._recipe())

    def all_into_study(self, name: str) -> None:
        """Make the result of every case in the same way, and keep it there; ``stop`` ends it."""
        self._say(None)
        self._study.write_all(name, self._recipe())

    def stop(self) -> None:
        self._study.stop()

    def _recipe(self) -> VoteRecipe:
        ticked = tuple(each.key for each in self.state.members if each.ticked)
        return VoteRecipe(self.state.rule, ticked, self._cleaned)

    def _studied(self) -> None:
        self._set(replace(self.state, study=self._study.state))

    def _say(self, error: SegVarianceError | OSError | None) -> None:
        self._set(replace(self.state, problem=str(error or "")))

    def _follow(self) -> None:
        opened = self.session.opened
        self._study.follow()
        self._studied()
        if opened is self._on_screen:
            return
        self._on_screen = opened
        if opened is None:
            self._components, self._listed = None, {}
            self._set(EnsembleState(study=self._study.state))
            return
        rules, wanted = _rules(opened), self.state.rule
        structures = tuple(structure.name for structure in opened.labels.structures)
        before = {each.key: each.ticked for each in self.state.members}
        if self._preferred:
            before, self._preferred = {each.key: each.key in self._preferred for each in opened.members}, frozenset()
        members = tuple(Layer(each.key, title_of(each), before.get(each.key, True)) for each in opened.members)
        if not any(each.ticked for each in members):
            members = tuple(replace(each, ticked=True) for each in members)
        self._vote(
            replace(
                self.state,
                rules=rules,
                rule=BY_LABEL,
                members=members,
                structures=structures,
                structure=self.state.structure if self.state.structure in structures else next(iter(structures), ""),
                steps=(
                    Choice(NO_CLEAN_UP, "Remove nothing"),
                    *(Choice(step, CLEAN_UP.facts(step).title) for step in PREVIEWED),
                ),
                step=self.state.step or NO_CLEAN_UP,
                minimum_ml=self.state.minimum_ml or 0.1,
                can_apply=True,
            )
        )
        if wanted != BY_LABEL and wanted in {rule.id for rule in rules}:
            self.choose_rule(wanted)  # apart from the vote by label, which cannot fail: files may be unreadable

    def _vote(self, state: EnsembleState) -> None:
        opened, votes = self.session.opened, self.session.votes
        if opened is None or votes is None:
            return
        ticked = [each.key for each in state.members if each.ticked]
        try:
            votes.select(ticked)
            result = self._combined(state.rule, opened, votes)
        except (SegVarianceError, OSError) as error:
            votes.select(each.key for each in self.state.members if each.ticked)
            self._set(replace(self.state, problem=str(error)))
            return
        self._cleaned = ()
        self._study.clear()
        self.session.set_result(result)
        state = replace(state, study=self._study.state)
        self._describe(replace(state, rule_in_words=IN_WORDS[state.rule], problem="", kept=""))
        self._changed()

    def _combined(self, rule: str, opened: OpenCase, votes: RunningVotes) -> np.ndarray:
        progress = self.session.progress
        return combine(rule, opened, votes, lambda done, total: progress("Reading probabilities", done, total))

    def _describe(self, state: EnsembleState) -> None:
        """What the result holds, and what the clean-up would take from it."""
        opened, votes, result = self.session.opened, self.session.votes, self.session.result
        if opened is None or votes is None or result is None:
            return
        millilitres = opened.geometry.voxel_volume_mm3 / 1000
        counts = np.bincount(result.ravel())
        volumes = tuple(
            StructureVolume(
                structure.name,
                float(sum(counts[value] for value in structure.values if value < len(counts)) * millilitres),
            )
            for structure in opened.labels.structures
        )
        difference = ""
        if regions := regions_of(opened.labels):
            voxels = int(votes.differing(regions).sum())
            difference = (
                f"Votes by label and by region differ in {voxels} voxels ({voxels * millilitres:.2f} ml)."
                if voxels
                else "Votes by label and by region are the same here."
            )
        said = f"{len(votes.selected)} of {len(state.members)} members vote."
        self._find_components(replace(state, volumes=volumes, difference=difference, result=said))

    def _find_components(self, state: EnsembleState) -> None:
        opened, result = self.session.opened, self.session.result
        if opened is None or result is None or not state.structure:
            self._components = None
            self._set(state)
            return
        self._components = Components(result, structure_named(opened.labels, state.structure), opened.geometry)
        self._preview(state)

    def _preview(self, state: EnsembleState) -> None:
        components = self._components
        if components is None:
            self._set(state)
            return
        if state.step == NO_CLEAN_UP:
            listed, goes = components.listed, f"{len(components.listed)} components; nothing is removed."
        else:
            try:
                listed = components.goes(state.step, self._settings(state))
            except SegVarianceError as error:
                self._set(replace(self.state, problem=str(error)))
                return
            volume = sum(component.volume_ml for component in listed)
            goes = f"{len(listed)} of {len(components.listed)} components would go, {volume:.3f} ml in all."
        if len(listed) > _MOST_LISTED:
            goes += f" The largest {_MOST_LISTED} are listed."
        self._listed = {component.number: component for component in listed[:_MOST_LISTED]}
        rows = tuple(ListedComponent(each.number, each.volume_ml, each.voxels) for each in self._listed.values())
        self._set(replace(state, components=rows, goes=goes, problem=""))

    def _settings(self, state: EnsembleState) -> dict[str, float]:
        return {"minimum_mm3": state.minimum_ml * 1000} if state.step == _MINIMUM else {}

    def _title(self) -> str:
        rule = next((each.title for each in self.state.rules if each.id == self.state.rule), "")
        ticked = sum(each.ticked for each in self.state.members)
        clean = next((each.title for each in self.state.steps if each.id == self.state.step), "")
        what = f"{rule.lower()} of {ticked}"
        return what if self.state.step == NO_CLEAN_UP else f"{what} · {self.state.structure} · {clean.lower()}"

    def _set(self, state: EnsembleState) -> None:
        self.state = state
        self.show(state)


def _rules(opened: OpenCase) -> tuple[Choice, ...]:
    """The rules that the case allows."""
    rules = [Choice(BY_LABEL, "Majority for each label")]
    if regions_of(opened.labels) is not None:
        rules.append(Choice(BY_REGION, "Majority for each region"))
    if any(opened.case.id in member.probabilities for member in opened.members):
        rules.append(Choice(BY_MEAN, "Mean probability"))
    return tuple(rules)
