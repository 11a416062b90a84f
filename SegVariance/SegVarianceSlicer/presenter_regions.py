"""Regions: how labels are rebuilt from regions, step by step, at other thresholds, and by other rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.ensemble.region_recipe import REBUILDS
from SegVarianceLib.review.inspection import Inspection
from SegVarianceLib.review.places import structure_centre_mm
from SegVarianceLib.scene.colours import Colour

from .presenter_review import REFERENCE, ReviewSession
from .region_sources import VOTES, definition, notes_of, painted_labels, reconstruction, sources_of
from .region_words import described
from .state_regions import RegionsState
from .state_review import Choice

CHANGES, ORPHANS = "changes", "orphans"
OUTLINES = (CHANGES, ORPHANS, REFERENCE)
NO_MAP, MAP = "none", "probability"


class Inspector(Protocol):
    """What is asked of the scene; ``SegVarianceLib.scene.inspector.InspectorScene`` does it in MRML."""

    def open(self, case: str, geometry: Geometry, painted: LabelSet, colours: Mapping[str, Colour]) -> None: ...

    def show(self, label_map: np.ndarray, changes: np.ndarray, orphans: np.ndarray) -> None: ...

    def outline(self, changes: bool, orphans: bool) -> None: ...

    def fill(self, shown: bool) -> None: ...

    def probabilities(self, names: Sequence[str], geometry: Geometry) -> np.ndarray: ...

    def close(self) -> None: ...


class RegionsPresenter:
    """Keeps ``state`` and hands it to ``show`` whenever it changes; calls ``closed`` when others may show their layers again."""

    def __init__(self, session: ReviewSession, scene: Inspector, closed: Callable[[], object] = lambda: None):
        self.session, self.scene, self._closed = session, scene, closed
        self.state = RegionsState(outlines=frozenset((CHANGES, ORPHANS)))
        self.show: Callable[[RegionsState], object] = lambda state: None
        self._on_screen: object = None
        self._typed = ""
        self._inspected: Inspection | None = None
        session.listen(self._follow)

    def define(self, text: str) -> None:
        """Regions as the user writes them; none to take those that are declared, or known for such labels."""
        self._typed = text.strip()
        self._attempt(self._open if self.state.is_open else lambda: None)
        self._set(self._defined(self.state))

    def choose_source(self, source: str) -> None:
        """Whose regions."""
        before = self.state
        self._set(replace(before, source=source))
        if before.is_open and not self._attempt(self._open):
            self._set(replace(before, problem=self.state.problem))

    def begin(self) -> None:
        """Inspect what is chosen, in place of the layers of the case."""
        self._attempt(self._open)

    def end(self) -> None:
        """Close the inspector; the layers of the case come back."""
        was_open = self.state.is_open
        self._leave()
        if was_open and self.session.opened is not None:
            self.session.scene.show_map(NO_MAP, None)
            self._closed()

    def step(self, by: int) -> None:
        """One more region painted (1), or one less (-1)."""
        self._change(lambda inspected: inspected.paint(inspected.painted + by))

    def set_threshold(self, region: str, threshold: float) -> None:
        self._change(lambda inspected: inspected.set_threshold(region, threshold))

    def choose_rule(self, rule: str) -> None:
        self._change(lambda inspected: inspected.use_rule(rule))
        self.choose_map(self.state.map)

    def reset(self) -> None:
        """Paint all regions in order at one half again."""
        self._change(Inspection.reset)
        self.choose_map(self.state.map)

    def choose_map(self, region: str) -> None:
        """Lay a region's probability over the image, or nothing."""
        inspected, problem = self._inspected, self.state.problem
        if inspected is not None and self._attempt(lambda: self._show_map(inspected, region)):
            self._set(replace(self.state, map=region, problem=problem))

    def outline(self, what: str, shown: bool) -> None:
        """Show or hide one of ``OUTLINES``."""
        outlines = self.state.outlines | {what} if shown else self.state.outlines - {what}
        self._attempt(lambda: self._show_outlines(outlines))

    def look_at(self, what: str) -> None:
        """Go to the middle of what has changed, or of the orphans."""
        opened, inspected = self.session.opened, self._inspected
        if opened is None or inspected is None:
            return
        mask = inspected.shown.orphan_mask() if what == ORPHANS else inspected.picture().changes > 0
        place = structure_centre_mm(mask.view(np.uint8), Structure(what, (1,)), opened.geometry)
        if place is None:
            self._say("There are no orphans." if what == ORPHANS else "Nothing has changed.")
        else:
            self.session.scene.jump(place)

    def keep(self) -> None:
        """Make a segmentation of what is painted, which stays."""
        if self._inspected is not None:
            title, label_map = self._title(), self._inspected.picture().label_map
            if self._attempt(lambda: self.session.scene.keep(title, label_map)):
                self._set(replace(self.state, done=f"Made the segmentation '{title}'."))

    def write(self, path: str) -> None:
        """Write regions, rule and thresholds, for ``segvariance predict --regions`` and for other cases."""
        inspected = self._inspected
        if inspected is not None and path and self._attempt(lambda: inspected.recipe().write(Path(path))):
            self._set(replace(self.state, done=f"Wrote {path}."))

    def _follow(self) -> None:
        opened = self.session.opened
        if opened is self._on_screen:
            if opened is not None:  # an ensemble may have been made since
                self._set(replace(self.state, sources=sources_of(self.session)))
            return
        self._on_screen = opened
        was_open = self.state.is_open
        self._leave()
        if opened is None:
            self._set(RegionsState(outlines=self.state.outlines))
            return
        sources = sources_of(self.session)
        source = self.state.source if self.state.source in {each.id for each in sources} else sources[0].id
        self._set(self._defined(replace(self.state, sources=sources, source=source, problem="", done="")))
        if was_open:
            self.begin()

    def _defined(self, state: RegionsState) -> RegionsState:
        """With the regions that are typed or known for the case on screen."""
        opened = self.session.opened
        if opened is None or self.session.review is None:
            return state
        try:
            text, told, regions = definition(opened, self.session.review, self._typed)
        except SegVarianceError as error:
            return replace(state, text=self._typed, told="", notes=(), can_open=False, problem=str(error))
        notes = () if regions is None else notes_of(regions, opened)
        return replace(state, text=text, told=told, notes=notes, can_open=regions is not None)

    def _open(self) -> None:
        opened, review = self.session.opened, self.session.review
        if opened is None or review is None:
            return
        _, told, regions = definition(opened, review, self._typed)
        if regions is None:
            raise SegVarianceError(told)
        inspected = Inspection(reconstruction(self.session, self.scene, self.state.source, regions))
        inspected.take_over(self.state.rule, {each.region: each.threshold for each in self.state.sliders})
        labels, colours = painted_labels(regions, opened.labels)
        self.scene.open(opened.case.id, opened.geometry, labels, colours)
        self._inspected = inspected
        maps = (Choice(NO_MAP, "None"), *(Choice(each.name, each.name) for each in regions.structures))
        shown = self.state.map if self.state.map in {each.id for each in maps} else NO_MAP
        self._set(
            replace(
                self._defined(self.state),
                is_open=True,
                rules=tuple(Choice(rule, REBUILDS.facts(rule).title) for rule in inspected.rules),
                maps=maps,
                map=shown,
                has_reference=opened.reference is not None,
                done="",
            )
        )
        self._show_outlines(self.state.outlines)
        self._show_map(inspected, shown)
        self._draw(inspected)

    def _leave(self) -> None:
        self.scene.close()
        self._inspected = None
        self._set(replace(self.state, is_open=False, problem="", done=""))

    def _change(self, change: Callable[[Inspection], object]) -> None:
        inspected = self._inspected
        if inspected is not None and self._attempt(lambda: change(inspected)):
            self._draw(inspected)

    def _draw(self, inspected: Inspection) -> None:
        picture = inspected.picture()
        self.scene.show(picture.label_map, picture.changes, inspected.shown.orphan_mask())
        opened = self.session.opened
        members = len(opened.members) if opened is not None and self.state.source == VOTES else 0
        self._set(described(replace(self.state, done=""), inspected, picture, members))

    def _show_outlines(self, outlines: frozenset[str]) -> None:
        """The inspector's own, and the reference alone of the layers of the case."""
        has_reference = self.session.opened is not None and self.session.opened.reference is not None
        keys = [REFERENCE] if REFERENCE in outlines and has_reference else []
        self.session.show_layers(keys)
        self.session.scene.arrange([("", keys)])
        self.scene.outline(CHANGES in outlines, ORPHANS in outlines)
        self._set(replace(self.state, outlines=outlines))

    def _show_map(self, inspected: Inspection, region: str) -> None:
        self.scene.fill(region == NO_MAP)
        if region == NO_MAP:
            self.session.scene.show_map(NO_MAP, None)
        else:
            self.session.scene.show_map(MAP, inspected.probability(region))

    def _title(self) -> str:
        rule = next((each.title for each in self.state.rules if each.id == self.state.rule), "")
        source = next((each.title for each in self.state.sources if each.id == self.state.source), "")
        moved = ", ".join(f"{each.region} {each.threshold:.2f}" for each in self.state.sliders if each.threshold != 0.5)
        halted = f"{self.state.step} of {self.state.steps}" if self.state.step < self.state.steps else ""
        return " · ".join(filter(None, ("regions", source, rule.lower(), moved, halted)))

    def _attempt(self, act: Callable[[], object]) -> bool:
        """Do something, or say in a sentence why it could not be done."""
        try:
            act()
        except (SegVarianceError, OSError) as error:
            self._say(str(error))
            return False
        self._say("")
        return True

    def _say(self, problem: str) -> None:
        self._set(replace(self.state, problem=problem, done="" if problem else self.state.done))

    def _set(self, state: RegionsState) -> None:
        self.state = state
        self.show(state)
