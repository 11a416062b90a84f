"""Look: which case, which structure, which layers in which views, and which map over the image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.dataset.image_io import read_geometry

from .case_opening import attempted
from .case_ordering import CaseOrdering
from .presenter_maps import CaseMaps
from .presenter_review import REFERENCE, VOTE, ReviewSession, in_short, title_of
from .state_look import LookState
from .state_review import Choice, Layer
from .stepwise import Busy

OVERLAY, BESIDE, AGAINST = "overlay", "beside", "against"
ARRANGEMENTS = (
    Choice(OVERLAY, "Outlines over one another"),
    Choice(BESIDE, "One view for each"),
    Choice(AGAINST, "Vote against one member"),
)


class LookPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes."""

    def __init__(self, session: ReviewSession, clock: Callable[[], float] = time.monotonic):
        self.session = session
        self.state = LookState()
        self.show: Callable[[LookState], object] = lambda state: None
        self._on_screen: object = None
        self._step = 1
        self._ordering = CaseOrdering(session, self._ordered, lambda error: self._say(in_short(error)), clock)
        self._maps = CaseMaps(session, self._mapped, lambda error: self._say(in_short(error)), clock)
        session.show_layer = self.show_layer
        session.listen(self._follow)
        session.opening.watch(self._show_opening)

    def choose_case(self, case_id: str) -> None:
        if case_id == self.state.case:
            self.session.opening.cancel()
        elif case_id and case_id != self.session.opening.coming:
            self._say("")
            self.session.open_case(case_id, failed=lambda error: self._say(in_short(error)))

    def next_case(self, step: int) -> None:
        """The next (1) or previous (-1) case in the order that is shown, round and round."""
        self._step = step
        self.choose_case(self._case_beside(self.session.opening.coming or self.state.case))

    def choose_order(self, order: str) -> None:
        """Go through the cases in another order; numbers that are not known yet are worked out, which ``stop`` ends."""
        self._say("")
        self._ordering.choose(order)

    def go_to_worst(self) -> None:
        """Open the first case of the order, at the structure that orders it."""
        by, structure = self.state.by, self._ordering.structure or self.state.structure
        if by.worst:
            self.session.go_to(by.worst, structure, failed=lambda error: self._say(in_short(error)))

    def stop(self) -> None:
        """Stay at the case on screen; order by the numbers that are known so far."""
        self.session.opening.cancel()
        self._ordering.stop()

    def choose_structure(self, name: str) -> None:
        """Look at the middle of a structure."""
        if name:
            self._attempt(lambda: self.session.go_to(self.state.case, name))

    def next_structure(self, step: int) -> None:
        """The next (1) or previous (-1) structure that is in the result, round and round."""
        present = [name for name in self.state.structures if self.session.centre_of(name) is not None]
        if present:
            self.choose_structure(_beside(present, self.state.structure, step))

    def tick(self, key: str, ticked: bool) -> None:
        """Show or hide a layer; at most as many are shown as can be told apart."""
        most = self.session.scene.most_shown
        if ticked and sum(layer.ticked for layer in self.state.layers) == most:
            self._say(f"{most} layers are shown already. Untick one first.")
            return
        layers = tuple(replace(layer, ticked=ticked) if layer.key == key else layer for layer in self.state.layers)
        self._arrange(replace(self.state, layers=layers))

    def show_layer(self, key: str) -> None:
        """Show a layer that somebody asked for; where as many as can be told apart are shown, the last of them makes room."""
        if self.state.arrangement == AGAINST:
            if key != VOTE and key in {layer.key for layer in self.state.layers}:
                self.choose_against(key)
            return
        hidden = {layer.key for layer in self.state.layers if not layer.ticked}
        shown = [layer.key for layer in self.state.layers if layer.ticked]
        if key in hidden:
            if len(shown) == self.session.scene.most_shown:
                self.tick(shown[-1], False)
            self.tick(key, True)

    def arrange(self, arrangement: str) -> None:
        self._arrange(replace(self.state, arrangement=arrangement))

    def choose_against(self, key: str) -> None:
        """The member that is compared with the vote."""
        self._arrange(replace(self.state, against=key))

    def choose_map(self, kind: str) -> None:
        """Lay a map over the image; what takes long ``stop_map`` ends."""
        self._attempt(lambda: self._maps.choose(kind))

    def stop_map(self) -> None:
        self._maps.stop()

    def measure(self, wanted: bool) -> None:
        """How much the members disagree, in numbers."""
        self._maps.measure(wanted)

    def show_differing(self, values: np.ndarray | None) -> None:
        """Where compared rules differ [z, y, x], as a map; None: it is out of date."""
        self._maps.use_differing(values)

    def choose_image(self, title: str) -> None:
        self._attempt(lambda: self._show_image(title), image=title)

    def result_changed(self) -> None:
        """Another result is on screen: maps and numbers of its members are found anew."""
        attempted(self._maps.follow, lambda error: self._say(in_short(error)))

    def _follow(self) -> None:
        session = self.session
        if session.review is None or session.opened is None:
            self._on_screen = None
            self.state = LookState()
            self._ordering.follow()
            self._maps.follow()
            return
        self._ordering.follow()
        state = replace(self.state, structure=session.structure)
        if self._on_screen is session.opened:
            layers = self._layers()  # an ensemble may have been made since
            same = {layer.key for layer in layers} == {layer.key for layer in state.layers}
            self._set(state if same else replace(state, layers=layers))
            self._maps.structure_changed()
            return
        self._on_screen = session.opened
        case, members = session.opened.case, session.opened.members
        layers = self._layers()
        images = session.review.channels or tuple(f"image {number + 1}" for number in range(len(case.images)))
        self._set(
            replace(
                state,
                problem="",
                case=case.id,
                structures=tuple(structure.name for structure in session.opened.labels.structures),
                images=images if case.images else (),
                image=_same_or_first(state.image, images if case.images else ()),
                layers=layers,
                arrangements=ARRANGEMENTS,
                arrangement=state.arrangement or OVERLAY,
                against=_same_or_first(state.against, [member.key for member in members]),
            )
        )
        self.result_changed()
        self._attempt(lambda: self._show_image(self.state.image))
        unseen = self.state.problem
        self._arrange(self.state)
        if unseen and not self.state.problem:
            self._say(unseen)
        place = session.centre_of(session.structure) if session.structure else None
        if place is not None:
            session.scene.jump(place)
        session.opening.read_ahead(session.review, self._case_beside(case.id))

    def _case_beside(self, case_id: str) -> str:
        """The one that comes next if the user goes on in the same direction."""
        return _beside([case.id for case in self.state.by.cases], case_id, self._step)

    def _layers(self) -> tuple[Layer, ...]:
        """Everything that can be shown of the case; what was ticked in the case before is ticked again."""
        review, opened = self.session.review, self.session.opened
        assert review is not None and opened is not None  # noqa: S101 (only called with a case on screen)
        titles = {VOTE: "Vote of the members"} | ({REFERENCE: "Reference"} if opened.reference is not None else {})
        titles |= {member.key: title_of(member) for member in opened.members}
        titles |= {each.key: title_of(each) for each in review.ensembles if opened.case.id in each.files}
        before = {layer.key for layer in self.state.layers if layer.ticked} & titles.keys()
        ticked = before or set(list(titles)[: self.session.scene.most_shown])
        special = {VOTE: "V", REFERENCE: "R"}
        others = (key for key in titles if key not in special)
        marks = special | {key: str(number) for number, key in enumerate(others, start=1)}
        return tuple(Layer(key, title, key in ticked, marks[key]) for key, title in titles.items())

    def _arrange(self, state: LookState) -> None:
        def arrange() -> None:
            views = _views(state)
            self.session.show_layers(key for _, keys in views for key in keys)
            self.session.scene.arrange(views)

        if self._attempt(arrange):
            self._set(replace(state, problem=self.state.problem))

    def _show_image(self, title: str) -> None:
        opened = self.session.opened
        if opened is None or not title:
            return
        files = opened.case.images
        number = self.state.images.index(title)
        path = files[min(number, len(files) - 1)]
        if difference := opened.geometry.difference(read_geometry(path)):
            raise SegVarianceError(f"{path} lies elsewhere than the label maps ({difference}) and is not shown.")
        self.session.scene.set_image(title, self.session.opening.channel(files, number))

    def _attempt(self, act: Callable[[], None], **changes: str) -> bool:
        """Do something and take ``changes`` over, or say in a sentence why it could not be done."""
        try:
            act()
        except (SegVarianceError, OSError) as error:
            self._say(in_short(error))
            return False
        self._set(replace(self.state, problem="", **changes))  # type: ignore[arg-type]
        return True

    def _show_opening(self, busy: Busy | None) -> None:
        self._set(replace(self.state, opening=busy.words if busy else "", progress=busy.share if busy else None))

    def _ordered(self) -> None:
        self._set(replace(self.state, by=self._ordering.state))

    def _mapped(self) -> None:
        self._set(replace(self.state, overlay=self._maps.state))

    def _say(self, problem: str) -> None:
        self._set(replace(self.state, problem=problem))

    def _set(self, state: LookState) -> None:
        self.state = state
        self.show(state)


def _views(state: LookState) -> list[tuple[str, list[str]]]:
    """Mark and layers of each view."""
    marks = {layer.key: layer.mark for layer in state.layers}
    ticked = [layer.key for layer in state.layers if layer.ticked]
    if state.arrangement == AGAINST:
        ticked = [VOTE, state.against]
    if state.arrangement == OVERLAY or not ticked:
        return [("", ticked)]
    return [(marks[key], [key]) for key in ticked]


def _beside(names: tuple[str, ...] | list[str], name: str, step: int) -> str:
    if not names:
        return ""
    start = names.index(name) if name in names else (-1 if step > 0 else 0)
    return names[(start + step) % len(names)]


def _same_or_first(chosen: str, among: tuple[str, ...] | list[str]) -> str:
    return chosen if chosen in among else next(iter(among), "")
