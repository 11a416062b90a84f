"""The single-step commands on plain folders, and what they say when something is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.study.cli import CONTENTS, build_parser, main

GRID = Geometry((8, 7, 6), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def box(z: int, y: int, x: int) -> np.ndarray:
    """A label map with one cube of 2 x 2 x 2 voxels of value 1 that begins at this voxel."""
    label_map = np.zeros(GRID.shape_zyx, np.uint8)
    label_map[z : z + 2, y : y + 2, x : x + 2] = 1
    return label_map


@pytest.fixture(params=[".nii.gz", ".nrrd"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three members seed_0 to seed_2 and references of four cases, in one of the formats."""
    for case in range(4):
        write_label_map(tmp_path / "references" / f"case_{case}{request.param}", box(1, 1, 1), GRID)
        for seed in range(3):
            drawn = box(1, 1, 1 + seed if case < 3 else 1)
            write_label_map(tmp_path / f"seed_{seed}" / f"case_{case}{request.param}", drawn, GRID)
    return tmp_path


def members(folders: Path) -> list[str]:
    return [str(folders / f"seed_{seed}") for seed in range(3)]


def test_someone_with_predictions_from_any_tool_gets_from_folders_to_a_report(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, references = folders / "scores.csv", str(folders / "references")
    assert main(["ensemble", *members(folders), "--output", str(folders / "voted")]) == 0
    assert main(["clean", str(folders / "voted"), "--output", str(folders / "cleaned")]) == 0
    given = [*members(folders), str(folders / "voted"), str(folders / "cleaned")]
    assert main(["score", *given, "--references", references, "--output", str(scores)]) == 0
    with open(scores, newline="") as file:
        dice = {
            (row["member"], row["case"]): float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "dice"
        }
    assert [dice[f"seed_{seed}", "case_0"] for seed in range(3)] == [1.0, 0.5, 0.0]
    assert dice["voted", "case_0"] == 0.5  # voxels that two of three drew: columns 2 and 3 of x
    capsys.readouterr()
    assert main(["compare", str(scores), "--json"]) == 0
    (study, *_) = json.loads(capsys.readouterr().out)["studies"]
    assert [seed["seed"] for seed in study["seeds"]] == [0, 1, 2]
    assert main(["report", str(scores), "--output", str(folders / "page.html")]) == 0
    assert "seed_1" in (folders / "page.html").read_text(encoding="utf-8")


def test_a_folder_called_predictions_is_named_by_the_one_above(folders: Path) -> None:
    (folders / "run" / "seed_7").mkdir(parents=True)
    (folders / "seed_0").rename(folders / "run" / "seed_7" / "predictions")
    target, output = str(folders / "run" / "seed_7" / "predictions"), folders / "scores.csv"
    assert main(["score", target, "--references", str(folders / "references"), "--output", str(output)]) == 0
    with open(output, newline="") as file:
        assert {(row["member"], row["seed"]) for row in csv.DictReader(file)} == {("seed_7", "7")}


def test_a_missing_prediction_is_refused_by_name_unless_it_is_allowed_aloud(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next((folders / "seed_0").glob("case_2*")).unlink()
    request = [
        "score",
        str(folders / "seed_0"),
        "--references",
        str(folders / "references"),
        "--output",
        str(folders / "s.csv"),
    ]
    assert main(request) == 2
    assert "'case_2' has a reference but no prediction" in capsys.readouterr().err
    assert not (folders / "s.csv").exists()
    assert main([*request, "--only-predicted"]) == 0
    assert "1 references without any prediction are left out" in capsys.readouterr().out


def test_minimum_size_in_mm3_removes_what_is_smaller_and_lists_it(folders: Path) -> None:
    cleaned = folders / "cleaned"
    request = [
        "clean",
        str(folders / "references"),
        "--output",
        str(cleaned),
        "--step",
        "minimum_size",
        "--minimum-mm3",
    ]
    assert main([*request, "16"]) == 0  # eight voxels of 2 mm3
    assert sum(read_label_map(path).array.sum() for path in cleaned.glob("case_*")) == 4 * 8
    assert main([*request, "16.1"]) == 0
    assert sum(read_label_map(path).array.sum() for path in cleaned.glob("case_*")) == 0
    with open(cleaned / "removed.csv", newline="") as file:
        assert [float(row["volume_ml"]) for row in csv.DictReader(file)] == pytest.approx([0.016] * 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "{}"], "is not a study"),
        (["stop", "{}"], "is not a study"),
        (["check", "{}"], "dataset.json does not exist"),
        (["compare", "{}/none.csv"], "does not exist"),
        (["report", "{}/none.csv"], "does not exist"),
        (["ensemble", "{}", "--output", "{}/o"], "holds no images"),
        (["score", "{}/none", "--references", "{}"], "holds no images"),
        (["predict", "{}", "--images", "{}", "--output", "{}/o"], "is not a study"),
        (["plan", "{}", "{}/study", "--budget", "3 parsecs"], "'3 parsecs' is not understood"),
        (["plan", "{}", "{}/study", "--seeds", "0"], "at least one seed"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_two(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"segvariance {arguments[0]}: ")
    assert said in printed
    assert "Traceback" not in printed


def test_an_output_that_cannot_be_written_is_named_without_a_traceback(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "a_file").write_text("in the way")
    output = str(folders / "a_file" / "scores.csv")
    assert (
        main(["score", str(folders / "seed_0"), "--references", str(folders / "references"), "--output", output]) == 2
    )
    printed = capsys.readouterr().err
    assert "a_file" in printed
    assert "Check that the path exists" in printed


def test_check_lists_every_problem_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = make_phantom(tmp_path / "dataset", seed=3, cases=4)
    images = sorted((dataset / "imagesTr").iterdir())
    images[0].write_bytes(b"not an image")
    images[1].unlink()
    assert main(["check", str(dataset), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert sum(problem["fatal"] for problem in problems) >= 2
    assert main(["plan", str(dataset), str(tmp_path / "study")]) == 2
    assert not (tmp_path / "study").exists()


def test_the_help_lists_every_command_as_a_table_of_contents(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    (choices,) = [action.choices for action in build_parser()._actions if action.choices]
    for command in choices:
        assert f"  {command} " in printed or f"also: {command}" in printed
    assert CONTENTS in printed


def test_images_of_one_patient_are_named_when_scored_and_none_may_lack(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups, scores = folders / "groups.csv", folders / "scores.csv"
    given = ["score", *members(folders), "--references", str(folders / "references"), "--output", str(scores)]
    groups.write_text("case,patient\ncase_0,ann\ncase_1,ann\ncase_2,bob\n")
    asked = [*given, "--groups", str(groups), "--group-column", "patient"]
    assert main(asked) == 2
    assert "names no group for 1 of 4 cases, the first is 'case_3'" in " ".join(capsys.readouterr().err.split())
    assert not scores.exists()
    groups.write_text(groups.read_text() + "case_3,cleo\n")
    assert main(asked) == 0
    with open(scores, newline="") as file:
        assert {(row["case"], row["patient"]) for row in csv.DictReader(file)} == {
            ("case_0", "ann"),
            ("case_1", "ann"),
            ("case_2", "bob"),
            ("case_3", "cleo"),
        }
