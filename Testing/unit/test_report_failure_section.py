"""The report's section on failure prediction: one dot a case, numbers in the table, words beside."""

from __future__ import annotations

import numpy as np

from SegVarianceLib.core.catalog import Facts
from SegVarianceLib.report.failure_section import failure_section, failure_table
from SegVarianceLib.stats.failure_prediction import FailurePrediction, risk_coverage
from SegVarianceLib.stats.intervals import Estimate


def prediction(cases: int) -> FailurePrediction:
    rng = np.random.default_rng(0)
    actual = rng.uniform(0.6, 0.9, cases)
    predicted = actual + rng.normal(0, 0.02, cases)
    risk, best = risk_coverage(predicted, 1 - actual), risk_coverage(actual, 1 - actual)
    names = tuple(f"<case {i}>" for i in range(cases))
    areas = Estimate(float(risk.mean()), 0.1, 0.3), float(1 - actual.mean()), float(best.mean())
    facts = Facts("dice", "Dice", "", best=1.0, worst=0.0)
    correlation = Estimate(0.9, 0.8, 0.95)
    return FailurePrediction(
        "r", facts, "organ", "mean_probability", names, predicted, actual, correlation, risk, best, *areas, 2
    )


def test_every_case_is_a_dot_and_the_sentence_stands_below():
    page = failure_section([prediction(25)], lambda structure: "s0")
    assert page.count("<circle") == 25
    assert "&lt;case 7&gt;" in page
    assert "<case" not in page
    assert "rank correlation 0.90, 95&nbsp;% interval 0.80 to 0.95, 25 cases" in page.replace("95 %", "95&nbsp;%")
    assert "mean probability" in page


def test_without_a_prediction_there_is_no_section():
    assert failure_section([], lambda structure: "s0") == ""


def test_the_table_holds_what_the_plot_shows():
    found = prediction(30)
    (row,) = failure_table([found]).rows
    by_title = dict(zip((column.title for column in failure_table([found]).columns), row, strict=True))
    assert by_title["Left out"] == 2
    assert by_title["AURC of an oracle"] <= by_title["AURC"]
    assert by_title["Mean Dice"] == found.actual.mean()
