"""Which configuration is best, without Qt: of what is scored, or of the files of a search that was done."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.files import write_json
from SegVarianceLib.ensemble.ensemble_recipe import EnsembleRecipe, RecipeMember
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.best_configuration import best_configuration
from SegVarianceLib.stats.best_words import best_sentences
from SegVarianceLib.stats.scored_candidates import scored_candidates

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_best import BestPresenter


@pytest.fixture
def table() -> ScoreTable:
    """Three seeds of two recipes on twelve cases; distances of the better one are smaller."""
    rng, lines = np.random.default_rng(5), []
    for recipe, gain in (("old", 0.0), ("new", 0.04)):
        for seed in range(3):
            for case in range(12):
                dice = 0.8 + gain + 0.01 * rng.normal()
                who = (recipe, None, seed, f"seed_{seed}", f"c{case:02}", "liver")
                lines += [Score(*who, "dice", dice), Score(*who, "hd95_mm", 20 * (1 - dice))]
    return ScoreTable(tuple(lines))


def presenter(study: Path | None = None) -> BestPresenter:
    return BestPresenter(lambda act: act(), lambda: study)


@pytest.mark.parametrize("metric", ["dice", "hd95_mm"])
def test_the_best_stands_first_with_the_sentence_and_the_command_for_pairs(table, metric):
    best = presenter(Path("my study"))
    best.use_table(table)
    best.judge(metric)
    found, state = best_configuration(scored_candidates(table, metric)), best.state
    assert (state.sentence, *state.more) == best_sentences(found)
    assert [row.name for row in state.rows] == ["new", "old"] and state.busy == state.problem == ""
    assert state.command == "segvariance best 'my study' --output 'my study_best'"


def test_without_scores_or_seeds_a_sentence_says_what_is_missing(table):
    best = presenter()
    assert not best.state.can_judge and best.state.hint.startswith("There are no scores")
    best.use_table(ScoreTable(tuple(score for score in table.scores if score.seed == 0)))
    best.judge("dice")
    assert "Train at least two seeds" in best.state.problem and best.state.rows == ()


def test_a_finished_search_is_read_and_its_command_shown(table, tmp_path):
    found = best_configuration(scored_candidates(table, "dice"))
    members = [RecipeMember(0, "new", 0, seed, f"runs/new/seed_{seed}/weights.safetensors", "0") for seed in range(3)]
    sentence, command = best_sentences(found)[0], "segvariance predict study --recipe ensemble_recipe.json"
    recipe = EnsembleRecipe.of("new", ["study"], members, "mean_probability", None, sentence)
    recipe.write(tmp_path / "ensemble_recipe.json")
    write_json(tmp_path / "best_configuration.json", found.to_json() | {"chosen": "new", "predict": command})
    best, judged = presenter(), presenter()
    best.read(str(tmp_path))
    judged.use_table(table)
    judged.judge("dice")
    assert (best.state.sentence, best.state.command, best.state.problem) == (sentence, command, "")
    assert best.state.rows == judged.state.rows and "new, 3 networks, mean_probability" in best.state.more[0]


@pytest.mark.parametrize("content", [{}, [], {"metric": {"id": "dice"}, "standings": []}, {"metric": {"id": "dice"}, "standings": [{"name": "a"}]}])  # fmt: skip
def test_a_file_that_is_no_answer_is_one_sentence(tmp_path, content):
    recipe = EnsembleRecipe.of("a", ["s"], [RecipeMember(0, "a", 0, 0, "w", "0")], "majority", None, "")
    recipe.write(tmp_path / "ensemble_recipe.json")
    write_json(tmp_path / "best_configuration.json", content)
    best = presenter()
    best.read(str(tmp_path))
    assert best.state.problem.endswith("is no answer of 'segvariance best'. Choose the folder that it wrote.")
    best.read(str(tmp_path / "nowhere" / "x.json"))
    assert "best_configuration.json" in best.state.problem
