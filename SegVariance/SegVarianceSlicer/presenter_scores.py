"""Scores: a table of every case, structure and member; from a number to the slice it comes from; out as CSV and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import translated, within
from SegVarianceLib.core.words import counted
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.report.content import ReportContent
from SegVarianceLib.report.report import write_report
from SegVarianceLib.review.case_scores import ensembles_scored, members_scored, score_steps, votes_scored
from SegVarianceLib.review.description import Review
from SegVarianceLib.review.open_case import OpenCase, case_steps
from SegVarianceLib.review.places import worst_place
from SegVarianceLib.stats.study_statistics import statistics_steps

from .case_opening import Failed, Then, attempted, nothing, raised
from .presenter_review import VOTE as LAYER_OF_VOTE
from .presenter_review import ReviewSession, in_short, structure_named
from .state_scores import (
    EVERY,
    MOST_ROWS,
    REFERENCE,
    VOTE,
    ScoreColumn,
    ScoresState,
    filtered,
    member_of,
    score_rows,
    strip_plot,
)
from .stepwise import Busy, Later, Stepwise, Work, one_by_one

_READING = 0.3
"""Of the time that scoring a case takes."""


class Places(Protocol):
    """What a click on a score asks for."""

    def go_to(self, case: str, structure: str, member: str, then: Then, failed: Failed) -> None:
        """Show ``member`` in the slice of ``case`` in which it is worst at ``structure``, which may be opened for it first."""


class WorstSlices:
    """``Places`` of the review that is open: against the reference, or against the vote where there is none."""

    def __init__(self, session: ReviewSession):
        self._session = session

    def go_to(self, case: str, structure: str, member: str, then: Then = nothing, failed: Failed = raised) -> None:
        def show() -> None:
            self._show(structure, member)
            then()

        attempted(lambda: self._session.when_open(case, show, failed), failed)

    def _show(self, structure: str, member: str) -> None:
        session, opened = self._session, self._session.opened
        if opened is None:
            raise SegVarianceError("Nothing is open. Open a folder first.")
        right = session.result if opened.reference is None else opened.reference
        shown = self._label_map(opened, member)
        place = None
        if shown is not None and right is not None:
            place = worst_place(right, shown, structure_named(opened.labels, structure), opened.geometry)
        session.go_to(opened.case.id, structure, None if place is None else place[1])
        votes = {each.key for each in votes_scored(opened)}
        session.show_layer(LAYER_OF_VOTE if member in votes else member)

    def _label_map(self, opened: OpenCase, member: str) -> np.ndarray | None:
        """Of a member, of a vote, or of an ensemble, which is read now; None where there is none."""
        review = self._session.review
        everybody = (*members_scored(opened), *votes_scored(opened))
        everybody += () if review is None else ensembles_scored(opened, review.ensembles)
        return next((each.label_map() for each in everybody if each.key == member), None)


class ScoresPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes; ``listen`` hears of every other table."""

    def __init__(
        self, session: ReviewSession, places: Places, later: Later, clock: Callable[[], float] = time.monotonic
    ):
        self.state = ScoresState()
        self.show: Callable[[ScoresState], object] = lambda state: None
        self.table = ScoreTable(())
        self._session, self._places = session, places
        self._work = Stepwise(later, self._show_work, self._say, clock)
        self._new: list[Score] = []
        self._title, self._against = "", ""
        self._review: Review | None = None
        self._file: tuple[Path, int] | None = None
        self._listeners: list[Callable[[ScoreTable], object]] = []
        session.listen(self._follow)
        self._follow()

    def listen(self, changed: Callable[[ScoreTable], object]) -> None:
        self._listeners.append(changed)

    def read(self, path: str) -> None:
        """Take a ``scores.csv``, or that of a study folder."""
        given = Path(path)
        file = given / "scores.csv" if given.is_dir() else given
        self._try(lambda: self._use(ScoreTable.read(file), file.parent.name, ""))

    def score_case(self, tolerance_mm: float) -> None:
        """Score the case on screen against its reference, or against the vote; other cases' scores against the same stay."""
        opened = self._session.opened
        if opened is None:
            self._say(SegVarianceError("No case is open. Open a folder first."))
        else:
            self._score([opened.case.id], tolerance_mm)

    def score_all(self, tolerance_mm: float) -> None:
        """Score every case of the review, one after the other; ``cancel`` keeps those that are done.

        Where some cases have a reference, only those: numbers against a vote must not stand beside numbers against the truth.
        """
        review = self._session.review
        if review is None:
            self._say(SegVarianceError("Nothing is open. Open a folder first."))
            return
        predicted = [case for case in review.cases if review.members_of(case.id)]
        self._score([case.id for case in predicted if case.label] or [case.id for case in predicted], tolerance_mm)

    def cancel(self) -> None:
        self._work.stop()

    def choose(self, structure: str | None = None, member: str | None = None, metric: str | None = None) -> None:
        """Change what is given of the filters and of the metric that is plotted."""
        before = self.state
        chosen = replace(
            before,
            structure=before.structure if structure is None else structure,
            member=before.member if member is None else member,
            metric=before.metric if metric is None else metric,
        )
        self._set(self._filled(chosen))

    def go_to(self, case: str, structure: str, member: str) -> None:
        """A row or a point was clicked."""

        def gone() -> None:
            self._set(replace(self.state, selected=(case, structure, member), problem="", done=""))

        self._places.go_to(case, structure, member, gone, self._say)

    def export_csv(self, path: str) -> None:
        """Write the scores that the filters let through, as a ``scores.csv`` that can be read again."""

        def write() -> None:
            shown = filtered(self._some(), self.state.structure, self.state.member)
            shown.write(Path(path))
            self._set(replace(self.state, done=f"Wrote {counted(len(shown.scores), 'score')} to {path}.", problem=""))

        self._try(write)

    def export_report(self, path: str) -> None:
        """Write the report on the whole table, filters aside; it takes seconds, and can be stopped."""
        self._try(lambda: self._work.begin(self._report(self._some(), Path(path))))

    def _report(self, table: ScoreTable, path: Path) -> Work:
        primary = self.state.metric
        words = "Working out the statistics of the report…"
        statistics = yield from translated(
            within(statistics_steps(table, primary), 0.0, 0.9), lambda share: (words, share)
        )
        yield "Writing the report…", 0.9
        facts = (("Scores", f"{len(table.scores)}{f', against the {self._against}' if self._against else ''}"),)
        content = ReportContent(
            self._title or "Scores",
            facts,
            table,
            statistics.studies,
            primary,
            comparisons=statistics.comparisons,
            ensemble_curves=statistics.ensemble_curves,
        )
        write_report(path, content)
        self._set(replace(self.state, done=f"The report is {path}; its tables lie beside it.", problem=""))

    def _score(self, cases: list[str], tolerance_mm: float) -> None:
        """Begin; the table has what is new when all of it is done, or stopped."""
        self._set(replace(self.state, problem="", done=""))
        self._new = []
        self._work.begin(
            one_by_one(cases, "Scoring {}…", lambda case: self._score_one(case, tolerance_mm)), self._take_new
        )

    def _score_one(self, case_id: str, tolerance_mm: float) -> Generator[float, None, None]:
        review, opened = self._session.review, self._session.opened
        if review is None:
            return
        if opened is None or opened.case.id != case_id:
            reading = case_steps(review, case_id)
            opened = yield from translated(reading, lambda step: _READING * step[0] / step[1])
        scored = members_scored(opened)
        if opened.reference is None:
            right = RunningVotes(opened.maps).label_map()
        else:
            right, votes = opened.reference, votes_scored(opened)
            taken = {each.key for each in votes}
            scored += votes + tuple(e for e in ensembles_scored(opened, review.ensembles) if e.key not in taken)
        if not opened.labels.structures:
            raise SegVarianceError(f"Case {case_id} has no structure to score. Open predictions that have labels.")
        steps = score_steps(opened, scored, right, tolerance_mm, opened.labels)
        self._new += yield from translated(steps, lambda step: _READING + (1 - _READING) * step[0] / step[1])

    def _take_new(self) -> None:
        new, self._new, review = tuple(self._new), [], self._session.review
        if new and review is not None:
            against = REFERENCE if review.case(new[0].case).label else VOTE
            self._add(new, against, review.title)

    def _follow(self) -> None:
        """Another review or case is open; the scores that lie with a study are taken at once."""
        before, review, opened = self._review, self._session.review, self._session.opened
        self._review = review
        if (before and before.request) != (review and review.request):  # other predictions: these scores are not theirs
            self._new = []
            self._work.stop()
            self.table, self._title, self._against, self._file = ScoreTable(()), "", "", None
            self.state = ScoresState()
            self._tell()
        self._set(replace(self.state, case="" if opened is None else opened.case.id))
        if review is not None and review is not before:
            self._take_file(review)

    def _take_file(self, review: Review) -> None:
        """The scores that lie with what is open, unless they were taken before and have not been written anew."""
        files = [file for path in review.request.paths if (file := path / "scores.csv").is_file()]
        if files and (found := (files[0], files[0].stat().st_mtime_ns)) != self._file:
            self._file = found
            self._try(lambda: self._use(ScoreTable.read(files[0]), files[0].parent.name, REFERENCE))

    def _tell(self) -> None:
        for changed in self._listeners:
            changed(self.table)
        self._session.use_scores(ScoreTable(()) if self._against == VOTE else self.table)

    def _add(self, new: tuple[Score, ...], against: str, title: str) -> None:
        """Put the scores in place of those of the same cases and members."""
        # Scores against something else, or by another tolerance, must not stand in one table.
        same = against == self._against and {s.metric for s in new} == set(self.table.unique("metric"))
        again = {(s.case, member_of(s)) for s in new}
        kept = tuple(s for s in self.table.scores if (s.case, member_of(s)) not in again) if same else ()
        lost = bool(self.table.scores) and not same
        self._use(ScoreTable((*kept, *new), self.table.patients if same else None), title, against)
        if lost:
            said = "The scores that stood here were made in another way (reference or tolerance), and have made room."
            self._set(replace(self.state, done=said))

    def _use(self, table: ScoreTable, title: str, against: str) -> None:
        if not table.scores:
            raise SegVarianceError("The table holds no score yet. Score the predictions first.")
        columns = tuple(map(ScoreColumn.of, table.unique("metric")))
        kept = self.state.metric in {column.metric for column in columns}
        members = tuple(dict.fromkeys(map(member_of, table.scores)))
        before = self.state
        empty = ScoresState(
            columns,
            structures=table.unique("structure"),
            members=members,
            structure=before.structure if before.structure in table.unique("structure") else EVERY,
            member=before.member if before.member in members else EVERY,
            metric=before.metric if kept else columns[0].metric,
            busy=before.busy,
            progress=before.progress,
            case=before.case,
        )
        self.table, self._title, self._against = table, title, against
        self._set(self._filled(empty))
        self._tell()

    def _filled(self, state: ScoresState) -> ScoresState:
        if not state.has_scores:
            return state
        shown = filtered(self.table, state.structure, state.member)
        rows = score_rows(shown, state.columns, state.metric)
        against = f" against the {self._against}" if self._against else ""
        cases = counted(len(shown.unique("case")), "case")
        summary = f"{counted(len(rows), 'row')} of {cases}{against}, worst first."
        if len(rows) > MOST_ROWS:
            summary = (
                f"The {MOST_ROWS} worst of {len(rows)} rows{against}. Choose a structure or a member to see its others."
            )
        plot = strip_plot(shown, self.table, state.metric)
        return replace(state, rows=rows[:MOST_ROWS], plot=plot, summary=summary, problem="", done="")

    def _some(self) -> ScoreTable:
        if not self.table.scores:
            raise SegVarianceError("There are no scores to write. Score the open case, or open scores, first.")
        return self.table

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (SegVarianceError, OSError) as error:
            self._say(error)

    def _say(self, error: SegVarianceError | OSError) -> None:
        said = in_short(error)
        if isinstance(error, OSError):
            said = f"That file cannot be written or read ({error})."
        self._set(replace(self.state, problem=said, done=""))

    def _show_work(self, busy: Busy | None) -> None:
        self._set(replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None))

    def _set(self, state: ScoresState) -> None:
        self.state = state
        self.show(state)
