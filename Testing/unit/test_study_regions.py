"""The command ``regions`` on real files, and what it shows: sentences, tables, the plot."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.ensemble.region_recipe import RegionRecipe
from SegVarianceLib.ensemble.region_rules import region_probabilities
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.evaluation.region_steps import mean_steps, region_steps
from SegVarianceLib.report.region_plot import region_plot, region_sentences, region_step_table
from SegVarianceLib.report.tables import table_csv
from SegVarianceLib.review.open_case import read_case
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.regions_of_case import reconstruction_of
from SegVarianceLib.study.cli import main

GRID = Geometry((20, 2, 1), (1.0, 1.0, 10.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
TEXT = "whole=1,2; core=2"
LABELS = LabelSet((Structure("whole", (1, 2)), Structure("core", (2,))), regions_class_order=(1, 2))


def row(whole: slice, core: slice) -> np.ndarray:
    label_map = np.zeros((1, 2, 20), np.uint8)
    label_map[..., whole] = 1
    label_map[..., core] = 2
    return label_map


REFERENCE = row(slice(2, 18), slice(6, 14))
MEMBERS = {
    "a": row(slice(4, 18), slice(8, 16)),
    "b": row(slice(2, 18), slice(2, 12)),
    "c": row(slice(3, 18), slice(8, 16)),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three members and a reference of two cases; the second case is drawn as the first one."""
    for case in ("p1", "p2"):
        write_label_map(tmp_path / f"references/{case}.nii.gz", REFERENCE, GRID)
        for name, label_map in MEMBERS.items():
            write_label_map(tmp_path / f"members/{name}/{case}.nii.gz", label_map, GRID)
    return tmp_path


def members(folder: Path) -> list[str]:
    return [str(folder / "members" / name) for name in MEMBERS]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_members_vote_by_region_and_every_step_is_written(folder, capsys):
    written = folder / "out"
    told = [
        *members(folder),
        "--references",
        str(folder / "references"),
        "--regions",
        TEXT,
        "--output",
        str(written),
    ]
    assert main(["regions", *told]) == 0
    # Two of three drew whole 3..17 and core 8..15 (a and c).
    expected = row(slice(3, 18), slice(8, 16))
    np.testing.assert_array_equal(read_label_map(written / "p1.nii.gz").array, expected)
    rows = rows_of(written / "region_steps.csv")
    assert [row["Case"] for row in rows] == ["p1"] * 3 + ["p2"] * 3 + ["mean of 2 cases"] * 3
    whole, label_1, core = rows[-3:]
    assert float(whole["Dice"]) == pytest.approx(30 / 31)
    assert float(label_1["Dice"]) == pytest.approx(2 * 5 / (8 + 7))  # 3, 4, 5, 16 and 17 of 8 and of 7 voxels
    assert float(label_1["Dice"]) - float(whole["Dice"]) == pytest.approx(
        float(label_1["Change: volume"]) + float(label_1["Change: errors"])
    )
    assert float(core["Dice"]) == pytest.approx(12 / 16)
    cross = {
        (r["Reference label"], r["Rebuilt label"]): float(r["ml"]) for r in rows_of(written / "region_cross.csv")[:8]
    }
    assert cross["2", "1"] == pytest.approx(0.04)  # 2 x 2 voxels of 10 mm3
    said = capsys.readouterr().out
    assert "core lies inside whole." in said
    assert "Label 1 begins as region whole with Dice 0.968 and ends at 0.667 when core is painted over it" in said
    assert "p1: vote by region of 3: label 1 0.140 ml, label 2 0.160 ml; orphans: none" in said


def test_a_threshold_per_region_makes_orphans_and_is_kept_in_the_recipe(folder, capsys):
    told = ["--regions", TEXT, "--threshold", "core=0.2", "--threshold", "whole=0.7", "--output", str(folder / "out")]
    assert main(["regions", *members(folder), *told]) == 0
    # Whole by all three: 4..17; core by any: 2..15.
    assert (
        "p1: vote by region of 3: label 1 0.040 ml, label 2 0.280 ml; orphans: core 0.040 ml" in capsys.readouterr().out
    )
    recipe = RegionRecipe.read(folder / "out" / "regions.json")
    assert recipe == RegionRecipe(LABELS, thresholds=(0.7, 0.2))


def test_other_rules_are_named_in_the_recipe_and_say_what_they_changed(folder, capsys):
    told = ["--regions", TEXT, "--output", str(folder / "out"), "--rule"]
    assert main(["regions", *members(folder), *told, "nested"]) == 0
    assert "p1: probabilities of 0 voxels lowered" in capsys.readouterr().out  # votes are nested as members are
    assert main(["regions", *members(folder), *told, "label_probability"]) == 0
    assert RegionRecipe.read(folder / "out" / "regions.json").rule == "label_probability"
    written = read_label_map(folder / "out" / "p1.nii.gz").array
    # Each voxel's label with most of the three votes: 12..13 is 2 by a and c, 16 and 17 is 1 by all.
    votes = np.stack([[label_map == value for label_map in MEMBERS.values()] for value in (0, 1, 2)]).sum(axis=1)
    np.testing.assert_array_equal(written, votes.argmax(axis=0))


