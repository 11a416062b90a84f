"""The commands ensemble, rules and uncertainty on folders and on a study's folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import read_geometry, read_image, read_label_map, write_label_map
from SegVarianceLib.dataset.labelling import labels_of_values
from SegVarianceLib.dataset.probability_maps import read_probabilities, write_probabilities
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities, mean_probability
from SegVarianceLib.study.cli import main

GRID = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (3.1, 0.0, 0.0), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
LABELS = labels_of_values((1, 2))


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Label maps of three members and two cases with 8-bit probabilities in folders of their own, references, dataset.json."""
    rng = np.random.default_rng(0)
    for case in ("p", "q"):
        for member in range(3):
            exponentials = np.exp(rng.normal(0, 2, (3, *GRID.shape_zyx)))
            stored = quantise_probabilities(exponentials / exponentials.sum(axis=0))
            write_label_map(tmp_path / f"m{member}" / f"{case}.nii.gz", labels_from_probabilities(stored, LABELS), GRID)
            names = ("background", "label_1", "label_2")
            write_probabilities(tmp_path / f"prob{member}" / f"{case}.nrrd", stored, GRID, names)
        drawn = rng.integers(0, 3, GRID.shape_zyx).astype(np.uint8)
        write_label_map(tmp_path / "references" / f"{case}.nii.gz", drawn, GRID)
    declared = {"background": 0, "label_1": 1, "label_2": 2}
    training = [{"image": "m0/p.nii.gz", "label": "references/p.nii.gz"}]
    write_json(
        tmp_path / "dataset.json",
        {"labels": declared, "channel_names": {"0": "MRI"}, "file_ending": ".nii.gz", "training": training},
    )
    return tmp_path


def lines(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_rule_on_label_maps_can_be_asked_for_and_is_written_down(folders):
    members = [str(folders / f"m{member}") for member in range(3)]
    for rule in ("majority", "plurality", "absolute_majority", "staple"):
        assert main(["ensemble", *members, "--rule", rule, "--output", str(folders / rule)]) == 0
        made = json.loads((folders / rule / "ensemble.json").read_text())
        assert (made["rule"], made["members"], made["weights"]) == (rule, members, None)
        assert "Ties:" in made["description"]
    stacked = np.array([read_label_map(folders / f"m{member}" / "p.nii.gz").array for member in range(3)])
    voted = read_label_map(folders / "absolute_majority" / "p.nii.gz").array
    np.testing.assert_array_equal(voted, sum(value * ((stacked == value).sum(axis=0) > 1) for value in (1, 2)))


def test_a_weighted_mean_needs_weights_and_no_other_rule_takes_them(folders, capsys):
    ask = ["ensemble", *(str(folders / f"prob{member}") for member in range(3)), "--output", str(folders / "w")]
    dataset = ["--dataset", str(folders)]
    assert main([*ask, *dataset, "--rule", "weighted_mean_probability"]) == 2
    assert main([*ask, *dataset, "--rule", "mean_logit", "--weights", "1", "1", "1"]) == 2
    assert main([*ask, *dataset, "--rule", "weighted_mean_probability", "--weights", "1", "1"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "needs --weights" in said
    assert "2 weights for 3 members" in said
    assert not (folders / "w").exists()
    assert main([*ask, *dataset, "--rule", "weighted_mean_probability", "--weights", "0.8", "0.1", "0.1"]) == 0
    assert json.loads((folders / "w" / "ensemble.json").read_text())["weights"] == [0.8, 0.1, 0.1]
    stored = [read_probabilities(folders / f"prob{member}" / "p.nrrd")[0] for member in range(3)]
    expected = labels_from_probabilities(mean_probability(stored, [0.8, 0.1, 0.1]), LABELS)
    np.testing.assert_array_equal(read_label_map(folders / "w" / "p.nrrd").array, expected)


def test_rules_side_by_side_write_tables_and_a_map_of_where_they_differ(folders, capsys):
    members = [str(folders / f"m{member}") for member in range(3)]
    output = folders / "compared"
    references = ["--references", str(folders / "references")]
    assert main(["rules", *members, *references, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "absolute_majority" in said
    assert "Without one member (majority vote)" in said
    differing = lines(output / "differences.csv")
    pair = {
        (row["case"], row["structure"]): row
        for row in differing
        if row["first"] == "plurality" and row["second"] == "staple"
    }
    ((path,),) = [list((output / "maps").rglob("rules_differ/p.nii.gz"))]
    assert read_geometry(path) == read_geometry(folders / "m0" / "p.nii.gz")
    shown = read_image([path]).array[0]
    assert (shown > 0).sum() >= int(pair["p", "any label"]["voxels"]) > 0
    assert {row["second"] for row in differing if row["structure"] == "label_1"} >= {"reference", "staple"}
    influence = lines(output / "influence.csv")
    assert len(influence) == 2 * 3 * 3
    assert all(row["reference_without"] for row in influence if row["structure"] != "any label")
    volumes = [
        float(row["volume_ml"])
        for row in lines(output / "k_of_n.csv")
        if (row["case"], row["structure"]) == ("p", "label_1")
    ]
    assert volumes == sorted(volumes, reverse=True)
    assert len(volumes) == 3


def test_only_the_rules_asked_for_are_compared(folders):
    members = [str(folders / f"m{member}") for member in range(2)]
    assert main(["rules", *members, "--rules", "plurality", "staple", "--output", str(folders / "two")]) == 0
    assert {(row["first"], row["second"]) for row in lines(folders / "two" / "differences.csv")} == {
        ("plurality", "staple")
    }


def test_disagreement_of_folders_is_written_as_maps_and_numbers(folders, capsys):
    members = [str(folders / f"m{member}") for member in range(3)]
    output = folders / "doubt"
    references = ["--references", str(folders / "references")]
    assert main(["uncertainty", *members, *references, "--output", str(output)]) == 0
    assert "label_2" in capsys.readouterr().out
    (agreement,) = (output / "maps").rglob("agreement/q.nii.gz")
    assert read_geometry(agreement) == read_geometry(folders / "m0" / "q.nii.gz")
    stacked = np.array([read_label_map(folders / f"m{member}" / "q.nii.gz").array for member in range(3)])
    most = np.array([(stacked == value).sum(axis=0) for value in range(3)]).max(axis=0)
    np.testing.assert_allclose(read_image([agreement]).array[0], most / 3, rtol=1e-6)
    rows = lines(output / "uncertainty.csv")
    assert {row["case"] for row in rows} == {"p", "q"}
    assert {"mean_pairwise_dice", "ged_squared", "volume_cv"} <= {row["measure"] for row in rows}


def test_a_single_member_is_refused(folders, capsys):
    for command in ("rules", "uncertainty"):
        assert main([command, str(folders / "m0"), "--output", str(folders / "none")]) == 2
        assert "two or more" in " ".join(capsys.readouterr().err.split())
        assert not (folders / "none").exists()
