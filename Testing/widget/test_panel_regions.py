"""The panel Regions on its .ui file, filled from crafted members, moved as a user does."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import shim
from SegVarianceSlicer.panels.regions import RegionsPanel, _cells
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_regions import RegionsPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.state_regions import RegionRow
from test_review_panels import RememberedScene, choose, entries, picture_colours

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map

GRID = Geometry((12, 4, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


class RememberedInspector:
    """What is shown."""

    def __init__(self):
        self.close()

    def open(self, case, geometry, painted, colours):
        self.case = case

    def show(self, label_map, changes, orphans):
        self.label_map, self.changes, self.orphans = label_map.copy(), changes.copy(), orphans.copy()

    def outline(self, changes, orphans):
        self.outlined = (changes, orphans)

    def fill(self, shown):
        self.filled = shown

    def close(self):
        self.case, self.label_map = "", None


def drawn(core: int) -> np.ndarray:
    """A tumour of label 2 in ten columns, of which the first ``core`` are label 1 and one is label 4."""
    label_map = np.zeros(GRID.shape_zyx, np.uint8)
    label_map[..., 1:11], label_map[..., 1 : 1 + core], label_map[..., 1] = 2, 1, 4
    return label_map


@pytest.fixture
def module(load, tmp_path):
    """The panel over a session in which three members and a reference of one case are open."""
    for name, core in (("a", 3), ("b", 5), ("c", 7)):
        write_label_map(tmp_path / f"members/{name}/p1.nii.gz", drawn(core), GRID)
    write_label_map(tmp_path / "references/p1.nii.gz", drawn(6), GRID)
    scene, inspector, again = RememberedScene(), RememberedInspector(), []
    session = ReviewSession(scene)
    opening = OpenPresenter(session)
    presenter = RegionsPresenter(session, inspector, lambda: again.append(1))
    widget = load("regions")
    panel = RegionsPanel(widget, presenter)
    opening.look_into(
        tuple(str(tmp_path / "members" / name) for name in "abc"), references=str(tmp_path / "references")
    )
    opening.confirm()
    assert opening.state.problems == ()
    return SimpleNamespace(ui=panel.ui, panel=panel, widget=widget, inspector=inspector, scene=scene, again=again)


def shown(row: int, module) -> list[str]:
    return [module.ui.rowTable.item(row, column).text() for column in range(6)]


def test_known_regions_stand_there_and_the_inspector_opens_and_closes(module):
    ui = module.ui
    assert ui.textEdit.text == "whole tumour=1,2,4; tumour core=1,4; enhancing tumour=4"
    assert ui.toldLabel.text == "Known for brain tumours."
    assert not ui.inspector.isVisibleTo(module.widget)
    ui.inspectButton.click()
    assert ui.inspector.isVisibleTo(module.widget) and module.inspector.case == "p1"
    assert module.scene.views == [("", [])], "the layers of the case make room"
    assert entries(ui.sourceCombo)[0] == "Vote of 3 members"
    assert [row.name.text for row in module.panel.sliders] == ["whole tumour", "tumour core", "enhancing tumour"]
    ui.inspectButton.click()
    assert not ui.inspector.isVisibleTo(module.widget) and module.inspector.case == "" and module.again


def test_a_slider_moves_the_labels_and_the_table_says_from_what_to_what(module):
    module.ui.inspectButton.click()
    core = module.panel.sliders[1]
    assert core.words.text == "0.50, from 2 of 3"
    core.slider.setValue(30)
    np.testing.assert_array_equal(module.inspector.label_map, drawn(7))
    assert core.words.text == "0.30, from 1 of 3"
    assert (
        module.ui.changesLabel.text == "Gained 0.000 ml (white), lost 0.000 ml (red), another label 0.024 ml (yellow)."
    )
    assert shown(1, module)[:4] == ["tumour core", "1", "0.072", "0.000"]
    assert "\N{RIGHTWARDS ARROW}" in shown(1, module)[4] and shown(0, module)[4] == "1.000"
    module.ui.resetButton.click()
    assert core.slider.value == 50
    np.testing.assert_array_equal(module.inspector.label_map, drawn(5))


def test_previous_and_next_go_through_the_order(module):
    ui = module.ui
    ui.inspectButton.click()
    assert (
        ui.stepLabel.text.startswith("Region 3 of 3: enhancing tumour is painted as label 4")
        and not ui.nextButton.enabled
    )
    ui.previousButton.click()
    assert set(np.unique(module.inspector.label_map)) == {0, 1, 2}
    ui.previousButton.click()
    assert ui.stepLabel.text == "Region 1 of 3: whole tumour is painted as label 2: 0.120 ml."
    ui.previousButton.click()
    assert ui.stepLabel.text == "Region 0 of 3: nothing is painted yet." and not ui.previousButton.enabled


def test_a_label_map_has_no_sliders_and_no_other_rule_and_says_why(module):
    module.ui.inspectButton.click()
    choose(module.ui.sourceCombo, next(each for each in entries(module.ui.sourceCombo) if each.endswith("b, labels")))
    assert not any(row.slider.isVisibleTo(module.widget) for row in module.panel.sliders)
    assert module.ui.noSlidersLabel.isVisibleTo(module.widget) and not module.ui.ruleCombo.enabled
    np.testing.assert_array_equal(module.inspector.label_map, drawn(5))


def test_what_is_typed_is_taken_with_enter_and_a_mistake_is_one_sentence(module):
    ui = module.ui
    ui.textEdit.setText("whole=1,2,4; core=1,four")
    ui.textEdit.wrapped.editingFinished.emit()
    assert "leaves 2, 4" in ui.problemLabel.text and not ui.inspectButton.enabled
    ui.textEdit.setText("whole=1,2; core=1")
    ui.textEdit.wrapped.editingFinished.emit()
    assert ui.problemLabel.text == "" and ui.inspectButton.enabled
    assert ui.toldLabel.text == "As written here. No region holds label 4: it becomes background."
    ui.inspectButton.click()
    assert [row.slider.isVisibleTo(module.widget) for row in module.panel.sliders] == [True, True]
    assert set(np.unique(module.inspector.label_map)) == {0, 1, 2}


def test_boxes_outline_and_buttons_keep_and_write(module, tmp_path, monkeypatch):
    ui = module.ui
    ui.inspectButton.click()
    assert module.inspector.outlined == (True, True)
    ui.changesBox.click()
    assert module.inspector.outlined == (False, True)
    ui.referenceBox.click()
    assert module.scene.views == [("", ["reference"])]
    ui.orphansButton.click()
    assert ui.problemLabel.text == "There are no orphans."
    module.panel.sliders[1].slider.setValue(70)
    ui.changesButton.click()
    assert module.scene.jumps
    ui.keepButton.click()
    assert module.scene.kept == ["regions · Vote of 3 members · paint in order · tumour core 0.70"]
    written = tmp_path / "regions.json"
    monkeypatch.setattr(shim.QtWidgets.QFileDialog, "getSaveFileName", lambda *given: (str(written), ""))
    ui.writeButton.click()
    assert json.loads(written.read_text())["thresholds"]["tumour core"] == 0.7
    assert ui.doneLabel.text == f"Wrote {written}."


def test_the_panel_fits_its_width(module, picture):
    module.widget.wrapped.show()
    module.ui.inspectButton.click()
    module.panel.sliders[1].slider.setValue(30)
    assert module.widget.wrapped.minimumSizeHint().width() <= 460
    shim.QtWidgets.QApplication.processEvents()  # sliders that were just made find their places
    assert picture_colours(picture(module.widget, "regions")) > 20


def test_a_long_name_of_a_region_leaves_room_for_its_slider(module):
    module.ui.textEdit.setText("whole tumour with everything around it=1,2,4; core=1,4; enhancing=4")
    module.ui.textEdit.wrapped.editingFinished.emit()
    module.ui.inspectButton.click()
    row = module.panel.sliders[0]
    assert row.name.text == "whole tumour with\N{HORIZONTAL ELLIPSIS}" and row.name.toolTip.endswith("around it")
    assert module.widget.wrapped.minimumSizeHint().width() <= 460


def test_dice_of_what_is_nowhere_is_absent(module):
    row = RegionRow("core", 1, 0.0, 0.0, (None, None), (0.5, None))
    assert _cells(row) == ("core", 1, "0.000", "0.000", "absent", "0.500\N{RIGHTWARDS ARROW}absent")
