"""What of a source becomes the start of another network, tensor by tensor, and what the report says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.model.foreign_weights import ForeignWeights
from SegVarianceLib.model.network import build_classifier, build_network
from SegVarianceLib.model.transfer_weights import Transfer, transfer
from SegVarianceLib.plan.fine_tuning import FineTuning
from SegVarianceLib.plan.study_plan import NetworkPlan

NETWORK = NetworkPlan(2, 3, (8, 8, 8), (2, 2, 2), ((2, 2, 2),), (4, 8))
RULES = FineTuning("weights", "sha")
OUTPUTS = ("background", "head", "tail")


def drawn(plan: NetworkPlan = NETWORK, seed: int = 0) -> dict[str, Tensor]:
    return build_network(plan, torch.Generator().manual_seed(seed)).state_dict()


def moved(tensors: dict[str, Tensor], outputs: tuple[str, ...] | None = OUTPUTS, **rules) -> Transfer:
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    return transfer(drawn(), ForeignWeights(floats, outputs), replace(RULES, **rules), OUTPUTS)


def fate(found: Transfer, name: str) -> tuple[str, str]:
    return next((each.fate, each.why) for each in found.fates if each.name == name)


def of_fate(found: Transfer, wanted: str) -> set[str]:
    return {each.name.partition(".")[0] for each in found.fates if each.fate == wanted}


def taken(found: Transfer, source: dict[str, Tensor]) -> set[str]:
    """Modules whose tensors are the source's now; the rest must be as they were drawn."""
    own = drawn()
    names = {each.name for each in found.fates if torch.equal(found.tensors[each.name], source[each.name])}
    rest = own.keys() - names
    assert all(torch.equal(found.tensors[name], own[name]) for name in rest)
    return {name.partition(".")[0] for name in names if "weight" in name and "norm" not in name}


ENCODER, DECODER = {"stem", "first", "down"}, {"up", "expand", "refine"}


@pytest.mark.parametrize(
    ("part", "modules"),
    [("all", ENCODER | DECODER | {"logits"}), ("encoder", ENCODER), ("decoder", DECODER)],
)
def test_the_part_asked_for_is_taken_and_the_rest_stays_as_it_was_drawn(part, modules):
    source = drawn(seed=1)
    found = moved(source, part=part)
    assert taken(found, source) == modules
    assert of_fate(found, "loaded") - {"stem_norm"} == modules
    assert len(found.fates) == sum(tensor.is_floating_point() for tensor in drawn().values())


def test_the_sentence_counts_what_became_of_the_tensors():
    counts = moved(drawn(seed=1), part="encoder").sentence
    encoder = sum(t.is_floating_point() for n, t in drawn().items() if n.partition(".")[0] in {*ENCODER, "stem_norm"})
    others = sum(t.is_floating_point() for t in drawn().values()) - encoder
    assert counts == f"{encoder} loaded, {others} initialised"


def test_a_head_for_other_classes_is_not_taken_even_if_it_fits():
    other = moved(drawn(seed=1), outputs=("background", "liver", "spleen"))
    assert fate(other, "logits.weight") == (
        "initialised",
        "the source tells background, liver, spleen, here they are background, head, tail",
    )
    assert fate(moved(drawn(seed=1), outputs=None), "logits.bias")[1].startswith("the source does not name its outputs")
    mapped = moved(drawn(seed=1), outputs=None, name_map={"logits.weight": "logits.weight"})
    assert fate(mapped, "logits.weight")[0] == "loaded"


def test_the_encoder_of_a_pretraining_with_another_head_is_taken():
    source = build_classifier(NETWORK, 5, torch.Generator().manual_seed(1)).state_dict()
    found = moved(source, outputs=None)
    assert of_fate(found, "loaded") - {"stem_norm"} == ENCODER
    assert fate(found, "up.0.expand.weight") == ("initialised", "the source has no 'up.0.expand.weight'")


def response(tensors: dict[str, Tensor], channels: int) -> Tensor:
    """What the stem gives of an image whose channels are alike."""
    image = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(3)).expand(-1, channels, -1, -1, -1)
    return torch.nn.functional.conv3d(image, tensors["stem.weight"], stride=2)


