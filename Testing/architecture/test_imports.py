"""Who may import whom: read from the sources, and seen in fresh interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "SegVarianceLib"
ORDER = (
    "core", "metrics", "dataset", "plan", "ensemble", "evaluation", "stats", "report", "review",
    "scene",
    "model", "training", "prediction", "backends", "study",
)  # fmt: skip
LIGHT, HEAVY = ORDER[: ORDER.index("scene")], ORDER[ORDER.index("model") :]
NEVER = {"slicer", "vtk", "vtkmodules", "qt", "ctk", "pandas", "matplotlib", "plotly"}
NOT_IN_LIGHT = NEVER | {"torch", "monai", "safetensors"}
NOT_IN_SCENE = NOT_IN_LIGHT - {"slicer", "vtk"}
SLICER_HAS = {"numpy", "scipy", "SimpleITK", "SegVarianceLib", "SegVarianceSlicer"}
MOST_LINES = 350

SOURCES = sorted(LIBRARY.rglob("*.py"))


def module_name(path: Path) -> str:
    """Dotted name of a source file; a package has that of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def imported(path: Path) -> set[str]:
    """Every module that a source file names in an import, at its head or inside a function."""
    package = path.relative_to(ROOT).parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
                if node.level
                else [node.module]
            )
            whole = ".".join(str(part) for part in base)
            below = {f"{whole}.{alias.name}" for alias in node.names}
            # `from . import checkpoint` names a module, `from .errors import SegVarianceError` something in one.
            found |= below & MODULES.keys() or {whole}
    return found


def of_library(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == "SegVarianceLib"}


def package_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def modules_of(package: str) -> list[str]:
    return [name for name in MODULES if package_of(name) == package]


def test_every_package_has_its_place_in_the_order():
    assert {package_of(name) for name in MODULES} - {None} == set(ORDER)


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_packages_above_it(package):
    allowed = {None, *ORDER[: ORDER.index(package) + 1]} - ({"scene"} if package in HEAVY else set())
    for module in modules_of(package):
        below = {name for name in of_library(imported(MODULES[module])) if package_of(name) not in allowed}
        assert not below, f"{module} imports {sorted(below)}"


def test_the_root_package_imports_none_of_its_own():
    assert not of_library(imported(LIBRARY / "__init__.py"))


def test_modules_import_each_other_in_no_circle():
    graph = {name: of_library(imported(path)) - {name, "SegVarianceLib"} for name, path in MODULES.items()}
    assert set(TopologicalSorter(graph).static_order()) <= MODULES.keys()


@pytest.mark.parametrize("package", ORDER)
def test_no_source_names_a_forbidden_library(package):
    forbidden = NOT_IN_SCENE if package == "scene" else NOT_IN_LIGHT if package in LIGHT else NEVER
    for module in modules_of(package):
        named = {name.split(".")[0] for name in imported(MODULES[module])}
        assert not named & forbidden, f"{module} imports {sorted(named & forbidden)}"


@pytest.mark.parametrize(
    ("packages", "forbidden"),
    [*(((package,), NOT_IN_LIGHT) for package in LIGHT), (HEAVY, NEVER)],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_fresh_interpreter_loads_nothing_forbidden(packages, forbidden):
    """The sources alone do not tell what the libraries that they import bring along."""
    names = [name for package in packages for name in modules_of(package) if not name.endswith(".__main__")]
    script = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert set(names) <= loaded
    assert not forbidden & loaded


def test_the_review_half_loads_where_python_has_nothing_but_numpy_scipy_and_simpleitk():
    """As in Slicer, whose own Python gets nothing installed: all else that is not Python's own cannot be imported."""
    slicer_side = ROOT / "SegVariance" / "SegVarianceSlicer"
    presenters = [f"SegVarianceSlicer.{path.stem}" for path in slicer_side.glob("[a-z]*.py")]
    of_slicer = {"SegVarianceSlicer.self_test", "SegVarianceSlicer.review_scene"}  # these two name the scene
    names = [name for package in LIGHT for name in modules_of(package)] + sorted({*presenters} - of_slicer)
    script = f"""
import importlib, sys
class NothingElse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        own = top in sys.stdlib_module_names or top.startswith("_sysconfigdata")
        if not own and top not in {SLICER_HAS!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NothingElse())
sys.path[:0] = [{str(ROOT)!r}, {str(slicer_side.parent)!r}]
for name in {names!r}: importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_nothing_is_packaged_as_testing():
    assert not list((ROOT / "Testing").rglob("__init__.py"))
    assert "Testing" not in {part for name in MODULES for part in name.split(".")}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_and_stays_short(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{module} has no docstring"
    assert len(text.splitlines()) <= MOST_LINES
