from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import ProblemsFound, SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import find_images, write_label_map
from SegVarianceLib.evaluation.evaluate import (
    Member,
    ReferenceCase,
    discover_labels,
    score_case,
    score_folder,
    score_members,
)
from SegVarianceLib.evaluation.score_table import AGREED_ABSENT, FALSE_ALARM, MISSED, Score, ScoreTable

LABELS = LabelSet((Structure("liver", (1,)), Structure("lesion", (2,))))
SPACING = (2.0, 1.0, 1.0)
GEOMETRY = Geometry((12, 10, 8), (1.0, 1.0, 2.0), (5.0, -3.0, 40.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
MEMBER = Member("default", "seed_3", seed=3, fold=0)


def body(start: int = 2, value: int = 1) -> np.ndarray:
    label_map = np.zeros((8, 10, 12), dtype=np.uint8)
    label_map[2:6, 2:8, start : start + 6] = value
    return label_map


def by_name(scores) -> dict[tuple[str, str], tuple[float | None, str]]:
    return {(score.structure, score.metric): (score.value, score.note) for score in scores}


def write(folder: Path, **label_maps: np.ndarray) -> dict[str, Path]:
    for name, label_map in label_maps.items():
        write_label_map(folder / f"{name}.nii.gz", label_map, GEOMETRY)
    return find_images(folder)


def test_a_perfect_prediction_scores_best_everywhere():
    found = by_name(score_case(body(), body(), LABELS, SPACING, 1.0))
    assert [found["liver", metric][0] for metric in ("dice", "iou", "hd95_mm", "surface_dice_1mm")] == [1, 1, 0, 1]


def test_a_block_moved_by_two_voxels_scores_as_by_hand():
    found = by_name(score_case(body(4), body(2), LABELS, SPACING, 2.0))
    assert found["liver", "dice"] == (pytest.approx(4 / 6), "")
    assert found["liver", "iou"] == (pytest.approx(4 / 8), "")
    assert found["liver", "hd95_mm"] == (2.0, "")
    assert found["liver", "surface_dice_2mm"] == (1.0, "")


@pytest.mark.parametrize(("in_prediction", "in_reference", "note"), [(False, True, MISSED), (True, False, FALSE_ALARM)])
def test_a_structure_on_one_side_only_scores_dice_zero_and_no_distance(in_prediction, in_reference, note):
    prediction, reference = body(), body()
    prediction[0, 0, 0], reference[0, 0, 0] = 2 * in_prediction, 2 * in_reference
    found = by_name(score_case(prediction, reference, LABELS, SPACING, 1.0))
    assert [found["lesion", metric] for metric in ("dice", "iou", "hd95_mm", "surface_dice_1mm")] == [
        (0.0, note),
        (0.0, note),
        (None, note),
        (0.0, note),
    ]


def test_a_structure_on_neither_side_has_no_value_and_says_agreed_absent():
    found = by_name(score_case(body(), body(), LABELS, SPACING, 1.0))
    values = {found["lesion", metric] for metric in ("dice", "iou", "hd95_mm", "surface_dice_1mm")}
    assert values == {(None, AGREED_ABSENT)}


def test_two_empty_maps_are_agreed_absent_everywhere():
    empty = np.zeros((4, 4, 4), dtype=np.uint8)
    assert {score[2:] for score in score_case(empty, empty, LABELS, SPACING, 1.0)} == {(None, AGREED_ABSENT)}


def test_what_is_predicted_on_ignored_voxels_changes_no_score():
    labels = LabelSet(LABELS.structures, ignore_value=9)
    reference = body()
    reference[:, :, 9:] = 9
    clean = body()
    scribbled = body()
    scribbled[:, :, 9:] = np.random.default_rng(0).integers(0, 3, scribbled[:, :, 9:].shape)
    expected = score_case(clean, reference, labels, SPACING, 1.0)
    assert score_case(scribbled, reference, labels, SPACING, 1.0) == expected
    assert by_name(expected)["liver", "hd95_mm"] == (0.0, "")


def test_a_region_is_scored_on_the_union_of_its_labels():
    labels = LabelSet((Structure("whole", (1, 2)), Structure("core", (2,))), regions_class_order=(1, 2))
    reference, prediction = body(), body()
    reference[3:5, 3:5, 3:5] = 2
    found = by_name(score_case(prediction, reference, labels, SPACING, 1.0))
    assert found["whole", "dice"] == (1.0, "")
    assert found["whole", "hd95_mm"] == (0.0, "")
    assert found["core", "dice"] == (0.0, MISSED)


def test_a_prepared_reference_gives_every_prediction_the_same_scores():
    prepared = ReferenceCase.of(body(2), LABELS, SPACING)
    for start in (1, 3, 5):
        assert prepared.score(body(start), 1.0) == score_case(body(start), body(2), LABELS, SPACING, 1.0)


def test_a_prediction_of_another_shape_is_refused():
    with pytest.raises(SegVarianceError, match="voxels"):
        score_case(np.zeros((3, 3, 3), np.uint8), body(), LABELS, SPACING, 1.0)


def test_a_folder_becomes_rows_that_the_score_table_reads_back(tmp_path):
    references = write(tmp_path / "references", a=body(2), b=body(3))
    predictions = write(tmp_path / "predictions", a=body(4), b=body(3))
    steps: list[tuple[int, int]] = []
    scores = score_folder(predictions, references, LABELS, MEMBER, 1.0, lambda done, all_: steps.append((done, all_)))
    assert scores[0] == Score("default", 0, 3, "seed_3", "a", "liver", "dice", pytest.approx(4 / 6), "")
    assert [(s.case, s.structure) for s in scores] == [
        (case, structure) for case in "ab" for structure in ("liver", "lesion") for _ in range(4)
    ]
    assert steps == [(1, 2), (2, 2)]
    ScoreTable(scores).write(tmp_path / "scores.csv")
    assert ScoreTable.read(tmp_path / "scores.csv").scores == scores


def test_members_together_score_as_each_alone(tmp_path):
    references = write(tmp_path / "references", a=body(2), b=body(3))
    first, second = MEMBER, Member("default", "seed_4", seed=4, fold=0)
    folders = {first: write(tmp_path / "1", a=body(4), b=body(3)), second: write(tmp_path / "2", a=body(2), b=body(5))}
    alone = [s for member in (first, second) for s in score_folder(folders[member], references, LABELS, member, 1.0)]
    assert score_members(folders, references, LABELS, 1.0) == tuple(alone)


def test_missing_and_surplus_cases_are_all_named(tmp_path):
    references = write(tmp_path / "references", a=body(), b=body())
    predictions = write(tmp_path / "predictions", b=body(), c=body(), d=body())
    with pytest.raises(ProblemsFound) as found:
        score_folder(predictions, references, LABELS, MEMBER, 1.0)
    assert [problem.what.split("'")[1] for problem in found.value.problems] == ["a", "c", "d"]


def test_predictions_on_another_grid_are_all_named_before_voxels_are_read(tmp_path):
    references = write(tmp_path / "references", a=body(), b=body(), c=body())
    predictions = write(tmp_path / "predictions", a=body())
    flipped = Geometry(GEOMETRY.size, GEOMETRY.spacing_mm, GEOMETRY.origin_mm, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    coarse = Geometry(GEOMETRY.size, (1.0, 1.0, 3.0), GEOMETRY.origin_mm, GEOMETRY.direction)
    unknown = body(value=7)
    write_label_map(tmp_path / "predictions" / "b.nii.gz", unknown, flipped)
    write_label_map(tmp_path / "predictions" / "c.nii.gz", unknown, coarse)
    with pytest.raises(ProblemsFound) as found:
        score_folder(find_images(tmp_path / "predictions"), references, LABELS, MEMBER, 1.0)
    assert predictions["a"].name not in str(found.value)
    assert len(found.value.problems) == 2
    assert "spacing (1.0, 1.0, 2.0) against (1.0, 1.0, 3.0)" in found.value.problems[1].what


def test_unknown_values_and_unreadable_files_are_all_named_and_nothing_is_scored(tmp_path):
    references = write(tmp_path / "references", a=body(), b=body(), c=body())
    predictions = write(tmp_path / "predictions", a=body(value=7), b=body(), c=body(value=8))
    with pytest.raises(ProblemsFound, match=r"(?s)\[7\].*\[8\]"):
        score_folder(predictions, references, LABELS, MEMBER, 1.0)
    predictions["b"].write_bytes(b"no image")
    predictions["c"].write_bytes(b"no image either")
    with pytest.raises(ProblemsFound) as found:
        score_folder(predictions, references, LABELS, MEMBER, 1.0)
    assert [Path(problem.where).name for problem in found.value.problems] == ["b.nii.gz", "c.nii.gz"]


def test_labels_of_a_plain_folder_are_those_its_references_hold(tmp_path):
    paths = write(tmp_path, a=body(value=4), b=body(value=2)).values()
    assert discover_labels(paths).structures == (Structure("label_2", (2,)), Structure("label_4", (4,)))
    empty = write(tmp_path / "empty", a=np.zeros((8, 10, 12), np.uint8)).values()
    with pytest.raises(SegVarianceError, match="background"):
        discover_labels(empty)


def test_real_references_scored_against_themselves_are_perfect(real_data):
    references = dict(list(find_images(real_data / "Task04_Hippocampus" / "labelsTr").items())[:3])
    scores = score_folder(references, references, discover_labels(references.values()), MEMBER, 1.0)
    assert {(s.metric, s.value) for s in scores} == {
        ("dice", 1.0),
        ("iou", 1.0),
        ("hd95_mm", 0.0),
        ("surface_dice_1mm", 1.0),
    }


def test_overlap_alone_gives_the_same_overlap_and_nothing_else(tmp_path):
    references = write(tmp_path / "ref", a=body(2), b=body(3))
    predictions = write(tmp_path / "pred", a=body(3), b=body(3))
    every = score_members({Member("c", "m"): predictions}, references, LABELS, 1.0)
    few = score_members({Member("c", "m"): predictions}, references, LABELS, 1.0, metrics=("iou", "dice"))
    assert sorted(few) == sorted(score for score in every if score.metric in ("dice", "iou"))
