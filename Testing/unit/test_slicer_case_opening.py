"""Opening cases a step at a time, and reading ahead: real folders and presenters, a window that the test drives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.evaluation.score_table import ScoreTable

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_review import VOTE, ReviewSession
from SegVarianceSlicer.presenter_scores import ScoresPresenter, WorstSlices

GRID = Geometry((12, 10, 8), (1.0, 2.0, 5.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
CASES, MEMBERS = ("p", "q", "r", "s"), ("a", "b", "c")


class RecordedScene:
    """What is shown; every change of it is counted."""

    most_shown = 6

    def __init__(self) -> None:
        self.changes = 0
        self.forget()

    def open(self, case, geometry, labels):
        self.forget()
        self.case = case

    def forget(self):
        self.changes += 1
        self.case, self.layers, self.image = "", {}, None

    close = forget

    def set_image(self, title, array):
        self.changes, self.image = self.changes + 1, array

    def has(self, key):
        return key in self.layers

    def put(self, key, folder, title, label_map):
        self.changes, self.layers[key] = self.changes + 1, label_map

    def arrange(self, views): ...

    def show_map(self, kind, values): ...

    def jump(self, lps_mm): ...


class Turns:
    """Of the window: what is to be done later waits until the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, act: Callable[[], None]) -> None:
        self.waiting.append(act)

    def run(self, most: int = 1000) -> int:
        """As many turns as there are, or ``most``; returns how many there were."""
        for done in range(most):
            if not self.waiting:
                return done
            self.waiting.pop(0)()
        return most


