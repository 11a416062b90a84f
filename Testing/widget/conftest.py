"""Panels over the shim, offscreen; without PySide6 these tests are skipped and say so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
if "slicer" in sys.modules:
    WHY_NOT = "the real slicer is loaded in this process, for Testing/scene: run Testing/widget by itself"
else:
    try:
        import shim

        WHY_NOT = ""
    except ImportError as error:
        WHY_NOT = f"{error}: the widget tests need PySide6 (pip install PySide6_Essentials)"
    else:
        APPLICATION = shim.install()


class _Skipped(pytest.Module):
    def collect(self) -> list:
        pytest.skip(WHY_NOT, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> Any:
    """Without PySide6 a test file is skipped with its reason before it imports anything."""
    return _Skipped.from_parent(parent, path=module_path) if WHY_NOT else None


@pytest.fixture
def load():
    """Load a .ui file by its name, 460 pixels wide as Slicer's module panel is."""

    def loaded(name: str) -> Any:
        widget = shim.load_ui(shim.UI / f"{name}.ui")
        widget.wrapped.resize(460, 10)
        return widget

    return loaded


@pytest.fixture
def picture(tmp_path):
    """Write a PNG of a panel to look at, into SEGVARIANCE_PICTURES or a temporary folder, and return its path."""

    folder = Path(os.environ.get("SEGVARIANCE_PICTURES", tmp_path)).resolve()  # now: a test may go to another folder

    def grabbed(widget: Any, name: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        widget.wrapped.show()  # only what is shown is laid out anew when something in it changes
        for _ in range(2):
            widget.wrapped.resize(460, widget.wrapped.layout().totalHeightForWidth(460))
            APPLICATION.processEvents()
        path = folder / f"{name}.png"
        assert widget.wrapped.grab().save(str(path))
        widget.wrapped.hide()
        return path

    return grabbed
