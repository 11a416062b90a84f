"""The real MRML scene, with the few things of the application that ``slicer.util`` and file formats ask for.

The slicer-core wheel holds every class of Slicer that needs no Qt, but nothing that starts them: a scene, an application
logic and module logics, which the application makes at its start, are made here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")  # before vtk: pictures without a display

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for started.py, and for offscreen.py, which draws what the tests look at

try:
    import slicer
    from started import start_scene
except ImportError as error:
    slicer = None
    WHY_NOT = f"{error}: the scene tests need the slicer-core wheel (pip install 'slicer-core>=5.11.0.6')"


class _WithoutSlicer(pytest.Module):
    def collect(self) -> list:
        pytest.skip(WHY_NOT, allow_module_level=True)


class _WithoutDrawing(pytest.Module):
    def collect(self) -> list:
        pytest.skip(
            "VTK cannot draw here: EGL is missing (Debian: libegl1 libgl1 libgl1-mesa-dri)", allow_module_level=True
        )


@cache
def _can_draw() -> bool:
    """Tried in a child, since VTK without a graphics library may take its process down."""
    draw = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(True); w.Render()"
    return subprocess.run([sys.executable, "-c", draw], capture_output=True).returncode == 0


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> Any:
    """Without slicer, or without anything to draw with, a test file is skipped with its reason before it imports anything."""
    if slicer is None:
        return _WithoutSlicer.from_parent(parent, path=module_path)
    draws = any(word in module_path.read_text() for word in ("from offscreen", "write_chart"))
    return _WithoutDrawing.from_parent(parent, path=module_path) if draws and not _can_draw() else None


def pytest_collection_modifyitems(items: list) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("slicer")


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Any], SimpleNamespace]:
    """Makes the logics of a scene, also of a second one."""
    unpacked = tmp_path.with_name(f"{tmp_path.name}_unpacked")
    unpacked.mkdir()
    return lambda scene: start_scene(scene, unpacked)


@pytest.fixture
def mrml(start: Callable[[Any], SimpleNamespace]) -> Iterator[SimpleNamespace]:
    """A fresh scene with its logics: ``mrml.scene``, ``mrml.application``, ``mrml.segmentations`` and so on."""
    started = start(slicer.vtkMRMLScene())
    yield started
    started.scene.Clear(True)


@pytest.fixture
def scene(mrml: SimpleNamespace) -> Any:
    return mrml.scene


def grid(turn_degrees: tuple[float, float, float] = (0, 0, 0), mirrored: bool = False) -> Geometry:
    """30 x 24 x 18 voxels (x, y, z) of unequal spacing, turned, and left-handed if ``mirrored``."""
    direction = Rotation.from_euler("xyz", turn_degrees, degrees=True).as_matrix()
    if mirrored:
        direction = direction @ np.diag([1, 1, -1])
    return Geometry((30, 24, 18), (0.7, 0.9, 1.3), (11.3, -20.7, 33.1), tuple(direction.ravel().tolist()))


GRIDS = {
    "plain": grid(),
    "oblique": grid((12, -20, 31)),
    "left-handed": grid(mirrored=True),
    "oblique left-handed": grid((12, -20, 31), mirrored=True),
}


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def geometry(request: pytest.FixtureRequest) -> Geometry:
    return request.param


@pytest.fixture
def tumour() -> LabelSet:
    """The labels of BraTS: 1, 2 and 4, and no 3."""
    return LabelSet((Structure("necrosis", (1,)), Structure("edema", (2,)), Structure("enhancing", (4,))))


@pytest.fixture
def regions() -> LabelSet:
    """The same as regions that overlap."""
    nested = (Structure("whole", (1, 2, 4)), Structure("core", (1, 4)), Structure("enhancing", (4,)))
    return LabelSet(nested, regions_class_order=(2, 1, 4))


@pytest.fixture
def label_map() -> np.ndarray:
    """Nested boxes of edema around necrosis around enhancing tissue, off the middle, uint8 [z, y, x] = [18, 24, 30]."""
    drawn = np.zeros((18, 24, 30), dtype=np.uint8)
    drawn[3:14, 4:18, 6:27] = 2
    drawn[5:11, 7:15, 9:20] = 1
    drawn[6:9, 8:12, 10:16] = 4
    return drawn