def test_one_member_is_looked_at_alone(folder, capsys):
    told = ["--regions", TEXT, "--references", str(folder / "references"), "--member", "b"]
    assert main(["regions", *members(folder), *told]) == 0
    said = capsys.readouterr().out
    assert "label map of 1" in said
    assert "Label 1 begins as region whole with Dice 1.000" in said
    assert main(["regions", *members(folder), *told, "--member", "z"]) == 2
    assert "There is no member 'z'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ([], "There are no regions. Give folders"),
        (["--regions", "a=1"], "single labels only"),
        (["--regions", "whole=1,2; core=2", "--order", "2,1"], "paints region 'core' with 1"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(told, sentence, capsys):
    assert main(["regions", *told]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_definitions_alone_are_described_and_a_damaging_order_is_a_problem(tmp_path, capsys):
    assert main(["regions", "--regions", "whole=1,2,4; core=1,4; enhancing=4"]) == 0
    assert "Every label comes back." in capsys.readouterr().out
    assert main(["regions", "--regions", "tail=2; both=1,2", "--order", "2,1"]) == 2
    said = capsys.readouterr().out
    assert "problem" in said and "does not give back 'tail'" in said
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "a": [1, 2]}, "regions_class_order": [1]})
    )
    assert main(["regions", "--dataset", str(tmp_path)]) == 0
    assert "label 2 comes back as 1" in capsys.readouterr().out


def test_regions_alone_are_written_as_a_recipe_with_their_thresholds(tmp_path, capsys):
    told = ["regions", "--regions", TEXT, "--rule", "nested", "--output", str(tmp_path / "out"), "--threshold"]
    assert main([*told, "core=0.2"]) == 0
    assert RegionRecipe.read(tmp_path / "out" / "regions.json") == RegionRecipe(LABELS, "nested", (0.5, 0.2))
    assert main([*told, "core=7"]) == 2
    assert "from 0 to 1" in capsys.readouterr().err


def test_predictions_without_regions_are_refused(folder, capsys):
    assert main(["regions", *members(folder)]) == 2
    assert "Say them" in capsys.readouterr().err


def test_kept_probabilities_of_labels_add_up_to_those_of_regions(tmp_path):
    """A study's predictions folder, as the built-in backend keeps it: 8-bit probabilities of background and labels."""
    channels = np.zeros((3, 1, 2, 20), np.uint8)
    channels[0], channels[1, ..., :10], channels[2, ..., :10] = 255, 100, 60
    channels[0, ..., :10] = 95
    summed = region_probabilities(channels / np.float32(255), (1, 2), LABELS)
    np.testing.assert_allclose(summed[:, 0, 0, 0], [160 / 255, 60 / 255], atol=1e-6)
    write_label_map(tmp_path / "m/predictions/p1.nii.gz", REFERENCE, GRID)
    write_probabilities(tmp_path / "m/probabilities/p1.nrrd", channels, GRID, ["background", "one", "two"])
    review = open_review(tmp_path / "m", labels=LABELS)
    opened = read_case(review, review.cases[0].id)
    rebuilt = reconstruction_of(opened, LABELS, probabilities=True)
    assert np.count_nonzero(rebuilt.label_map) == 20


def test_kept_probabilities_of_regions_are_taken_as_they_are_and_only_where_the_case_lies(tmp_path, capsys):
    channels = np.zeros((2, 1, 2, 20), np.uint8)
    channels[0, ..., 4:18], channels[1, ..., 8:20] = 200, 150
    write_label_map(tmp_path / "m/predictions/p1.nii.gz", REFERENCE, GRID)
    path = tmp_path / "m/probabilities/p1.nrrd"
    write_probabilities(path, channels, GRID, ["whole", "core"])
    told = ["regions", str(tmp_path / "m"), "--regions", TEXT, "--probabilities", "--output", str(tmp_path / "out")]
    assert main(told) == 0
    assert (
        "mean probability of 1: label 1 0.080 ml, label 2 0.240 ml; orphans: core 0.040 ml" in capsys.readouterr().out
    )
    assert main([*told, "--rule", "nested"]) == 0
    said = capsys.readouterr().out
    assert "p1: probabilities of 4 voxels lowered" in said and "orphans: none" in said
    elsewhere = Geometry(GRID.size, GRID.spacing_mm, (5.0, 0.0, 0.0), GRID.direction)
    write_probabilities(path, channels, elsewhere, ["whole", "core"])
    assert main(told) == 2
    assert "origin" in capsys.readouterr().err
    for wrong, names in ((channels[:1], ["whole"]), (channels, ["core", "whole"])):
        write_probabilities(path, wrong, GRID, names)
        assert main(told) == 2
        assert "are neither the regions whole, core, in this order, nor the background" in capsys.readouterr().err


def test_the_plot_is_well_formed_and_shows_every_label_and_its_region():
    found = region_steps(Reconstruction.of_label_map(MEMBERS["a"], LABELS, 10.0, REFERENCE))
    svg = ET.fromstring(region_plot(found))  # noqa: S314 (our own)
    texts = ["".join(element.itertext()) for element in svg.iter("text")]
    assert {"label 1", "label 2", "whole", "core", "\N{MINUS SIGN} core", "0.933 to 0.571", "0.750"} <= set(texts)
    marks = [element for element in svg.iter() if "mark" in element.get("class", "")]
    assert len(marks) == len(found.steps)


def test_a_label_that_nobody_has_is_absent_in_plot_sentences_and_table():
    nothing = np.zeros_like(REFERENCE)
    found = mean_steps([region_steps(Reconstruction.of_label_map(nothing, LABELS, 10.0, nothing))])
    assert "absent" in region_plot(found)
    assert region_sentences(found)[0] == "Label 1: there is nothing to compare, in no case both steps have a Dice."
    assert table_csv(region_step_table({"x": found})).splitlines()[1] == "x,1,whole,1,whole,,,,0.0,0.0,0.0,,0.0,0"
