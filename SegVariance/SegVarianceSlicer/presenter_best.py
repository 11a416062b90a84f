"""Which configuration or ensemble is best, as far as scores can tell: of what is scored, or of a search that ``best`` has done."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json
from SegVarianceLib.ensemble.ensemble_recipe import EnsembleRecipe
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.stats.best_configuration import BestConfiguration, best_configuration
from SegVarianceLib.stats.best_words import best_sentences
from SegVarianceLib.stats.score_cube import higher_is_better, metric_of_column
from SegVarianceLib.stats.scored_candidates import scored_candidates
from SegVarianceLib.stats.verdict import number, percent

from .state_best import BestState, CandidateRow
from .stepwise import Later

_NO_SCORES = "There are no scores to judge by yet. Score the cases, or open a study that has scores."
_JUDGE = "Judges each recipe and the ensembles of its seeds that are scored, on the cases that all of them have."
_SEARCH = "To try every pair of configurations too, and to write the recipe for new cases, run this in a terminal:"
_PREDICT = "To predict new cases with the chosen one, run this in a terminal:"
_FILES = "best_configuration.json", "ensemble_recipe.json"


class BestPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes. ``study`` gives the folder of the study that is open."""

    def __init__(self, later: Later, study: Callable[[], Path | None] = lambda: None):
        self.state = BestState(hint=_NO_SCORES)
        self.show: Callable[[BestState], object] = lambda state: None
        self._later, self._study = later, study
        self._table = ScoreTable(())
        self._work: Generator[None, None, None] | None = None

    def use_table(self, table: ScoreTable) -> None:
        """Other scores: an answer from the old ones goes."""
        self._table, self._work = table, None
        there = bool(table.scores)
        self._set(BestState(there, _JUDGE if there else _NO_SCORES))

    def judge(self, metric: str) -> None:
        """Judge what is scored in a metric; the answer comes a moment later."""
        if not self._table.scores:
            return
        self._work = self._judged(metric or self._table.unique("metric")[0])
        self._set(replace(self.state, busy="Judging the candidates…", problem=""))
        self._go_on(self._work)

    def read(self, path: str) -> None:
        """Take the folder that ``segvariance best`` has written, or the answer in it."""
        self._work = None
        folder = Path(path) if Path(path).is_dir() else Path(path).parent
        try:
            answer = read_json(folder / _FILES[0])
            recipe = EnsembleRecipe.read(folder / _FILES[1])
            rows = _rows_of_answer(answer, str(folder / _FILES[0]))
        except (SegVarianceError, OSError) as error:
            self._set(replace(self.state, busy="", problem=str(error)))
            return
        more = (f"Recipe: {folder / _FILES[1]} ({recipe.name}, {len(recipe.members)} networks, {recipe.rule}).",)
        self._set(
            replace(
                self.state,
                busy="",
                sentence=recipe.scored,
                rows=rows,
                more=more,
                command=str(answer.get("predict", "")),
                command_words=_PREDICT,
                problem="",
            )
        )

    def _go_on(self, work: Generator[None, None, None]) -> None:
        self._later(lambda: self._step(work))

    def _step(self, work: Generator[None, None, None]) -> None:
        if work is not self._work:  # asked anew since
            return
        try:
            next(work)
        except StopIteration:
            self._work = None
        except SegVarianceError as error:
            self._work = None
            self._set(replace(self.state, busy="", sentence="", rows=(), more=(), problem=str(error)))
        else:
            self._go_on(work)

    def _judged(self, metric: str) -> Generator[None, None, None]:
        yield
        candidates = scored_candidates(self._table, metric)
        yield
        found = best_configuration(candidates)
        sentence, *more = best_sentences(found)
        study = self._study()
        command = "" if study is None else shlex.join(["segvariance", "best", str(study), "--output", f"{study}_best"])
        self._set(
            replace(
                self.state,
                busy="",
                sentence=sentence,
                rows=_rows_of(found),
                more=tuple(more),
                command=command,
                command_words=_SEARCH if command else "",
                problem="",
            )
        )

    def _set(self, state: BestState) -> None:
        self.state = state
        self.show(state)


def _rows_of(found: BestConfiguration) -> tuple[CandidateRow, ...]:
    return _best_first(
        (each.name, each.trainings, each.mean.value, each.mean.low, each.mean.high, each.picked, found.metric.id)
        for each in found.standings
    )


def _rows_of_answer(answer: Any, where: str) -> tuple[CandidateRow, ...]:
    try:
        metric = str(answer["metric"]["id"])
        return _best_first(_standing(each, metric) for each in answer["standings"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise SegVarianceError(
            f"{where} is no answer of 'segvariance best'. Choose the folder that it wrote."
        ) from None


def _standing(each: Mapping[str, Any], metric: str) -> tuple[Any, ...]:
    mean, picked = each["mean"], each["picked"]
    numbers = (float(mean["value"]), float(mean["low"]), float(mean["high"]))
    return str(each["name"]), int(each["trainings"]), *numbers, None if picked is None else float(picked), metric


def _best_first(standings: Any) -> tuple[CandidateRow, ...]:
    found = list(standings)
    facts = metric_of_column(found[0][-1])
    sign = 1 if higher_is_better(facts) else -1
    return tuple(
        CandidateRow(
            name,
            trainings,
            f"{number(value, facts, 1)} ({number(low, facts, 1)} to {number(high, facts, 1)})",
            "" if picked is None else percent(picked),
        )
        for name, trainings, value, low, high, picked, _ in sorted(found, key=lambda each: -sign * each[2])
    )
