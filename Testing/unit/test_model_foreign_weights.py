"""Weights from elsewhere: read where they are plain, refused in a sentence where they are not, and never run."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.foreign_weights import read_foreign_weights, weights_file

WEIGHTS = {"stem.weight": torch.arange(16.0).reshape(2, 1, 2, 2, 2), "stem.bias": torch.ones(2)}


class Burglar:
    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def same(found, expected=WEIGHTS) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def refusal(path: Path) -> str:
    with pytest.raises(SegVarianceError) as refused:
        read_foreign_weights(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_plain_safetensors_and_those_of_a_run_are_read_with_the_names_of_their_outputs(tmp_path):
    save_file(WEIGHTS, tmp_path / "plain.safetensors")
    plain = read_foreign_weights(tmp_path / "plain.safetensors")
    assert same(plain.tensors)
    assert plain.outputs is None
    checkpoint.save(tmp_path / "run.safetensors", WEIGHTS, {"class_names": ["background", "liver"]})
    assert read_foreign_weights(tmp_path / "run.safetensors").outputs == ("background", "liver")


@pytest.mark.parametrize("wrapper", [None, "network_weights", "state_dict", "model"])
def test_a_torch_file_is_read_whatever_its_weights_are_kept_under(wrapper, tmp_path):
    content = WEIGHTS if wrapper is None else {wrapper: WEIGHTS, "epoch": 3, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "model.pt")
    assert same(read_foreign_weights(tmp_path / "model.pt").tensors)


def test_numbers_of_numpy_beside_the_weights_as_nnunet_keeps_them_do_no_harm(tmp_path):
    logging = {"mean_fg_dice": [np.float64(0.8), np.float32(0.9)], "best": np.int64(3)}
    torch.save({"network_weights": WEIGHTS, "logging": logging}, tmp_path / "checkpoint_final.pth")
    assert same(read_foreign_weights(tmp_path / "checkpoint_final.pth").tensors)
    with pytest.raises(Exception, match="numpy"):  # so that the test before this line means something
        torch.load(tmp_path / "checkpoint_final.pth", weights_only=True)


def test_a_monai_bundle_is_read_from_its_models_folder_safetensors_first(tmp_path):
    (tmp_path / "models").mkdir()
    torch.save({"other": torch.ones(1)}, tmp_path / "models" / "model.pt")
    assert same(read_foreign_weights(tmp_path).tensors, {"other": torch.ones(1)})
    save_file(WEIGHTS, tmp_path / "models" / "model.safetensors")
    assert same(read_foreign_weights(tmp_path).tensors)
    assert weights_file(tmp_path) == tmp_path.resolve() / "models" / "model.safetensors"


def test_a_bundle_whose_weights_lead_out_of_it_is_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / "secret.pt")
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "models" / "model.pt").symlink_to(tmp_path / "secret.pt")
    assert "leads out of" in refusal(tmp_path / "bundle")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(kind, tmp_path):
    torch.save({name: tensor.to(kind) for name, tensor in WEIGHTS.items()}, tmp_path / "model.pt")
    found = read_foreign_weights(tmp_path / "model.pt").tensors
    assert same(found)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_whole_numbers_are_no_weights_and_left_out(tmp_path):
    torch.save(WEIGHTS | {"norm.num_batches_tracked": torch.tensor(7)}, tmp_path / "model.pt")
    assert same(read_foreign_weights(tmp_path / "model.pt").tensors)


def test_a_pickle_that_runs_something_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "was_here"
    torch.save({"network_weights": WEIGHTS, "extra": Burglar(trace)}, tmp_path / "zip.pth")
    torch.save(Burglar(trace), tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    assert "needs code to be read" in refusal(tmp_path / "zip.pth")
    assert "is not a readable safetensors file" in refusal(tmp_path / "legacy.pth")
    assert not trace.exists()


def test_objects_of_numpy_get_no_chance_to_read_a_pickle_of_their_own(tmp_path):
    """``scalar`` of numpy would unpickle what an object dtype holds."""
    trace = tmp_path / "was_here"

    class Hidden:
        def __reduce__(self):
            return np._core.multiarray.scalar, (np.dtype("O"), Burglar(trace))

    torch.save({"network_weights": WEIGHTS, "logging": Hidden()}, tmp_path / "model.pth")
    assert "needs code to be read" in refusal(tmp_path / "model.pth")
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_truncated_file_is_refused(name, share, tmp_path):
    path = tmp_path / name
    torch.save(WEIGHTS, path) if name.endswith("pt") else save_file(WEIGHTS, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "not a readable" in refusal(path)


def rebuilt(path: Path, change, compression: int = zipfile.ZIP_STORED) -> None:
    """The same archive with some entries' bytes changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, change(name, content))


