"""Open: folders are looked into, what was found is shown, and only what the user confirms is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.words import counted
from SegVarianceLib.review.description import Review, landed
from SegVarianceLib.review.opening import open_review, refresh

from .presenter_review import ReviewSession, sentences, title_of
from .state_review import FoundMember, OpenState
from .stepwise import Busy


class OpenPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes."""

    def __init__(self, session: ReviewSession):
        self.session = session
        self.state = OpenState()
        self.show: Callable[[OpenState], object] = lambda state: None
        self._found: Review | None = None
        self._case = ""
        session.listen(self._follow)
        session.opening.watch(self._show_opening)

    def look_into(
        self, folders: tuple[str, ...], pattern: str = "", images: str = "", references: str = "", case: str = ""
    ) -> None:
        """Describe folders without opening them; ``case`` is the one to begin with when they are opened."""
        now = self.state
        asked = OpenState(
            folders, pattern, images, references, is_open=now.is_open, busy=now.busy, progress=now.progress
        )
        self._found, self._case = None, case
        if not folders:
            self._set(asked)
            return
        try:
            self._found = open_review(
                [Path(folder) for folder in folders],
                pattern or None,
                Path(images) if images else None,
                Path(references) if references else None,
            )
        except (SegVarianceError, OSError) as error:
            self._set(replace(asked, problems=sentences(error)))
            return
        self._set(_described(asked, self._found))

    def confirm(self) -> None:
        """Open what was found; where that fails, what was open before stays on screen."""
        if (found := self._found) is None:
            return

        def opened() -> None:
            if self._found is found:  # else the user has looked into another folder since
                self._set(_described(self.state, found))

        self.session.use(found, self._case, opened, self._say)

    def cancel(self) -> None:
        """What was open before is open still."""
        self.session.opening.cancel()

    def look_again(self) -> None:
        """Whether predictions have landed since."""
        before = self.session.review
        if before is None:
            return
        try:
            after = refresh(before)
            after.require_sound()
        except (SegVarianceError, OSError) as error:
            self._say(error)
            return
        new = len(landed(before, after))
        self._found = after
        self.session.update(after)
        awaited = f", {after.awaited} more are planned" if after.awaited else ""
        self._set(
            replace(_described(self.state, after), landed=f"{counted(new, 'new label map')} landed since{awaited}.")
        )

    def _say(self, error: SegVarianceError | OSError) -> None:
        self._set(replace(self.state, problems=sentences(error)))

    def _show_opening(self, busy: Busy | None) -> None:
        self._set(replace(self.state, busy=busy.words if busy else "", progress=busy.share if busy else None))

    def _follow(self) -> None:
        self._set(replace(self.state, is_open=self.session.review is not None))

    def _set(self, state: OpenState) -> None:
        self.state = state
        self.show(state)


def _described(asked: OpenState, review: Review) -> OpenState:
    layers = (*review.members, *review.ensembles)
    return replace(
        asked,
        found=_in_words(review),
        guess=" ".join(f"{guess.rule[:1].upper()}{guess.rule[1:]}." for guess in review.guesses),
        guessed_pattern=review.guesses[0].pattern if review.guesses else "",
        members=tuple(
            FoundMember(title_of(each), len(each.files), str(next(iter(each.files.values()), ""))) for each in layers
        ),
        problems=tuple(map(str, review.problems)),
        can_confirm=not review.fatal,
    )


def _in_words(review: Review) -> str:
    drawn_by = counted(len(review.members), "member")
    if review.ensembles:
        drawn_by += f" and {counted(len(review.ensembles), 'ensemble')}"
    images = sum(bool(case.images) for case in review.cases)
    references = sum(case.label is not None for case in review.cases)
    structures = ", ".join(structure.name for structure in review.labels.structures) or "none"
    declared = Path(review.labels_from)
    labels_from = f"{declared.parent.name}/{declared.name}" if declared.is_file() else review.labels_from
    return (
        f"{review.title}: {' and '.join(review.kinds)}. {drawn_by}, {counted(len(review.cases), 'case')}; "
        f"images of {images} and references of {references} of them. Structures: {structures} (from {labels_from})."
    )
