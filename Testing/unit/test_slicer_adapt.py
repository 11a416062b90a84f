"""The Adapt panel without Qt: what is asked of the worker, and the truth about an adaptation read from its folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from SegVarianceLib.core.events import EventLog
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.plan.adaptation import SCHEMA, AdaptationPlan, AdaptationSettings, Start
from SegVarianceLib.plan.adaptation_folder import (
    ADAPTED,
    INITIAL,
    AdaptationFolder,
    AdaptationRecord,
    Moved,
    Neighbour,
)
from SegVarianceLib.study.cli import build_parser

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.child_process import Ended
from SegVarianceSlicer.environment import Worker
from SegVarianceSlicer.presenter_adapt import AdaptPresenter
from SegVarianceSlicer.presenter_training import NO_WORKER
from SegVarianceSlicer.state_adapt import AdaptState

LABELS = LabelSet((Structure("head", (1,)),))
GEOMETRY = Geometry((4, 5, 6), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


class FakeSession:
    """One case that is open, and where the scene was sent."""

    def __init__(self, images: tuple[Path, ...] = (Path("/data/imagesTs/anna.nii.gz"),)):
        case = SimpleNamespace(id="anna", images=images)
        self.opened: Any = SimpleNamespace(case=case, labels=LABELS)
        self.jumps: list[Any] = []
        self.scene = SimpleNamespace(jump=self.jumps.append)

    def listen(self, changed: Callable[[], object]) -> None:
        self.changed = changed


class FakeOpening:
    def __init__(self) -> None:
        self.looked: list[Any] = []

    def look_into(self, folders, pattern="", images="", references="", case="") -> None:
        self.looked.append((folders, images, case))

    def confirm(self) -> None:
        self.looked.append("confirmed")


class FakeRunner:
    """Remembers commands; a test says how they end."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.end: Callable[[Ended], None] = lambda ended: None

    def start(self, command, environment, on_end, on_line=lambda line: None):
        self.commands.append(list(command))
        self.end = on_end
        return SimpleNamespace(cancel=lambda: None)

    def poll(self) -> None:
        pass


@pytest.fixture
def made():
    """Presenter, session, opening and runner, with a worker whose Python is never started."""
    session, opening, runner = FakeSession(), FakeOpening(), FakeRunner()
    settings: dict[str, str] = {}
    presenter = AdaptPresenter(session, opening, runner, lambda: Worker(Path("python")), settings)  # type: ignore[arg-type]
    return SimpleNamespace(presenter=presenter, session=session, opening=opening, runner=runner, settings=settings)


@pytest.fixture
def folder(tmp_path: Path) -> AdaptationFolder:
    """Planned for case anna; nothing is done."""
    found = AdaptationFolder(tmp_path / "study" / "adaptations" / "anna")
    plan = AdaptationPlan(
        SCHEMA, "anna", ".nii.gz", ("/data/imagesTs/anna.nii.gz",), ("0",), str(tmp_path / "study"),
        (Start("runs/a/weights.safetensors", "1", "a · fold 0 · seed 0"),), ("ben", "cleo"), "2", "adapted",
        AdaptationSettings(neighbours=2, rounds=2), 0, "cpu", 1,
    )  # fmt: skip
    plan.write(found.plan_path)
    return found


def finish(folder: AdaptationFolder, warnings: tuple[str, ...] = ()) -> None:
    for name, rows in ((INITIAL, 2), (ADAPTED, 4)):
        label_map = np.zeros((6, 5, 4), np.uint8)
        label_map[3, :rows] = 1
        write_label_map(folder.mask(name), label_map, GEOMETRY)
    record = AdaptationRecord(
        SCHEMA, folder.plan.inputs, "key", {},
        (Neighbour("ben", 0.9, 0.8, 0.7, 0.0), Neighbour("cleo", 0.2, 0.1, 0.1, 0.0, "it lies elsewhere")),
        (Moved("head", 1.0, 2.0, 1.0, 0.0, 0.667),), warnings, False, 95.0, 80.0, 500.0,
    )  # fmt: skip
    write_json(folder.record_path, to_json(record))


def work(folder: AdaptationFolder) -> None:
    """As if this process adapted."""
    process = psutil.Process()
    record = {"pid": os.getpid(), "started_s": process.create_time(), "host": __import__("socket").gethostname()}
    write_json(folder.worker_path, record)


def follow(made: Any, folder: AdaptationFolder) -> AdaptState:
    made.settings["adaptation"] = str(folder.root)
    made.presenter = AdaptPresenter(
        made.session, made.opening, made.runner, lambda: Worker(Path("python")), made.settings
    )
    return made.presenter.state


