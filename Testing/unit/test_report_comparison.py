"""What the page says and draws of recipes against each other is what was computed, whatever the names."""

from __future__ import annotations

import csv
import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.ensemble.subsets import draw_groups, subset_configuration
from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.report.comparison_plots import case_differences, structure_forest
from SegVarianceLib.report.comparison_sections import sample_words
from SegVarianceLib.report.content import ReportContent
from SegVarianceLib.report.ensemble_plot import ensemble_size_curve
from SegVarianceLib.report.false_alarm_plot import false_alarm_map
from SegVarianceLib.report.plots import caterpillar, caterpillar_scale
from SegVarianceLib.report.report import report_html, write_report
from SegVarianceLib.report.variance_plot import variance_bars
from SegVarianceLib.stats.comparison import Comparison, compare_matrices
from SegVarianceLib.stats.comparison_words import comparison_findings, verdict_title
from SegVarianceLib.stats.comparisons import compare_recipes
from SegVarianceLib.stats.ensemble_size import ensemble_curves
from SegVarianceLib.stats.intervals import Estimate
from SegVarianceLib.stats.seed_matrix import SeedMatrix
from SegVarianceLib.stats.seed_study import seed_studies
from SegVarianceLib.stats.variance_parts import VariancePart

EVIL = "<script>alert(1)</script>\"'&"


def table_of(recipes: dict[str, float], structures: tuple[str, ...] = ("a", "b"), seeds: int = 4) -> ScoreTable:
    """Recipes with their mean Dice, an ensemble of all seeds and ensembles of some."""
    rng, rule, cases, scores = np.random.default_rng(0), "majority", 12, []
    difficulty = rng.normal(0, 0.04, (cases, len(structures)))

    def add(configuration: str, seed: int | None, member: str, values: np.ndarray) -> None:
        for (case, at), dice in np.ndenumerate(values):
            for metric, value in (("dice", dice), ("hd95_mm", 10 * (1 - dice))):
                scores.append(
                    Score(configuration, None, seed, member, f"case_{case}", structures[at], metric, float(value))
                )

    for name, mean in recipes.items():
        noise = rng.normal(0, 0.004, (seeds, 1, 1)) + rng.normal(0, 0.008, (seeds, *difficulty.shape))
        values = mean + difficulty + noise
        for seed in range(seeds):
            add(name, seed, f"seed_{seed}", values[seed])
        add(name, None, rule, values.mean(axis=0) + 0.008)
        for size, groups in draw_groups(rule, range(seeds), 0).items():
            for number, group in enumerate(groups):
                combined = values[list(group.seeds)].mean(axis=0) + 0.008 * (1 - 1 / size)
                add(subset_configuration(name, size), number, group.member, combined)
    return ScoreTable(tuple(scores))


def content_of(recipes: dict[str, float], structures: tuple[str, ...] = ("a", "b")) -> ReportContent:
    table = table_of(recipes, structures)
    return ReportContent(
        "A study",
        (("Data", "phantom"),),
        table,
        seed_studies(table),
        "dice",
        comparisons=compare_recipes(table, tuple(recipes), "dice", 0.01, further_metrics=("hd95_mm",)),
        ensemble_curves=ensemble_curves(table, "dice")[0],
    )


def pair_of(a: np.ndarray, b: np.ndarray, metric: str = "dice", structure: str = "a") -> Comparison:
    new, old = (SeedMatrix.of_array(v, name, metric, structure) for v, name in ((a, "new"), (b, "old")))
    return compare_matrices(new, old)


def in_page(text: str) -> str:
    return html.escape(text).replace(" %", "&nbsp;%")


def places(svg: str, tag: str, attribute: str, class_: str) -> list[float]:
    """``attribute`` of every ``tag`` of that class, in order."""
    found = re.findall(rf"<{tag} [^>]*>", svg)
    return [
        float(re.search(rf' {attribute}="([-\d.]+)"', each)[1])  # type: ignore[index]
        for each in found
        if f'class="{class_}"' in each
    ]


