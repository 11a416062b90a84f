"""The command ``power``: what it answers to a pilot of one recipe or two, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.study.cli import main


def scores(path: Path, recipes: str, seeds: int = 4, cases: int = 12, folds: int = 1) -> Path:
    """Dice of two structures; recipes differ from case to case."""
    rng = np.random.default_rng(1)
    lines = []
    for recipe in recipes:
        own = np.linspace(0.7, 0.9, cases) + rng.normal(0, 0.003, cases)
        for seed in range(seeds):
            values = own + rng.normal(0, 0.002) + rng.normal(0, 0.005, cases)
            lines += [
                Score(recipe, case % folds, seed, f"seed_{seed}", f"case_{case}", structure, "dice", float(value))
                for case, value in enumerate(values)
                for structure in ("anterior", "posterior")
            ]
    ScoreTable(tuple(lines)).write(path)
    return path


def test_two_recipes_give_what_settles_a_difference_and_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(scores(tmp_path / "scores.csv", "ab"))
    assert main(["power", table, "--hours", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    seeds = answer["different"]["seeds"]
    assert (answer["recipes"], answer["cases"], answer["seeds"]) == (["a", "b"], 12, [4, 4])
    assert answer["cost"] == {"trainings": 2 * seeds, "hours": 4.0 * seeds}
    assert main(["power", table, "--hours", "2"]) == 0
    text = capsys.readouterr().out
    assert answer["findings"][0] in text
    assert f"on these 12 cases: {seeds} trainings of each recipe" in text
    assert "Time" in text
    (row,) = (line.split() for line in text.splitlines() if line.split()[:1] == [str(seeds)])
    assert row[1].startswith("*")  # 12 cases come before 20, 50, 100
    assert row[-3:] == [str(2 * seeds), f"{4 * seeds:.1f}", "h"]


def test_one_recipe_is_a_lower_bound_and_a_table_alone_knows_no_hours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["power", str(scores(tmp_path / "scores.csv", "ab")), "--a", "a"]) == 0
    text = capsys.readouterr().out
    assert "at least" in text
    assert "the least that is needed" in text
    assert "ours" not in text


def test_with_folds_a_seed_costs_as_many_trainings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(scores(tmp_path / "scores.csv", "ab", folds=3))
    assert main(["power", table, "--hours", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["cost"]["trainings"] == 6 * answer["different"]["seeds"]


@pytest.mark.parametrize(
    ("recipes", "seeds", "options", "sentence"),
    [
        ("abc", 3, [], "Choose with --a and --b"),
        ("ab", 3, ["--a", "a", "--b", "a"], "two different ones"),
        ("ab", 3, ["--a", "z"], "configuration 'z'"),
        ("ab", 1, [], "train more seeds"),
        ("ab", 3, ["--d0", "0"], "above 0"),
        ("ab", 3, ["--hours", "-1"], "above 0"),
        ("ab", 3, ["--structure", "tail"], "tail"),
        ("ab", 3, ["--metric", "beauty"], "beauty"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_a_sentence(
    recipes: str, seeds: int, options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(scores(tmp_path / "scores.csv", recipes, seeds))
    assert main(["power", table, *options]) == 2
    assert sentence in capsys.readouterr().err
