"""The command ``compare``: several studies together, one pair, all pairs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.comparisons import recipes_of
from SegVarianceLib.stats.study_statistics import study_statistics
from SegVarianceLib.study.cli import main
from SegVarianceLib.study.commands_compare import read_scores


def scores_of(recipe: str, gain: float, seeds: int = 4, members: bool = False) -> list[Score]:
    """Dice of 20 cases by two structures; with ``members``, also an ensemble of seeds 0 and 1 as a group of two."""
    rng = np.random.default_rng([int(1000 * gain), seeds])
    case = np.random.default_rng(0).normal(0, 0.04, 20)
    values = 0.8 + gain + case[None, :, None] + rng.normal(0, 0.01, (seeds, 20, 2))

    def line(configuration: str, seed: int, member: str, c: int, t: int, value: float) -> Score:
        return Score(configuration, None, seed, member, f"case_{c}", "ab"[t], "dice", float(value))

    lines = [line(recipe, s, f"seed_{s}", c, t, v) for (s, c, t), v in np.ndenumerate(values)]
    if members:
        both = values[:2].mean(axis=0)
        lines += [line(f"{recipe}_x2", 0, "majority_of_0_1", c, t, v) for (c, t), v in np.ndenumerate(both)]
    return lines


def written(path: Path, *recipes: list[Score], patients: dict[str, str] | None = None) -> str:
    ScoreTable(tuple(score for some in recipes for score in some), patients).write(path)
    return str(path)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, lines joined: a terminal may break them."""
    return " ".join(capsys.readouterr().out.split())


def test_a_pair_is_compared_in_words_and_by_structure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = written(tmp_path / "scores.csv", scores_of("new", 0.05), scores_of("old", 0.0), scores_of("third", 0.02))
    assert main(["compare", given, "--a", "new", "--b", "old", "--d0", "0.02", "--by", "structure"]) == 0
    text = said(capsys)
    assert "new is better beyond re-training luck" in text
    assert "more than 0.02, the least that is to matter here" in text
    assert "Two trainings of the same recipe were called 'significantly' different" in text
    assert "third" not in text
    assert "old 0.7924 (4 trainings), 20 cases" in text


