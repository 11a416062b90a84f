"""Into the study: the result on screen, or of every case by the same recipe, as an ensemble that the study keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.stepwise import translated
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.review.into_study import ensemble_folder, study_of, with_ensemble, write_into_study
from SegVarianceLib.review.vote_recipe import VoteRecipe, recipe_steps

from .presenter_review import ReviewSession
from .state_review import IntoStudyState
from .stepwise import Busy, Stepwise, one_by_one

_WRITING = 0.2
"""Of the time that a case takes."""


class IntoStudy:
    """Keeps ``state`` and tells ``changed`` whenever it changes; ``failed`` hears why something could not be written."""

    def __init__(
        self,
        session: ReviewSession,
        changed: Callable[[], object],
        failed: Callable[[SegVarianceError | OSError], object],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._session, self._changed, self._failed = session, changed, failed
        self._work = Stepwise(session.later, self._show_work, failed, clock)
        self._written: list[tuple[Path, str]] = []
        self._asked: object = None
        self.state = IntoStudyState()

    def follow(self) -> None:
        """Another review is open, or none."""
        review = self._session.review
        asked = review and review.request
        if asked == self._asked:
            return
        self._asked, self._written = asked, []
        self._work.stop()
        study = study_of(review)
        words = (
            ""
            if study is None
            else "An ensemble of your own in the study; its trainings and ensembles stay as they are."
        )
        self.state = IntoStudyState() if study is None else IntoStudyState(True, words)

    def clear(self) -> None:
        """What was said is about another result."""
        self.state = replace(self.state, said="")

    def write(self, name: str, recipe: VoteRecipe) -> None:
        """The result on screen, which was made by ``recipe``."""
        opened, result = self._session.opened, self._session.result
        if opened is None or result is None:
            return
        try:
            study, folder = self._folder(name, recipe)
            is_new = not (folder / f"{opened.case.id}.json").exists()
            path = write_into_study(study, folder, opened, result, recipe)
        except (SegVarianceError, OSError) as error:
            self._failed(error)
            return
        self._written = [(path, opened.case.id)]
        where = path.relative_to(study.root)
        self._end(f"{'Kept' if is_new else 'Replaced what you kept before:'} {where}, and beside it how it was made.")

    def write_all(self, name: str, recipe: VoteRecipe) -> None:
        """The result of every case of which all members of ``recipe`` have a label map; ``stop`` keeps those that are done."""
        review = self._session.review
        if review is None:
            return
        try:
            study, folder = self._folder(name, recipe)
        except (SegVarianceError, OSError) as error:
            self._failed(error)
            return
        voters = set(recipe.members)
        cases = [case.id for case in review.cases if voters <= {member.key for member in review.members_of(case.id)}]
        self._written = []
        where = folder.relative_to(study.root)

        def ended() -> None:
            lacking = len(review.cases) - len(cases)
            waits = f" Left out: {lacking}, which a ticked member has not predicted." if lacking else ""
            self._end(f"{len(self._written)} of {len(review.cases)} cases are in {where}.{waits}")

        def one(case_id: str) -> Generator[float, None, None]:
            making = recipe_steps(review, case_id, recipe)
            opened, result = yield from translated(making, lambda share: (1 - _WRITING) * share)
            yield 1 - _WRITING
            self._written.append((write_into_study(study, folder, opened, result, recipe), case_id))

        self._work.begin(one_by_one(cases, "Voting and writing {}…", one), ended)

    def stop(self) -> None:
        self._work.stop()

    def _folder(self, name: str, recipe: VoteRecipe) -> tuple[StudyFolder, Path]:
        study = study_of(self._session.review)
        if study is None:
            raise SegVarianceError("No single study is open. Open the folder of one SegVariance study.")
        if not name.strip():
            raise SegVarianceError("Give the ensemble a name first, for example: reviewed.")
        return study, ensemble_folder(study, recipe, name.strip())

    def _end(self, said: str) -> None:
        """Say what was written, and have it among the ensembles of the review."""
        review = self._session.review
        for path, case_id in self._written if review is not None else ():
            review = with_ensemble(review, path, case_id)  # type: ignore[arg-type]
        self.state = replace(self.state, said=said)
        if review is not None and self._written:
            self._session.update(review)
        self._changed()

    def _show_work(self, busy: Busy | None) -> None:
        self.state = replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None)
        self._changed()
