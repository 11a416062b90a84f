"""Rules side by side on the members that vote: where their results differ, and what each member and each vote changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import translated, within
from SegVarianceLib.ensemble.rules import RULES
from SegVarianceLib.ensemble.running_votes import LABEL_RULE, REGION_RULE
from SegVarianceLib.ensemble.side_by_side import (
    ANY_LABEL,
    Difference,
    Influence,
    KOfN,
    differences,
    k_of_n,
    where_rules_differ,
)
from SegVarianceLib.review.rules_of_case import combine_steps, influence_steps, rules_of_case

from .presenter_review import ReviewSession, title_of
from .state_rules import InfluenceRow, RuleRow, RulesState, SharedRow
from .stepwise import Busy, Stepwise, Work

PLURALITY, WEIGHTED = "plurality", "weighted_mean_probability"
DIFFERING = "rules_differ"
"""The map of where the compared rules differ."""
IN_WORDS = {
    "mean_probability": "The mean of the members' probabilities; the label with the largest mean wins.",
    "mean_logit": "Like the mean probability, but a member that is very sure weighs more.",
    WEIGHTED: "The mean of the members' probabilities, where some members count more than others.",
    PLURALITY: LABEL_RULE,
    "absolute_majority": "A label needs more than half of all members; where none has that, nothing is drawn.",
    "region_vote": REGION_RULE,
    "staple": "Estimates how reliable each member is and weighs it so. It takes members as independent, which seeds of one "
    "recipe are not.",
}
_COMBINING = 0.7
"""Of the time that comparing takes; the rest goes into pairs of results."""


def offered_rules(session: ReviewSession) -> tuple[str, ...]:
    """Ids of the rules that the members that vote allow, in the catalogue's order."""
    if session.opened is None or session.votes is None:
        return ()
    rules = [facts.id for facts in rules_of_case(session.opened, session.votes)]
    if any(RULES.function(rule).reads == "probabilities" for rule in rules):
        rules.append(WEIGHTED)
    return tuple(facts.id for facts in RULES if facts.id in rules)