def test_all_pairs_are_compared_and_ranked_where_nobody_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(
        tmp_path / "scores.csv", *(scores_of(name, gain) for name, gain in (("x", 0.0), ("y", 0.03), ("z", 0.06)))
    )
    assert main(["compare", given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(c["a"]["name"], c["b"]["name"]) for c in found["primary"]] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert [rank["configuration"] for rank in found["ranking"]["ranks"]] == ["z", "y", "x"]
    assert main(["compare", given]) == 0
    assert "Kendall's tau" in said(capsys)


def test_studies_whose_recipes_share_a_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    first = written(tmp_path / "monday" / "scores.csv", scores_of("default", 0.0, members=True))
    second = written(tmp_path / "friday" / "scores.csv", scores_of("default", 0.05))
    table = read_scores([first, second])
    assert table.unique("configuration") == ("monday", "monday_x2", "friday")
    assert recipes_of(table) == ("monday", "friday")
    other = written(tmp_path / "sunday" / "scores.csv", scores_of("wide", 0.0))
    assert read_scores([first, other]).unique("configuration") == ("default", "default_x2", "wide")


def test_patients_of_several_studies_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients = {f"case_{c}": f"patient_{c // 2}" for c in range(20)}
    first = written(tmp_path / "a.csv", scores_of("a", 0.0), patients=patients)
    second = written(tmp_path / "b.csv", scores_of("b", 0.05), patients=patients)
    assert main(["compare", first, second]) == 0
    assert "10 cases (20 images)" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{a}", "--a", "new"], "Give both --a and --b"),
        (["{a}", "--a", "new", "--b", "none"], "Expected two or more of the configurations 'new', 'old'"),
        (["{a}", "--metric", "hd95_mm"], "There is no metric 'hd95_mm'"),
        (["{a}", "--d0", "-1"], "must be above 0"),
        (["{a}", "{a}"], "given twice"),
    ],
)
def test_mistakes_get_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a": written(tmp_path / "a.csv", scores_of("new", 0.05), scores_of("old", 0.0))}
    assert main(["compare", *(argument.format(**files) for argument in arguments)]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_one_training_is_an_answer_on_the_terminal_in_json_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "once.csv", scores_of("new", 0.05), scores_of("lone", 0.0, seeds=1))
    assert main(["compare", given]) == 0
    assert "Not answerable. Dice (foreground mean): 'lone' was trained once" in said(capsys)
    assert main(["compare", given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_compared"][0].startswith("Not answerable")
    assert main(["report", given, "--output", str(tmp_path / "once.html")]) == 0
    page = (tmp_path / "once.html").read_text(encoding="utf-8")
    assert page.index("Not answerable") < page.index("What the seeds of each recipe show")


def test_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = written(tmp_path / "scores.csv", *(scores_of(name, 0.0) for name in ("a[/x]", "[red]b", "c")))
    assert main(["compare", given, "--by", "structure"]) == 0
    text = said(capsys)
    assert "a[/x]" in text
    assert "[red]b" in text


def test_one_family_of_corrections_on_terminal_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*scores_of("new", 0.004), *scores_of("old", 0.0)]
    given = written(tmp_path / "scores.csv", [*lines, *(s._replace(metric="iou") for s in lines)])
    assert main(["compare", given, "--json"]) == 0
    terminal = {
        (c["metric"]["id"], c["structure"]): c["p_holm"] for c in json.loads(capsys.readouterr().out)["by_structure"]
    }
    report = study_statistics(ScoreTable.read(Path(given)), "dice").comparisons
    assert report is not None
    assert terminal == {(c.metric.id, c.structure): c.p_holm for c in report.by_structure}
    assert len(terminal) == 5


def test_a_metric_that_nobody_asked_for_never_costs_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*scores_of("new", 0.05), *scores_of("old", 0.0)]
    unknown = [s._replace(metric="assd") for s in lines]
    of_one_alone = [s._replace(metric="iou") for s in lines if s.configuration == "new"]
    given = written(tmp_path / "scores.csv", lines, unknown, of_one_alone)
    assert main(["compare", given, "--structure", "a"]) == 0
    text = said(capsys)
    assert "new is better beyond re-training luck" in text
    assert "'assd' belongs to no known metric" in text
    assert "no 'iou' of configuration 'old'" in text


def test_every_exclusion_is_printed_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = [
        s._replace(value=None, note="agreed absent")
        if (s.case, s.structure) in {("case_3", "a"), ("case_5", "b")}
        else s
        for name in ("new", "old")
        for s in scores_of(name, 0.0)
    ]
    assert main(["compare", written(tmp_path / "scores.csv", absent)]) == 0
    text = said(capsys)
    assert "Left out (2; agreed absent: all seeds" in text
    assert "case_3 a, case_5 b" in text


def test_a_report_of_a_pair_among_several_is_made_where_asked(tmp_path: Path) -> None:
    given = written(tmp_path / "scores.csv", *(scores_of(name, 0.0) for name in ("x", "y", "z")))
    assert main(["report", given, "--a", "x", "--b", "z", "--output", str(tmp_path / "xz.html")]) == 0
    page = (tmp_path / "xz.html").read_text(encoding="utf-8")
    assert "x against z" in page
    assert "x against y" not in page


def test_an_ensemble_against_its_own_members_says_that_they_share_trainings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = scores_of("r", 0.0, members=True)
    second = [s._replace(seed=1, member="majority_of_2_3") for s in lines if s.configuration == "r_x2"]
    given = written(tmp_path / "scores.csv", lines, second)
    assert main(["compare", given, "--a", "r_x2", "--b", "r"]) == 0
    assert "made of the very trainings that they are compared with" in said(capsys)
