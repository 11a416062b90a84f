"""Transfer: what a source is worth over the number of target cases; the verdicts are computed in steps, so that they can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import translated
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.study_plan import StudyPlan
from SegVarianceLib.plan.transfer import cells_of
from SegVarianceLib.stats.transfer import TransferRow, transfer_comparison_steps, transfer_rows

from .state_transfer import (
    TransferState,
    curves_of,
    method_of,
    numbers_of,
    sources_of,
    summary_of,
    worth_of,
)
from .stepwise import Busy, Later, Stepwise, Work

_METRIC = "dice"
_NO_STUDY = "Open a transfer study (made with 'segvariance plan-transfer') to see what its sources are worth."
_NO_SCORES = "The scores of this transfer study are not there yet. Run it to its end: segvariance run STUDY."
_JUDGING = "Comparing each source with training from scratch."
_STOPPED = "Stopped before all sources were compared."


class TransferPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes. ``study`` gives the folder of the study that is open."""

    def __init__(self, later: Later, study: Callable[[], Path | None] = lambda: None):
        self.state = TransferState(_NO_STUDY)
        self.show: Callable[[TransferState], object] = lambda state: None
        self._study = study
        self._work = Stepwise(later, self._show_work, lambda error: self._say(str(error)))
        self._table = ScoreTable(())
        self._plan: StudyPlan | None = None
        self._rows: tuple[TransferRow, ...] = ()

    def use_table(self, table: ScoreTable) -> None:
        """Other scores: those of the study that is open, if it is one of transfer. What was chosen stays as far as it is there."""
        self._work.stop()
        self._table, self._plan, self._rows = table, self._open_plan(), ()
        if self._plan is None:
            self._set(TransferState(_NO_STUDY))
            return
        self._rows = transfer_rows(table, self._plan, _METRIC, None)
        sources = sources_of(self._plan, self._rows)
        if not sources:
            self._set(TransferState(_NO_SCORES))
            return
        names, before = [name for name, _ in sources], self.state
        source = before.source if before.source in names else names[0]
        self._set(self._about(TransferState(sources=sources, source=source, cases=before.cases)))

    def choose(self, source: str) -> None:
        self._set(self._about(replace(self.state, source=source)))

    def choose_cases(self, cases: int) -> None:
        self._set(self._about(replace(self.state, cases=cases)))

    def judge(self) -> None:
        """Compare all sources, not the chosen one alone: the verdicts are corrected for all of them. It takes some seconds."""
        if self._plan is not None and self._rows:
            self._set(replace(self.state, problem=""))
            self._work.begin(self._judged(self._plan))

    def cancel(self) -> None:
        if self.state.progress is not None:
            self._work.stop()
            self._say(_STOPPED)

    def _judged(self, plan: StudyPlan) -> Work:
        steps = transfer_comparison_steps(self._table, plan, _METRIC)
        comparisons = yield from translated(steps, lambda share: (_JUDGING, share))
        self._rows = transfer_rows(self._table, plan, _METRIC, comparisons)
        problem = "" if comparisons.primary else comparisons.not_compared[0]
        self._set(self._about(replace(self.state, judged=bool(comparisons.primary), problem=problem)))

    def _about(self, state: TransferState) -> TransferState:
        """The same state about its chosen source and number of cases, the latter the smallest where it is not there."""
        own = {row.cases: row for row in self._rows if row.source == state.source}
        cases = state.cases if state.cases in own else min(own)
        return replace(
            state,
            case_counts=tuple(sorted(own)),
            cases=cases,
            curves=curves_of(self._rows, state.source),
            summary=summary_of(self._rows, state.source),
            worth=worth_of(own[cases]),
            numbers=numbers_of(self._rows, state.source, cases),
            method=method_of(own[cases]),
        )

    def _open_plan(self) -> StudyPlan | None:
        folder = self._study()
        try:
            plan = None if folder is None else StudyFolder.open(folder).plan
        except SegVarianceError:  # the Open panel has said what is wrong with it
            return None
        return plan if plan is not None and cells_of(plan) else None

    def _show_work(self, busy: Busy | None) -> None:
        self._set(replace(self.state, progress=None if busy is None else busy.share))

    def _say(self, problem: str) -> None:
        self._set(replace(self.state, problem=problem))

    def _set(self, state: TransferState) -> None:
        self.state = state
        self.show(state)
