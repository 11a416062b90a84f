"""Scores: a table of every case, structure and member; from a number to the slice it comes from; out as CSV and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.report.content import ReportContent
from SegVarianceLib.report.report import write_report
from SegVarianceLib.review.case_scores import score_against
from SegVarianceLib.review.description import Review
from SegVarianceLib.review.open_case import OpenCase, read_case
from SegVarianceLib.review.places import worst_place
from SegVarianceLib.stats.study_statistics import study_statistics

from .presenter_review import ReviewSession, structure_named
from .state_scores import (
    EVERY,
    MOST_ROWS,
    ScoreColumn,
    ScoresState,
    filtered,
    member_of,
    score_rows,
    strip_plot,
)

Later = Callable[[Callable[[], None]], object]
"""Does something as soon as the window has drawn itself; in Slicer ``qt.QTimer.singleShot(0, f)``."""


class Places(Protocol):
    """What a click on a score asks for."""

    def go_to(self, case: str, structure: str, member: str) -> None:
        """Show the slice of ``case`` in which ``member`` is worst at ``structure``; raises SegVarianceError."""


class WorstSlices:
    """``Places`` of the review that is open: against the reference, or against the vote where there is none."""

    def __init__(self, session: ReviewSession):
        self._session = session

    def go_to(self, case: str, structure: str, member: str) -> None:
        session = self._session
        if session.opened is None or session.opened.case.id != case:
            session.open_case(case)
        opened = session.opened
        if opened is None:
            raise SegVarianceError("Nothing is open. Open a folder first.")
        right = session.result if opened.reference is None else opened.reference
        shown = self._label_map(opened, member)
        place = None
        if shown is not None and right is not None:
            place = worst_place(right, shown, structure_named(opened.labels, structure), opened.geometry)
        session.go_to(case, structure, None if place is None else place[1])

    def _label_map(self, opened: OpenCase, member: str) -> np.ndarray | None:
        """Of a member, or of an ensemble that lies with the predictions, which is read now; None where there is none."""
        if any(each.key == member for each in opened.members):
            return opened.maps.member(member)
        review = self._session.review
        ensembles = () if review is None else [each for each in review.ensembles if each.key == member]
        if review is None or not ensembles or opened.case.id not in ensembles[0].files:
            return None
        return read_case(review, opened.case.id, ensembles).maps.member(member)


class ScoresPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes; ``listen`` hears of every other table."""

    def __init__(self, session: ReviewSession, places: Places, later: Later):
        self.state = ScoresState()
        self.show: Callable[[ScoresState], object] = lambda state: None
        self.table = ScoreTable(())
        self._session, self._places, self._later = session, places, later
        self._title, self._against = "", ""
        self._review: Review | None = None
        self._work: Iterator[float] | None = None
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

        def score() -> None:
            opened, result = self._session.opened, self._session.result
            if opened is None or result is None:
                raise SegVarianceError("No case is open. Open a folder first.")
            self._add(*_scores_of(opened, result, tolerance_mm))

        self._try(score)

    def score_all(self, tolerance_mm: float) -> None:
        """Score every case of the review, one after the other; ``cancel`` keeps those that are done."""

        def begin() -> None:
            review = self._session.review
            if review is None:
                raise SegVarianceError("Nothing is open. Open a folder first.")
            self._work = self._all_cases(review, tolerance_mm)
            self._step(self._work)

        self._try(begin)

    def cancel(self) -> None:
        self._work = None
        self._set(replace(self.state, busy="", progress=None))

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

        def go() -> None:
            self._places.go_to(case, structure, member)
            self._set(replace(self.state, selected=(case, structure, member), problem="", done=""))

        self._try(go)

    def export_csv(self, path: str) -> None:
        """Write the scores that the filters let through, as a ``scores.csv`` that can be read again."""

        def write() -> None:
            shown = filtered(self._some(), self.state.structure, self.state.member)
            shown.write(Path(path))
            self._set(replace(self.state, done=f"{len(shown.scores)} scores are in {path}.", problem=""))

        self._try(write)

    def export_report(self, path: str) -> None:
        """Write the report on the whole table, filters aside; the window is told first, for it takes seconds."""

        def begin() -> None:
            self._some()
            self._set(replace(self.state, busy="Writing the report…", problem="", done=""))
            self._later(lambda: self._try(lambda: self._report(Path(path))))

        self._try(begin)

    def _report(self, path: Path) -> None:
        primary = self.state.metric
        statistics = study_statistics(self.table, primary)
        facts = (("Scores", f"{len(self.table.scores)}{f', against the {self._against}' if self._against else ''}"),)
        content = ReportContent(
            self._title or "Scores",
            facts,
            self.table,
            statistics.studies,
            primary,
            comparisons=statistics.comparisons,
            ensemble_curves=statistics.ensemble_curves,
        )
        write_report(path, content)
        self._set(replace(self.state, busy="", done=f"The report is {path}; its tables lie beside it.", problem=""))

    def _all_cases(self, review: Review, tolerance_mm: float) -> Iterator[float]:
        for done, case in enumerate(review.cases):
            self._set(replace(self.state, busy=f"Scoring {case.id}…", problem="", done=""))
            yield done / len(review.cases)
            opened = read_case(review, case.id)
            self._add(*_scores_of(opened, RunningVotes(opened.maps).label_map(), tolerance_mm))

    def _step(self, work: Iterator[float]) -> None:
        if work is not self._work:  # stopped since
            return
        try:
            share = next(work, None)
        except SegVarianceError:
            self.cancel()
            raise
        if share is None:
            self.cancel()
        else:
            self._set(replace(self.state, progress=share))
            self._later(lambda: self._try(lambda: self._step(work)))

    def _follow(self) -> None:
        """Another review or case is open; the scores that lie with a study are taken at once."""
        before, review, opened = self._review, self._session.review, self._session.opened
        self._review = review
        if (before and before.request) != (review and review.request):  # other predictions: these scores are not theirs
            self._work, self.table, self._title, self._against = None, ScoreTable(()), "", ""
            self.state = ScoresState()
            self._tell()
        self._set(replace(self.state, case="" if opened is None else opened.case.id))
        if review is not None and review is not before:
            scored = [path for path in review.request.paths if (path / "scores.csv").is_file()]
            if scored:
                self.read(str(scored[0]))

    def _tell(self) -> None:
        for changed in self._listeners:
            changed(self.table)

    def _add(self, new: tuple[Score, ...], against: str) -> None:
        """Put the scores of a case in place of what stood there."""
        # Scores against something else, or by another tolerance, must not stand in one table.
        same = against == self._against and {s.metric for s in new} == set(self.table.unique("metric"))
        case, review = new[0].case, self._session.review
        kept = tuple(s for s in self.table.scores if s.case != case) if same else ()
        self._use(ScoreTable((*kept, *new)), "Scores" if review is None else review.title, against)

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
        summary = f"{len(rows)} rows of {len(shown.unique('case'))} cases{against}, worst first."
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
        except SegVarianceError as error:
            self._set(replace(self.state, problem=str(error), done="", busy=""))
        except OSError as error:
            self._set(replace(self.state, problem=f"That file cannot be written or read ({error}).", done="", busy=""))

    def _set(self, state: ScoresState) -> None:
        self.state = state
        self.show(state)


def _scores_of(opened: OpenCase, vote: np.ndarray, tolerance_mm: float) -> tuple[tuple[Score, ...], str]:
    """The scores of all members, and against what."""
    right, against = (vote, "vote") if opened.reference is None else (opened.reference, "reference")
    scores = score_against(opened, right, tolerance_mm).scores
    if not scores:
        raise SegVarianceError(f"Case {opened.case.id} has no structure to score. Open predictions that have labels.")
    return scores, against
