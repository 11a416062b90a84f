"""Lesion-wise detection: by hand, against a search that knows no library, and against panoptica in its own Python."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.evaluation.evaluate import ReferenceCase
from SegVarianceLib.evaluation.score_table import AGREED_ABSENT, FALSE_ALARM, MISSED
from SegVarianceLib.metrics.lesions import Lesions, match_lesions
from SegVarianceLib.metrics.metric import METRICS, ON_LESIONS, USUAL_METRICS

LABELS = LabelSet((Structure("lesion", (1,)),))


def mask(*boxes: tuple[slice, ...], shape=(6, 12, 12)) -> np.ndarray:
    drawn = np.zeros(shape, bool)
    for box in boxes:
        drawn[box] = True
    return drawn


def cube(z: int, y: int, x: int, side: int = 2) -> tuple[slice, ...]:
    return slice(z, z + side), slice(y, y + side), slice(x, x + side)


def many_small(seed: int, shape=(24, 48, 48)) -> tuple[np.ndarray, np.ndarray]:
    """Hundreds of small components, and a prediction that moves, swells, drops and invents some of them."""
    rng = np.random.default_rng(seed)
    reference = ndimage.gaussian_filter(rng.normal(size=shape), 1.2) > 0.13
    prediction = np.roll(reference, rng.integers(-1, 2, 3), (0, 1, 2)) & (
        ndimage.gaussian_filter(rng.random(shape), 2) > 0.48
    )
    return reference, prediction | (ndimage.gaussian_filter(rng.normal(size=shape), 1.0) > 0.22)


def by_search(drawn: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Components with 26 neighbours by walking from voxel to voxel."""
    left = set(map(tuple, np.argwhere(drawn).tolist()))
    found = []
    while left:
        component, edge = set(), [left.pop()]
        while edge:
            voxel = edge.pop()
            component.add(voxel)
            beside = {tuple(np.add(voxel, step).tolist()) for step in product((-1, 0, 1), repeat=3)} & left
            left -= beside
            edge += beside
        found.append(component)
    return found


def iou_table(reference: np.ndarray, prediction: np.ndarray) -> dict[tuple[int, int], float]:
    pairs = list(product(enumerate(by_search(reference)), enumerate(by_search(prediction))))
    return {(i, j): len(a & b) / len(a | b) for (i, a), (j, b) in pairs if a & b}


def test_found_missed_and_invented_lesions_are_counted_as_by_hand():
    reference = mask(cube(0, 0, 0), cube(3, 6, 6), cube(0, 9, 9))
    prediction = mask(cube(0, 0, 0), cube(3, 6, 7), cube(4, 0, 0))
    assert match_lesions(reference, prediction) == Lesions(3, 3, (1.0, pytest.approx(4 / 12)))
    assert match_lesions(reference, prediction, minimum_iou=0.5) == Lesions(3, 3, (1.0,))


def test_voxels_that_touch_at_a_corner_are_one_lesion():
    assert match_lesions(mask(cube(0, 0, 0), cube(2, 2, 2)), mask()).reference == 1


def test_one_prediction_over_two_lesions_finds_only_the_larger():
    reference = mask(np.s_[0:2, 0:2, 0:5], np.s_[0:2, 0:2, 6:9])
    assert match_lesions(reference, mask(np.s_[0:2, 0:2, 0:9])) == Lesions(2, 1, (pytest.approx(20 / 36),))


def test_a_pair_that_reaches_the_threshold_exactly_matches():
    reference, prediction = mask(np.s_[0, 0, 0:10]), mask(np.s_[0, 0, 0:1])
    assert match_lesions(reference, prediction, 0.1).matched == 1
    assert match_lesions(reference, prediction, 0.11).matched == 0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.1, 0.3, 0.5]))
def test_it_agrees_with_a_search_from_voxel_to_voxel(seed, threshold):
    reference, prediction = many_small(seed, (5, 10, 10))
    pairs = iou_table(reference, prediction)
    expected = []
    while pairs:
        best = max(pairs, key=pairs.__getitem__)
        if pairs[best] < threshold:
            break
        expected.append(pairs[best])
        pairs = {pair: iou for pair, iou in pairs.items() if pair[0] != best[0] and pair[1] != best[1]}
    found = match_lesions(reference, prediction, threshold)
    assert (found.reference, found.prediction) == (len(by_search(reference)), len(by_search(prediction)))
    if len(set(expected)) == len(expected):  # of equal pairs either may go first
        assert found.matched_iou == pytest.approx(expected)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_exchanging_reference_and_prediction_exchanges_only_the_counts(seed):
    reference, prediction = many_small(seed, (6, 12, 12))
    one, other = match_lesions(reference, prediction, 0.5), match_lesions(prediction, reference, 0.5)
    assert (one.reference, one.prediction, one.matched_iou) == (other.prediction, other.reference, other.matched_iou)


