"""Compare: two recipes, or the seeds of one, asked of the score table; computed in steps, so that it can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.stats.comparison import smallest_difference_of
from SegVarianceLib.stats.comparisons import comparison_steps, recipes_of
from SegVarianceLib.stats.score_cube import metric_of_column
from SegVarianceLib.stats.seed_study import seed_studies

from .presenter_best import BestPresenter
from .state_compare import OWN_SEEDS, Answer, CompareState, answer_of_pair, answer_of_seeds
from .state_scores import ScoreColumn
from .stepwise import Later

_MOST_MM = 1000.0


class ComparePresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes. ``later`` drives the work, a step at a time.

    ``best`` judges all recipes and their ensembles at once; ``study`` gives the folder of the study that is open.
    """

    def __init__(self, later: Later, study: Callable[[], Path | None] = lambda: None):
        self.best = BestPresenter(later, study)
        self.state = CompareState()
        self.show: Callable[[CompareState], object] = lambda state: None
        self._table = ScoreTable(())
        self._later = later
        self._work: Generator[float, None, Answer] | None = None

    def use_table(self, table: ScoreTable) -> None:
        """Another table: the question stays as far as the table holds it, the answer goes."""
        self._stop()
        self._table = table
        self.best.use_table(table)
        recipes, before = recipes_of(table), self.state
        if not recipes:
            self._set(CompareState())
            return
        metrics = tuple((column, ScoreColumn.of(column).title) for column in table.unique("metric"))
        first = before.first if before.first in recipes else recipes[0]
        others = [name for name in recipes if name != first]
        second = before.second if before.second in others else (others or [OWN_SEEDS])[0]
        metric = before.metric if before.metric in table.unique("metric") else metrics[0][0]
        state = _with_metric(CompareState(recipes, metrics, first, second), metric)
        if metric == before.metric:
            state = replace(state, smallest_difference=before.smallest_difference)
        self._set(state)

    def choose(self, first: str | None = None, second: str | None = None) -> None:
        """Other recipes; one against itself is the question of its own seeds."""
        a = self.state.first if first is None else first
        b = self.state.second if second is None else second
        self._ask_anew(replace(self.state, first=a, second=OWN_SEEDS if a == b else b))

    def choose_metric(self, metric: str) -> None:
        """Another metric, with the smallest difference that usually matters in it."""
        self._ask_anew(_with_metric(self.state, metric))

    def choose_smallest_difference(self, value: float) -> None:
        """The least that matters to the user, in the metric's unit."""
        self._ask_anew(replace(self.state, smallest_difference=value))

    def compare(self) -> None:
        """Begin; the answer comes after some steps."""
        if not self.state.recipes:
            return
        self._stop()
        self._work = self._of_seeds() if self.state.second == OWN_SEEDS else self._of_pair()
        self._set(replace(self.state, progress=0.0, answer=None, problem=""))
        self._go_on(self._work)

    def cancel(self) -> None:
        """Stop what is computed; the question stays."""
        if self._work is not None:
            self._stop()
            self._set(replace(self.state, progress=None, problem="Stopped before there was an answer."))

    def _go_on(self, work: Generator[float, None, Answer]) -> None:
        self._later(lambda: self._step(work))

    def _step(self, work: Generator[float, None, Answer]) -> None:
        if work is not self._work:  # stopped or asked anew since
            return
        try:
            share = next(work)
        except StopIteration as end:
            self._work = None
            self._set(replace(self.state, progress=None, answer=end.value))
        except SegVarianceError as error:
            self._work = None
            self._set(replace(self.state, progress=None, problem=str(error)))
        else:
            self._set(replace(self.state, progress=share))
            self._go_on(work)

    def _of_pair(self) -> Generator[float, None, Answer]:
        asked, table = self.state, self._table
        # Every metric, though one is shown: Holm's correction is over all of them, here as in the report.
        found = yield from comparison_steps(
            table,
            (asked.first, asked.second),
            asked.metric,
            asked.smallest_difference,
            further_metrics=table.unique("metric"),
        )
        own = [s for s in table.where(metric=asked.metric).scores if s.configuration in (asked.first, asked.second)]
        sides = ScoreTable(tuple(own), table.patients)
        return answer_of_pair(found, seed_studies(sides).studies, sides)

    def _of_seeds(self) -> Generator[float, None, Answer]:
        yield 0.0
        own = self._table.where(metric=self.state.metric, configuration=self.state.first)
        found = seed_studies(own)
        return answer_of_seeds(found.studies, found.not_studied, own)

    def _ask_anew(self, state: CompareState) -> None:
        """An answer to another question must not stay on screen."""
        self._stop()
        self._set(replace(state, progress=None, answer=None, problem=""))

    def _stop(self) -> None:
        if self._work is not None:
            self._work.close()
            self._work = None

    def _set(self, state: CompareState) -> None:
        self.state = state
        self.show(state)


def _with_metric(state: CompareState, metric: str) -> CompareState:
    facts = metric_of_column(metric)
    d0 = smallest_difference_of(facts)
    return replace(state, metric=metric, smallest_difference=d0, unit=facts.unit, most=_MOST_MM if facts.unit else 1.0)
