"""From region Dice to label Dice: every step of crafted cases by hand, and the two levels in the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.evaluation.evaluate import score_case
from SegVarianceLib.evaluation.region_steps import RegionSteps, boundary_share, mean_steps, region_steps
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.metrics.metric import METRICS
from SegVarianceLib.stats.score_cube import ScoreCube
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN, SeedMatrix

LABELS = LabelSet((Structure("whole", (1, 2)), Structure("core", (2,))), ignore_value=9, regions_class_order=(1, 2))
VOXEL_MM3 = 1000.0
# 20 voxels in a row. Reference: whole 2..17 (16 voxels), core 6..13 (8). Prediction: whole 4..17, core 8..15.
REFERENCE = np.zeros((1, 1, 20), np.uint8)
REFERENCE[..., 2:18] = 1
REFERENCE[..., 6:14] = 2
PREDICTION = np.zeros((1, 1, 20), np.uint8)
PREDICTION[..., 4:18] = 1
PREDICTION[..., 8:16] = 2


def steps_of(prediction: np.ndarray, reference: np.ndarray, labels: LabelSet = LABELS) -> RegionSteps:
    return region_steps(Reconstruction.of_label_map(prediction, labels, VOXEL_MM3, reference))


def test_a_label_begins_with_its_regions_dice_and_ends_with_its_own():
    found = steps_of(PREDICTION, REFERENCE)
    assert [(region.region, region.dice, region.rebuilt_dice) for region in found.regions] == [
        ("whole", pytest.approx(28 / 30), pytest.approx(28 / 30)),
        ("core", pytest.approx(12 / 16), pytest.approx(12 / 16)),
    ]
    first, second = found.of_label(1)
    assert (first.step, first.painted_region, first.dice) == (1, "whole", pytest.approx(28 / 30))
    assert (first.volume_part, first.errors_part) == (None, None)
    # Label 1 of the reference: 2..5 and 14..17, predicted: 4..7 and 16..17; shared: 4, 5, 16 and 17.
    assert (second.step, second.painted_region, second.dice) == (2, "core", pytest.approx(8 / 14))
    assert (second.reference_ml, second.predicted_ml, second.wrong_ml) == (8, 6, 6)


def test_the_fall_of_dice_is_the_weight_of_the_same_errors_and_the_new_ones():
    _, second = steps_of(PREDICTION, REFERENCE).of_label(1)
    assert second.volume_part == pytest.approx(2 / 30 - 2 / 14)  # 2 wrong voxels, in 30 before and in 14 now
    assert second.errors_part == pytest.approx((2 - 6) / 14)  # 4 more, at the border to the core
    assert second.volume_part + second.errors_part == pytest.approx(8 / 14 - 28 / 30)


def test_a_perfect_prediction_loses_nothing_on_the_way():
    found = steps_of(REFERENCE, REFERENCE)
    assert {step.dice for step in found.steps} == {1.0}
    assert {step.volume_part for step in found.steps} == {None, 0.0}


def test_the_cross_table_says_which_label_lost_what_to_which():
    found = steps_of(PREDICTION, REFERENCE)
    assert found.values == (0, 1, 2)  # the ignore label is none of them
    # 2 voxels of label 1 are lost to the background, 2 (14, 15) to label 2; 2 of label 2 (6, 7) to label 1.
    np.testing.assert_array_equal(found.cross_ml, [[4, 0, 0], [2, 4, 2], [0, 2, 6]])


def test_ignored_voxels_count_for_nothing():
    reference = REFERENCE.copy()
    reference[..., :4] = 9
    ignored = steps_of(PREDICTION, reference)
    assert ignored.of_label(1)[0].dice == 1.0
    assert ignored.cross_ml.sum() == 16


def test_orphans_make_a_region_rebuilt_larger_than_itself():
    probabilities = np.zeros((2, 1, 1, 4), np.float32)
    probabilities[0, ..., :2], probabilities[1, ..., 1:3] = 0.9, 0.9
    reference = np.array([[[1, 2, 0, 0]]], np.uint8)
    rebuilt = Reconstruction.of_probabilities(probabilities, LABELS, VOXEL_MM3, reference)
    found = region_steps(rebuilt)
    assert found.regions[0].dice == 1.0
    assert found.regions[0].rebuilt_dice == pytest.approx(4 / 5)  # voxel 2 is core and therefore whole
    assert found.regions[1].orphans_ml == found.of_label(2)[0].orphans_ml == 1.0


def test_thresholds_that_were_moved_are_those_that_are_scored():
    probabilities = np.zeros((2, 1, 1, 4), np.float32)
    probabilities[0], probabilities[1, ..., 1:3] = 0.9, 0.4
    reference = np.array([[[1, 2, 2, 1]]], np.uint8)
    rebuilt = Reconstruction.of_probabilities(probabilities, LABELS, VOXEL_MM3, reference)
    assert region_steps(rebuilt).regions[1].dice == 0.0
    rebuilt.set_threshold("core", 0.3)
    assert region_steps(rebuilt).regions[1].dice == 1.0


def test_a_label_absent_on_both_sides_has_no_dice_and_stays_out_of_the_mean():
    all_core = np.where(REFERENCE > 0, np.uint8(2), np.uint8(0))
    absent, present = steps_of(all_core, all_core), steps_of(PREDICTION, REFERENCE)
    assert [step.dice for step in absent.of_label(1)] == [1.0, None]
    mean = mean_steps([absent, present])
    assert [step.cases for step in mean.of_label(1)] == [1, 1]
    assert mean.of_label(1) == present.of_label(1)
    assert [step.cases for step in mean.of_label(2)] == [2]
    assert mean.of_label(2)[0].dice == pytest.approx((1 + 12 / 16) / 2)
    np.testing.assert_array_equal(mean.cross_ml, (absent.cross_ml + present.cross_ml) / 2)
    nobody = mean_steps([absent]).of_label(1)
    assert [(step.cases, step.dice, step.reference_ml) for step in nobody] == [(0, None, 0.0), (0, None, 0.0)]


THREE = LabelSet(
    (Structure("whole", (1, 2, 3)), Structure("core", (2, 3)), Structure("inner", (3,))), regions_class_order=(1, 2, 3)
)
maps = hnp.arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3))


@given(maps, maps, maps)
def test_first_and_last_steps_are_the_scores_of_both_levels_and_parts_add_up(one, two, reference):
    """Members vote with two maps, of which both must have drawn a region; scored again by the metrics of ``evaluate``."""
    rebuilt = Reconstruction.of_votes([one, two], THREE, VOXEL_MM3, reference)
    found = region_steps(rebuilt)
    scored = {
        s.structure: s.value
        for s in score_case(rebuilt.label_map, reference, THREE, (1.0, 1.0, 1.0), 1.0)
        if s.metric == "dice"
    }
    for region in found.regions:
        assert region.rebuilt_dice == scored[region.region]
    for value in (1, 2, 3):
        chain = found.of_label(value)
        assert chain[0].dice == next(r.dice for r in found.regions if r.region == chain[0].region)
        assert chain[-1].dice == scored[f"label value {value}"]
        parts = [step.volume_part + step.errors_part for step in chain[1:] if step.volume_part is not None]
        if all(step.dice is not None for step in chain):
            assert chain[0].dice + sum(parts) == pytest.approx(chain[-1].dice)


@given(hnp.arrays(bool, (3, 4, 5)))
def test_the_boundary_is_what_erosion_takes(mask):
    voxels = np.count_nonzero(mask)
    expected = (voxels - np.count_nonzero(ndimage.binary_erosion(mask))) / voxels if voxels else None
    assert boundary_share(mask) == (None if expected is None else pytest.approx(expected))


def test_a_small_structure_is_mostly_boundary():
    cube = np.zeros((12, 12, 12), bool)
    cube[1:11, 1:11, 1:11] = True
    small = np.zeros((12, 12, 12), bool)
    small[4:7, 4:7, 4:7] = True
    assert boundary_share(cube) == pytest.approx(1 - 8**3 / 10**3)
    assert boundary_share(small) == pytest.approx(1 - 1 / 27)


def test_scores_of_regions_and_of_the_labels_within_stand_side_by_side_under_names_of_their_own():
    found = [s for s in score_case(PREDICTION, REFERENCE, LABELS, (1.0, 1.0, 1.0), 1.0) if s.metric == "dice"]
    assert [s.structure for s in found] == ["whole", "core", "label value 1", "label value 2"]
    assert found[1].value == found[3].value  # a region of one label is that label
    both = LABELS.on_both_levels
    assert both.on_both_levels == both
    plain = LabelSet((Structure("head", (1,)), Structure("tail", (2,))))
    assert {s.structure for s in score_case(PREDICTION, REFERENCE, plain, (1.0, 1.0, 1.0), 1.0)} == {"head", "tail"}


def test_the_foreground_mean_is_over_regions_and_never_over_both_levels(tmp_path):
    rng = np.random.default_rng(0)
    structures = ("whole", "core", "label value 1", "label value 2")
    rows = tuple(
        Score("default", 0, seed, f"seed_{seed}", f"case_{case}", structure, "dice", float(rng.random()))
        for seed in (0, 1)
        for case in range(4)
        for structure in structures
    )
    ScoreTable(rows).write(tmp_path / "scores.csv")
    dice = METRICS.facts("dice")
    both = SeedMatrix.of(ScoreCube.of(ScoreTable.read(tmp_path / "scores.csv"), "default", dice), FOREGROUND_MEAN)
    regions = tuple(row for row in rows if row.structure in ("whole", "core"))
    alone = SeedMatrix.of(ScoreCube.of(ScoreTable(regions), "default", dice), FOREGROUND_MEAN)
    np.testing.assert_array_equal(both.values, alone.values)
    label = SeedMatrix.of(ScoreCube.of(ScoreTable(rows), "default", dice), "label value 2")
    assert not np.array_equal(label.values, both.values)
