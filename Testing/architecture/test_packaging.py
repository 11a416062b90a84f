"""What the extension packages: CMake copies only what is listed, so the lists must be the tree."""

from __future__ import annotations

import ast
import json
import re
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "SegVariance"


def listed(file: Path, name: str) -> list[str]:
    """The entries of ``set(<name> ...)`` in a CMakeLists.txt."""
    found = re.search(rf"set\({name}\s+([^)]*)\)", file.read_text(encoding="utf-8"))
    assert found, f"{file} sets no {name}"
    return found[1].split()


def there(folder: Path, pattern: str, relative_to: Path) -> set[str]:
    found = (path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(relative_to).as_posix() for path in found}


LISTS = {
    "SEGVARIANCE_LIBRARY": (ROOT / "CMakeLists.txt", there(ROOT / "SegVarianceLib", "*", ROOT)),
    "MODULE_PYTHON_SCRIPTS": (MODULE / "CMakeLists.txt", there(MODULE, "*.py", MODULE)),
    "MODULE_PYTHON_RESOURCES": (MODULE / "CMakeLists.txt", there(MODULE / "Resources", "*", MODULE)),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_list_of_what_is_packaged_is_the_tree(name):
    file, tree = LISTS[name]
    entries = listed(file, name)
    assert len(entries) == len(set(entries)), "an entry stands twice"
    assert tree, "nothing to package is a mistake of this test"
    assert not tree - set(entries), f"add these to {name} in {file}"
    assert not set(entries) - tree, f"{name} in {file} lists what is not there"


CATALOGUE_KEYS = {
    "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "build_subdirectory",
    "dicom_support_rule", "enabled", "tier",
}  # fmt: skip
"""What the schema v1.0.2 of Slicer allows; it requires the first three."""


def test_the_catalogue_entry_has_the_keys_of_its_schema_and_the_name_of_the_extension():
    entry = json.loads((ROOT / "SegVariance.json").read_text(encoding="utf-8"))
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert {"$schema", "category", "scm_url"} <= entry.keys() <= CATALOGUE_KEYS
    assert isinstance(entry["tier"], int) and 1 <= entry["tier"] <= 5
    assert isinstance(entry["build_dependencies"], list)
    project = re.search(r"^project\((\w+)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert project and project[1] == "SegVariance", "the entry's file, the project and the extension have one name"
    assert Path(entry["scm_url"]).stem == f"Slicer{project[1]}", "the repository is called Slicer and that name"


def extension_facts() -> dict[str, str]:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r'set\((EXTENSION_\w+) "([^"]*)"\)', text))


def test_the_extension_and_its_catalogue_entry_say_the_same():
    entry, facts = json.loads((ROOT / "SegVariance.json").read_text(encoding="utf-8")), extension_facts()
    assert entry["scm_url"].removesuffix(".git") == facts["EXTENSION_HOMEPAGE"]
    assert (entry["build_dependencies"], facts["EXTENSION_DEPENDS"]) == ([], "NA")
    assert "EXTENSION_CATEGORY" not in facts, "Slicer takes the category from the catalogue entry"


def pictures_of_the_catalogue() -> list[Path]:
    facts = extension_facts()
    urls = [facts["EXTENSION_ICONURL"], *facts["EXTENSION_SCREENSHOTURLS"].split()]
    start = facts["EXTENSION_HOMEPAGE"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    assert all(url.startswith(start) for url in urls), "raw files of the repository, no pages that show them"
    return [ROOT / url.removeprefix(start) for url in urls]


def pictures_of_the_texts() -> list[Path]:
    texts = [*ROOT.glob("*.md"), *(ROOT / "Resources" / "docs").glob("*.md")]
    named = ((text, re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text.read_text(encoding="utf-8"))) for text in texts)
    return [(text.parent / name).resolve() for text, names in named for name in names if "://" not in name]


def test_every_picture_that_a_text_or_the_catalogue_names_is_there():
    named = pictures_of_the_catalogue() + pictures_of_the_texts()
    assert len(named) > 3, "a test that finds no pictures proves nothing"
    assert [path for path in named if not path.is_file()] == []


def test_screenshots_are_small_and_none_lies_about_unused():
    there = set((ROOT / "Resources" / "Screenshots").glob("*"))
    assert there <= {*pictures_of_the_catalogue(), *pictures_of_the_texts()}
    assert {path.name: path.stat().st_size for path in there if path.stat().st_size > 150_000} == {}


def test_the_icon_is_a_png_of_128_pixels():
    head = (MODULE / "Resources" / "Icons" / "SegVariance.png").read_bytes()[:24]
    assert head.startswith(b"\x89PNG") and struct.unpack(">II", head[16:24]) == (128, 128)


def test_the_path_is_changed_in_one_place_only():
    sources = [*MODULE.rglob("*.py"), *(ROOT / "SegVarianceLib").rglob("*.py")]
    changing = [path for path in sources if re.search(r"sys\.path\.(append|insert|extend)", path.read_text("utf-8"))]
    assert changing == [MODULE / "SegVariance.py"]


def imported(path: Path) -> set[str]:
    """First parts of the names of all modules that a source file imports absolutely."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found


def test_only_panels_and_the_module_itself_know_qt():
    panels = MODULE / "SegVarianceSlicer" / "panels"
    for path in MODULE.rglob("*.py"):
        if path.name != "SegVariance.py" and panels not in path.parents:
            assert not imported(path) & {"qt", "ctk"}, f"{path} imports qt"


def test_presenters_and_states_know_no_slicer():
    for path in (MODULE / "SegVarianceSlicer").glob("*_*.py"):
        if path.name.startswith(("presenter_", "state_")):
            assert not imported(path) & {"slicer", "vtk", "qt", "ctk"}, f"{path} imports Slicer"
