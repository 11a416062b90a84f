"""Labels rebuilt from regions: every step by hand, against painting directly, and against nnU-Net's own code."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.nesting import OVERLAP, relations
from SegVarianceLib.dataset.image_io import find_images, read_label_map
from SegVarianceLib.dataset.label_declaration import declaration
from SegVarianceLib.dataset.labelling import BRATS_REGIONS
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities
from SegVarianceLib.ensemble.region_recipe import REBUILDS, RegionRecipe
from SegVarianceLib.ensemble.region_rules import label_probabilities, largest_label, nested_probabilities, painted
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.ensemble.rules import RULES

REGIONS = LabelSet(
    (Structure("whole", (1, 2, 3)), Structure("core", (2, 3)), Structure("enhancing", (3,))),
    regions_class_order=(1, 2, 3),
)
PARTLY = LabelSet((Structure("left", (1, 2)), Structure("right", (2, 3))), regions_class_order=(1, 3))
#                     nothing, oedema, core, enhancing, enhancing without core, enhancing alone
LINE = np.array([[0.1, 0.9, 0.9, 0.9, 0.9, 0.2], [0.1, 0.2, 0.8, 0.9, 0.4, 0.3], [0.0, 0.1, 0.2, 0.8, 0.7, 0.6]])
VOXEL_MM3 = 500.0


def volume(line: np.ndarray) -> np.ndarray:
    """[region, voxel] as [region, z, y, x]."""
    return line.reshape(len(line), 1, 1, -1).astype(np.float32)


def line_of(array: np.ndarray) -> list:
    return array.ravel().tolist()


@pytest.fixture(params=["fractions", "8 bit"])
def line(request) -> Reconstruction:
    probabilities = volume(LINE) if request.param == "fractions" else quantise_probabilities(volume(LINE))
    return Reconstruction.of_probabilities(probabilities, REGIONS, VOXEL_MM3)


@st.composite
def any_regions(draw) -> LabelSet:
    """Nested, partly overlapping or disjoint regions, declared in any order, painting any of their own values."""
    sets = draw(st.lists(st.frozensets(st.integers(1, 6), min_size=1), min_size=1, max_size=6, unique=True))
    structures = [Structure(f"region {number}", tuple(sorted(values))) for number, values in enumerate(sets)]
    structures.append(Structure("two", (7, 8)))
    order = tuple(draw(st.sampled_from(structure.values)) for structure in structures)
    return LabelSet(tuple(structures), None, order)


def random_probabilities(labels: LabelSet, seed: int) -> np.ndarray:
    """Also exactly one half, which is outside: nnU-Net's comparison is strict."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random((len(labels.structures), 3, 4, 5), dtype=np.float32)
    probabilities[rng.random(probabilities.shape) < 0.1] = 0.5
    return probabilities


def test_each_step_paints_one_region_over_the_ones_before(line):
    assert line_of(line.step(0)) == [0, 0, 0, 0, 0, 0]
    assert line_of(line.step(1)) == [0, 1, 1, 1, 1, 0]
    assert line_of(line.step(2)) == [0, 1, 2, 2, 1, 0]
    assert line_of(line.step(3)) == line_of(line.label_map) == [0, 1, 2, 3, 3, 3]


def test_what_each_step_takes_from_which_label_and_what_is_left(line):
    assert [line.overwritten_ml(step) for step in (1, 2, 3)] == [{0: 2.0}, {1: 1.0}, {0: 0.5, 1: 0.5, 2: 0.5}]
    assert line.volumes_ml() == {1: 0.5, 2: 0.5, 3: 1.5}
    assert line.volumes_ml(2) == {1: 1.0, 2: 1.0, 3: 0.0}


def test_orphans_lie_in_a_finer_region_and_outside_its_parent(line):
    assert line.orphans_ml == {"whole": 0.0, "core": 0.0, "enhancing": 1.0}
    assert line_of(line.orphan_mask("enhancing")) == [False, False, False, False, True, True]


