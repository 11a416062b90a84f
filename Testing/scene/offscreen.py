"""Slice and 3D views as the application draws them, without it and without a display (EGL)."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_SLICE_MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D",)
_3D_MANAGERS = (
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


class _View:
    """A render window of ``pixels`` (width, height) with Slicer's displayable managers for one view node."""

    def __init__(self, factory: Any, managers: tuple[str, ...], application: Any, pixels: tuple[int, int]):
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetSize(*pixels)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        factory.SetMRMLApplicationLogic(application)
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = factory.InstantiateDisplayableManagers(self.renderer)

    def picture(self) -> np.ndarray:
        """What is drawn, uint8 [row, column, rgb], top row first."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


class OffscreenSlice(_View):
    """A slice view; its logic is known to the application under the view's tag, as in Slicer."""

    def __init__(self, mrml: Any, view: Any, pixels: tuple[int, int] = (400, 400)):
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, _SLICE_MANAGERS, mrml.application, pixels)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(mrml.application)
        mrml.application.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(mrml.scene)
        self.logic.AddSliceNode(view.tag)
        node = self.logic.GetSliceNode()
        node.SetDimensions(*pixels, 1)
        self.logic.ResizeSliceNode(*pixels)
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self.mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)  # before the managers draw: what lies over the image must be blended over it
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.managers.SetMRMLDisplayableNode(node)

    def picture(self) -> np.ndarray:
        self.mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().picture()


class Offscreen3D(_View):
    """A 3D view that looks at everything from the patient's front and left."""

    def __init__(self, mrml: Any, pixels: tuple[int, int] = (400, 400)):
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, _3D_MANAGERS, mrml.application, pixels)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(mrml.application)
        mrml.application.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(mrml.scene)
        node = self.logic.AddViewNode("1")
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        self.managers.SetMRMLDisplayableNode(node)

    def picture(self) -> np.ndarray:
        camera = self.renderer.GetActiveCamera()
        camera.SetPosition(-1, 2, 0.7)
        camera.SetFocalPoint(0, 0, 0)
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera()
        camera.Zoom(1.4)
        return super().picture()