def test_an_archive_with_damaged_inside_is_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / "model.pt")
    rebuilt(tmp_path / "model.pt", lambda name, content: content[:10] if name.endswith("data.pkl") else content)
    assert "not a readable torch file" in refusal(tmp_path / "model.pt")


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused_before_it_is_unpacked(tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "model.pt")
    rebuilt(tmp_path / "model.pt", lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "model.pt").stat().st_size < 20_000
    assert "more than it has" in refusal(tmp_path / "model.pt")


def test_a_storage_that_is_shorter_than_its_tensor_is_refused(tmp_path):
    torch.save(WEIGHTS, tmp_path / "model.pt")
    rebuilt(tmp_path / "model.pt", lambda name, content: content[:4] if "/data/" in name else content)
    assert "not a readable torch file" in refusal(tmp_path / "model.pt")


def test_a_tensor_that_says_it_is_larger_than_what_it_stores_is_refused(tmp_path):
    torch.save({"stem.weight": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "model.pt")
    assert "says that it is (1000000, 1000000), and stores less" in refusal(tmp_path / "model.pt")


@pytest.mark.parametrize("shape", [[10**9, 10**9], [2, 2]])
def test_a_safetensors_header_that_lies_is_refused(shape, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["stem.weight"]["shape"] = shape
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    assert "is not a readable safetensors file" in refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": torch.tensor([1.0, float("nan")])}, "'a' holds values that are not finite"),
        ({"a": torch.tensor([1e300], dtype=torch.float64)}, "'a' holds values that are not finite"),
        ({"a": torch.eye(3).to_sparse()}, "'a' is not a plain dense tensor"),
        ({"a": torch.tensor([1, 2])}, "holds no weights"),
        ({"epoch": 3}, "holds no weights"),
        ([torch.ones(2)], "holds no weights"),
        (torch.ones(2), "holds no weights"),
    ],
)
def test_what_is_no_dense_finite_weight_is_refused(content, words, tmp_path):
    torch.save(content, tmp_path / "model.pt")
    assert words in refusal(tmp_path / "model.pt")


def test_nothing_there_and_a_folder_that_is_no_bundle_are_named(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nothing.pt")
    assert "is no MONAI bundle" in refusal(tmp_path)


def test_a_network_of_nnunet_in_the_form_of_its_checkpoints_is_read(tmp_path):
    python = os.environ.get("SEGVARIANCE_NNUNET_PYTHON")
    if not python:
        pytest.skip("no nnU-Net: set SEGVARIANCE_NNUNET_PYTHON to the Python of an environment with nnunetv2")
    script = """
import sys, torch, numpy as np
from dynamic_network_architectures.architectures.unet import PlainConvUNet
network = PlainConvUNet(1, 2, [4, 8], torch.nn.Conv3d, 3, [1, 2], 1, 3, 1, conv_bias=True, deep_supervision=True,
                        norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"affine": True}, nonlin=torch.nn.LeakyReLU)
checkpoint = {"network_weights": network.state_dict(), "optimizer_state": torch.optim.SGD(network.parameters(), 0.1).state_dict(),
              "grad_scaler_state": None, "logging": {"mean_fg_dice": [np.float64(0.5)], "lrs": [0.01]}, "_best_ema": np.float64(0.5),
              "current_epoch": 1, "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
              "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (0, 1, 2)}
torch.save(checkpoint, sys.argv[1])
"""
    subprocess.run([python, "-c", script, tmp_path / "checkpoint_final.pth"], check=True)
    found = read_foreign_weights(tmp_path / "checkpoint_final.pth").tensors
    assert found["encoder.stages.0.0.convs.0.conv.weight"].shape == (4, 1, 3, 3, 3)
    assert found["decoder.seg_layers.0.weight"].shape == (3, 4, 1, 1, 1)