def test_a_lower_threshold_says_which_voxels_it_gains_and_rebuilds_with_them(line):
    flips = line.set_threshold("core", 0.25)
    assert (flips.appeared.tolist(), flips.vanished.tolist()) == ([4, 5], [])
    assert (flips.appeared_ml, flips.vanished_ml) == (1.0, 0.0)
    assert line_of(line.step(2)) == [0, 1, 2, 2, 2, 2]
    assert line.orphans_ml == {"whole": 0.0, "core": 0.5, "enhancing": 0.0}
    back = line.set_threshold("core", 0.5)
    assert (back.vanished.tolist(), back.vanished_ml) == ([4, 5], 1.0)
    assert line_of(line.label_map) == [0, 1, 2, 3, 3, 3]


def test_a_probability_equal_to_the_threshold_is_outside():
    for probabilities in (np.full((1, 1, 1, 1), 0.5, np.float32), np.full((1, 1, 1, 1), 2, np.uint8)):
        labels = LabelSet((Structure("both", (1, 2)),), regions_class_order=(1,))
        rebuilt = Reconstruction.of_probabilities(probabilities, labels, 1.0, steps=4)
        assert line_of(rebuilt.label_map) == [0]
        assert rebuilt.set_threshold("both", 0.49).appeared.tolist() == [0]


@given(any_regions(), st.integers(0, 99), st.lists(st.tuples(st.integers(0, 6), st.floats(0, 1)), max_size=6))
def test_moving_thresholds_one_by_one_gives_what_painting_at_once_gives(labels, seed, moves):
    probabilities = random_probabilities(labels, seed)
    reference = np.random.default_rng(seed).integers(0, 9, probabilities.shape[1:]).astype(np.uint8)
    reference[~np.isin(reference, sorted(labels.known_values))] = 0
    live = Reconstruction.of_probabilities(probabilities, labels, 1.0, reference)
    for region, threshold in moves:
        live.set_threshold(labels.structures[region % len(labels.structures)].name, threshold)
    assert live.thresholds is not None
    np.testing.assert_array_equal(live.label_map, painted(probabilities, labels, live.thresholds))
    anew = Reconstruction.of_probabilities(probabilities, labels, 1.0, reference, live.thresholds)
    rows = [anew.table.tolist().index(row) for row in live.table.tolist()]
    np.testing.assert_array_equal(live.counts, anew.counts[rows])
    assert (live.orphans_ml, live.volumes_ml()) == (anew.orphans_ml, anew.volumes_ml())


@pytest.mark.parametrize("regions", [9, 20])
def test_many_regions_are_rebuilt_as_few_are(regions):
    rng = np.random.default_rng(regions)
    structures = tuple(Structure(f"r{number}", (number + 1, 100)) for number in range(regions))
    labels = LabelSet(structures, None, tuple(range(1, regions + 1)))
    probabilities = rng.random((regions, 8, 20, 20), dtype=np.float32)
    rebuilt = Reconstruction.of_probabilities(probabilities, labels, 1.0)
    np.testing.assert_array_equal(rebuilt.label_map, labels_from_probabilities(probabilities, labels))
    rebuilt.set_threshold("r3", 0.9)
    rebuilt.set_threshold("r8", 0.1)
    np.testing.assert_array_equal(rebuilt.region_mask("r3"), probabilities[3] > np.float32(0.9))
    np.testing.assert_array_equal(rebuilt.label_map, painted(probabilities, labels, rebuilt.thresholds))
    assert rebuilt.counts.sum() == 8 * 20 * 20


def test_a_label_map_alone_gives_steps_and_no_threshold():
    label_map = np.array([[[0, 1, 2, 3, 3]]], np.uint8)
    rebuilt = Reconstruction.of_label_map(label_map, REGIONS, VOXEL_MM3)
    assert line_of(rebuilt.step(1)) == [0, 1, 1, 1, 1]
    assert line_of(rebuilt.label_map) == line_of(label_map)
    assert rebuilt.orphans_ml == {"whole": 0.0, "core": 0.0, "enhancing": 0.0}
    with pytest.raises(SegVarianceError, match="no threshold"):
        rebuilt.set_threshold("core", 0.4)


