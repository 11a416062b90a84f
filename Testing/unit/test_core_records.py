"""Frozen records to JSON and back, and what a hand-edited file is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.records import from_json, to_json


@dataclass(frozen=True)
class Inner:
    name: str
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ValueError("expected a size, found none.")


@dataclass(frozen=True)
class Outer:
    share: float
    count: int
    pair: tuple[int, float]
    inner: Inner
    many: tuple[Inner, ...]
    limit: float | None
    kept: bool
    table: dict[str, tuple[str, ...]]
    free: dict[str, Any]


inners = st.builds(Inner, st.text(), st.lists(st.integers(), min_size=1).map(tuple))
finite = st.floats(allow_nan=False, allow_infinity=False)
outers = st.builds(
    Outer,
    share=finite,
    count=st.integers(),
    pair=st.tuples(st.integers(), finite),
    inner=inners,
    many=st.lists(inners, max_size=3).map(tuple),
    limit=st.none() | finite,
    kept=st.booleans(),
    table=st.dictionaries(st.text(), st.lists(st.text(), max_size=2).map(tuple), max_size=3),
    free=st.dictionaries(st.text(), st.integers() | st.text(), max_size=2),
)


@dataclass(frozen=True)
class Grown:
    name: str
    added: bool = True


EXAMPLE = to_json(Outer(0.5, 3, (1, 2.0), Inner("a", (1,)), (Inner("b", (2, 3)),), None, True, {"k": ("v",)}, {}))


@given(outers)
def test_a_record_comes_back_equal_from_its_json(record):
    assert from_json(Outer, json.loads(json.dumps(to_json(record))), "here") == record


def test_a_whole_number_may_stand_for_a_float_and_becomes_one():
    record = from_json(Outer, EXAMPLE | {"share": 2}, "here")
    assert (record.share, type(record.share)) == (2.0, float)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "plan.json: unknown field 'colour'. Expected: share, count"),
        ({"count": "3"}, "plan.json, count: expected int, found '3'"),
        ({"count": 3.0}, "plan.json, count: expected int"),
        ({"count": True}, "plan.json, count: expected int, found True"),
        ({"share": True}, "plan.json, share: expected float, found True"),
        ({"share": None}, "plan.json, share: expected float"),
        ({"kept": 1}, "plan.json, kept: expected bool, found 1"),
        ({"limit": "none"}, "plan.json, limit: expected float"),
        ({"pair": [1, 2.0, 3]}, "plan.json, pair: expected 2 entries, found 3"),
        ({"pair": {"0": 1}}, "plan.json, pair: expected a list"),
        ({"inner": []}, "plan.json, inner: expected an object with named fields, found list"),
        ({"inner": {"name": "a"}}, "plan.json, inner: field 'sizes' is missing"),
        ({"inner": {"name": "a", "sizes": [1, "2"]}}, r"plan.json, inner, sizes\[1\]: expected int, found '2'"),
        ({"inner": {"name": "a", "sizes": []}}, "plan.json, inner: expected a size, found none"),
        ({"many": [{"name": 1, "sizes": [1]}]}, r"plan.json, many\[0\], name: expected str, found 1"),
        ({"table": {"k": "v"}}, "plan.json, table, k: expected a list"),
        ({"table": []}, "plan.json, table: expected"),
    ],
)
def test_an_edited_field_is_named_with_its_place(change, words):
    with pytest.raises(SegVarianceError, match=words):
        from_json(Outer, EXAMPLE | change, "plan.json")


@pytest.mark.parametrize("content", [None, 3, "text", ["a"]])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(SegVarianceError, match="expected an object with named fields"):
        from_json(Outer, content, "plan.json")


def test_a_field_that_was_added_later_is_its_default_in_an_older_file():
    assert from_json(Grown, {"name": "a"}, "here") == Grown("a", True)
    assert from_json(Grown, {"name": "a", "added": False}, "here") == Grown("a", False)
    with pytest.raises(SegVarianceError, match="here, added: expected bool"):
        from_json(Grown, {"name": "a", "added": "yes"}, "here")


@dataclass(frozen=True)
class Old:
    name: str
    network: int
    later: int = 0
    latest: int = 0
    last: int = 0


@dataclass(frozen=True)
class Other:
    name: str


@dataclass(frozen=True)
class Either:
    recipe: Old | Other


def test_an_older_file_of_a_union_is_of_its_own_kind_however_many_fields_were_added_since():
    assert from_json(Either, {"recipe": {"name": "a", "network": 1}}, "x") == Either(Old("a", 1))
    assert from_json(Either, {"recipe": {"name": "a"}}, "x") == Either(Other("a"))
