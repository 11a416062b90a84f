"""What is written for nnU-Net is taken by nnU-Net 2.8's own commands, and says there what it says here.

The commands run where ``SEGVARIANCE_NNUNET_PYTHON`` names the Python of an environment with nnunetv2; elsewhere those tests are
skipped, aloud.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.arrays import dequantise_probabilities, quantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.case import Case
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map
from SegVarianceLib.dataset.nnunet_probabilities import write_nnunet_probabilities
from SegVarianceLib.dataset.probability_maps import read_probabilities, write_probabilities
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities
from SegVarianceLib.evaluation.evaluate import Member, score_members
from SegVarianceLib.evaluation.nnunet_summary import foreground_mean, read_summary
from SegVarianceLib.review.description import Review, ReviewMember
from SegVarianceLib.review.nnunet_export import export_nnunet
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.probabilities import mean_of_probabilities

GRID = Geometry((11, 9, 7), (0.8, 1.0, 2.5), (-30.0, 12.5, 4.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
PLAIN = LabelSet((Structure("organ", (1,)), Structure("tumour", (2,)), Structure("cyst", (3,))))
REGIONS = LabelSet((Structure("whole", (1, 2, 4)), Structure("inner", (2, 4)), Structure("active", (4,))), 9, (1, 2, 4))


@pytest.fixture(scope="session")
def commands() -> Path:
    """The folder of nnU-Net's commands."""
    python = os.environ.get("SEGVARIANCE_NNUNET_PYTHON")
    if not python or not Path(python).is_file():
        pytest.skip("no nnU-Net: set SEGVARIANCE_NNUNET_PYTHON to the Python of an environment with nnunetv2==2.8.1")
    return Path(python).parent


