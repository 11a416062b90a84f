"""A stand-in of the application in a process of its own: the real MRML scene, the whole module in PySide6 widgets.

``python application.py FOLDER [views]`` runs the module's self-test, as the application does when it is started with
``--testing``; without ``views`` it is one that was started with ``--no-main-window``. What is a stand-in is in
Testing/widget/shim.py and here: widgets, the parameter node's wrapper, reading and writing of whole scenes. Nodes, logics,
events, ``slicer.util`` and all of SegVariance are what they are in Slicer.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING / "widget"), str(TESTING / "scene"), str(TESTING.parent)]

import shim  # noqa: E402 (needs the path above)
import slicer  # noqa: E402
import slicer.util  # noqa: E402
from PySide6 import QtCore, QtWidgets  # noqa: E402
from started import start_scene  # noqa: E402

VIEWS = ("Red", "Yellow", "Green", *(f"SegVariance{number}" for number in range(1, 7)))


class StoredParameters:
    """What the stand-in of the parameter node's wrapper keeps, in the real node, which scenes save and bring back."""

    def __init__(self, node: Any):
        self._node = node

    def get(self, name: str, default: Any) -> Any:
        return json.loads(self._node.GetParameter(name) or "null") or default

    def __setitem__(self, name: str, value: Any) -> None:
        self._node.SetParameter(name, json.dumps(value))


class ModuleLogic:
    """``ScriptedLoadableModuleLogic``: one parameter node in the scene, which closing the scene empties."""

    def getParameterNode(self) -> StoredParameters:
        node = slicer.mrmlScene.GetSingletonNode("SegVariance", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("SegVariance")
            slicer.mrmlScene.AddNode(node)
        return StoredParameters(node)


class ModuleTest(unittest.TestCase):
    """``ScriptedLoadableModuleTest``, with the shortest delay."""

    def delayDisplay(self, message: str) -> None:
        slicer.util.delayDisplay(message, 100)


class Files:
    """``slicer.app.coreIOManager()`` for whole scenes."""

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any) -> bool:
        assert kind == "SceneFile" and properties["fileName"].endswith(".mrb")
        return bool(slicer.mrmlScene.WriteToMRB(properties["fileName"]))

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any) -> bool:
        assert kind == "SceneFile" and properties["fileName"].endswith(".mrb")
        return bool(slicer.mrmlScene.ReadFromMRB(properties["fileName"], False, messages))


class SampleDataLogic:
    """``SampleData.SampleDataLogic``, as far as registering goes."""

    sources: dict[str, dict[str, Any]] = {}  # noqa: RUF012 (as the application has it: one for all)

    @classmethod
    def registerCustomSampleDataSource(cls, **source: Any) -> None:
        cls.sources[source["sampleName"]] = source


def start(folder: Path, with_views: bool) -> list[Any]:
    """Everything that stands when a module is loaded; returns what must be called once the application has started."""
    qt_application = shim.install_qt()
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    started = start_scene(slicer.vtkMRMLScene(), unpacked)
    layout = _make_views(started) if with_views else started.application.SetSliceLogics(None)
    when_started: list[Any] = []
    slicer.app = SimpleNamespace(
        temporaryPath=str(folder),
        applicationLogic=lambda: started.application,
        coreIOManager=Files,
        connect=lambda signal, called: when_started.append(called),
        layoutManager=lambda: layout,
        processEvents=qt_application.processEvents,
        startupEnvironment=QtCore.QProcessEnvironment.systemEnvironment,
        topLevelWidgets=lambda: [],
        userSettings=shim.settings_in(folder),
    )
    slicer.util.loadUI, slicer.util.childWidgetVariables = shim.load_ui, shim.child_widget_variables
    shim.install_module_classes(ModuleLogic, ModuleTest)
    sys.modules["SampleData"] = ModuleType("SampleData")
    sys.modules["SampleData"].SampleDataLogic = SampleDataLogic
    return when_started


def _make_views(started: Any) -> Any:
    """Layout and slice logics, which the application's layout manager and slice widgets make."""
    layout = slicer.vtkMRMLLayoutLogic()
    layout.SetMRMLScene(started.scene)
    layout.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    for name in VIEWS:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(started.application)
        started.application.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(started.scene)
        logic.AddSliceNode(name)
        logic.ResizeSliceNode(300, 300)
    return layout


def main(folder: str, views: str = "") -> int:
    logging.basicConfig(level=logging.INFO, format="STORY %(message)s", stream=sys.stdout)
    when_started = start(Path(folder), bool(views))
    import SegVariance

    SegVariance.SegVariance(SimpleNamespace())
    widget = SegVariance.SegVarianceWidget()
    widget.setup()
    representation = SimpleNamespace(self=lambda: widget)
    slicer.modules.segvariance = SimpleNamespace(widgetRepresentation=lambda: representation)
    for called in when_started:
        called()
    (sample,) = SampleDataLogic.sources.values()
    sample["customDownloader"](None)
    while widget.session.opening.coming:
        slicer.app.processEvents()
    assert slicer.mrmlScene.GetFirstNodeByName("phantom_000 · vote") is not None
    tests = unittest.defaultTestLoader.loadTestsFromModule(SegVariance)
    assert tests.countTestCases() == 1
    wishes = widget.training.state.wishes
    passed = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests).wasSuccessful()
    assert (widget.training.state.study, widget.training.state.wishes) == ("", wishes), "its study is deleted"
    if pictures := os.environ.get("SEGVARIANCE_PICTURES"):
        _grab(widget, Path(pictures) / f"story{'_views' if views else ''}.png")
    widget.cleanup()
    left = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert [node.GetName() for node in left if node.GetName().endswith(" · vote")] == [], (
        "the module leaves no layer behind"
    )
    return 0 if passed else 1


def _grab(widget: Any, path: Path) -> None:
    for section in widget.parent.wrapped.findChildren(QtWidgets.QGroupBox):
        section.setChecked(True)
    widget.parent.wrapped.resize(460, widget.parent.wrapped.layout().totalHeightForWidth(460))
    assert widget.parent.wrapped.grab().save(str(path))


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # Qt and VTK, one process, no application that takes them down in order