@pytest.mark.parametrize("rule", ["mean", "tile"])
@pytest.mark.parametrize("there", [1, 4, 3])
def test_another_number_of_input_channels_is_resized_by_the_rule(rule, there):
    source = drawn(replace(NETWORK, in_channels=there), seed=1)
    found = moved(source, channels=rule)
    assert of_fate(found, "resized") == {"stem", "refine"}
    assert fate(found, "stem.weight") == ("resized", f"{there} input channels to 2, {rule}")
    kernel = source["stem.weight"]
    expected = kernel.mean(1, keepdim=True).repeat(1, 2, 1, 1, 1) if rule == "mean" else kernel[:, [0, 1 % there]]
    assert torch.allclose(found.tensors["stem.weight"], expected * there / 2)
    if rule == "mean" or there == 1:
        assert torch.allclose(response(found.tensors, 2), response(source, there), atol=1e-5)
    refine = found.tensors["refine.weight"]
    assert torch.equal(refine[:, :8], source["refine.weight"][:, :8])
    assert refine.shape[1] == 10


def flat(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network for slices: kernels [o, i, y, x]."""
    return {name: tensor.sum(2) if tensor.ndim == 5 else tensor for name, tensor in source.items()}


def test_2d_kernels_are_left_out_repeated_or_laid_in_the_middle():
    source = flat(drawn(seed=1))
    left = moved(source)
    assert fate(left, "first.first.weight")[1] == "its kernel is 2-D, and inflation was not asked for"
    assert fate(left, "first.first_norm.weight")[0] == "loaded"
    name = "first.first.weight"
    repeated, centred = moved(source, inflation="repeat").tensors[name], moved(source, inflation="centre").tensors[name]
    assert torch.allclose(repeated, (source[name] / 3)[:, :, None].expand(-1, -1, 3, -1, -1))
    assert torch.equal(centred[:, :, 1], source[name])
    assert not centred[:, :, [0, 2]].any()
    assert fate(moved(source, inflation="centre"), name) == ("inflated", "2-D kernel, centre")


@pytest.mark.parametrize("inflation", ["repeat", "centre"])
def test_an_inflated_kernel_gives_of_equal_slices_what_the_2d_one_gave(inflation):
    source, name = flat(drawn(seed=1)), "first.first.weight"
    image = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    kernel = moved(source, inflation=inflation).tensors[name]
    deep = torch.nn.functional.conv3d(image[:, :, None].expand(-1, -1, 3, -1, -1), kernel)
    assert torch.allclose(deep[:, :, 0], torch.nn.functional.conv2d(image, source[name]), atol=1e-5)


def test_a_2d_stem_of_three_colours_is_inflated_and_resized():
    source = flat(drawn(replace(NETWORK, in_channels=3), seed=1))
    found = moved(source, inflation="centre")
    assert fate(found, "stem.weight") == ("resized", "2-D kernel, centre; 3 input channels to 2, mean")


def test_tensors_of_other_names_are_taken_through_the_map():
    source = {"encoder.conv1.weight": drawn(seed=1)["first.first.weight"], "unused": torch.ones(2)}
    found = moved(source, outputs=None, name_map={"first.first.weight": "encoder.conv1.weight"})
    assert torch.equal(found.tensors["first.first.weight"], source["encoder.conv1.weight"])
    assert next(each for each in found.fates if each.fate == "loaded").source == "encoder.conv1.weight"
    assert found.sentence.startswith("1 loaded, ")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"first.weight": "stem.weight"}, "names 'first.weight', and the network has no such tensor"),
        ({"stem.weight": "../../stem"}, r"names '../../stem', and the source has no such tensor. It has \d+, such as"),
    ],
)
def test_a_map_that_names_what_is_not_there_is_refused(names, words):
    with pytest.raises(SegVarianceError, match=words):
        moved(drawn(seed=1), name_map=names)


def test_tensors_of_another_shape_stay_drawn_and_the_report_says_both_shapes():
    wider = drawn(replace(NETWORK, channels=(4, 12)), seed=1)
    found = moved(wider)
    assert fate(found, "down.0.norm.weight") == ("initialised", "it is (12,) at the source, (8,) here")
    assert fate(found, "first.first.weight")[0] == "loaded"


def test_a_source_of_which_nothing_fits_is_refused_with_the_commonest_reason():
    with pytest.raises(SegVarianceError, match=r"No weights of the source fit .* Give a name map"):
        moved({"encoder.stages.0.weight": torch.ones(4, 1, 3, 3, 3)}, outputs=None)
    wider = drawn(replace(NETWORK, channels=(5, 9)), seed=1)
    with pytest.raises(SegVarianceError, match=r"it is \(5,\) at the source, \(4,\) here|it is \(9,\)"):
        moved(wider, part="encoder")


@given(st.lists(st.integers(0, 6), max_size=6))
def test_a_tensor_of_whatever_shape_is_fitted_or_named_and_never_raises(shape):
    source = drawn(seed=1) | {"stem.weight": torch.ones(shape), "refine.weight": torch.ones(shape)}
    found = moved(source, inflation="repeat")
    assert all(found.tensors[name].shape == tensor.shape for name, tensor in drawn().items())