def scored(reference: np.ndarray, prediction: np.ndarray, metrics=tuple(ON_LESIONS)) -> dict[str, tuple]:
    case = ReferenceCase.of(reference.astype(np.uint8), LABELS, (1.0, 1.0, 1.0), metrics)
    return {score.metric: (score.value, score.note) for score in case.score(prediction.astype(np.uint8), 1.0)}


def test_lesion_metrics_are_scored_where_they_are_asked_for_and_else_not():
    reference = mask(cube(0, 0, 0), cube(3, 6, 6), cube(0, 9, 9))
    prediction = mask(cube(0, 0, 0), cube(3, 6, 7), cube(4, 0, 0), cube(4, 9, 2))
    found = {metric: value for metric, (value, _) in scored(reference, prediction).items()}
    assert found == {
        "lesion_f1": pytest.approx(4 / 7),
        "lesion_sensitivity": pytest.approx(2 / 3),
        "lesion_precision": pytest.approx(2 / 4),
        "lesion_false_positives": 2.0,
        "lesion_iou": pytest.approx((1 + 1 / 3) / 2),
    }
    assert not ON_LESIONS & set(USUAL_METRICS)
    assert {*ON_LESIONS, *USUAL_METRICS} == set(METRICS.ids)


def test_a_case_without_lesions_counts_the_invented_ones_and_has_no_sensitivity():
    healthy, one = mask(), mask(cube(0, 0, 0))
    assert scored(healthy, healthy)["lesion_false_positives"] == (0.0, AGREED_ABSENT)
    assert scored(healthy, healthy)["lesion_f1"] == (None, AGREED_ABSENT)
    assert scored(healthy, one)["lesion_false_positives"] == (1.0, FALSE_ALARM)
    assert scored(healthy, one)["lesion_f1"] == (0.0, FALSE_ALARM)
    assert scored(healthy, one)["lesion_sensitivity"] == (None, FALSE_ALARM)
    assert scored(one, healthy)["lesion_sensitivity"] == (0.0, MISSED)
    assert scored(one, healthy)["lesion_precision"] == (None, MISSED)


def test_ignored_voxels_hold_no_lesions():
    labels = LabelSet((Structure("lesion", (1,)),), ignore_value=9)
    reference = mask(cube(0, 0, 0)).astype(np.uint8)
    reference[:, 6:] = 9
    prediction = mask(cube(0, 0, 0), cube(0, 8, 8)).astype(np.uint8)
    case = ReferenceCase.of(reference, labels, (1.0, 1.0, 1.0), ("lesion_false_positives",))
    assert [score.value for score in case.score(prediction, 1.0)] == [0.0]


_ASK_PANOPTICA = """
import json, sys
import numpy as np
from panoptica import (ConnectedComponentsInstanceApproximator, InputType, NaiveThresholdMatching, Panoptica_Evaluator)
answers = []
for reference, prediction in zip(*np.load(sys.argv[1]).values()):
    for threshold in json.loads(sys.argv[2]):
        evaluator = Panoptica_Evaluator(
            expected_input=InputType.SEMANTIC,
            instance_approximator=ConnectedComponentsInstanceApproximator(),
            instance_matcher=NaiveThresholdMatching(matching_threshold=threshold),
        )
        found = evaluator.evaluate(prediction, reference, verbose=False)["ungrouped"]
        answers.append([found.n_ref_instances, found.n_pred_instances, found.tp, found.fp, found.rq, found.sq])
print("ANSWERS" + json.dumps([[float(number) for number in answer] for answer in answers]))
"""


def test_it_agrees_with_panoptica_on_many_small_components(tmp_path: Path):
    python = os.environ.get("SEGVARIANCE_PANOPTICA_PYTHON")
    if not python:
        pytest.skip("no panoptica: set SEGVARIANCE_PANOPTICA_PYTHON to the Python of an environment with it")
    cases, thresholds = [many_small(seed) for seed in range(4)], [0.1, 0.5, 0.75]
    first, second = (np.array([case[side] for case in cases], np.uint8) for side in (0, 1))
    np.savez(tmp_path / "pairs.npz", reference=first, prediction=second)
    done = subprocess.run(
        [python, "-c", _ASK_PANOPTICA, tmp_path / "pairs.npz", json.dumps(thresholds)],
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout.split("ANSWERS")[1])
    ours = []
    for (reference, prediction), threshold in product(cases, thresholds):
        found = match_lesions(reference, prediction, threshold)
        f1 = 2 * found.matched / (found.reference + found.prediction)
        invented = found.prediction - found.matched
        quality = sum(found.matched_iou) / max(1, found.matched)
        ours.append([found.reference, found.prediction, found.matched, invented, f1, quality])
    assert min(answer[0] for answer in answers) > 60
    assert answers == [pytest.approx(numbers, abs=1e-9) for numbers in ours]
