"""Which case to look at first: numbers from a score table, from a vote and a reference, or from members alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import Structure
from SegVarianceLib.core.stepwise import result_of
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.ensemble.member_maps import MemberMaps
from SegVarianceLib.evaluation.evaluate import score_case
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.review.case_order import (
    CaseNumbers,
    number_steps,
    numbers_in_table,
    pairwise_dice,
    worst_first,
)
from SegVarianceLib.review.open_case import read_case
from SegVarianceLib.review.opening import open_review

GRID = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def drawn(seed: int, values: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, values, GRID.shape_zyx).astype(np.uint8)


def scores(*lines: tuple[str, str, str, float | None]) -> ScoreTable:
    return ScoreTable(
        tuple(Score("base", None, None, who, case, name, "dice", value) for who, case, name, value in lines)
    )


def test_the_lowest_number_comes_first_and_cases_without_one_last_in_their_order():
    assert worst_first("abcd", {"b": 0.9, "d": 0.2}) == ("d", "b", "a", "c")


def test_of_several_structures_the_mean_counts_and_one_that_is_absent_does_not():
    numbers = CaseNumbers("", {"p": {"big": 0.8, "small": 0.4}, "q": {"big": 0.7}, "r": {}})
    assert numbers.by_case() == pytest.approx({"p": 0.6, "q": 0.7})
    assert numbers.by_case("small") == {"p": 0.4}


def test_the_ensembles_scores_count_where_the_table_has_them_and_else_the_mean_of_the_members():
    table = scores(
        ("seed_1", "p", "big", 0.2),
        ("seed_2", "p", "big", 0.6),
        ("seed_1", "q", "big", 0.9),
        ("seed_2", "q", "big", None),
        ("vote", "p", "big", 0.5),
    )
    by_ensemble = numbers_in_table(table, ["base/vote"], ["base/seed_1", "base/seed_2"])
    assert by_ensemble.by_case() == {"p": 0.5} and "base/vote" in by_ensemble.what
    by_members = numbers_in_table(table, [], ["base/seed_1", "base/seed_2"])
    assert by_members.by_case() == pytest.approx({"p": 0.4, "q": 0.9})
    assert numbers_in_table(ScoreTable(()), ["base/vote"], []) is None


@pytest.mark.parametrize("seeds", [(1, 2), (1, 2, 3, 4), (1, 1, 1)])
def test_pairwise_dice_is_that_of_comparing_every_two_whole_label_maps(seeds):
    label_maps = [drawn(seed) for seed in seeds]
    maps = MemberMaps.of([str(number) for number in range(len(seeds))], label_maps)
    for structure in (Structure("one", (1,)), Structure("both", (1, 2))):
        masks = [structure.mask(each) for each in label_maps]
        pairs = [(a, b) for i, a in enumerate(masks) for b in masks[i + 1 :]]
        expected = np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs])
        assert pairwise_dice(maps, structure) == pytest.approx(expected)


def test_who_lacks_a_structure_that_others_drew_agrees_with_none_of_them_and_absence_in_all_is_no_number():
    empty, full = np.zeros(GRID.shape_zyx, np.uint8), np.ones(GRID.shape_zyx, np.uint8)
    maps = MemberMaps.of("abc", [full, empty, empty])
    assert pairwise_dice(maps, Structure("one", (1,))) == 0.0  # b and c both lack it: that pair does not count
    assert pairwise_dice(MemberMaps.of("bc", [empty, empty]), Structure("one", (1,))) is None
    assert pairwise_dice(MemberMaps.of("a", [full]), Structure("one", (1,))) is None


def test_with_a_reference_the_number_is_the_votes_dice_and_ignored_voxels_do_not_count(tmp_path: Path):
    reference = drawn(9)
    reference[:2] = 7
    label_map = drawn(1)
    write_label_map(tmp_path / "a" / "p.nii.gz", label_map, GRID)
    write_label_map(tmp_path / "labels" / "p.nii.gz", reference, GRID)
    labels = {"background": 0, "big": 1, "small": 2, "ignore": 7}
    write_json(tmp_path / "dataset.json", {"labels": labels})
    opened = read_case(open_review(tmp_path), "p")
    assert opened.labels.ignore_value == 7
    expected = {
        found.structure: found.value
        for found in score_case(label_map, reference, opened.labels, GRID.spacing_zyx_mm, 1.0)
        if found.metric == "dice"
    }
    assert result_of(number_steps(opened)) == pytest.approx(expected)


def test_without_a_reference_the_number_is_how_far_members_agree(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 2)):
        write_label_map(tmp_path / name / "p.nii.gz", drawn(seed), GRID)
    opened = read_case(open_review(tmp_path), "p")
    found = result_of(number_steps(opened))
    assert found == {each.name: pairwise_dice(opened.maps, each) for each in opened.labels.structures}
