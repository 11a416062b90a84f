"""plan.json: written, read back, and refused where an edit made nonsense of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.plan.study_plan import (
    SCHEMA,
    ChannelPlan,
    Configuration,
    NetworkPlan,
    PreprocessingPlan,
    StudyPlan,
    TrainingPlan,
)

NETWORK = NetworkPlan(2, 4, (24, 40, 24), (2, 2, 2), ((2, 2, 2), (1, 2, 2)), (8, 16, 32))
CONFIGURATION = Configuration(
    name="default",
    backend="builtin",
    preprocessing=PreprocessingPlan(
        (2.0, 0.8, 0.8),
        (ChannelPlan("CT", "ct", -100.0, 240.0, 88.5, 40.25), ChannelPlan("T1", "z_score", 0.0, 9.0, 4.0, 1.0)),
    ),
    network=NETWORK,
    training=TrainingPlan(500, 2, 5e-3, 1e-2, 0.1, 0.99, 1 / 3, (2,), (0, 1, 2)),
)
PLAN = StudyPlan(
    schema=SCHEMA,
    title="A title, with ümlaut",
    dataset_folder="/data/Task",
    dataset_digest="abc",
    split="5-fold",
    split_seed=3,
    seeds=(0, 1, 7),
    configurations=(CONFIGURATION,),
    device="cpu",
    threads_per_run=1,
    keep_probabilities=True,
    clean_up="keep_largest",
    tolerance_mm=1.5,
)

axes = st.lists(st.integers(0, 2), unique=True).map(tuple)
shares = st.floats(0, 1)


@given(
    seeds=st.lists(st.integers(), min_size=1, unique=True).map(tuple),
    title=st.text(),
    kept=st.booleans(),
    training=st.builds(
        TrainingPlan, st.integers(1), st.integers(1), shares, shares, shares, shares, shares, axes, axes
    ),
)
def test_every_field_of_a_plan_survives_its_file(tmp_path_factory, seeds, title, kept, training):
    path = tmp_path_factory.getbasetemp() / "round_trip" / "plan.json"
    configuration = replace(CONFIGURATION, training=training)
    plan = replace(PLAN, seeds=seeds, title=title, keep_probabilities=kept, configurations=(configuration,))
    plan.write(path)
    assert StudyPlan.read(path) == plan


def test_a_network_knows_what_its_input_must_be_a_multiple_of():
    assert NETWORK.multiple_zyx == (4, 8, 8)


EDITS = {
    "unknown field": (("colour",), "red", "unknown field 'colour'"),
    "wrong type": (("seeds",), "0-9", "seeds: expected a list, found '0-9'"),
    "nested wrong type": (("configurations", 0, "training", "steps"), 1.5, "steps: expected int, found 1.5"),
    "name that climbs": (("configurations", 0, "name"), "../elsewhere", "cannot be a configuration name"),
    "hidden name": (("configurations", 0, "name"), ".git", "cannot be a configuration name"),
    "another schema": (("schema",), 99, "has schema 99; this version reads 1"),
    "no seed": (("seeds",), [], "expected at least one seed"),
    "seed twice": (("seeds",), [4, 4], "expected at least one seed, each once"),
    "no thread": (("threads_per_run",), 0, "threads_per_run must be above zero"),
    "no step": (("configurations", 0, "training", "steps"), 0, "steps and batch_size must be above zero"),
    "fourth axis": (("configurations", 0, "training", "mirror_axes"), [3], "axes are 0, 1 and 2"),
    "no spacing": (("configurations", 0, "preprocessing", "spacing_zyx_mm"), [0, 1, 1], "spacings must be above zero"),
    "unknown normalisation": (
        ("configurations", 0, "preprocessing", "channels", 0, "normalisation"),
        "minmax",
        "expected a normalisation of z_score, z_score_nonzero, ct, found 'minmax'",
    ),
    "patch that strides do not divide": (
        ("configurations", 0, "network", "patch_zyx"),
        [24, 40, 25],
        r"no multiple of \(4, 8, 8\)",
    ),
    "level without channels": (("configurations", 0, "network", "channels"), [8, 16], "one channel number more"),
    "negative channels": (("configurations", 0, "network", "channels"), [8, 16, -32], "sizes must be above zero"),
}


@pytest.mark.parametrize(("place", "value", "words"), EDITS.values(), ids=EDITS.keys())
def test_an_edited_plan_is_refused_in_one_sentence_that_names_the_file(tmp_path, place, value, words):
    path = tmp_path / "plan.json"
    PLAN.write(path)
    content = read_json(path)
    at = content
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    write_json(path, content)
    with pytest.raises(SegVarianceError, match=words) as refused:
        StudyPlan.read(path)
    assert "\n" not in str(refused.value)
    assert "plan.json" in str(refused.value) or "configuration name" in str(refused.value)
