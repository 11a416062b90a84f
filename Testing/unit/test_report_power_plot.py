"""The plot of power over trainings and cases: what its cells, its line and its dot say and where they lie."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from SegVarianceLib.report.power_plot import power_contour
from SegVarianceLib.stats.power_plan import PowerPlan, power_plan
from SegVarianceLib.stats.seed_matrix import SeedMatrix
from SegVarianceLib.stats.verdict import percent


@pytest.fixture(scope="module")
def plan() -> PowerPlan:
    """Two recipes, 3 and 6 trainings on 50 cases."""
    rng = np.random.default_rng(2)
    arms = [rng.normal(0.8, 0.002, (k, 1)) + rng.normal(0, 0.01, 50) + rng.normal(0, 0.012, (k, 50)) for k in (3, 6)]
    return power_plan([SeedMatrix.of_array(arm, name, "dice") for name, arm in zip("ab", arms, strict=True)], 0.006)


def drawn(plan: PowerPlan) -> ElementTree.Element:
    return ElementTree.fromstring(power_contour(plan, "s0").replace("&nbsp;", " "))  # noqa: S314 (our own text)


def cells(svg: ElementTree.Element) -> list[ElementTree.Element]:
    return [each for each in svg.iter("rect") if each.get("data-tip")]


def line(svg: ElementTree.Element) -> np.ndarray:
    """Points [point, (x, y)]."""
    path = next((each for each in svg.iter("path") if each.get("class") == "power-line"), None)
    return (
        np.empty((0, 2)) if path is None else np.array(re.findall(r"[\d.]+", path.get("d", "")), float).reshape(-1, 2)
    )


def test_every_cell_says_its_seeds_cases_and_power_and_is_darker_with_more(plan: PowerPlan) -> None:
    svg = drawn(plan)
    tips = {each.get("data-tip"): float(each.get("fill-opacity", "nan")) for each in cells(svg)}
    assert len(tips) == len(plan.contour.seeds) * len(plan.contour.cases)
    chance = plan.contour.power[plan.contour.seeds.index(5)][plan.contour.cases.index(100)]
    assert f"5 seeds, 100 cases: power {percent(chance)}" in tips
    shades = [
        tips[f"5 seeds, {n} cases: power {percent(p)}"]
        for n, p in zip(plan.contour.cases, plan.contour.power[3], strict=True)
    ]
    assert shades == sorted(shades)


def test_cells_fill_the_axes_without_a_gap_and_stay_inside_the_picture(plan: PowerPlan) -> None:
    svg = drawn(plan)
    boxes = np.array([[float(each.get(name, "nan")) for name in ("x", "y", "width", "height")] for each in cells(svg)])
    whole = np.ptp(np.r_[boxes[:, 0], boxes[:, 0] + boxes[:, 2]]) * np.ptp(
        np.r_[boxes[:, 1], boxes[:, 1] + boxes[:, 3]]
    )
    assert (boxes[:, 2] * boxes[:, 3]).sum() == pytest.approx(whole, rel=0.01)
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    assert (boxes[:, 0] + boxes[:, 2]).max() <= width
    assert (boxes[:, 1] + boxes[:, 3]).max() <= height


def test_the_line_parts_cells_below_the_wanted_power_from_those_above(plan: PowerPlan) -> None:
    svg = drawn(plan)
    points = line(svg)
    for each in cells(svg):
        x, y, width, height = (float(each.get(name, "nan")) for name in ("x", "y", "width", "height"))
        shown = float(re.findall(r"(\d+) %", each.get("data-tip", ""))[0])
        at = np.flatnonzero(np.abs(points[:, 1] - (y + height / 2)) < 0.2)
        if len(at) and abs(shown - 80) > 5:
            assert (x + width / 2 > points[at[0], 0]) == (shown > 80), each.get("data-tip")


@pytest.mark.parametrize("difference", [1e-6, 0.5])
def test_without_a_border_in_the_picture_no_line_is_drawn(plan: PowerPlan, difference: float) -> None:
    settled = power_plan(
        [SeedMatrix.of_array(np.random.default_rng(k).normal(0, 0.01, (3, 9)), str(k), "dice") for k in (0, 1)],
        difference,
    )
    assert {
        all(p < 0.8 for row in settled.contour.power for p in row),
        all(p >= 0.8 for row in settled.contour.power for p in row),
    } == {True, False}
    assert not len(line(drawn(settled)))


def test_the_dot_is_the_pilot_and_one_beyond_the_axes_stands_at_their_edge(plan: PowerPlan) -> None:
    def dot(plan: PowerPlan) -> ElementTree.Element:
        return next(each for each in drawn(plan).iter("circle") if each.get("data-tip"))

    assert dot(plan).get("data-tip", "").startswith("At hand: 3 and 6 seeds, 50 cases: power ")
    far = dot(replace(plan, cases=5000, seeds=(90, 90)))
    assert "90 seeds, 5000 cases" in far.get("data-tip", "")
    boxes = cells(drawn(plan))
    assert float(far.get("cx", "nan")) < max(
        float(each.get("x", "nan")) + float(each.get("width", "nan")) for each in boxes
    )
    assert float(far.get("cy", "nan")) > min(float(each.get("y", "nan")) for each in boxes)