def test_votes_are_counted_by_region_so_that_a_threshold_is_a_number_of_members():
    members = [np.array([[[*values]]], np.uint8) for values in ((1, 2, 3, 0), (2, 3, 3, 3), (2, 0, 1, 0), (0, 0, 2, 0))]
    rebuilt = Reconstruction.of_votes(iter(members), REGIONS, VOXEL_MM3)
    assert line_of(rebuilt.label_map) == [1, 0, 2, 0]  # 3 of 4; 2 of 4 are no majority; 3 in the core, 2 enhancing
    assert rebuilt.set_threshold("enhancing", 0.49).appeared.tolist() == [2]
    assert rebuilt.set_threshold("enhancing", 0.2).appeared.tolist() == [1, 3]
    assert rebuilt.orphans_ml == {"whole": 0.0, "core": 0.0, "enhancing": 1.0}


def test_nested_probabilities_lower_a_finer_region_to_its_parents_and_count_the_voxels():
    nested = nested_probabilities(volume(LINE), REGIONS)
    expected = LINE.copy()
    expected[1, 5] = 0.2
    expected[2, 4:] = 0.4, 0.2
    np.testing.assert_allclose(nested.probabilities, volume(expected))
    assert nested.changed_voxels == 2
    assert Reconstruction.of_probabilities(nested.probabilities, REGIONS, 1.0).orphans_ml["enhancing"] == 0
    assert nested_probabilities(nested.probabilities, REGIONS).changed_voxels == 0


@given(any_regions(), st.integers(0, 99))
def test_nested_probabilities_never_exceed_any_region_around_and_nested_ones_stay(labels, seed):
    given_ = random_probabilities(labels, seed)
    nested = nested_probabilities(given_, labels)
    assert (nested.probabilities <= given_).all()
    assert nested.changed_voxels == np.count_nonzero((nested.probabilities != given_).any(axis=0))
    for inner, of_inner in zip(labels.structures, nested.probabilities, strict=True):
        around = [
            p for outer, p in zip(labels.structures, given_, strict=True) if set(inner.values) <= set(outer.values)
        ]
        np.testing.assert_array_equal(of_inner, np.min(around, axis=0))


