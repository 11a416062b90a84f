"""What a clean-up gains, flattered and nested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.evaluation.clean_up_trials import CleanUpTrials, all_questions, nnunet_questions
from SegVarianceLib.stats.clean_up_gain import choose_clean_up, clean_up_gains
from SegVarianceLib.stats.clean_up_words import clean_up_sentences
from SegVarianceLib.stats.two_way import two_way_of_one

GRID = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
ORGAN = LabelSet((Structure("organ", (1,)),))
CASES = [f"case_{number}" for number in range(6)]
FOLDS = [CASES[0:2], CASES[2:4], CASES[4:6]]


def body(*islands: tuple[int, int, int]) -> np.ndarray:
    label_map = np.zeros((8, 8, 8), dtype=np.uint8)
    label_map[1:5, 1:5, 1:5] = 1
    for at in islands:
        label_map[at] = 1
    return label_map


def write(folder: Path, predictions: list[np.ndarray], references: list[np.ndarray]) -> tuple[dict, dict]:
    for where, maps in (("predicted", predictions), ("reference", references)):
        for case_id, label_map in zip(CASES, maps, strict=True):
            write_label_map(folder / where / f"{case_id}.nii.gz", label_map, GRID)
    predicted, reference = ({c: folder / w / f"{c}.nii.gz" for c in CASES} for w in ("predicted", "reference"))
    return predicted, reference


def test_what_is_chosen_for_a_fold_never_hangs_on_that_folds_references(tmp_path):
    """Poison each fold's references in turn: what is chosen for that fold stays, though the choice on all may change."""
    spoiled, plain = body((7, 7, 7)), body()
    predicted, reference = write(tmp_path, [spoiled] * 6, [plain] * 6)
    clean = choose_clean_up(CleanUpTrials([predicted], reference, ORGAN), nnunet_questions(ORGAN.structures), FOLDS)
    assert all(choice.steps for choice in clean.by_fold)
    changed = 0
    for number, fold in enumerate(FOLDS):
        for case_id in fold:
            write_label_map(reference[case_id], np.roll(spoiled, 4) | spoiled, GRID)  # the island is real, and more
        poisoned = choose_clean_up(
            CleanUpTrials([predicted], reference, ORGAN), nnunet_questions(ORGAN.structures), FOLDS
        )
        assert poisoned.by_fold[number] == clean.by_fold[number]
        changed += any(a != b for a, b in zip(poisoned.by_fold, clean.by_fold, strict=True))
        assert poisoned.nested[0].gain.value < clean.nested[0].gain.value
        for case_id in fold:
            write_label_map(reference[case_id], plain, GRID)
    assert changed == len(FOLDS), "the poison reaches the choices for the other folds"


def test_a_clean_up_that_one_fold_alone_asks_for_flatters_on_all_cases_and_not_nested(tmp_path):
    """Islands are wrong in the two cases of a fold, by much, and right in the four others, by little."""
    wrong = [(7, 7, z) for z in range(8)] + [(7, 6, z) for z in range(8)]
    predictions = [body(*wrong)] * 2 + [body((7, 7, 7))] * 4
    references = [body()] * 2 + [body((7, 7, 7))] * 4
    predicted, reference = write(tmp_path, predictions, references)
    found = choose_clean_up(CleanUpTrials([predicted], reference, ORGAN), nnunet_questions(ORGAN.structures), FOLDS)
    assert found.choice.steps and found.flattered[0].gain.value > 0
    assert found.by_fold[0].steps == ()
    assert found.nested[0].gain.value < 0
    text = " ".join(clean_up_sentences(found))
    assert "this flatters" in text and "1 of 3 folds chose nothing" in text and "harms on new cases" in text


def test_the_gain_is_a_paired_t_for_one_predictor_and_two_way_for_several_seeds():
    rng = np.random.default_rng(0)
    before = rng.uniform(0.5, 0.9, (3, 20, 2))
    after = before + rng.normal(0.02, 0.01, before.shape)
    columns = {str(case): [case] for case in range(20)}
    mean, first, _ = clean_up_gains(before, after, ["a", "b"], columns)
    expected = two_way_of_one((after - before).mean(axis=2)).interval()
    assert (mean.gain.value, mean.gain.low) == pytest.approx((expected.value, expected.low))
    assert first.structure == "a" and first.seeds == 3
    one = clean_up_gains(before[:1], after[:1], ["a", "b"], columns)[1]
    interval = stats.ttest_rel(after[0, :, 0], before[0, :, 0]).confidence_interval()
    assert (one.gain.low, one.gain.high) == pytest.approx((interval.low, interval.high))


def test_images_of_a_patient_are_averaged_first():
    before = np.zeros((1, 6, 1)) + 0.5
    after = before + np.array([0.3, 0.3, 0.3, 0.0, 0.0, 0.0])[None, :, None]
    gain = clean_up_gains(before, after, ["a"], {"p": [0, 1, 2], "q": [3], "r": [4], "s": [5]})[0]
    assert (gain.gain.value, gain.cases) == (pytest.approx(0.075), 4)


def test_a_false_alarm_that_goes_stands_beside_the_gain_and_a_lost_structure_in_it():
    before = np.array([[[0.0], [0.8], [0.8], [0.4]]])
    after = np.array([[[np.nan], [0.8], [0.9], [0.0]]])
    gain = clean_up_gains(before, after, ["a"], {str(case): [case] for case in range(4)})[0]
    assert (gain.false_alarms_removed, gain.lost, gain.cases) == (1, 1, 3)
    assert gain.gain.value == pytest.approx((0 + 0.1 - 0.4) / 3)


@pytest.mark.parametrize("folds", [[CASES], [CASES[:3], CASES[3:5]], [CASES, CASES], [CASES, []]])
def test_folds_that_do_not_hold_each_case_once_are_refused(tmp_path, folds):
    predicted, reference = write(tmp_path, [body()] * 6, [body()] * 6)
    with pytest.raises(SegVarianceError, match="each of the 6 cases once"):
        choose_clean_up(CleanUpTrials([predicted], reference, ORGAN), all_questions(ORGAN.structures), folds)
