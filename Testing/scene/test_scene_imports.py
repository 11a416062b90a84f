"""The scene package brings nothing along that Slicer's own Python does not hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {
    "qt",
    "ctk",
    "PySide6",
    "torch",
    "monai",
    "safetensors",
    "pandas",
    "matplotlib",
    "plotly",
    "psutil",
    "rich",
}


def test_a_fresh_interpreter_loads_slicer_and_vtk_and_nothing_heavier():
    modules = [f"SegVarianceLib.scene.{path.stem}" for path in (ROOT / "SegVarianceLib" / "scene").glob("[a-z]*.py")]
    assert len(modules) > 8
    script = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"slicer", "vtk", *modules} <= loaded
    assert not FORBIDDEN & loaded