def test_the_verdict_comes_first_and_every_sentence_stands_with_how_it_was_computed() -> None:
    content = content_of({"full": 0.85, "fifth": 0.80})
    assert content.comparisons is not None
    pair = content.comparisons.primary[0]
    page = report_html(content, "report")
    assert page.index(in_page(verdict_title(pair))) < page.index("What the seeds of each recipe show")
    for sentence in comparison_findings(pair):
        assert re.search(re.escape(in_page(sentence)) + r"</p><details[^>]*><summary>How was this computed\?", page)


def test_names_from_files_stay_text_in_comparisons_too() -> None:
    page = report_html(content_of({EVIL: 0.85, EVIL + "2": 0.80}, (EVIL, "b")), "report")
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_three_recipes_are_ranked_and_all_their_pairs_stand_in_one_table_and_in_the_csv(tmp_path: Path) -> None:
    content = content_of({"full": 0.85, "half": 0.84, "fifth": 0.80})
    assert content.comparisons is not None and content.comparisons.ranking is not None
    write_report(tmp_path / "r.html", content)
    page = (tmp_path / "r.html").read_text()
    assert f"{content.comparisons.ranking.ranks[0].configuration} ranks first" in page
    assert re.findall(r"<td>(\w+ minus \w+)</td>", page) == ["full minus half", "full minus fifth", "half minus fifth"]
    with open(tmp_path / "r_tables" / "comparisons.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = (*content.comparisons.primary, *content.comparisons.by_structure)
    assert [float(row["p Holm"]) for row in rows] == [pair.p_holm for pair in pairs]
    for row in rows:
        assert float(row["A minus B"]) == pytest.approx(float(row["Mean A"]) - float(row["Mean B"]))
    assert {"ranks", "usual_tests", "ensemble_sizes"} <= {path.stem for path in (tmp_path / "r_tables").iterdir()}


def test_who_was_counted_and_who_was_left_out_is_said_in_words() -> None:
    rng = np.random.default_rng(1)
    pair = pair_of(rng.uniform(0.7, 0.9, (4, 12)), rng.uniform(0.7, 0.9, (3, 12)))
    assert sample_words(pair) == (
        "Counted: 4 trainings of new (seeds 0 to 3) and 3 trainings of old (seeds 0 to 2), all on the same 12 cases. "
        "No case was left out."
    )
    a, b = replace(pair.a, seeds=(0, 2), left_out_seeds=(1,)), pair.b
    words = sample_words(replace(pair, a=a, b=b, images=20, folds=5, notes=("The splits differ.",)))
    assert "all on the same 12 patients (20 images)." in words
    assert "Each training is a whole pass of 5 folds. Left out of new, because their runs are missing: seed 1." in words
    assert words.endswith("The splits differ.")


@pytest.mark.parametrize("metric", ["dice", "hd95_mm"])
def test_in_the_forest_right_of_zero_is_where_the_first_recipe_is_better(metric: str) -> None:
    rng = np.random.default_rng(2)
    better, worse = 0.9 + rng.normal(0, 0.002, (3, 9)), 0.8 + rng.normal(0, 0.002, (3, 9))
    a, b = (better, worse) if metric == "dice" else (30 * (1 - better), 30 * (1 - worse))
    svg = structure_forest([pair_of(a, b, metric), pair_of(b, a, metric, "b")], lambda _: "s0")
    zero, (first, second) = places(svg, "line", "x1", "zero-line")[0], places(svg, "circle", "cx", "mark")
    assert second < zero < first
    assert ">new better</text>" in svg and ">old better</text>" in svg


def test_each_case_has_its_dot_at_its_difference_sorted_and_its_whisker_over_pairs_of_trainings() -> None:
    a = np.array([[0.80, 0.70, 0.90], [0.82, 0.70, 0.90]])
    b = np.array([[0.70, 0.75, 0.90], [0.70, 0.75, 0.90]])
    svg = case_differences(pair_of(a, b), "s0")
    tips = re.findall(r'data-tip="([^"]+)"', svg)
    assert [tip.split(":")[0] for tip in tips] == ["1", "2", "0"]
    assert tips[2] == "0: new 0.810, old 0.700; new better by 0.110 (+0.100 to +0.120)"
    heights = [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)h0", svg)]
    assert heights[0] > heights[1] == pytest.approx(places(svg, "line", "y1", "zero-line")[0], abs=0.06)
    assert heights[2] < heights[1]
    ends = re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", svg)
    assert ends[0][0] == ends[0][1] and float(ends[2][0]) > heights[2] > float(ends[2][1])


def test_500_cases_of_50_trainings_take_less_than_100_kilobytes() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.uniform(0.7, 0.9, (50, 500)) for _ in range(2))
    assert len(case_differences(pair_of(a, b), "s0")) < 110_000


