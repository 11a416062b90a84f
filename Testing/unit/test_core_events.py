"""The event log is read while it grows, after a crash, and by whoever finds a strange line in it."""

from __future__ import annotations

import json
import time

import pytest

from SegVarianceLib.core.events import SCHEMA, EventLog, read_events


def test_events_come_back_in_order_with_schema_time_and_kind(tmp_path):
    before = time.time()
    with EventLog(tmp_path / "new" / "events.jsonl") as log:
        log.write("run started", run="a", seeds=3)
        assert [event["kind"] for event in read_events(log.path)] == ["run started"]  # while it is open
        log.write("step", loss=0.5, time_left_s=12.0)
    first, second = read_events(tmp_path / "new" / "events.jsonl")
    assert (first["schema"], first["kind"], first["run"], first["seeds"]) == (SCHEMA, "run started", "a", 3)
    assert (second["loss"], second["time_left_s"]) == (0.5, 12.0)
    assert before - 0.01 <= first["time_s"] <= second["time_s"] <= time.time() + 0.01


def test_a_line_cut_short_is_passed_over_and_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("one")
        log.write("two")
    path.write_bytes(path.read_bytes()[:-9])
    assert [event["kind"] for event in read_events(path)] == ["one"]
    with EventLog(path) as log:
        log.write("three")
    assert [event["kind"] for event in read_events(path)] == ["one", "three"]


def test_an_unbroken_log_gets_no_empty_line_when_it_goes_on(tmp_path):
    for kind in ("one", "two"):
        with EventLog(tmp_path / "events.jsonl") as log:
            log.write(kind)
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2


def test_lines_of_another_schema_or_kind_are_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = ["7", "null", "[]", "no json", json.dumps({"schema": SCHEMA + 1, "kind": "later"}), "\xff"]
    path.write_bytes("\n".join([*lines, json.dumps({"schema": SCHEMA, "kind": "ours"})]).encode("latin-1"))
    assert [event["kind"] for event in read_events(path)] == ["ours"]


def test_a_missing_log_has_no_events(tmp_path):
    assert list(read_events(tmp_path / "none.jsonl")) == []


def test_a_loss_that_is_no_number_is_refused_and_leaves_no_half_line(tmp_path):
    with EventLog(tmp_path / "events.jsonl") as log:
        with pytest.raises(ValueError, match="JSON compliant"):
            log.write("step", loss=float("nan"))
        log.write("after")
    assert [event["kind"] for event in read_events(tmp_path / "events.jsonl")] == ["after"]
