"""Weights that somebody else's file holds, read so that nothing in it can run: a run's or any safetensors file, a checkpoint of
nnU-Net or another torch file, a MONAI bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..core.errors import SegVarianceError
from ..core.files import path_inside
from . import checkpoint

_BUNDLE_FILES = ("models/model.safetensors", "models/model.pt")
_WRAPPERS = ("network_weights", "state_dict", "model")
"""Under these names nnU-Net, Lightning and others keep the weights among other things."""

_INSTEAD = "Save its weights alone (torch.save(network.state_dict(), file) or safetensors) in the tool that made it."


@dataclass(frozen=True)
class ForeignWeights:
    """Tensors on the CPU by the names of their file, all dense and finite float32. ``outputs`` names the classes or regions of its head,
    where a run of SegVariance wrote it; else None."""

    tensors: Mapping[str, Tensor]
    outputs: tuple[str, ...] | None


def weights_file(path: Path) -> Path:
    """The file of a path that may also be the folder of a MONAI bundle.

    Raises:
        SegVarianceError: there is nothing, or the folder is no bundle or its weights lie elsewhere.
    """
    if path.is_dir():
        for relative in _BUNDLE_FILES:
            file = path_inside(path, relative, f"{path}:")
            if file.is_file():
                return file
        raise SegVarianceError(
            f"{path} is no MONAI bundle: expected {' or '.join(_BUNDLE_FILES)} in it. Give the weights file."
        )
    if not path.is_file():
        raise SegVarianceError(f"{path} does not exist. Give a weights file, or the folder of a MONAI bundle.")
    return path


def read_foreign_weights(path: Path) -> ForeignWeights:
    """Read a file of weights; a torch file by ``weights_only`` alone.

    Raises:
        SegVarianceError: it is missing, damaged, holds no tensors, holds code, or says of a tensor more than it stores.
    """
    file = weights_file(path)
    if zipfile.is_zipfile(file):
        return ForeignWeights(_checked(_of_torch(file), file), None)
    tensors, facts = checkpoint.load_any(file)
    outputs = facts.get("class_names") if facts else None
    return ForeignWeights(_checked(tensors, file), tuple(map(str, outputs)) if outputs else None)


class _Skipped:
    """Stands in for numbers of numpy beside the weights (losses and scores, in nnU-Net's checkpoints): made of anything, it keeps
    nothing, and no code of numpy is called."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, _: object) -> None:
        pass


_NUMPY_NUMBERS = [
    (_Skipped, name) for name in ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
]


def _of_torch(file: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > file.stat().st_size:  # torch packs nothing
            raise ValueError(f"it unpacks to {unpacked} bytes, more than it has")
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):  # type: ignore[arg-type]
            content = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        reason = str(error).partition("WeightsUnpickler error: ")[2].partition("\n")[0].rstrip(". ")
        raise SegVarianceError(f"{file} needs code to be read ({reason or 'not plain tensors'}). {_INSTEAD}") from None
    except Exception as error:  # torch raises whatever a damaged archive leads it to
        raise SegVarianceError(f"{file} is not a readable torch file ({_first_line(error)}). {_INSTEAD}") from None
    return _state_dict(content, file)


def _state_dict(content: Any, file: Path) -> dict[str, Tensor]:
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    tensors = content if isinstance(content, dict) else {}
    return {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def _checked(tensors: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """As float32; what is not floating point is left out."""
    found = {}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise SegVarianceError(f"{file}: tensor {name!r} is not a plain dense tensor. {_INSTEAD}")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise SegVarianceError(
                f"{file}: tensor {name!r} says that it is {tuple(tensor.shape)}, and stores less. {_INSTEAD}"
            )
        if tensor.is_floating_point():
            plain = tensor.detach().float()
            if not bool(plain.isfinite().all()):
                raise SegVarianceError(
                    f"{file}: tensor {name!r} holds values that are not finite. Take another checkpoint."
                )
            found[name] = plain
    if not found:
        raise SegVarianceError(f"{file} holds no weights. {_INSTEAD}")
    return found


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