class RulesBeside:
    """Keeps ``state`` and tells ``changed`` whenever it changes; ``failed`` hears what could not be read."""

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object],
        failed: Callable[[SegVarianceError | OSError], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._session, self._changed = session, changed
        self._work = Stepwise(session.later, self._show_work, failed, clock)
        self._rule = ""
        self._maps: dict[str, np.ndarray] = {}
        self._differences: list[Difference] = []
        self._influence: list[Influence] = []
        self._shared: list[KOfN] = []
        self.state = RulesState()

    def clear(self, rule: str) -> None:
        """Other members vote, or another case or none is on screen; ``rule`` makes the result on screen."""
        self._work.stop()
        self._maps, self._differences, self._influence, self._shared, self._rule = {}, [], [], [], rule
        opened, votes = self._session.opened, self._session.votes
        if opened is None or votes is None:
            self.state = RulesState()
            return
        abouts = (ANY_LABEL, *(structure.name for structure in opened.labels.structures))
        self.state = RulesState(
            can_compare=len(offered_rules(self._session)) > 1,
            has_reference=opened.reference is not None,
            abouts=abouts,
            about=self.state.about if self.state.about in abouts else ANY_LABEL,
        )

    def use(self, rule: str) -> None:
        """Another rule makes the result on screen, of the same members."""
        if rule != self._rule:
            self._rule, self._influence = rule, []
        self._say()

    def compare(self) -> None:
        """Combine the members by every rule that needs no weights; ``stop`` ends it."""
        self._work.begin(self._compared(), self._say)

    def leave_out(self) -> None:
        """Combine by the rule on screen without each of the members; and what k of them drew."""
        self._work.begin(self._left_out(), self._say)

    def stop(self) -> None:
        self._work.stop()

    def choose_about(self, structure: str) -> None:
        self.state = replace(self.state, about=structure)
        self._say()

    def result_of(self, rule: str) -> np.ndarray | None:
        """The label map [z, y, x] of a rule that was compared."""
        return self._maps.get(rule)

    def differing(self) -> np.ndarray | None:
        """0 where all compared rules agree, [z, y, x]."""
        return where_rules_differ(self._maps) if len(self._maps) > 1 else None

    def _compared(self) -> Work:
        opened, votes = self._session.opened, self._session.votes
        if opened is None or votes is None:
            return
        rules = [rule for rule in offered_rules(self._session) if rule != WEIGHTED]
        made: dict[str, np.ndarray] = {}
        for done, rule in enumerate(rules):
            part = (_COMBINING * done / len(rules), _COMBINING * (done + 1) / len(rules))
            words = f"Combining by {title_of_rule(rule)}…"
            yield words, part[0]
            steps = within(combine_steps(opened, votes, rule), *part)
            made[rule] = yield from translated(steps, lambda share, words=words: (words, share))  # type: ignore[misc]
        pairs: list[tuple[str, ...]] = list(combinations(rules, 2))
        pairs += [(rule,) for rule in rules] if opened.reference is not None else []
        found: list[Difference] = []
        for done, pair in enumerate(pairs):
            yield "Comparing the results…", _COMBINING + (1 - _COMBINING) * done / len(pairs)
            reference = opened.reference if len(pair) == 1 else None
            some = {rule: made[rule] for rule in pair}
            found += differences(some, opened.labels, opened.geometry.voxel_volume_mm3, reference)
        self._maps, self._differences = made, found

    def _left_out(self) -> Work:
        opened, votes = self._session.opened, self._session.votes
        if opened is None or votes is None:
            return
        words = "Combining without each member…"
        yield words, 0.0
        steps = within(influence_steps(opened, votes, self._rule), 0.0, 0.9)
        found = yield from translated(steps, lambda share: (words, share))
        yield words, 0.9
        voxel_mm3 = opened.geometry.voxel_volume_mm3
        self._shared = k_of_n(votes, opened.labels, voxel_mm3, opened.reference)
        self._influence = found

    def _show_work(self, busy: Busy | None) -> None:
        self.state = replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None)
        self._changed()

    def _say(self) -> None:
        """What is known now, in rows and sentences."""
        members = () if self._session.opened is None else self._session.opened.members
        titles = {member.key: title_of(member) for member in members}
        of_any = [each for each in self._influence if each.structure == self.state.about]
        rows = tuple(
            InfluenceRow(
                titles.get(each.member, each.member),
                each.volume_ml,
                each.dice,
                each.reference_with,
                each.reference_without,
            )
            for each in sorted(of_any, key=lambda each: -each.voxels)
        )
        shared = [each for each in self._shared if each.structure == self.state.about]
        rules = self._rule_rows()
        voters = 0 if self._session.votes is None else len(self._session.votes.selected)
        self.state = replace(
            self.state,
            can_leave_out=voters > 1 and self._rule != WEIGHTED,
            sentence=_difference_sentence(rules),
            rules=rules,
            influence=rows,
            influence_sentence=_influence_sentence(rows, self.state.about),
            shared_sentence=_shared_sentence(self._shared, self.state.about, voters),
            shared=tuple(SharedRow(each.k, each.volume_ml, each.dice) for each in shared),
        )
        self._changed()

    def _rule_rows(self) -> tuple[RuleRow, ...]:
        return tuple(
            RuleRow(
                rule,
                title_of_rule(rule),
                None if rule == self._rule else self._mean_dice(rule, self._rule),
                self._mean_dice(rule, "reference"),
                tuple(self._between(rule, other) for other in self._maps),
            )
            for rule in self._maps
        )

    def _between(self, one: str, other: str) -> float:
        pair = {one, other}
        found = (each for each in self._differences if {each.first, each.second} == pair)
        return next((each.volume_ml for each in found if each.structure == ANY_LABEL), 0.0)

    def _mean_dice(self, one: str, other: str) -> float | None:
        pair = {one, other}
        found = [
            each.dice
            for each in self._differences
            if {each.first, each.second} == pair and each.structure != ANY_LABEL and each.dice is not None
        ]
        return float(np.mean(found)) if found else None


def title_of_rule(rule: str) -> str:
    return RULES.facts(rule).title


def _difference_sentence(rules: Sequence[RuleRow]) -> str:
    if not rules:
        return ""
    most, one, other = max(
        (row.from_others_ml[at], row.title, rules[at].title) for row in rules for at in range(len(rules))
    )
    if not most:
        return f"All {len(rules)} rules give the same result here."
    return f"The rules differ by at most {most:.2f} ml: {other} against {one}."


def _shared_sentence(shared: Sequence[KOfN], about: str, voters: int) -> str:
    if not shared:
        return ""
    if about == ANY_LABEL:
        return f"Choose a structure to see how much of it at least k of the {voters} members drew."
    return f"How much of {about} at least k of the {voters} members drew:"


def _influence_sentence(rows: Sequence[InfluenceRow], about: str) -> str:
    if not rows:
        return ""
    first = rows[0]
    what = "the result" if about == ANY_LABEL else about
    if not first.changed_ml:
        return f"No single member changes {what}."
    return f"{first.member} changes {what} most: without it {first.changed_ml:.2f} ml become something else."
