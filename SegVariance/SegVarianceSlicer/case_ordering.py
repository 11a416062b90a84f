"""In which order the cases of a review are looked at: by name, or worst first, and by which number."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import translated
from SegVarianceLib.review.case_order import OF_PAIRS, OF_VOTE, CaseNumbers, number_steps, numbers_in_table, worst_first
from SegVarianceLib.review.case_scores import VOTE
from SegVarianceLib.review.description import Review
from SegVarianceLib.review.open_case import case_steps

from .presenter_review import ReviewSession
from .state_review import CaseOrder, Choice
from .stepwise import Busy, Stepwise, one_by_one

BY_NAME, WORST = "name", "worst"
_OF_STRUCTURE = f"{WORST}:"
_READING = 0.8
"""Of the time that a case's number takes."""


class CaseOrdering:
    """Keeps ``state`` and tells ``changed`` whenever it changes; ``failed`` hears why numbers could not be worked out.

    Numbers come from the session's scores where these tell of every case that has a reference; else Dice of the vote, or of
    pairs of members where there is no reference at all, is worked out here when the order is asked for.
    """

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object],
        failed: Callable[[SegVarianceError | OSError], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._session, self._changed = session, changed
        self._work = Stepwise(session.later, self._show_work, failed, clock)
        self._asked: object = None
        self._worked_out: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {}
        self.state = CaseOrder()

    def choose(self, order: str) -> None:
        """Another order; numbers that it lacks are worked out now, which ``stop`` ends."""
        self.state = replace(self.state, order=order)
        self.follow()
        review = self._session.review
        if order == BY_NAME or review is None:
            self._work.stop()
        elif missing := self._missing(review):
            self._work.begin(one_by_one(missing, "Comparing {}…", self._work_out), self.follow)

    def stop(self) -> None:
        """What is worked out so far stays and orders the cases."""
        self._work.stop()

    def follow(self) -> None:
        """Order the cases of the review that is open now."""
        review = self._session.review
        asked = review and review.request
        if asked != self._asked:
            self._asked, self._worked_out = asked, {}
            self._work.stop()
            self.state = CaseOrder()
        if review is None:
            self.state = CaseOrder()
        else:
            self._order(review)
        self._changed()

    def _order(self, review: Review) -> None:
        names = [case.id for case in review.cases]
        structures = [structure.name for structure in review.labels.structures]
        orders = (
            Choice(BY_NAME, "By name"),
            Choice(WORST, "Worst first: all structures"),
            *(Choice(_OF_STRUCTURE + name, f"Worst first: {name}") for name in structures),
        )
        order = self.state.order if self.state.order in {each.id for each in orders} else BY_NAME
        structure = _structure_of(order)
        numbers = self._numbers(review) if order != BY_NAME else CaseNumbers("", {})
        by_case = numbers.by_case(structure)
        titles = {name: f"{name} · Dice {by_case[name]:.2f}" if name in by_case else name for name in names}
        words = ""
        if order != BY_NAME:
            what = f"{numbers.what[:1].upper()}{numbers.what[1:]}"
            words = f"{what}; {structure or 'mean of all structures'}. Lowest first, 1 is best."
            if without := len(names) - len(by_case):
                words += f" {without} of {len(names)} cases have no number and stand last."
        cases = tuple(Choice(name, titles[name]) for name in worst_first(names, by_case))
        worst = cases[0].id if by_case else ""
        self.state = replace(self.state, cases=cases, orders=orders, order=order, words=words, worst=worst)

    @property
    def structure(self) -> str:
        """The one by which cases are ordered, empty where it is all of them."""
        return _structure_of(self.state.order)

    def _numbers(self, review: Review) -> CaseNumbers:
        """From the scores if these tell of every case that has a reference, else what has been worked out here."""
        referenced = {case.id for case in review.cases if case.label}
        members = [each.key for each in review.members]
        configurations = dict.fromkeys(each.configuration for each in review.members)
        ensembles = [*(f"{name}/{VOTE}" for name in configurations), *(each.key for each in review.ensembles)]
        scored = numbers_in_table(self._session.scores, ensembles, members)
        known = {case.id for case in review.cases} & (scored.of.keys() if scored else set())
        if scored and known and referenced <= known:
            return CaseNumbers(scored.what, {case: scored.of[case] for case in known})
        found = {case: found for case, (voters, found) in self._worked_out.items() if voters == _voters(review, case)}
        return CaseNumbers(OF_VOTE if referenced else OF_PAIRS, found)

    def _missing(self, review: Review) -> list[str]:
        """Cases whose number can be worked out and is not known: with a reference, or all where there is none."""
        known = self._numbers(review)
        if known.what not in (OF_VOTE, OF_PAIRS):
            return []
        predicted = [case for case in review.cases if _voters(review, case.id)]
        wanted = [case.id for case in predicted if case.label] or [case.id for case in predicted]
        return [case_id for case_id in wanted if case_id not in known.of]

    def _work_out(self, case_id: str) -> Generator[float, None, None]:
        session = self._session
        if session.review is None:
            return
        opened = session.opened
        if opened is None or opened.case.id != case_id:
            reading = case_steps(session.review, case_id)
            opened = yield from translated(reading, lambda step: _READING * step[0] / step[1])
        found = yield from translated(number_steps(opened), lambda step: _READING)
        self._worked_out[case_id] = tuple(member.key for member in opened.members), found

    def _show_work(self, busy: Busy | None) -> None:
        self.state = replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None)
        self._changed()


def _structure_of(order: str) -> str:
    return order.removeprefix(_OF_STRUCTURE) if order.startswith(_OF_STRUCTURE) else ""


def _voters(review: Review, case_id: str) -> tuple[str, ...]:
    return tuple(member.key for member in review.members_of(case_id))
