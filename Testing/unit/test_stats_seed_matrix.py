"""Configurations on the very same cells: what counts, who is left out, patients, folds and failures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import AGREED_ABSENT, FALSE_ALARM, MISSED, Score, ScoreTable
from SegVarianceLib.stats.score_cube import ScoreCube, metric_of_column
from SegVarianceLib.stats.seed_matrix import FOREGROUND_MEAN, SeedMatrix, matched

Change = Callable[[Score], Score | None]


def lines(configuration: str, values: np.ndarray, metric: str = "dice", folds: int = 0) -> list[Score]:
    """Values [seed, case, structure] as lines; with ``folds``, case c was predicted by fold c modulo folds."""
    return [
        Score(
            configuration,
            c % folds if folds else None,
            s,
            f"seed_{s}",
            f"case_{c:02d}",
            "abcdefgh"[t],
            metric,
            float(v),
        )
        for (s, c, t), v in np.ndenumerate(values)
    ]


def cubes_of(scores: list[Score], change: Change = lambda score: score, shuffle: int = 0) -> list[ScoreCube]:
    """A cube of each configuration (sorted by name) from the changed lines (None drops one), in random order."""
    changed = [after for score in scores if (after := change(score)) is not None]
    random.Random(shuffle).shuffle(changed)
    table = ScoreTable(tuple(changed))
    return [
        ScoreCube.of(table, name, metric_of_column(changed[0].metric)) for name in sorted(table.unique("configuration"))
    ]


def of_patients(cubes: list[ScoreCube], patients: dict[str, str]) -> list[ScoreCube]:
    return [replace(cube, patients=patients) for cube in cubes]


def is_in(score: Score, configuration: str, seeds: tuple[int, ...], cases: range) -> bool:
    return score.configuration == configuration and score.seed in seeds and int(score.case[5:]) in cases


@pytest.fixture
def first() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 1, (6, 40, 2))


@pytest.fixture
def second() -> np.ndarray:
    return np.random.default_rng(2).uniform(0.5, 1, (4, 40, 2))


def test_all_configurations_stand_on_the_same_cells_and_are_averaged_afterwards(
    first: np.ndarray, second: np.ndarray
) -> None:
    # Seed 1 of B has no value of structure b in case 3, and B was never scored on case 5: neither counts for A.
    def change(score: Score) -> Score | None:
        if is_in(score, "B", (1,), range(3, 4)) and score.structure == "b":
            return score._replace(value=None, note=AGREED_ABSENT)
        return None if is_in(score, "B", (0, 1, 2, 3), range(5, 6)) else score

    a, b = matched(cubes_of(lines("A", first) + lines("B", second), change), FOREGROUND_MEAN)
    kept = [c for c in range(40) if c != 5]
    assert a.cases == b.cases == tuple(f"case_{c:02d}" for c in kept)
    for matrix, values in ((a, first), (b, second)):
        expected = values.mean(axis=2)
        expected[:, 3] = values[:, 3, 0]
        assert matrix.values == pytest.approx(expected[:, kept], rel=1e-14)
        assert (matrix.incomplete_seeds, matrix.left_out_seeds, matrix.notes) == ((), (), ())
    assert (a.configuration, b.configuration, a.seeds, b.seeds) == ("A", "B", (0, 1, 2, 3, 4, 5), (0, 1, 2, 3))
    assert a.exclusions == b.exclusions
    assert [(e.case, e.structure, e.reason) for e in a.exclusions] == [
        ("case_03", "b", "agreed absent: seed 1 of 'B'"),
        ("case_05", "a", "no score: all seeds of 'B'"),
        ("case_05", "b", "no score: all seeds of 'B'"),
    ]


def test_a_stopped_run_is_left_out_where_its_cases_are_worth_more(first: np.ndarray, second: np.ndarray) -> None:
    # All seeds keep (6 + 4) x 10 cells; without the two stopped ones it is (5 + 3) x 40.
    def change(score: Score) -> Score | None:
        stopped = is_in(score, "A", (2,), range(10, 40)) or is_in(score, "B", (0,), range(10, 20))
        return None if stopped else score

    a, b = matched(cubes_of(lines("A", first) + lines("B", second), change), "a")
    assert (a.left_out_seeds, b.left_out_seeds) == ((2,), (0,))
    assert (a.incomplete_seeds, b.incomplete_seeds, a.exclusions) == ((), (), ())
    assert (a.seeds, b.seeds) == ((0, 1, 3, 4, 5), (1, 2, 3))
    assert a.values.tolist() == first[[0, 1, 3, 4, 5], :, 0].tolist()
    assert b.values.tolist() == second[1:, :, 0].tolist()


@pytest.mark.parametrize(("lacking", "left_out"), [(4, ()), (5, (7,))])
def test_cases_are_cut_as_long_as_that_keeps_as_many_cells(lacking: int, left_out: tuple[int, ...]) -> None:
    # Ten seeds, 40 cases: without the seed 9 x 40 = 360 remain; without 4 cases 10 x 36 = 360, without 5 only 350.
    values = np.random.default_rng(3).uniform(size=(10, 40, 1))
    cubes = cubes_of(lines("A", values), lambda s: None if is_in(s, "A", (7,), range(lacking)) else s)
    matrix = SeedMatrix.of(cubes[0], "a")
    assert matrix.left_out_seeds == left_out
    assert matrix.incomplete_seeds == (() if left_out else (7,))
    assert matrix.values.shape == ((9, 40) if left_out else (10, 36))
    assert len(matrix.exclusions) == (0 if left_out else 4)


def test_a_configuration_is_never_cut_to_a_single_seed_but_may_have_been_trained_once(first: np.ndarray) -> None:
    scores = lines("A", first[:2]) + lines("B", first[2:3])
    cubes = cubes_of(scores, lambda s: None if is_in(s, "A", (1,), range(10, 40)) else s)
    a, b = matched(cubes, "a", min_seeds=1)
    assert (a.values.shape, b.values.shape, a.left_out_seeds, a.incomplete_seeds) == ((2, 10), (1, 10), (), (1,))
    with pytest.raises(
        SegVarianceError, match=r"configuration 'B': 1 seed\(s\) share 10 .* Seeds that lack cases: 1 of 'A'"
    ):
        matched(cubes, "a")


def test_seeds_are_left_out_rather_than_that_fewer_than_three_cases_remain(first: np.ndarray) -> None:
    # Ten seeds x 2 cases are more cells than two seeds x 5 cases, but nothing can be said about 2 cases.
    values = np.concatenate([first, first[:4]])[:, :5]
    cubes = cubes_of(lines("A", values), lambda s: None if is_in(s, "A", tuple(range(2, 10)), range(2, 5)) else s)
    matrix = SeedMatrix.of(cubes[0], "a")
    assert (matrix.values.shape, matrix.left_out_seeds) == ((2, 5), tuple(range(2, 10)))


def test_a_line_without_a_value_is_no_missing_run(first: np.ndarray) -> None:
    def change(score: Score) -> Score:
        missed = is_in(score, "A", (2,), range(10, 40))
        return score._replace(value=None, note=MISSED) if missed else score

    matrix = SeedMatrix.of(cubes_of(lines("A", first, "hd95_mm"), change)[0], "b")
    assert (matrix.left_out_seeds, matrix.incomplete_seeds, matrix.values.shape) == ((), (), (6, 10))
    assert {e.reason for e in matrix.exclusions} == {"missed: seed 2"}
    assert len(matrix.exclusions) == 30


def test_images_of_a_patient_are_averaged_after_the_intersection(first: np.ndarray) -> None:
    def change(score: Score) -> Score:
        return score._replace(value=None, note=MISSED) if is_in(score, "A", (0,), range(4, 5)) else score

    patients = {f"case_{c:02d}": f"patient {'zyxwv'[c // 3]}" for c in range(15)}
    matrix = matched(of_patients(cubes_of(lines("A", first[:, :15], "hd95_mm", folds=0), change), patients), "a")[0]
    assert matrix.cases == ("patient v", "patient w", "patient x", "patient y", "patient z")
    assert matrix.images == (3, 3, 3, 2, 3)
    expected = [first[:, [c for c in of if c != 4], 0].mean(axis=1) for of in np.arange(15).reshape(5, 3)[::-1]]
    assert matrix.values == pytest.approx(np.array(expected).T, rel=1e-14)
    assert [(e.case, e.reason) for e in matrix.exclusions] == [("case_04", "missed: seed 0")]
    assert np.argwhere(matrix.failures).tolist() == [[0, 3]]


def test_a_patient_of_one_image_has_its_value_unchanged(first: np.ndarray) -> None:
    cubes = cubes_of(lines("A", first))
    alone = matched(of_patients(cubes, {case: case for case in cubes[0].cases}), FOREGROUND_MEAN)[0]
    plain = SeedMatrix.of(cubes[0], FOREGROUND_MEAN)
    assert (alone.values.tolist(), alone.cases, alone.images) == (plain.values.tolist(), plain.cases, (1,) * 40)


@pytest.mark.parametrize("of_case_7", [{}, {"case_07": ""}])
def test_a_case_without_a_patient_is_named(first: np.ndarray, of_case_7: dict[str, str]) -> None:
    patients = {f"case_{c:02d}": "p" for c in range(40) if c != 7} | of_case_7
    with pytest.raises(SegVarianceError, match="Case 'case_07' has no patient"):
        matched(of_patients(cubes_of(lines("A", first)), patients), "a")


def test_a_patient_lies_in_one_fold_or_is_refused(first: np.ndarray) -> None:
    cubes = cubes_of(lines("A", first, folds=5))
    by_fold = {f"case_{c:02d}": f"{c % 10}" for c in range(40)}
    matrix = matched(of_patients(cubes, by_fold), "a")[0]
    assert matrix.folds == tuple(patient % 5 for patient in range(10))
    with pytest.raises(SegVarianceError, match="images of patient '0' were predicted by the folds 0, 1"):
        matched(of_patients(cubes, by_fold | {"case_11": "0"}), "a")


def test_each_case_carries_the_fold_that_predicted_it(first: np.ndarray, second: np.ndarray) -> None:
    scores = lines("A", first, folds=5) + lines("B", second, folds=5)
    without = cubes_of(scores, lambda s: None if is_in(s, "B", (0, 1, 2, 3), range(2, 3)) else s)
    a, b = matched(without, "a")
    assert a.folds == b.folds == tuple(c % 5 for c in range(40) if c != 2)
    assert without[1].folds == a.folds
    assert SeedMatrix.of(cubes_of(lines("A", first))[0], "a").folds == (None,) * 40


def test_ensembles_have_no_fold_and_do_not_hide_those_of_the_seeds(first: np.ndarray) -> None:
    ensemble = [s._replace(fold=None, seed=None, member="mean") for s in lines("A", first[:1])]
    further = ensemble[0]._replace(case="case_99")
    cube = cubes_of([*lines("A", first, folds=5), *ensemble, further])[0]
    assert cube.folds == (*(c % 5 for c in range(40)), None)
    assert SeedMatrix.of(cube, "a").folds == cube.folds[:40]


def test_seeds_of_one_configuration_with_two_splits_are_refused(first: np.ndarray) -> None:
    def change(score: Score) -> Score:
        return score._replace(fold=4) if is_in(score, "A", (2, 5), range(8, 9)) else score

    with pytest.raises(
        SegVarianceError,
        match=r"'case_08' was predicted by fold 3 \(seeds 0, 1, 3, 4\), fold 4 \(seeds 2, 5\).*same for all",
    ):
        cubes_of(lines("A", first, folds=5), change)


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        (4, "(32 of 40 cases differ): case 'case_04' was predicted in 'A' by fold 4, in 'B' by fold 0"),
        (0, "(40 of 40 cases differ): case 'case_00' was predicted in 'A' by fold 0, in 'B' by an unknown fold"),
    ],
)
def test_configurations_with_other_splits_are_compared_without_folds_and_say_so(
    first: np.ndarray, second: np.ndarray, folds: int, words: str
) -> None:
    a, b = matched(cubes_of(lines("A", first, folds=5) + lines("B", second, folds=folds)), "a")
    assert a.folds == b.folds == (None,) * 40
    assert a.notes == b.notes
    assert f"do not share one split {words}" in a.notes[0]


def test_structures_that_one_configuration_lacks_are_named(first: np.ndarray, second: np.ndarray) -> None:
    wider = np.concatenate([first, first], axis=2)
    cubes = cubes_of(lines("A", wider[:, :, :3]) + [s for s in lines("B", wider[:4]) if s.structure in "abd"])
    with pytest.raises(SegVarianceError, match="configuration 'A' lacks d; configuration 'B' lacks c"):
        matched(cubes, FOREGROUND_MEAN)
    with pytest.raises(SegVarianceError, match=r"Dice of 'c': configuration 'B' lacks c\. .*in any: a, b, c, d"):
        matched(cubes, "c")
    assert [len(matrix.cases) for matrix in matched(cubes, "b")] == [40, 40]


def test_cubes_of_two_metrics_are_refused(first: np.ndarray) -> None:
    dice, hd95 = cubes_of(lines("A", first)), cubes_of(lines("B", first, "hd95_mm"))
    with pytest.raises(SegVarianceError, match="'A' is given by its Dice, 'B' by its HD95"):
        matched([*dice, *hd95], "a")


def test_failures_are_misses_and_false_alarms_whether_they_have_a_value_or_count(first: np.ndarray) -> None:
    def change(score: Score) -> Score:
        if is_in(score, "A", (3,), range(7, 8)) and score.structure == "b":
            return score._replace(value=0.0, note=MISSED)
        if is_in(score, "A", (4,), range(9, 10)) and score.structure == "a":
            return score._replace(value=None, note=FALSE_ALARM)
        return score

    cube = cubes_of(lines("A", first), change)[0]
    assert np.argwhere(cube.missed).tolist() == [
        [3, 7, cube.structures.index("b")],
        [4, 9, cube.structures.index("a")],
    ]
    mean, a, b = (SeedMatrix.of(cube, name) for name in (FOREGROUND_MEAN, "a", "b"))
    assert np.argwhere(mean.failures).tolist() == [[3, 7], [4, 9]]
    assert not a.failures.any() and "case_09" not in a.cases
    assert np.argwhere(b.failures).tolist() == [[3, 7]]
    assert b.failures.shape == b.values.shape


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(5, 12), st.integers(1, 8))
def test_the_order_of_lines_changes_no_bit_of_a_matrix(seed: int, cases: int, structures: int) -> None:
    rng = np.random.default_rng(seed)
    scores = lines("A", rng.uniform(size=(4, cases, structures))) + lines("B", rng.uniform(size=(3, cases, structures)))
    fate = dict(zip((s[:7] for s in scores), rng.uniform(size=len(scores)), strict=True))

    def change(score: Score) -> Score | None:
        if fate[score[:7]] < 0.01:
            return None
        return score._replace(value=None, note=MISSED) if fate[score[:7]] < 0.03 else score

    patients = {f"case_{c:02d}": f"p{c // 2 if c > 3 else c}" for c in range(cases)}
    found = []
    for shuffle in (1, 2):
        try:
            found.append(matched(of_patients(cubes_of(scores, change, shuffle), patients), FOREGROUND_MEAN))
        except SegVarianceError as error:
            found.append(str(error))
    if isinstance(found[0], str):
        assert found[0] == found[1]
        return
    for one, other in zip(*found, strict=True):
        assert one.values.tobytes() == other.values.tobytes()
        assert one.failures.tobytes() == other.failures.tobytes()
        assert (one.cases, one.seeds, one.images, one.exclusions) == (
            other.cases,
            other.seeds,
            other.images,
            other.exclusions,
        )
        assert (one.left_out_seeds, one.incomplete_seeds) == (other.left_out_seeds, other.incomplete_seeds)


def test_names_of_structures_change_no_bit_of_the_foreground_mean() -> None:
    values = np.random.default_rng(5).uniform(size=(3, 20, 8))
    one = SeedMatrix.of(cubes_of(lines("A", values))[0], FOREGROUND_MEAN)
    other = SeedMatrix.of(cubes_of(lines("A", values[:, :, [3, 0, 6, 1, 7, 2, 5, 4]]))[0], FOREGROUND_MEAN)
    assert one.values.tobytes() == other.values.tobytes()


def test_arrays_made_elsewhere_become_matrices_or_are_refused(first: np.ndarray) -> None:
    matrix = SeedMatrix.of_array(first[:, :, 0], "mine", "hd95_mm", folds=[c % 5 for c in range(40)])
    assert (matrix.seeds, matrix.cases[1], matrix.metric.unit, matrix.folds[6]) == ((0, 1, 2, 3, 4, 5), "01", "mm", 1)
    assert not matrix.failures.any()
    holed = first[:, :, 0].copy()
    holed[2, 3] = np.nan
    for wrong in (holed, first, first[:, :2, 0], np.empty((0, 5))):
        with pytest.raises(SegVarianceError, match="'mine': expected finite numbers"):
            SeedMatrix.of_array(wrong, "mine", "dice")
    with pytest.raises(SegVarianceError, match="3 folds for 40 cases"):
        SeedMatrix.of_array(first[:, :, 0], "mine", "dice", folds=[0, 1, 2])


def test_a_dice_in_per_cent_is_refused(first: np.ndarray) -> None:
    with pytest.raises(SegVarianceError, match="lies between 0 and 1"):
        cubes_of(lines("A", 100 * first))
