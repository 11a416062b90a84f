"""The machine and the versions that a study was last worked on with: ``environment.json``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from .. import __version__
from ..core.machine import usable_cores

_PACKAGES = ("numpy", "scipy", "SimpleITK", "torch", "safetensors")


def environment() -> dict[str, object]:
    """Versions, processor, cores that may be used, and memory."""
    return {
        "segvariance": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    """The processor's name; Linux tells it in a file only."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
