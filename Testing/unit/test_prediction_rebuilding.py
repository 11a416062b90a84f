"""Labels rebuilt by a regions.json while predicting, from models of regions and of labels; and regions scored."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from SegVarianceLib.core.arrays import dequantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map, write_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.ensemble.region_recipe import RegionRecipe
from SegVarianceLib.ensemble.region_rules import region_probabilities
from SegVarianceLib.model.network import build_network
from SegVarianceLib.model.trained import SCHEMA, TrainedFacts, save_trained
from SegVarianceLib.plan.study_plan import ChannelPlan, NetworkPlan, PreprocessingPlan
from SegVarianceLib.prediction.rebuilding import rebuilding
from SegVarianceLib.study.cli import main

GRID = Geometry((18, 16, 16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
NESTED = LabelSet((Structure("whole", (1, 2)), Structure("core", (2,))), regions_class_order=(1, 2))


def facts(values: tuple[int, ...], names: tuple[str, ...], exclusive: bool) -> TrainedFacts:
    plan = PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 100.0, 50.0, 50.0),))
    network = NetworkPlan(1, len(values), (16, 16, 16), (2, 2, 2), ((2, 2, 2),), (4, 8))
    return TrainedFacts(SCHEMA, "default", 0, 0, "k", plan, network, values, names, exclusive)


OF_REGIONS = facts((1, 2), ("whole", "core"), exclusive=False)
OF_LABELS = facts((0, 1, 2), ("background", "rim", "core"), exclusive=True)


@pytest.fixture
def recipe(tmp_path) -> Path:
    RegionRecipe(NESTED, thresholds=(0.2, 0.9)).write(tmp_path / "regions.json")
    return tmp_path / "regions.json"


def test_a_model_of_regions_paints_at_the_recipes_thresholds(recipe):
    probabilities = np.array([[0.1, 0.3, 0.6, 0.95], [0.0, 0.1, 0.6, 0.95]]) * 255
    rebuilt = rebuilding(recipe, OF_REGIONS)(np.rint(probabilities).astype(np.uint8).reshape(2, 1, 1, 4))
    assert rebuilt.ravel().tolist() == [0, 1, 1, 2]


def test_a_model_of_labels_paints_regions_that_are_sums_of_its_labels(recipe):
    labels = np.array([[0.9, 0.75, 0.1, 0.0], [0.05, 0.15, 0.85, 0.05], [0.05, 0.1, 0.05, 0.95]])
    rebuilt = rebuilding(recipe, OF_LABELS)(np.rint(labels * 255).astype(np.uint8).reshape(3, 1, 1, 4))
    assert rebuilt.ravel().tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (replace(OF_REGIONS, class_names=("core", "whole")), "trained on core, whole"),
        (facts((0, 1), ("background", "rim"), True), r"label values \[2\], but the model was trained on the labels 1"),
    ],
)
def test_regions_that_are_not_the_models_are_refused_in_a_sentence(recipe, trained, words):
    with pytest.raises(SegVarianceError, match=words):
        rebuilding(recipe, trained)


@pytest.mark.parametrize("trained", [OF_REGIONS, OF_LABELS], ids=["regions", "labels"])
def test_predict_writes_the_labels_of_the_recipe_and_probabilities_only_when_asked(tmp_path, recipe, trained):
    network = build_network(trained.network, torch.Generator().manual_seed(3))
    save_trained(tmp_path / "weights.safetensors", network.state_dict(), trained)
    image = np.random.default_rng(0).normal(size=GRID.shape_zyx).astype(np.float32)
    write_map(tmp_path / "images" / "p1_0000.nii.gz", image, GRID)
    command = [
        "predict",
        str(tmp_path / "weights.safetensors"),
        "--images",
        str(tmp_path / "images"),
        "--device",
        "cpu",
    ]
    assert main([*command, "--output", str(tmp_path / "plain"), "--probabilities"]) == 0
    assert main([*command, "--output", str(tmp_path / "rebuilt"), "--regions", str(recipe)]) == 0
    assert not (tmp_path / "rebuilt" / "probabilities").exists()
    probabilities, _, _ = read_probabilities(tmp_path / "plain" / "probabilities" / "p1.nrrd")
    if trained.exclusive:
        probabilities = region_probabilities(dequantise_probabilities(probabilities), (1, 2), NESTED)
    found = read_label_map(tmp_path / "rebuilt" / "p1.nii.gz").array
    np.testing.assert_array_equal(found, RegionRecipe.read(recipe).rebuild(probabilities))
    assert len(np.unique(found)) > 1


def test_score_takes_regions_from_the_command_line_and_scores_both_levels(tmp_path):
    label_map = np.zeros(GRID.shape_zyx, np.uint8)
    label_map[2:12, 2:12, 2:12], label_map[4:9, 4:9, 4:9], label_map[5:7, 5:7, 5:7] = 2, 1, 4
    for folder in ("references", "seed_1"):
        write_label_map(tmp_path / folder / "p1.nii.gz", label_map, GRID)
    regions = "; ".join(f"{each.name}={','.join(map(str, each.values))}" for each in BRATS_REGIONS.structures)
    command = ["score", str(tmp_path / "seed_1"), "--references", str(tmp_path / "references")]
    assert main([*command, "--output", str(tmp_path / "scores.csv"), "--regions", regions]) == 0
    with open(tmp_path / "scores.csv", newline="", encoding="utf-8") as file:
        names = {row["structure"] for row in csv.DictReader(file)}
    whole = {structure.name for structure in BRATS_REGIONS.structures}
    assert names == {*whole, "label value 1", "label value 2", "label value 4"}