def call(commands: Path, name: str, *arguments: object) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    made = subprocess.run(
        [commands / name, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-2000:]


def probabilities(rng: np.random.Generator, labels: LabelSet, steps: int) -> np.ndarray:
    """Random, of few values each, so that channels tie with each other and with 0.5."""
    channels = len(labels.structures) if labels.has_regions else 1 + len(labels.foreground_values)
    raw = rng.integers(0, steps + 1, (channels, *GRID.shape_zyx)).astype(np.float32) / np.float32(steps)
    return raw if labels.has_regions else raw / np.maximum(raw.sum(axis=0, keepdims=True), np.float32(1e-3))


def reviewed(folder: Path, labels: LabelSet, npz: bool, steps: int = 6) -> Review:
    """Three members with probabilities of three cases and their references, in the dataset's own values."""
    rng = np.random.default_rng(3)
    cases = ("anna", "ben", "cleo")
    members = []
    for number in range(3):
        files, kept = {}, {}
        for case_id in cases:
            found = probabilities(rng, labels, steps)
            files[case_id] = folder / f"seed_{number}" / f"{case_id}.nii.gz"
            write_label_map(files[case_id], labels_from_probabilities(found, labels), GRID)
            if npz:
                kept[case_id] = files[case_id].parent / f"{case_id}.npz"
                write_nnunet_probabilities(kept[case_id], found)
            else:
                kept[case_id] = folder / f"seed_{number}" / "probabilities" / f"{case_id}.nrrd"
                names = [s.name for s in labels.structures] if labels.has_regions else ["background", *map(str, labels.foreground_values)]  # fmt: skip
                write_probabilities(kept[case_id], quantise_probabilities(found), GRID, names)
        members.append(ReviewMember("default", f"seed_{number}", files, number, probabilities=kept))
    values = sorted(labels.known_values)
    for case_id in cases:
        drawn = rng.choice(values, GRID.shape_zyx)
        write_label_map(folder / "labels" / f"{case_id}.nii.gz", np.where(drawn == 3, 0, drawn), GRID)
    review = open_review(folder, pattern="{member}/{case}", labels=labels)
    assert [case.id for case in review.cases] == list(cases)
    return replace(
        review,
        members=tuple(members),
        cases=tuple(Case(c.id, (), folder / "labels" / f"{c.id}.nii.gz") for c in review.cases),
        channels=("T1",),
    )


@pytest.mark.parametrize("labels", [PLAIN, REGIONS], ids=["labels", "regions"])
@pytest.mark.parametrize("npz", [True, False], ids=["npz", "ours"])
def test_nnunet_averages_what_is_written_and_finds_our_labels(
    tmp_path: Path, commands: Path, labels: LabelSet, npz: bool
):
    review = reviewed(tmp_path / "in", labels, npz)
    made = export_nnunet(review, tmp_path / "out")
    call(commands, "nnUNetv2_ensemble", "-i", *made.members, "-o", tmp_path / "mean", "-np", 1)
    order = sorted(labels.known_values)
    for case in review.cases:
        theirs = read_label_map(tmp_path / "mean" / f"{case.id}.nii.gz")
        assert GRID.difference(theirs.geometry) is None
        ours = mean_of_probabilities(review.members, case.id, GRID, labels).label_map
        same = np.array(order)[theirs.array] == ours
        assert same.all() if npz else same.mean() > 0.99  # ties of 8-bit sums are exact for us, rounded for nnU-Net


def test_probabilities_of_a_network_of_labels_become_those_of_the_regions(tmp_path: Path):
    labels = LabelSet((Structure("whole", (1, 2)), Structure("a", (1,)), Structure("b", (2,))), None, (1, 1, 2))
    review = reviewed(tmp_path / "in", LabelSet(labels.structures[1:]), npz=False)
    made = export_nnunet(replace(review, labels=labels), tmp_path / "out")
    found = np.load(made.members[0] / "anna.npz")["probabilities"]
    stored, _, _ = read_probabilities(review.members[0].probabilities["anna"])
    fractions = dequantise_probabilities(stored)
    whole = np.minimum(fractions[1] + fractions[2], 1)
    np.testing.assert_allclose(found, [whole, fractions[1], fractions[2]], rtol=1e-6)


@pytest.mark.parametrize("labels", [PLAIN, REGIONS], ids=["labels", "regions"])
def test_nnunet_scores_what_is_written_as_we_do(tmp_path: Path, commands: Path, labels: LabelSet):
    """The plain labels' cyst, value 3, is in no reference, but drawn: Dice 0, not NaN."""
    review = reviewed(tmp_path / "in", labels, npz=True)
    made = export_nnunet(review, tmp_path / "out")
    structures = [structure.name for structure in labels.structures]
    for member, place in list(zip(review.members, made.members, strict=True))[:1]:
        described = ("-djfile", place / "dataset.json", "-pfile", place / "plans.json")
        call(commands, "nnUNetv2_evaluate_folder", made.references, place, *described, "-np", 1)
        theirs = json.loads((place / "summary.json").read_text())["foreground_mean"]
        references = {case.id: case.label for case in review.cases if case.label}
        ours = score_members({Member("default", member.name): member.files}, references, labels, 1.0)
        assert foreground_mean(ours, structures).value == theirs["Dice"]
        assert foreground_mean(ours, structures, "iou").value == theirs["IoU"]


def test_a_structure_that_is_nowhere_is_nan_for_nnunet_and_words_for_us(tmp_path: Path, commands: Path):
    labels = LabelSet((Structure("organ", (1,)), Structure("stone", (2,))))
    rng = np.random.default_rng(0)
    for folder in ("truth", "drawn"):
        write_label_map(tmp_path / folder / "a.nii.gz", rng.integers(0, 2, GRID.shape_zyx), GRID)
    call(commands, "nnUNetv2_evaluate_simple", tmp_path / "truth", tmp_path / "drawn", "-l", 1, 2, "-np", 1)
    summary = tmp_path / "drawn" / "summary.json"
    assert np.isnan(json.loads(summary.read_text())["foreground_mean"]["Dice"])
    (notes,) = read_summary(summary, labels).values()
    assert [(found.value, found.note) for found in notes if found.structure == "stone"] == [(None, "agreed absent")] * 2
    files = {"a": tmp_path / "drawn" / "a.nii.gz"}
    ours = score_members({Member("c", "m"): files}, {"a": tmp_path / "truth" / "a.nii.gz"}, labels, 1.0)
    assert foreground_mean(ours, ("organ", "stone")).words.startswith("NaN, because stone is in no case")


def test_label_maps_are_linked_where_nnunet_can_read_them_and_renumbered_where_it_cannot(tmp_path: Path):
    plain = export_nnunet(reviewed(tmp_path / "in", PLAIN, npz=True), tmp_path / "out")
    source = tmp_path / "in" / "seed_1" / "ben.nii.gz"
    assert (plain.members[1] / "ben.nii.gz").samefile(source)
    gaps = export_nnunet(reviewed(tmp_path / "gaps", REGIONS, npz=False), tmp_path / "out2")
    assert gaps.references is not None
    for place in (gaps.members[0], gaps.references):
        theirs = read_label_map(place / "anna.nii.gz").array
        source = tmp_path / "gaps" / ("seed_0" if place == gaps.members[0] else "labels") / "anna.nii.gz"
        assert np.array_equal(np.array([0, 1, 2, 4, 9])[theirs], read_label_map(source).array)
    content = json.loads((gaps.members[0] / "dataset.json").read_text())
    assert list(content["labels"].items()) == [
        ("background", 0), ("whole", [1, 2, 3]), ("inner", [2, 3]), ("active", 3), ("ignore", 4)
    ]  # fmt: skip
    assert content["regions_class_order"] == [1, 2, 3]


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path):
    review = reviewed(tmp_path / "in", PLAIN, npz=True)
    with pytest.raises(SegVarianceError, match="is not empty"):
        export_nnunet(review, tmp_path / "in")
