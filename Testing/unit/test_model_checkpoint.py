"""Weights files: the same bytes for the same weights, and nothing in a hostile one is ever run."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.records import to_json
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.network import build_network
from SegVarianceLib.model.trained import (
    SCHEMA,
    TrainedFacts,
    class_names,
    class_values,
    load_network,
    read_trained_facts,
    save_trained,
)
from SegVarianceLib.plan.study_plan import ChannelPlan, NetworkPlan, PreprocessingPlan

NETWORK = NetworkPlan(1, 4, (8, 8, 8), (2, 2, 2), ((2, 2, 2),), (4, 8))
FACTS = TrainedFacts(
    schema=SCHEMA,
    configuration="default",
    fold=0,
    seed=3,
    key="k",
    preprocessing=PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),)),
    network=NETWORK,
    class_values=(0, 1, 2, 4),
    class_names=("background", "a", "b", "c"),
)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return build_network(NETWORK, torch.Generator().manual_seed(0)).state_dict()


@pytest.fixture
def path(tmp_path: Path, weights) -> Path:
    save_trained(tmp_path / "weights.safetensors", weights, FACTS)
    return tmp_path / "weights.safetensors"


def test_weights_and_facts_come_back_as_they_were(path, weights):
    assert read_trained_facts(path) == FACTS
    network = load_network(path, FACTS)
    assert not network.training
    found = network.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_the_same_weights_give_the_same_bytes_in_whatever_order_and_memory_layout(path, weights):
    turned = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()}
    again = path.with_name("again.safetensors")
    save_trained(again, dict(reversed(turned.items())), FACTS)
    assert again.read_bytes() == path.read_bytes()


def test_label_values_with_gaps_keep_their_values_and_names():
    labels = LabelSet(
        (Structure("necrosis", (1,)), Structure("oedema", (2,)), Structure("tumour", (4,))), ignore_value=9
    )
    assert class_values(labels) == (0, 1, 2, 4)
    assert class_names(labels) == ("background", "necrosis", "oedema", "tumour")
    regions = LabelSet((Structure("whole", (1, 2, 4)), Structure("core", (4,))), regions_class_order=(1, 4))
    assert class_values(regions) == (0, 1, 2, 4)
    assert class_names(regions) == ("background", "label_1", "label_2", "core")


class Burglar:
    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_a_pickle_under_a_false_name_is_refused_and_not_run(path, tmp_path):
    trace = tmp_path / "was_here"
    for content in (pickle.dumps(Burglar(trace)), pickle.dumps({"network": Burglar(trace)}, protocol=0)):
        path.write_bytes(content)
        with pytest.raises(SegVarianceError, match="is not a readable safetensors file"):
            checkpoint.load(path)
    torch.save({"network": Burglar(trace)}, path)
    with pytest.raises(SegVarianceError, match="is not a readable safetensors file"):
        read_trained_facts(path)
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SegVarianceError, match="is not a readable safetensors file"):
        checkpoint.load(path)


def rewrite_header(path: Path, change) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_a_header_that_lies_about_a_shape_is_refused(path):
    rewrite_header(path, lambda header: header["logits.weight"].update(shape=[10**6, 10**6]))
    with pytest.raises(SegVarianceError, match="is not a readable safetensors file"):
        checkpoint.load(path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "null", "[1]", '"text"'])
def test_facts_that_are_no_record_are_refused(path, text):
    rewrite_header(path, lambda header: header.update(__metadata__={"segvariance": text}))
    with pytest.raises(SegVarianceError, match="safetensors"):
        checkpoint.load(path)


def test_a_safetensors_file_of_another_tool_is_named_as_such(path, weights):
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(SegVarianceError, match="was not written by SegVariance"):
        checkpoint.load(path)


def test_a_missing_file_is_named():
    with pytest.raises(SegVarianceError, match=r"nowhere.safetensors does not exist"):
        checkpoint.load(Path("nowhere.safetensors"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("logits.weight"), r"'logits.weight' is nothing, the network plan needs \(4, 8, 3, 3, 3\)"),
        (lambda w: w.update(extra=torch.zeros(3)), r"'extra' is \(3,\), the network plan needs nothing"),
        (
            lambda w: w.update({"logits.bias": torch.zeros(5)}),
            r"'logits.bias' is \(5,\), the network plan needs \(4,\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused_by_name(path, weights, change, words):
    change(weights)
    save_trained(path, weights, FACTS)
    with pytest.raises(SegVarianceError, match=words):
        load_network(path, FACTS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 99}, "does not describe its classes as schema"),
        ({"class_values": [0, 1]}, "does not describe its classes"),
        ({"class_names": ["background"]}, "does not describe its classes"),
        ({"network": None}, "network: expected an object"),
        ({"surprise": 1}, "unknown field 'surprise'"),
        ({"network": to_json(NETWORK) | {"stem_stride": [0, 2, 2]}}, "sizes must be above zero"),
    ],
)
def test_facts_that_contradict_each_other_are_refused(path, weights, change, words):
    checkpoint.save(path, weights, to_json(FACTS) | change)
    with pytest.raises(SegVarianceError, match=words):
        read_trained_facts(path)
