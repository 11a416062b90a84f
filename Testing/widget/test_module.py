"""SegVariance.py over the shim: all panels in their sections, one session, and what a saved scene brings back."""

from __future__ import annotations

import importlib
import sys
import time
import types
from dataclasses import dataclass

import pytest
import qt
import shim
from test_panel_regions import RememberedInspector
from test_review_panels import RememberedScene, picture_colours

SECTIONS = [
    "Open",
    "Look",
    "Ensemble and clean",
    "Regions",
    "Scores",
    "Compare",
    "Transfer",
    "Train",
    "Adapt to this case",
    "Environment",
]


@pytest.fixture
def application(tmp_path, monkeypatch):
    """The module freshly imported in an application that has its scene and settings in ``tmp_path``."""
    scene = shim.install_application(tmp_path)
    fake = types.ModuleType("SegVarianceSlicer.review_scene")
    fake.ReviewScene = lambda mrml, logic: RememberedScene()
    monkeypatch.setitem(sys.modules, "SegVarianceSlicer.review_scene", fake)
    inspector = types.ModuleType("SegVarianceLib.scene.inspector")
    inspector.InspectorScene = lambda mrml: RememberedInspector()
    monkeypatch.setitem(sys.modules, "SegVarianceLib.scene.inspector", inspector)
    monkeypatch.delitem(sys.modules, "SegVariance", raising=False)
    return types.SimpleNamespace(scene=scene, module=importlib.import_module("SegVariance"))


def wait_for_case(widget):
    """Let the application go on until no case is being opened."""
    deadline = time.monotonic() + 30
    while widget.session.opening.coming:
        assert time.monotonic() < deadline
        qt.QApplication.processEvents()


@pytest.fixture
def widget(application):
    made = application.module.SegVarianceWidget()
    made.setup()
    yield made
    made.cleanup()


@dataclass
class Parent:
    """What the application shows of a module."""

    title: str = ""
    categories: tuple = ()


def test_the_module_says_what_it_is_under_segmentation(application):
    parent = Parent()
    application.module.SegVariance(parent)
    assert parent.title == "SegVariance" and parent.categories == ["Segmentation"]
    assert "lucky" in parent.helpText and parent.acknowledgementText and parent.contributors


def test_every_panel_has_its_section_and_the_first_two_are_open(widget, picture):
    sections = [child for child in widget.parent.wrapped.children() if isinstance(child, shim.CollapsibleButton)]
    assert [section.title() for section in sections] == SECTIONS
    assert [section.isChecked() for section in sections] == [True, True, *[False] * 8]
    assert len(widget.panels) == len(SECTIONS)
    assert picture_colours(picture(widget.parent, "module")) > 20


def test_sample_data_opens_with_one_click_and_is_made_once(widget):
    widget.panels[0].ui.sampleButton.click()
    wait_for_case(widget)
    assert widget.opening.state.problems == ()
    assert widget.session.opened.case.id == "phantom_000"
    assert widget.panels[0].ui.progressBar.isHidden() and widget.panels[0].ui.cancelButton.isHidden()
    folder = widget.logic.sample_folder()
    assert widget.opening.state.folders == (folder,)


def test_a_scene_that_is_opened_again_brings_back_folder_case_members_and_rule(widget, application):
    widget.panels[0].ui.sampleButton.click()
    wait_for_case(widget)
    widget.look.next_case(1)
    wait_for_case(widget)
    for row in (0, 3):
        widget.ensemble.tick(widget.ensemble.state.members[row].key, False)
    chosen = [member.key for member in widget.ensemble.state.members if member.ticked]
    saved = dict(application.scene.parameters)
    widget.observed["StartClose"]()
    application.scene.parameters.clear()
    widget.observed["EndClose"]()
    assert widget.session.opened is None and widget.look.state.case == ""
    application.scene.parameters.update(saved)
    widget.observed["EndImport"]()
    assert widget.session.opened is None and widget.opening.state.can_confirm, "looked into, not opened"
    widget.panels[0].ui.confirmButton.click()
    wait_for_case(widget)
    assert widget.session.opened.case.id == "phantom_001"
    assert [member.key for member in widget.ensemble.state.members if member.ticked] == chosen
    assert widget.ensemble.state.result == "4 of 6 members vote."


def test_a_closed_scene_is_not_brought_back(widget, application):
    widget.panels[0].ui.sampleButton.click()
    wait_for_case(widget)
    widget.observed["StartClose"]()
    application.scene.parameters.clear()
    widget.observed["EndClose"]()
    assert widget.session.opened is None


def test_settings_of_the_computer_outlive_the_widget(tmp_path, application):
    settings = application.module.Settings(sys.modules["slicer"].app.userSettings(), "SegVariance")
    settings["base"] = "/opt/python"
    settings["folder"] = "/data"
    del settings["folder"]
    again = application.module.Settings(sys.modules["slicer"].app.userSettings(), "SegVariance")
    assert dict(again) == {"base": "/opt/python"}
    with pytest.raises(KeyError):
        again["folder"]
    with pytest.raises(KeyError):
        del again["folder"]