def test_a_labels_probability_is_its_regions_minus_the_finer_ones():
    found, values = label_probabilities(volume(LINE), REGIONS)
    assert values == (0, 1, 2, 3)
    np.testing.assert_allclose(found[:, 0, 0, 3], [0.1, 0.0, 0.1, 0.8], atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    # Voxel 1: oedema .7. Voxel 4: enhancing .7, although core is .4. Voxel 5: background .8 before enhancing .6.
    assert line_of(largest_label(volume(LINE), REGIONS)) == [0, 1, 2, 3, 3, 0]
    assert line_of(largest_label(quantise_probabilities(volume(LINE)), REGIONS)) == [0, 1, 2, 3, 3, 0]


def test_two_finer_regions_side_by_side_both_leave_their_parent():
    labels = LabelSet(
        (Structure("whole", (1, 2, 3)), Structure("a", (2,)), Structure("b", (3,))), regions_class_order=(1, 2, 3)
    )
    found, _ = label_probabilities(np.float32([[[[0.9]]], [[[0.3]]], [[[0.4]]]]), labels)
    np.testing.assert_allclose(found.ravel(), [0.1, 0.2, 0.3, 0.4], atol=1e-6)


def test_label_probabilities_of_regions_that_overlap_in_part_are_refused():
    with pytest.raises(SegVarianceError, match="overlap in part"):
        label_probabilities(np.zeros((2, 1, 1, 1), np.float32), PARTLY)
    wrong = LabelSet(REGIONS.structures[::-1], None, (3, 2, 1))
    with pytest.raises(SegVarianceError, match="does not paint"):
        label_probabilities(np.zeros((3, 1, 1, 1), np.float32), wrong)


@pytest.mark.parametrize(
    ("probabilities", "sentence"),
    [
        (np.zeros((2, 1, 1, 1), np.float32), "expected 3 channels .* whole, core, enhancing"),
        (np.zeros((3, 1, 1), np.float32), "expected 3 channels"),
        (np.full((3, 1, 1, 1), 2.5, np.float32), "from 0 to 2.5, expected 0 to 1. If they are logits"),
        (np.full((3, 1, 1, 1), -3.0, np.float32), "from -3 to 0"),
        (np.full((3, 1, 1, 1), np.nan, np.float32), "nan"),
        (np.zeros((3, 1, 1, 1), np.int32), "int32"),
    ],
)
def test_what_are_no_probabilities_of_these_regions_is_refused_in_a_sentence(probabilities, sentence):
    with pytest.raises(SegVarianceError, match=sentence):
        Reconstruction.of_probabilities(probabilities, REGIONS, 1.0)


def test_a_reference_elsewhere_or_with_strange_labels_and_strange_thresholds_are_refused():
    probabilities = volume(LINE)
    with pytest.raises(SegVarianceError, match="on one grid"):
        Reconstruction.of_probabilities(probabilities, REGIONS, 1.0, np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(SegVarianceError, match=r"\[9\]"):
        Reconstruction.of_probabilities(probabilities, REGIONS, 1.0, np.full((1, 1, 6), 9, np.uint8))
    rebuilt = Reconstruction.of_probabilities(probabilities, REGIONS, 1.0)
    with pytest.raises(SegVarianceError, match="from 0 to 1"):
        rebuilt.set_threshold("core", float("nan"))
    with pytest.raises(SegVarianceError, match="no region 'tumour'"):
        rebuilt.set_threshold("tumour", 0.5)
    with pytest.raises(SegVarianceError, match="2 thresholds for 3 regions"):
        Reconstruction.of_probabilities(probabilities, REGIONS, 1.0, thresholds=(0.5, 0.5))
    with pytest.raises(SegVarianceError, match="regions_class_order"):
        Reconstruction.of_probabilities(probabilities, LabelSet(REGIONS.structures), 1.0)


def test_alternatives_stand_beside_at_the_same_thresholds(line):
    line.set_threshold("whole", 0.15)
    nested, changed = line.nested()
    assert (line_of(line.label_map), line_of(nested.label_map)) == ([0, 1, 2, 3, 3, 3], [0, 1, 2, 3, 1, 1])
    assert (changed, line.orphans_ml["enhancing"], nested.orphans_ml["enhancing"]) == (2, 1.0, 0.0)
    assert nested.thresholds == (0.15, 0.5, 0.5)
    assert line_of(line.largest_label()) == [0, 1, 2, 3, 3, 0]


def test_alternatives_of_votes_count_members():
    members = [np.array([[[*values]]], np.uint8) for values in ((1, 2, 3), (2, 3, 3), (2, 0, 1), (0, 0, 2))]
    rebuilt = Reconstruction.of_votes(members, REGIONS, 1.0)
    assert rebuilt.nested()[1] == 0
    assert line_of(rebuilt.largest_label()) == [2, 0, 3]  # 2 of 4; 2 of 4 before 1 and 1; 2 of 4 before 1 and 1
    np.testing.assert_allclose(rebuilt.region_probability("core").ravel(), [0.5, 0.5, 0.75])


@pytest.mark.parametrize("rule", REBUILDS.ids)
def test_a_recipe_read_back_rebuilds_as_it_did_in_declared_order(tmp_path, rule):
    recipe = RegionRecipe(REGIONS, rule, (0.4, 0.5, 0.75))
    recipe.write(tmp_path / "regions.json")
    again = RegionRecipe.read(tmp_path / "regions.json")
    assert again == recipe
    np.testing.assert_array_equal(again.rebuild(volume(LINE)), recipe.rebuild(volume(LINE)))
    names = list(json.loads((tmp_path / "regions.json").read_text())["labels"])
    assert names == ["background", "whole", "core", "enhancing"]


def test_recipes_differ_where_orphans_lie():
    found = {rule: line_of(RegionRecipe(REGIONS, rule).rebuild(volume(LINE))) for rule in REBUILDS.ids}
    assert found == {
        "paint": [0, 1, 2, 3, 3, 3],
        "nested": [0, 1, 2, 3, 1, 0],
        "label_probability": [0, 1, 2, 3, 3, 0],
    }


def test_a_dataset_json_is_a_recipe_and_a_wrong_one_is_refused(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(declaration(REGIONS)))
    assert RegionRecipe.read(path) == RegionRecipe(REGIONS)
    for change, sentence in (
        ({"thresholds": {"core": 1.5}}, "thresholds are"),
        ({"thresholds": {"other": 0.5}}, "whole, core, enhancing"),
        ({"rule": "painted"}, "Did you mean 'paint'"),
        ({"rule": ["paint"]}, "no way to rebuild labels"),
        ({"labels": {"background": 0, "a": 1}}, "declares no region"),
    ):
        path.write_text(json.dumps(declaration(REGIONS) | change))
        with pytest.raises(SegVarianceError, match=sentence):
            RegionRecipe.read(path)


def test_five_models_of_a_glioma_vote_by_region_and_nested_regions_leave_no_orphan(real_data):
    paths = find_images(real_data / "brats_ensemble" / "TCGA-DU-7294" / "members").values()
    members = [read_label_map(path).array for path in paths]
    rebuilt = Reconstruction.of_votes(members, BRATS_REGIONS, 1.0)
    by_rule = RULES.function("region_vote")(iter(members), BRATS_REGIONS)
    np.testing.assert_array_equal(rebuilt.label_map, by_rule)
    assert set(rebuilt.orphans_ml.values()) == {0.0}  # whoever draws a finer region draws its parent
    for structure in BRATS_REGIONS.structures:
        drawn = sum(structure.mask(member).astype(int) for member in members)
        np.testing.assert_array_equal(rebuilt.region_mask(structure.name), drawn >= 3)
    rebuilt.set_threshold("whole tumour", 0.9)  # all five must have drawn it
    alone = np.logical_and.reduce([BRATS_REGIONS.structures[0].mask(member) for member in members])
    core = sum(BRATS_REGIONS.structures[1].mask(member).astype(int) for member in members) >= 3
    assert rebuilt.orphans_ml["tumour core"] == pytest.approx(np.count_nonzero(core & ~alone) / 1000)
    assert rebuilt.orphans_ml["tumour core"] > 0


CHILD = """
import json, sys
import numpy as np
from nnunetv2.utilities.label_handling.label_handling import LabelManager
folder = sys.argv[1]
for number, content in enumerate(json.load(open(f"{folder}/examples.json"))):
    manager = LabelManager(content["labels"], content["regions_class_order"])
    probabilities = np.load(f"{folder}/{number}.npy")
    np.save(f"{folder}/{number}_labels.npy", manager.convert_probabilities_to_segmentation(probabilities))
"""


def test_rebuilt_labels_are_those_of_nnunets_own_code(tmp_path):
    python = os.environ.get("SEGVARIANCE_NNUNET_PYTHON")
    if not python:
        pytest.skip("no nnU-Net: set SEGVARIANCE_NNUNET_PYTHON to the Python of an environment with nnunetv2")
    examples: list[tuple[LabelSet, np.ndarray]] = []

    @settings(max_examples=100, database=None)
    @given(any_regions(), st.integers(0, 2**16))
    def collect(labels, seed):
        examples.append((labels, random_probabilities(labels, seed)))

    collect()
    kinds = {pair.kind for labels, _ in examples for pair in relations(labels.structures)}
    assert len(kinds) == 3 and OVERLAP in kinds, "nested, partly overlapping and disjoint regions"
    (tmp_path / "examples.json").write_text(json.dumps([declaration(labels) for labels, _ in examples]))
    for number, (_, probabilities) in enumerate(examples):
        np.save(tmp_path / f"{number}.npy", probabilities)
    done = subprocess.run([python, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for number, (labels, probabilities) in enumerate(examples):
        expected = np.load(tmp_path / f"{number}_labels.npy")
        np.testing.assert_array_equal(Reconstruction.of_probabilities(probabilities, labels, 1.0).label_map, expected)
        np.testing.assert_array_equal(RegionRecipe(labels).rebuild(probabilities), expected)
