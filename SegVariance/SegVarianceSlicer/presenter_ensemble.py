"""Ensemble and clean: which members make the result by which rule, what a clean-up takes away, a new segmentation, a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import result_of, translated
from SegVarianceLib.dataset.labelling import regions_of
from SegVarianceLib.ensemble.clean_up import CleanUpStep
from SegVarianceLib.ensemble.rules import RULES
from SegVarianceLib.review.open_case import OpenCase
from SegVarianceLib.review.rules_of_case import combine_steps
from SegVarianceLib.review.vote_recipe import VoteRecipe

from .child_process import Runner
from .member_weights import MemberWeights
from .presenter_clean_up import CleanUp
from .presenter_clean_up_choice import CleanUpChoice
from .presenter_into_study import IntoStudy
from .presenter_review import ReviewSession, title_of
from .presenter_rules import IN_WORDS, PLURALITY, WEIGHTED, RulesBeside, offered_rules, title_of_rule
from .state_ensemble import EnsembleState, StructureVolume
from .state_review import Choice, Layer
from .stepwise import Busy, Stepwise, Work


class EnsemblePresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes; calls ``changed`` after another result.

    ``beside`` compares rules and ``cleaning`` previews the clean-up; what they do shows in ``state`` too. ``show_map`` shows
    where rules differ, None for nowhere. Without a ``runner`` no clean-up can be chosen by cross-validation.
    """

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        show_map: Callable[[np.ndarray | None], object] = lambda values: None,
        runner: Runner | None = None,
    ):
        self.session, self._changed, self._show_map = session, changed, show_map
        self.state = EnsembleState()
        self.show: Callable[[EnsembleState], object] = lambda state: None
        self._on_screen: object = None
        self._preferred: frozenset[str] = frozenset()
        self._made_of: object = None
        self._cleaned: tuple[CleanUpStep, ...] = ()
        self._weights = MemberWeights(session)
        self._work = Stepwise(session.later, self._show_work, self._refuse, clock)
        self._study = IntoStudy(session, self._studied, self._say, clock)
        self.beside = RulesBeside(session, self._parts_changed, self._say, clock)
        self.cleaning = CleanUp(session, self._parts_changed, self._say)
        self.choosing = CleanUpChoice(session, runner, self._parts_changed, self._say, self.cleaning.open_recipe, clock)
        session.listen(self._follow)

    def prefer(self, rule: str, keys: frozenset[str]) -> None:
        """The rule and the members that are to vote when a case is opened next: those of a saved scene."""
        self.state, self._preferred = replace(self.state, rule=rule), keys

    def choose_rule(self, rule: str) -> None:
        made = self.beside.result_of(rule)
        if made is not None:
            self._take(replace(self.state, rule=rule), made)
        else:
            self._vote(replace(self.state, rule=rule))

    def tick(self, key: str, ticked: bool) -> None:
        """Have a member vote or not; the last one stays."""
        members = tuple(replace(each, ticked=ticked) if each.key == key else each for each in self.state.members)
        self._vote(replace(self.state, members=members))

    def tick_all(self, keys: frozenset[str] | None = None) -> None:
        """Have all members vote, or those with ``keys``."""
        members = tuple(replace(each, ticked=keys is None or each.key in keys) for each in self.state.members)
        self._vote(replace(self.state, members=members))

    def weigh(self, key: str, weight: float) -> None:
        """Let a member count that much, where the rule has weights."""
        self._weights.give(key, weight)
        if self.state.rule == WEIGHTED:
            self._vote(self.state)

    def show_differing(self) -> None:
        """Where the rules that were compared differ, as a map over the image."""
        self._show_map(self.beside.differing())

    def apply(self) -> None:
        """Clean the result and make a new segmentation node of it; the next clean-up goes on from there."""
        if self.session.result is None:
            return
        title, label_map = self._title(), self.cleaning.applied(self.session.result)
        self._cleaned += self.cleaning.steps
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
        """End what is going on: combining, or writing into the study."""
        self._work.stop()
        self._study.stop()

    def _recipe(self) -> VoteRecipe:
        ticked = _ticked(self.state)
        weights = self._weights.of(ticked) if self.state.rule == WEIGHTED else None
        return VoteRecipe(self.state.rule, ticked, self._cleaned, weights)

    def _studied(self) -> None:
        self._set(replace(self.state, study=self._study.state))

    def _parts_changed(self) -> None:
        clean = replace(self.cleaning.state, choosing=self.choosing.state)
        self._set(replace(self.state, beside=self.beside.state, clean=clean))

    def _say(self, error: SegVarianceError | OSError | None) -> None:
        self._set(replace(self.state, problem=str(error or "")))

    def _follow(self) -> None:
        opened = self.session.opened
        self._study.follow()
        self.choosing.follow()
        self._studied()
        if opened is self._on_screen:
            return
        self._on_screen = opened
        self._work.stop()
        self.cleaning.follow()
        if opened is None:
            self.beside.clear("")
            self._set(EnsembleState(study=self._study.state))
            return
        wanted = self.state.rule
        before = {each.key: each.ticked for each in self.state.members}
        if self._preferred:
            before, self._preferred = {each.key: each.key in self._preferred for each in opened.members}, frozenset()
        members = tuple(Layer(each.key, title_of(each), before.get(each.key, True)) for each in opened.members)
        if not any(each.ticked for each in members):
            members = tuple(replace(each, ticked=True) for each in members)
        self._vote(replace(self.state, rule=PLURALITY, members=members, can_apply=True))
        if wanted != PLURALITY and wanted in {rule.id for rule in self.state.rules}:
            self.choose_rule(wanted)  # apart from the vote by label, which cannot fail: files may be unreadable

    def _vote(self, state: EnsembleState) -> None:
        """Combine the ticked members: votes at once, probabilities file by file."""
        opened, votes = self.session.opened, self.session.votes
        if opened is None or votes is None:
            return
        self._work.stop()
        self.beside.stop()
        try:
            votes.select(_ticked(state))
            if RULES.function(state.rule).reads == "labels":
                self._take(state, result_of(combine_steps(opened, votes, state.rule)))
            else:
                self._work.begin(self._combined(state, opened), self._select_again)
        except SegVarianceError as error:
            self._refuse(error)

    def _combined(self, state: EnsembleState, opened: OpenCase) -> Work:
        votes = self.session.votes
        if votes is None:
            return
        words = "Reading probabilities…"
        yield words, 0.0
        weights = self._weights.of(_ticked(state)) if state.rule == WEIGHTED else None
        steps = combine_steps(opened, votes, state.rule, weights)
        result = yield from translated(steps, lambda share: (words, share))
        self._take(state, result)

    def _take(self, state: EnsembleState, result: np.ndarray) -> None:
        """A result by another rule or of other members is on screen."""
        self._cleaned = ()
        self._study.clear()
        self.session.set_result(result)
        made_of = self.session.votes, _ticked(state)
        if made_of != self._made_of:
            self._made_of = made_of
            self.beside.clear(state.rule)
            self._show_map(None)
        self.state = state
        self.beside.use(state.rule)
        rules = tuple(
            Choice(rule, title_of_rule(rule), RULES.facts(rule).citation) for rule in offered_rules(self.session)
        )
        weighted = state.rule == WEIGHTED
        self._describe(
            replace(
                self.state,
                rules=rules,
                rule_in_words=IN_WORDS[state.rule],
                weights=self._weights.of([each.key for each in state.members]) if weighted else (),
                weights_in_words=self._weights.in_words if weighted else "",
                study=self._study.state,
                problem="",
                kept="",
            )
        )
        self._changed()

    def _refuse(self, error: SegVarianceError | OSError) -> None:
        self._select_again()
        self._say(error)

    def _select_again(self) -> None:
        """What is on screen votes again; the same where a new result was taken."""
        if self.session.votes is not None and self.state.members:
            self.session.votes.select(_ticked(self.state))

    def _show_work(self, busy: Busy | None) -> None:
        self._set(replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None))

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
        self.state = replace(state, volumes=volumes, difference=difference, result=said)
        self.cleaning.look()

    def _title(self) -> str:
        what = f"{title_of_rule(self.state.rule).lower()} of {len(_ticked(self.state))}"
        return " · ".join(filter(None, (what, self.cleaning.title)))

    def _set(self, state: EnsembleState) -> None:
        self.state = state
        self.show(state)


def _ticked(state: EnsembleState) -> tuple[str, ...]:
    return tuple(each.key for each in state.members if each.ticked)
