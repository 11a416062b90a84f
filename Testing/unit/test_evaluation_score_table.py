"""scores.csv: what is written comes back, what people's spreadsheets do to it is understood, the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.evaluation.score_table import COLUMNS, MISSED, Score, ScoreTable

HEADER = "configuration,fold,seed,member,case,structure,metric,value,note"
LINE = "default,0,3,seed_3,case_1,liver,dice,0.5,"

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
whole = st.none() | st.integers(0, 99)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
scores = st.builds(Score, names, whole, whole, names, names, names, names, numbers, st.just("") | names)


def file_of(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


@settings(max_examples=40)
@given(st.lists(scores, max_size=8, unique_by=lambda score: score[:7]))
def test_a_table_comes_back_as_it_was_written_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Score]
) -> None:
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    ScoreTable(tuple(lines)).write(path)
    assert ScoreTable.read(path).scores == tuple(lines)


def test_a_byte_order_mark_further_columns_another_order_and_empty_lines_are_understood(tmp_path: Path) -> None:
    plain = ScoreTable.read(file_of(tmp_path, HEADER, LINE)).scores
    assert plain == (Score("default", 0, 3, "seed_3", "case_1", "liver", "dice", 0.5),)
    marked = file_of(
        tmp_path, HEADER + ",remark", LINE + ",fine", "", LINE.replace("case_1", "case_2"), encoding="utf-8-sig"
    )
    assert [score.case for score in ScoreTable.read(marked).scores] == ["case_1", "case_2"]
    turned = file_of(tmp_path, *(",".join(["x", *line.split(",")[::-1]]) for line in (HEADER, LINE)))
    assert ScoreTable.read(turned).scores == plain


def test_empty_cells_of_fold_seed_and_value_are_none(tmp_path: Path) -> None:
    path = file_of(tmp_path, HEADER, f"default,,,mean_probability,case_1,liver,hd95_mm,,{MISSED}")
    assert ScoreTable.read(path).scores == (
        Score("default", None, None, "mean_probability", "case_1", "liver", "hd95_mm", None, MISSED),
    )


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((), "lacks the columns configuration, seed"),
        (
            ("case,structure,value",),
            r"lacks the columns configuration, seed, metric\. Expected: conf.* \(fold, member, note may be left out\)",
        ),
        ((HEADER + ",value", LINE + ",0.7"), "has the columns value twice"),
        ((HEADER, LINE, "default,0,3,seed_3,case_2,liver,dice"), "line 3: the line has too few cells. Expected 9"),
        ((HEADER, LINE, LINE.replace("0.5", "half")), "line 3: could not convert"),
        ((HEADER, LINE.replace("0.5", "nan")), "line 2: value 'nan' is not finite. Leave the cell empty"),
        ((HEADER, LINE.replace("0.5", "-1e999")), "value '-1e999' is not finite"),
        ((HEADER, LINE.replace(",3,", ",3.0,")), r"line 2: .*'3\.0'\. Fold and seed are whole numbers or empty"),
        ((HEADER, LINE.replace(",0,", ",first,")), "Fold and seed are whole numbers or empty"),
        (
            (HEADER, LINE, LINE.replace("0.5", "0.7")),
            r"holds two lines for \('default', 0, 3, 'seed_3', 'case_1', 'liver'",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path, lines: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(SegVarianceError, match=sentence):
        ScoreTable.read(file_of(tmp_path, *lines))


def test_a_file_that_is_absent_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(SegVarianceError, match=r"does not exist.* Score the predictions first"):
        ScoreTable.read(tmp_path / "scores.csv")
    (tmp_path / "scores.csv").write_bytes(HEADER.encode() + b"\n\xff\xfe")
    with pytest.raises(SegVarianceError, match="cannot be read as CSV"):
        ScoreTable.read(tmp_path / "scores.csv")


def test_scores_are_grouped_by_configuration_and_metric_in_the_order_of_the_table() -> None:
    lines = [
        Score(configuration, None, seed, f"seed_{seed}", "c", "a", metric, 0.5)
        for seed in (1, 0)
        for configuration, metric in (("b", "iou"), ("a", "dice"), ("b", "dice"))
    ]
    groups = ScoreTable(tuple(lines)).groups
    assert list(groups) == [("b", "iou"), ("a", "dice"), ("b", "dice")]
    assert [score.seed for score in groups["a", "dice"]] == [1, 0]
    assert sum(map(len, groups.values())) == len(lines)
    assert tuple(HEADER.split(",")) == COLUMNS


def test_patients_are_a_column_that_is_there_only_where_it_says_something(tmp_path: Path) -> None:
    scores = tuple(Score("r", 0, 0, "seed_0", f"case_{c}", "a", "dice", 0.5) for c in range(3))
    ScoreTable(scores, {"case_0": "ann", "case_1": "ann", "case_2": "bob"}).write(tmp_path / "with.csv")
    ScoreTable(scores).write(tmp_path / "without.csv")
    assert (tmp_path / "with.csv").read_text().splitlines()[:2] == [
        "configuration,fold,seed,member,case,structure,metric,value,note,patient",
        "r,0,0,seed_0,case_0,a,dice,0.5,,ann",
    ]
    read = ScoreTable.read(tmp_path / "with.csv")
    assert (read.scores, read.patients) == (scores, {"case_0": "ann", "case_1": "ann", "case_2": "bob"})
    assert ScoreTable.read(tmp_path / "without.csv").patients is None
    assert read.where(case="case_0").patients == read.patients


def test_one_case_of_two_patients_is_refused(tmp_path: Path) -> None:
    text = "configuration,fold,seed,member,case,structure,metric,value,note,patient\n"
    text += "r,0,0,seed_0,c,a,dice,0.5,,ann\nr,0,1,seed_1,c,a,dice,0.5,,bob\n"
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(SegVarianceError, match="line 3: case 'c' is of patient 'bob', and of 'ann' above"):
        ScoreTable.read(tmp_path / "scores.csv")


def test_what_spreadsheets_make_of_a_table_is_read(tmp_path: Path) -> None:
    plain = ScoreTable(
        (Score("r", None, 0, "", "case_1", "a", "dice", 0.85), Score("r", None, 1, "", "case_1", "a", "dice", 0.5))
    )
    german = (
        "Configuration; Seed ;case;structure;metric;value\nr;0;case_1;a;dice;0,85\nr;1;case_1;a;dice;0,5\n;;;;;\n\n"
    )
    tabs = (
        "seed\tconfiguration\tcase\tstructure\tmetric\tvalue\n0\tr\tcase_1\ta\tdice\t0.85\n1\tr\tcase_1\ta\tdice\t0.5\n"
    )
    for name, text in (("german.csv", german), ("tabs.csv", tabs)):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert ScoreTable.read(tmp_path / name) == plain
