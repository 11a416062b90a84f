"""Fifty members in the Look panel: six are shown, the others stand unticked below, and the list is filled at once."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from SegVarianceSlicer.panels.look import LookPanel
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from test_review_panels import RememberedScene, column, tick

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.review.opening import open_review

GRID = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
MEMBERS, SHOWN = 50, 6


@pytest.fixture
def panel(load, tmp_path):
    drawn = np.zeros(GRID.shape_zyx, dtype=np.uint8)
    drawn[2:5, 2:5, 2:5] = 1
    for seed in range(MEMBERS):
        for case in ("a", "b"):
            write_label_map(tmp_path / "set" / f"seed_{seed:02d}" / f"{case}.nii.gz", drawn, GRID)
    scene = RememberedScene()
    session = ReviewSession(scene)
    presenter, widget = LookPresenter(session), load("look")
    made = LookPanel(widget, presenter)
    session.use(open_review(tmp_path / "set"))
    return SimpleNamespace(scene=scene, presenter=presenter, widget=widget, panel=made, table=made.ui.layerTable)


def ticked(table):
    return [row for row in range(table.rowCount) if table.item(row, 0).checkState().value]


def test_six_are_shown_and_the_rest_can_be_ticked_instead(panel):
    assert panel.table.rowCount == 1 + MEMBERS and ticked(panel.table) == list(range(SHOWN))
    assert len(panel.scene.layers) == SHOWN, "the others are no nodes"
    tick(panel.table, 40, True)
    assert ticked(panel.table) == list(range(SHOWN)) and "Untick one first" in panel.panel.ui.problemLabel.text
    tick(panel.table, 5, False)
    tick(panel.table, 40, True)
    assert ticked(panel.table) == [0, 1, 2, 3, 4, 40] and panel.panel.ui.problemLabel.text == ""
    assert column(panel.table, 0)[40] == "set · seed 39"
    panel.presenter.next_case(1)
    assert panel.scene.case == "b" and ticked(panel.table) == [0, 1, 2, 3, 4, 40]


def test_the_panel_is_filled_in_a_fifth_of_a_second(panel):
    """In processor time, so that a busy machine does not count."""
    times = []
    for _ in range(5):
        before = time.process_time()
        panel.panel.show(panel.presenter.state)
        times.append(time.process_time() - before)
    assert min(times) < 0.2, f"{min(times):.3f} s"
