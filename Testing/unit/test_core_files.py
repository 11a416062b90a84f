"""Files appear whole or not at all, and names and paths stay in their folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import (
    path_inside,
    read_json,
    remove_half_written,
    safe_name,
    sha256_of_file,
    sha256_of_json,
    write_beside_and_rename,
    write_json,
    write_text,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "scan.nii.gz"
    write_text(path, "old")

    def fail(beside: Path) -> None:
        assert beside.parent == path.parent
        assert beside.name.endswith(".nii.gz")
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_beside_and_rename(path, fail)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    command = (
        "import os, sys; from pathlib import Path; from SegVarianceLib.core.files import write_beside_and_rename;"
        "write_beside_and_rename(Path(sys.argv[1]), lambda beside: (beside.write_text('half'), os._exit(9)))"
    )
    path = tmp_path / "runs" / "scan.nii.gz"
    write_text(tmp_path / "runs" / "kept.txt", "whole")
    assert subprocess.run([sys.executable, "-c", command, str(path)], check=False).returncode == 9
    assert len(list(path.parent.iterdir())) == 2
    remove_half_written(tmp_path)
    assert [left.name for left in path.parent.iterdir()] == ["kept.txt"]


def test_while_it_is_written_a_reader_sees_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    seen = []

    def write(beside: Path) -> None:
        beside.write_text("new")
        seen.append(path.read_text())

    write_beside_and_rename(path, write)
    assert (seen, path.read_text()) == (["old"], "new")


def test_json_keeps_the_order_of_keys_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"whole": 1, "core": 2, "a": "é"})
    assert list(read_json(tmp_path / "a.json")) == ["whole", "core", "a"]
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "does not exist"), (b"{", "not valid JSON"), (b"\xff\xfe\xfa", "as text"), (b"[" * 100_000, "not valid")],
)
def test_unreadable_json_is_refused_with_its_name(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SegVarianceError, match=rf"a\.json .*{words}"):
        read_json(tmp_path / "a.json")


def test_digests_know_content_only(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_json({"a": 1, "b": [1, 2]}) == sha256_of_json({"b": [1, 2], "a": 1})
    assert sha256_of_json([1, 2]) != sha256_of_json([2, 1])


@pytest.mark.parametrize("name", ["a", "hippocampus_003", "TCGA-DU-7294", "scan.v2", "a" * 128, "0+1"])
def test_ordinary_names_are_safe(name):
    assert safe_name(name, "case id") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "-rf", "a b", "a\n", "a.", "a" * 129, "C:", "é", None, 3]
)
def test_other_names_are_refused(name):
    with pytest.raises(SegVarianceError, match="cannot be a case id"):
        safe_name(name, "case id")


@given(st.text(max_size=12))
def test_a_safe_name_is_one_part_of_a_path(name):
    try:
        safe_name(name, "case id")
    except SegVarianceError:
        return
    assert Path("folder", name).parent == Path("folder")
    assert Path(name).name == name


@pytest.mark.parametrize("relative", ["..", ".", "", "../a", "a/../../b", "/etc/passwd", "link/secret", "a\0b", None])
def test_a_path_that_leaves_its_folder_is_refused(tmp_path, relative):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(SegVarianceError, match="leads out"):
        path_inside(folder, relative, "image")


@pytest.mark.parametrize("relative", ["a", "./a", "b/../a", "b/../b/../a"])
def test_a_path_inside_its_folder_is_joined(tmp_path, relative):
    assert path_inside(tmp_path, relative, "image") == (tmp_path / "a").resolve()