class Module:
    """The module's presenters over one session; a turn is one step, since the clock goes on by 0.2 s whenever it is read."""

    def __init__(self, seconds: float = 0.2) -> None:
        self.now = 0.0
        self.scene, self.later, self.idle = RecordedScene(), Turns(), Turns()

        def clock() -> float:
            self.now += seconds
            return self.now

        self.session = ReviewSession(self.scene, later=self.later, when_idle=self.idle, clock=clock)
        self.open, self.look = OpenPresenter(self.session), LookPresenter(self.session)
        self.ensemble = EnsemblePresenter(self.session, self.look.result_changed)
        self.scores = ScoresPresenter(self.session, WorstSlices(self.session), self.later)

    def opened(self, folder: Path) -> Module:
        self.open.look_into((str(folder),))
        self.open.confirm()
        self.later.run()
        assert self.scene.case == "p"
        return self

    @property
    def on_screen(self) -> tuple[str, ...]:
        """The case that scene, session and panels agree on."""
        opened = self.session.opened
        return tuple({"" if opened is None else opened.case.id, self.scene.case, self.look.state.case})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three members and four cases with images; member number m draws a bar of 2 + m + case number voxels."""
    for number, case in enumerate(CASES):
        write_map(tmp_path / "set" / "images" / f"{case}.nii.gz", np.full(GRID.shape_zyx, float(number)), GRID)
        for member, name in enumerate(MEMBERS):
            write_label_map(tmp_path / "set" / name / f"{case}.nii.gz", bar(2 + member + number), GRID)
    return tmp_path / "set"


def bar(length: int) -> np.ndarray:
    drawn = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    drawn[3, 3, :length] = 1
    return drawn


def test_the_case_on_screen_stays_whole_until_the_other_has_been_read(folder: Path) -> None:
    module = Module().opened(folder)
    before = module.scene.changes
    module.look.next_case(1)
    seen = []
    while module.later.waiting:
        assert module.on_screen == ("p",) and module.scene.changes == before
        seen.append((module.look.state.opening, module.look.state.progress))
        assert (module.open.state.busy, module.open.state.progress) == seen[-1], "both panels have the bar"
        module.later.run(1)
    shares = [share for _, share in seen]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] < 1 and len(set(shares)) >= len(MEMBERS)
    assert seen[0][0].startswith("Reading q…") and seen[-1][0].startswith("Reading the image of q…")
    assert module.on_screen == ("q",) and module.look.state.progress is None and module.open.state.busy == ""
    assert float(module.scene.image.max()) == 1.0 and module.scene.layers[VOTE].sum() == 4


@pytest.mark.parametrize("turns", range(5))
def test_cancelled_at_any_step_the_case_that_was_open_stays_open(folder: Path, turns: int) -> None:
    module = Module().opened(folder)
    before, opened = module.scene.changes, module.session.opened
    module.look.next_case(1)
    assert module.later.run(turns) == turns
    module.look.stop()
    module.later.run()
    assert module.on_screen == ("p",) and module.session.opened is opened and module.scene.changes == before
    assert (
        module.look.state.progress is None and module.look.state.problem == "" and module.session.opening.coming == ""
    )
    module.look.next_case(1)
    module.later.run()
    assert module.on_screen == ("q",)


def test_cancelled_at_first_nothing_is_open_and_it_can_be_opened_after_all(folder: Path) -> None:
    module = Module()
    module.open.look_into((str(folder),))
    before = module.scene.changes
    module.open.confirm()
    assert module.open.state.busy.startswith("Reading p…")
    module.open.cancel()
    module.later.run()
    assert module.session.review is None and module.on_screen == ("",) and module.scene.changes == before
    assert module.open.state.can_confirm and not module.open.state.is_open and module.open.state.progress is None
    module.opened(folder)


def test_next_pressed_twice_goes_two_on_and_another_choice_takes_its_place(folder: Path) -> None:
    module = Module().opened(folder)
    module.look.next_case(1)
    module.look.next_case(1)
    module.later.run()
    assert module.on_screen == ("r",)
    module.look.choose_case("s")
    module.look.choose_case("p")
    module.later.run()
    assert module.on_screen == ("p",)
    module.look.choose_case("s")
    module.look.choose_case("p")  # that is on screen: no other case, then
    module.later.run()
    assert module.on_screen == ("p",) and module.look.state.opening == ""


def test_a_scene_that_is_closed_meanwhile_stays_empty(folder: Path) -> None:
    module = Module().opened(folder)
    module.look.next_case(1)
    module.session.scene_closed()
    module.later.run()
    module.idle.run()
    assert module.on_screen == ("",) and module.scene.layers == {} and module.open.state.progress is None


def test_a_file_that_is_cut_short_meanwhile_is_one_sentence_and_the_case_stays(folder: Path) -> None:
    module = Module().opened(folder)
    module.look.next_case(1)
    whole = (folder / "c" / "q.nii.gz").read_bytes()
    (folder / "c" / "q.nii.gz").write_bytes(whole[:-20])
    module.later.run()
    assert module.on_screen == ("p",) and module.look.state.progress is None
    assert "cut short" in module.look.state.problem and "\n" not in module.look.state.problem


def test_several_problems_of_a_case_are_one_line_in_look(folder: Path) -> None:
    module = Module().opened(folder)
    elsewhere = Geometry((12, 10, 8), (1.0, 2.0, 4.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    for member in ("b", "c"):
        write_label_map(folder / member / "q.nii.gz", bar(3), elsewhere)
    module.look.next_case(1)
    module.later.run()
    said = module.look.state.problem
    assert "\n" not in said and "does not lie where" in said and said.endswith("(1 more problem.)")


def test_an_image_that_cannot_be_read_is_said_and_the_case_is_open(folder: Path) -> None:
    module = Module().opened(folder)
    (folder / "images" / "q.nii.gz").write_bytes(b"no image")
    module.look.next_case(1)
    module.later.run()
    assert module.session.opened.case.id == "q" and str(folder / "images" / "q.nii.gz") in module.look.state.problem


def test_predictions_that_land_while_a_case_is_read_are_not_lost(folder: Path) -> None:
    module = Module().opened(folder)
    module.look.next_case(1)
    write_label_map(folder / "a" / "t.nii.gz", bar(5), GRID)
    module.open.look_again()
    module.later.run()
    assert module.on_screen == ("q",) and [case.id for case in module.session.review.cases] == [*CASES, "t"]


def test_a_click_on_a_score_opens_its_case_first_and_then_goes_to_its_slice(folder: Path) -> None:
    module = Module().opened(folder)
    module.scores.go_to("r", "label_1", "set/b")
    assert module.scores.state.selected is None and module.on_screen == ("p",)
    module.later.run()
    assert module.scores.state.selected == ("r", "label_1", "set/b") and module.on_screen == ("r",)
    assert module.scores.state.problem == ""
    module.scores.go_to("gone", "label_1", "set/b")
    module.later.run()
    assert "no case 'gone'" in module.scores.state.problem and module.on_screen == ("r",)


def steps_to_open(module: Module, case: str) -> int:
    module.look.choose_case(case)
    turns = module.later.run()
    assert module.on_screen == (case,)
    return turns


def test_the_next_case_is_read_while_nothing_else_is_to_be_done_and_then_opens_in_two_steps(folder: Path) -> None:
    module = Module(seconds=0.1).opened(folder)
    unread = steps_to_open(Module(seconds=0.1).opened(folder), "q")
    assert module.idle.run() > len(MEMBERS)
    assert steps_to_open(module, "q") < unread - len(MEMBERS)
    assert module.scene.layers[VOTE].sum() == 4 and module.ensemble.state.result == "3 of 3 members vote."


def test_what_is_half_read_is_not_read_again(folder: Path) -> None:
    unread = steps_to_open(Module(seconds=0.1).opened(folder), "q")
    module = Module(seconds=0.1).opened(folder)
    module.idle.run(2)
    assert steps_to_open(module, "q") < unread
    module.idle.run()  # turns of what has been taken over do no harm
    assert module.on_screen == ("q",)


def test_backwards_the_case_before_is_read_ahead(folder: Path) -> None:
    module = Module(seconds=0.1).opened(folder)
    module.look.next_case(-1)
    module.later.run()
    assert module.on_screen == ("s",)
    module.idle.run()
    unread = steps_to_open(Module(seconds=0.1).opened(folder), "r")
    assert steps_to_open(module, "r") < unread - len(MEMBERS)


def test_a_case_that_was_predicted_again_since_is_read_again(folder: Path) -> None:
    module = Module(seconds=0.1).opened(folder)
    module.idle.run()
    for member in MEMBERS:
        write_label_map(folder / member / "q.nii.gz", bar(9), GRID)
    steps_to_open(module, "q")
    assert module.scene.layers[VOTE].sum() == 9


def test_what_cannot_be_read_ahead_is_said_only_when_it_is_opened(folder: Path) -> None:
    module = Module(seconds=0.1).opened(folder)
    (folder / "b" / "q.nii.gz").write_bytes((folder / "b" / "q.nii.gz").read_bytes()[:-20])
    module.idle.run()
    assert module.look.state.problem == "" and module.open.state.problems == ()
    module.look.choose_case("q")
    module.later.run()
    assert "cut short" in module.look.state.problem and module.on_screen == ("p",)


def test_label_maps_that_take_long_are_not_read_ahead_since_scrolling_would_stutter(folder: Path) -> None:
    module = Module(seconds=0.3).opened(folder)
    assert module.idle.run() == 1
    assert steps_to_open(module, "q") == steps_to_open(Module(seconds=0.3).opened(folder), "q")


def test_scores_that_come_in_do_not_begin_an_opening_or_end_one(folder: Path) -> None:
    module = Module().opened(folder)
    module.look.next_case(1)
    module.later.run(1)
    module.session.use_scores(ScoreTable(()))
    assert module.look.state.opening and module.on_screen == ("p",)
    module.later.run()
    assert module.on_screen == ("q",)


def test_the_worst_case_of_an_order_is_one_click_away(folder: Path) -> None:
    """Two bars of n and n + 1 voxels have a Dice of 2n / (2n + 1): the shorter, the worse."""
    module = Module().opened(folder)
    module.look.choose_case("r")
    module.later.run()
    assert module.look.state.by.worst == ""
    module.look.choose_order("worst:label_1")
    module.later.run()
    assert [case.id for case in module.look.state.by.cases] == list(CASES) and module.look.state.by.worst == "p"
    module.look.go_to_worst()
    module.later.run()
    assert module.on_screen == ("p",) and module.session.structure == "label_1"
