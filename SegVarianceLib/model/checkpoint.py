"""Weights and training states as safetensors: tensors and one JSON text, nothing that a reader could execute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..core.errors import SegVarianceError
from ..core.files import write_beside_and_rename

_FACTS = "segvariance"


def save(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write beside and rename. The same tensors and facts give the same bytes."""
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    metadata = {_FACTS: json.dumps(facts, sort_keys=True, allow_nan=False)}
    write_beside_and_rename(path, lambda beside: save_file(plain, beside, metadata))


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what ``save`` wrote: tensors on the CPU, and the facts.

    Raises:
        SegVarianceError: missing, truncated or not safetensors, or not written by SegVariance.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _facts(file, path)  # noqa: SIM118 (not a dict)


def load_any(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Read any safetensors file: tensors on the CPU, and the facts if ``save`` wrote it; raises where it cannot be read."""
    with _opened(path) as file:
        ours = _FACTS in (file.metadata() or {})
        return {name: file.get_tensor(name) for name in file.keys()}, _facts(file, path) if ours else None  # noqa: SIM118


def facts(path: Path) -> dict[str, Any]:
    """Read the facts alone; raises as ``load`` does."""
    with _opened(path) as file:
        return _facts(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except FileNotFoundError:
        raise SegVarianceError(f"{path} does not exist. Train the run first, or check the path.") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise SegVarianceError(
            f"{path} is not a readable safetensors file ({error}). Restore it or train again."
        ) from None


def _facts(file: Any, path: Path) -> dict[str, Any]:
    facts = json.loads((file.metadata() or {}).get(_FACTS, "null"))
    if not isinstance(facts, dict):
        raise SegVarianceError(f"{path} was not written by SegVariance. Give the weights.safetensors of a run.")
    return facts


def fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], where: str) -> None:
    """Copy tensors into a module of exactly these names and shapes.

    Raises:
        SegVarianceError: a tensor is missing, superfluous or of another shape; the first such name is given.
    """
    require_shapes(tensors, {name: tuple(own.shape) for name, own in module.state_dict().items()}, where)
    module.load_state_dict(tensors)


def require_shapes(tensors: dict[str, torch.Tensor], shapes: dict[str, tuple[int, ...]], where: str) -> None:
    """Raise SegVarianceError, as ``fill`` does, unless ``tensors`` has exactly these names and shapes."""
    for name in sorted(shapes.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        expected = shapes.get(name, "nothing")
        if found != expected:
            raise SegVarianceError(
                f"{where}: tensor {name!r} is {found}, the network plan needs {expected}. The file belongs to another plan."
            )