def test_what_start_asks_for_is_what_the_command_understands(made, folder, tmp_path):
    assert not made.presenter.state.can_start  # no networks are chosen
    made.presenter.wish(model=str(tmp_path / "study"), minutes=7)
    assert made.presenter.state.can_start
    made.presenter.start()
    (command,) = made.runner.commands
    given = build_parser().parse_args(command[command.index("adapt") :])
    assert given.case == ["/data/imagesTs/anna.nii.gz"] and given.budget == "7 minutes" and given.detach
    assert Path(given.output) == folder.root and not made.presenter.state.can_start
    work(folder)
    made.runner.end(Ended(0, "", ""))
    assert made.presenter.state.can_stop and made.settings["adaptation"] == str(folder.root)


def test_why_a_command_failed_stands_in_the_panel(made, tmp_path):
    made.presenter.wish(model=str(tmp_path))
    made.presenter.start()
    made.runner.end(Ended(2, "", "segvariance adapt: Budget '1 minutes' is too small for this image.\n"))
    assert made.presenter.state.problem == "Budget '1 minutes' is too small for this image."
    made.presenter.wish(minutes=9)
    assert made.presenter.state.problem == ""


def test_without_a_worker_or_an_image_nothing_is_started(made, tmp_path):
    made.session.opened.case.images = ()
    made.presenter.wish(model=str(tmp_path))
    made.presenter.start()
    assert "has no image" in made.presenter.state.problem
    nobody = AdaptPresenter(FakeSession(), made.opening, made.runner, lambda: None)  # type: ignore[arg-type]
    nobody.wish(model=str(tmp_path))
    nobody.start()
    assert nobody.state.problem == NO_WORKER and made.runner.commands == []


def test_progress_counts_rounds_and_says_what_is_left(made, folder):
    work(folder)
    with EventLog(folder.events_path) as log:
        log.write("adaptation_started", case="anna")
        log.write("stage_step", what="Deforming neighbours", done=1, of=2)
        assert follow(made, folder).share == pytest.approx(0.125)
        log.write("stage_step", what="Learning", done=20, of=40, time_left_s=300.0)
        log.write("stage_step", what="Deforming neighbours", done=0, of=2, time_left_s=200.0)
        made.presenter.tick()
    state = made.presenter.state
    assert state.share == pytest.approx(0.5) and state.can_stop
    assert "round 2 of 2: 0 of 2, about 3 min left" in state.sentence and "close Slicer" in state.sentence


def test_a_worker_that_was_killed_is_seen_as_dead_and_can_go_on(made, folder):
    record = {"pid": 2**22 - 3, "started_s": time.time() - 50, "host": __import__("socket").gethostname()}
    write_json(folder.worker_path, record)
    with EventLog(folder.events_path) as log:
        log.write("adaptation_started", case="anna")
        log.write("stage_step", what="Learning", done=20, of=40)
    state = follow(made, folder)
    assert "died" in state.sentence and state.start_text == "Go on" and state.can_start and state.share is None
    made.presenter.start()
    assert made.runner.commands[-1][-3:] == ["run", str(folder.root), "--detach"]


def test_a_result_is_shown_with_its_warnings_first_and_opens_side_by_side(made, folder):
    finish(folder, ("head became 100% larger (1.00 to 2.00 ml).",))
    state = follow(made, folder)
    assert state.warnings and "Look twice" in state.sentence and state.can_show
    assert [(row.structure, row.initial_ml, row.adapted_ml, row.agreement) for row in state.rows] == [
        ("head", 1.0, 2.0, 0.667)
    ]
    assert "1 deformed training case, nearest first: ben. Left out: cleo (it lies elsewhere)." in state.neighbours
    made.presenter.show_result()
    masks = tuple(str(folder.masks(name)) for name in (INITIAL, ADAPTED))
    assert made.opening.looked == [(masks, "/data/imagesTs", "anna"), "confirmed"]


def test_a_click_goes_to_the_slice_in_which_a_structure_moved_most(made, folder):
    finish(folder)
    follow(made, folder)
    made.presenter.go_to("head")
    (_, y, z) = made.session.jumps[0]
    assert z == 3 * 2.0 and y in (2.0, 3.0)  # slice 3 of 2 mm, in the rows that were added
    made.session.opened.case.id = "ben"
    made.presenter.go_to("head")
    assert len(made.session.jumps) == 1  # another case is on screen


def test_a_folder_that_is_none_any_more_is_forgotten(made, tmp_path):
    made.settings["adaptation"] = str(tmp_path / "gone")
    presenter = AdaptPresenter(made.session, made.opening, made.runner, lambda: None, made.settings)
    assert "adaptation" not in made.settings and "Choose a study" in presenter.state.sentence
