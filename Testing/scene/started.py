"""What the application makes for its scene when it starts: an application logic, module logics, where files are unpacked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
import vtk

_MODULES = {
    "volumes": "vtkSlicerVolumesLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "tables": "vtkSlicerTablesLogic",
}


def start_scene(scene: Any, unpacked: Path) -> SimpleNamespace:
    """What the application makes for its scene: ``.scene``, ``.application`` and the logics, and ``slicer.modules``."""
    cache, files = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(unpacked))  # for scenes in one file (.mrb); all that lies there is looked through
    files.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(files)
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    colours = application.GetColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    application.SetModuleLogic("Colors", colours)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    logics = {name: getattr(slicer, kind)() for name, kind in _MODULES.items()}
    for name, logic in logics.items():
        logic.SetMRMLScene(scene)
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name.capitalize(), logic)
    slicer.mrmlScene = scene
    slicer.modules = SimpleNamespace(
        **{name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    )
    slicer.app = SimpleNamespace(mrmlScene=lambda: scene, applicationLogic=lambda: application)
    return SimpleNamespace(scene=scene, application=application, **logics)