def test_the_false_alarm_map_counts_p_values_below_5_per_cent() -> None:
    svg = false_alarm_map("paired t-test", np.array([0.01, 0.2, 0.04, 0.9]), np.array([0.001, 0.002]))
    assert "50&nbsp;% of equal trainings" in svg and "100&nbsp;% of different recipes" in svg
    assert "paired t-test: 50 % of 4 pairs of equal trainings have p &lt; 0.05" in svg
    equal, different = places(svg, "circle", "cy", "grey-curve point")[0], places(svg, "circle", "cy", "curve point")[0]
    zero, all_of_them = 220.0, 10.0
    assert (equal, different) == ((zero + all_of_them) / 2, all_of_them)
    alone = false_alarm_map("paired t-test", np.array([0.01, 0.2]), None)
    assert "different recipes" not in alone


def test_variance_bars_are_as_long_as_their_shares() -> None:
    parts = (
        VariancePart("case", 3.0, Estimate(0.75, 0.5, 0.9)),
        VariancePart("residual", 1.0, Estimate(0.25, 0.1, 0.5)),
    )
    svg = variance_bars(parts, "a")
    whole = places(svg, "rect", "width", "share-of")[0]
    assert places(svg, "rect", "width", "share-case")[0] == pytest.approx(0.75 * whole)
    assert places(svg, "rect", "width", "share-rest")[0] == pytest.approx(0.25 * whole)
    assert "75&nbsp;% (50 to 90&nbsp;%)" in svg


def test_the_ensemble_curve_rises_with_the_gain_and_marks_the_size_that_is_enough() -> None:
    curve = ensemble_curves(table_of({"full": 0.85}), "dice", 0.05)[0][0]
    svg = ensemble_size_curve(curve, "mean")
    sizes = [size.members for size in curve.sizes]
    assert sizes == [1, 2, 3, 4] and curve.enough < 4
    path = re.search(r'd="M([^"]+)" class="curve"', svg)
    assert path is not None
    heights = [float(point.split()[1]) for point in path[1].split("L")]
    gains = [size.gain.value for size in curve.sizes]
    assert np.argsort(heights).tolist() == np.argsort(-np.array(gains)).tolist()
    assert svg.count(">enough</text>") == svg.count('class="mark best"') == 1
    not_shown = ensemble_size_curve(replace(curve, enough=4), "mean")
    assert "enough" not in not_shown


def test_both_recipes_seeds_stand_on_one_scale() -> None:
    studies = [s for s in seed_studies(table_of({"full": 0.85, "fifth": 0.80})).studies if s.structure == "a"]
    full, fifth = (study for study in studies if study.metric.id == "dice")
    x = caterpillar_scale([full, fifth])
    drawn = [places(caterpillar(study, "s0", x), "line", "x1", "mean-line")[0] for study in (full, fifth)]
    assert drawn == pytest.approx([x(full.mean), x(fifth.mean)], abs=0.01)
    assert x(fifth.lowest) > x.left and x(full.highest) < x.right


def test_recipes_whose_long_names_begin_alike_can_be_told_apart_in_the_pictures() -> None:
    table = table_of({"hippocampus_labels": 0.85, "hippocampus_regions": 0.8})
    found = compare_recipes(table, ("hippocampus_labels", "hippocampus_regions"), "dice")
    words = re.sub("<[^>]+>", " ", str(structure_forest(found.by_structure, lambda structure: "black")))
    ends = re.findall(r"← (\S+) better|(\S+) better →", words)
    assert len({"".join(end) for end in ends}) == 2, words
