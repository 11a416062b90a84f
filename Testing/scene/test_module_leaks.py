"""A hundred cases through the module itself, over the real scene with views that draw: nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import slicer
from offscreen import OffscreenSlice

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map, write_map

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.review_scene import ReviewScene

GRID = Geometry((72, 64, 60), (1.0, 1.0, 1.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
CASES = 100
SMALLEST_LEAK_MB = 0.27  # a label map; an image of 32 bit is 1.1 MB


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two cases with an image of two channels, a reference, and four members that draw two structures."""
    root = tmp_path_factory.mktemp("cases") / "set"
    rng = np.random.default_rng(3)
    for case in ("one", "two"):
        for channel in range(2):
            image = rng.random(GRID.shape_zyx, dtype=np.float32)
            write_map(root / "imagesTr" / f"{case}_{channel:04d}.nii.gz", image, GRID)
        for number, where in enumerate(("labelsTr", *(f"members/seed_{seed}" for seed in range(4)))):
            drawn = np.zeros(GRID.shape_zyx, dtype=np.uint8)
            drawn[4:50, 6 : 50 + number, 5:60] = 1
            drawn[20:30, 20 + number : 40, 20:40] = 2
            write_label_map(root / where / f"{case}.nii.gz", drawn, GRID)
    return root


@pytest.fixture
def module(mrml, folder):
    """The presenters, three views that draw what is on screen, and idle turns in which the next case is read."""
    views = [OffscreenSlice(mrml, SimpleNamespace(tag=tag), (100, 100)) for tag in ("Red", "Yellow", "Green")]
    idle = []
    session = ReviewSession(ReviewScene(mrml.scene, mrml.application), when_idle=idle.append)
    opening, look = OpenPresenter(session), LookPresenter(session)
    EnsemblePresenter(session, look.result_changed)

    def looked_at(turn):
        for view in views if turn % 10 == 0 else ():
            view.picture()
        while idle:
            idle.pop(0)()

    return SimpleNamespace(session=session, opening=opening, look=look, looked_at=looked_at, folder=folder)


def grown_mb(mrml, turn):
    """How much the process grows over ``CASES`` turns after ten of them; the nodes must be the same after each."""
    process, rss, nodes, items = psutil.Process(), [], set(), set()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(mrml.scene)
    for number in range(10 + CASES):
        turn(number)
        rss.append(process.memory_info().rss / 1e6)
        nodes.add(mrml.scene.GetNumberOfNodes())
        items.add(hierarchy.GetNumberOfItems())
    assert len(nodes) == 1 and len(items) == 1, (nodes, items)
    return rss[-1] - rss[10]


def opened(module):
    module.opening.look_into((str(module.folder),))
    module.opening.confirm()
    assert module.opening.state.problems == () and module.look.state.problem == ""


def test_a_hundred_cases_with_image_map_and_layers_looked_at_one_after_the_other(mrml, module):
    opened(module)
    module.look.choose_map("agreement")

    def turn(number):
        module.look.next_case(1)
        module.look.choose_image(module.look.state.images[number % 2])
        module.looked_at(number)
        assert module.look.state.problem == ""

    assert grown_mb(mrml, turn) < CASES * SMALLEST_LEAK_MB / 2


def test_a_folder_opened_and_closed_a_hundred_times(mrml, module):
    def turn(number):
        opened(module)
        module.looked_at(number)
        module.session.close()

    assert grown_mb(mrml, turn) < CASES * SMALLEST_LEAK_MB / 2
