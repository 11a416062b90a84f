"""The catalog refuses mistakes when something is listed, and answers mistakes of a user with what is allowed."""

from __future__ import annotations

import math

import pytest

from SegVarianceLib.core.catalog import Catalog, Facts, Parameter
from SegVarianceLib.core.errors import SegVarianceError

SIZE = Parameter("size", "Size", float, 2.0, unit="mm", minimum=0.5, maximum=8)
SHAPE = Parameter("shape", "Shape", str, "ball", choices=("ball", "cube"))


def grow(mask, size, shape):
    return (mask, size, shape)


def drop(mask):
    return mask


GROW, DROP = Facts("grow", "Grow", "", parameters=(SIZE, SHAPE)), Facts("drop", "Drop", "")


@pytest.fixture
def steps() -> Catalog:
    return Catalog("step", ("mask",), [(GROW, grow), (DROP, drop)])


def test_entries_keep_the_order_in_which_they_are_listed(steps):
    assert steps.ids == ("grow", "drop")
    assert [facts.title for facts in steps] == ["Grow", "Drop"]
    assert "grow" in steps
    assert "shrink" not in steps
    assert steps.function("drop") is drop
    assert steps.facts("grow") is GROW


def test_an_id_listed_twice_fails_when_listed():
    with pytest.raises(ValueError, match="listed twice"):
        Catalog("step", ("mask",), [(DROP, drop), (DROP, drop)])


@pytest.mark.parametrize("function", [lambda: 0, lambda image: 0, lambda mask, size: 0, lambda mask, shape, size: 0])
def test_a_function_with_other_arguments_than_its_facts_fails_when_listed(function):
    with pytest.raises(ValueError, match=r"takes .*, expected \['mask', 'size', 'shape'\]"):
        Catalog("step", ("mask",), [(GROW, function)])


def test_an_unknown_name_is_answered_with_the_nearest(steps):
    with pytest.raises(SegVarianceError, match=r"no step 'grov'\. Did you mean 'grow'\?"):
        steps.function("grov")
    with pytest.raises(SegVarianceError, match=r"Known: grow, drop"):
        steps.facts("zzzz")


def test_settings_are_the_given_values_over_the_defaults(steps):
    assert steps.settings("grow", {"size": "3"}) == {"size": 3.0, "shape": "ball"}
    assert steps.settings("drop", {}) == {}
    with pytest.raises(SegVarianceError, match=r"no setting 'sise'. It has: size, shape"):
        steps.settings("grow", {"sise": 3})


@pytest.mark.parametrize("value", [0.5, 8, "2.5"])
def test_a_value_within_its_bounds_is_taken_bounds_included(value):
    assert SIZE.check(value) == float(value)


@pytest.mark.parametrize("value", [0.49, 8.01, math.nan, math.inf, "wide", None])
def test_a_value_outside_its_bounds_is_refused_with_the_bounds(value):
    with pytest.raises(SegVarianceError, match=r"from 0\.5 to 8 mm"):
        SIZE.check(value)


def test_a_value_that_is_no_choice_is_refused_with_the_choices():
    assert SHAPE.check("cube") == "cube"
    with pytest.raises(SegVarianceError, match="one of ball, cube"):
        SHAPE.check("cone")
