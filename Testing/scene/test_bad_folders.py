"""Folders that cannot be compared, opened in the module on a real scene: a sentence each, and the scene as it was."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import slicer

from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.plan.study_plan import SCHEMA

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.review_scene import ReviewScene

GRID = Geometry((30, 24, 18), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
ELSEWHERE = Geometry((30, 24, 18), (1.0, 1.0, 2.5), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def good(folder: Path, cases: tuple[str, ...] = ("a",)) -> Path:
    """Two members with a liver in every case."""
    label_map = np.zeros((18, 24, 30), dtype=np.uint8)
    label_map[4:12, 6:16, 8:20] = 1
    for member in ("seed_0", "seed_1"):
        for case in cases:
            write_label_map(folder / member / f"{case}.nii.gz", label_map, GRID)
    write_json(folder / "dataset.json", {"labels": {"background": 0, "liver": 1}})
    return folder


def mixed_geometry(folder: Path) -> None:
    write_label_map(good(folder) / "seed_1" / "a.nii.gz", np.ones((18, 24, 30), dtype=np.uint8), ELSEWHERE)


def float_labels(folder: Path) -> None:
    values = np.linspace(0, 1, 18 * 24 * 30, dtype=np.float32).reshape(18, 24, 30)
    write_map(good(folder) / "seed_1" / "a.nii.gz", values, GRID)


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def truncated(folder: Path) -> None:
    cut_short(good(folder) / "seed_1" / "a.nii.gz")


def no_cases(folder: Path) -> None:
    (folder / "seed_0").mkdir(parents=True)
    (folder / "notes.txt").write_text("nothing here")


def unknown_label(folder: Path) -> None:
    write_label_map(good(folder) / "seed_1" / "a.nii.gz", np.full((18, 24, 30), 7, dtype=np.uint8), GRID)


def another_version(folder: Path) -> None:
    (folder / "runs").mkdir(parents=True)
    write_json(folder / "plan.json", {"schema": SCHEMA + 1})
    write_json(folder / "splits.json", {})


def moved_away(folder: Path) -> None:
    assert not folder.exists()


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "mixed geometry": (mixed_geometry, "spacing"),
    "float labels": (float_labels, "label"),
    "truncated file": (truncated, "a.nii.gz"),
    "0 cases": (no_cases, "label map"),
    "unknown label": (unknown_label, "7"),
    "wrong study version": (another_version, "schema"),
    "no such folder": (moved_away, "is not a folder"),
}


class Module:
    """What the module puts together: presenters that follow one session over the real scene."""

    def __init__(self, mrml):
        self.session = ReviewSession(ReviewScene(mrml.scene, mrml.application))
        self.opening = OpenPresenter(self.session)
        self.look = LookPresenter(self.session)
        self.ensemble = EnsemblePresenter(self.session, self.look.result_changed)

    def open(self, folder: Path) -> tuple[str, ...]:
        """As with the buttons: the one that opens answers only where it is enabled."""
        self.opening.look_into((str(folder),))
        if self.opening.state.can_confirm:
            self.opening.confirm()
        return self.opening.state.problems


def nodes(scene) -> list[tuple[str, str]]:
    all_of_them = (scene.GetNthNode(number) for number in range(scene.GetNumberOfNodes()))
    return [(node.GetID(), node.GetName()) for node in all_of_them]


def folders(scene) -> int:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene).GetNumberOfItems()


@pytest.mark.parametrize("what", BAD)
def test_a_bad_folder_is_one_sentence_and_leaves_an_empty_scene_as_it_was(mrml, tmp_path, what):
    make, says = BAD[what]
    make(tmp_path / "bad")
    module = Module(mrml)
    before = nodes(mrml.scene), folders(mrml.scene)
    problems = module.open(tmp_path / "bad")
    assert len(problems) == 1 and says in problems[0].lower(), problems
    assert "Traceback" not in problems[0] and "\n" not in problems[0]
    assert (nodes(mrml.scene), folders(mrml.scene)) == before
    assert module.session.opened is None


@pytest.mark.parametrize("what", BAD)
def test_a_bad_folder_leaves_what_was_open_on_screen_and_a_good_one_opens_after_it(mrml, tmp_path, what):
    make, _ = BAD[what]
    make(tmp_path / "bad")
    module = Module(mrml)
    assert module.open(good(tmp_path / "good", ("a", "b"))) == ()
    before = nodes(mrml.scene), folders(mrml.scene)
    assert module.open(tmp_path / "bad")
    assert (nodes(mrml.scene), folders(mrml.scene)) == before
    assert module.session.review is not None and module.session.review.request.paths == (tmp_path / "good",)
    module.look.next_case(1)
    assert module.look.state.case == "b" and module.look.state.problem == ""
    shutil.rmtree(tmp_path / "bad", ignore_errors=True)
    assert module.open(good(tmp_path / "bad")) == ()


def test_a_later_case_that_is_bad_is_one_sentence_in_look_and_the_case_before_stays(mrml, tmp_path):
    later = good(tmp_path / "bad", ("a", "b")) / "seed_1" / "b.nii.gz"
    module = Module(mrml)
    assert module.open(tmp_path / "bad") == ()
    cut_short(later)  # after it was looked into
    before = nodes(mrml.scene), folders(mrml.scene)
    module.look.next_case(1)
    assert "b.nii.gz" in module.look.state.problem and "Traceback" not in module.look.state.problem
    assert (nodes(mrml.scene), folders(mrml.scene)) == before
    assert module.look.state.case == "a" and module.session.opened.case.id == "a"
