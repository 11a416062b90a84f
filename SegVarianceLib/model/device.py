"""Where a run computes and in which precision: chosen once, tested, and recorded in the run's key."""

from __future__ import annotations

import platform
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass

import psutil
import torch

from ..core.errors import SegVarianceError

KINDS = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """A torch device with its precision. ``facts()`` is the part of a run's key that the machine decides."""

    kind: str
    half: bool
    threads: int

    @property
    def torch(self) -> torch.device:
        return torch.device(self.kind)

    @property
    def fused(self) -> bool:
        """Whether the optimizer may update all weights in one kernel."""
        return self.kind in ("cpu", "cuda")

    def autocast(self) -> AbstractContextManager:
        """bfloat16 where it is fast and right, else full precision."""
        return torch.autocast(self.kind, torch.bfloat16, enabled=self.half)

    def facts(self) -> dict[str, object]:
        name = torch.cuda.get_device_name() if self.kind == "cuda" else platform.machine()
        capability = torch.backends.cpu.get_cpu_capability() if self.kind == "cpu" else ""
        return {
            "device": self.kind,
            "device_name": f"{name} {capability}".strip(),
            "precision": "bfloat16" if self.half else "float32",
            "threads": self.threads,
            "torch": torch.__version__,
        }


def open_device(kind: str, threads: int) -> Device:
    """Set this process up for deterministic work and return the device.

    Args:
        kind: one of ``KINDS``; ``auto`` takes CUDA, then MPS, then the CPU.
        threads: CPU threads; sums depend on their number, so it belongs to the key.

    Raises:
        SegVarianceError: the device is not there, or this torch computes 3-D convolutions wrongly (2.9).
    """
    if torch.__version__.startswith("2.9."):
        raise SegVarianceError(
            f"torch {torch.__version__} computes some 3-D convolutions wrongly. Install torch 2.10 or newer."
        )
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if kind == "auto":
        kind = next(name for name, there in available.items() if there)
    if kind not in available or not available[kind]:
        there = ", ".join(name for name, found in available.items() if found)
        raise SegVarianceError(f"Device {kind!r} is not available on this machine. Choose one of: auto, {there}.")
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    if kind == "cuda":  # on the CPU there is nothing to choose, and the call alone loads a second of torch's compiler
        torch.use_deterministic_algorithms(True)
    return Device(kind, _half_is_fast_and_right(kind), threads)


def _half_is_fast_and_right(kind: str) -> bool:
    """bfloat16 on CUDA from compute capability 8 and on CPUs with native instructions, if a convolution agrees with float32."""
    if kind == "cuda":
        native = torch.cuda.get_device_capability()[0] >= 8
    else:
        native = kind == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return native and _convolutions_agree(kind)


def _convolutions_agree(kind: str) -> bool:
    """Compare bfloat16 with float32, gradients too: most where wrong kernels were seen (strides, outputs of few voxels)."""
    for kernel, stride, size in ((2, 1, (8, 8, 8)), (2, 2, (8, 8, 2)), (3, 1, (3, 5, 3)), (3, 1, (8, 8, 8))):
        exact, half = (_convolved(kind, kernel, stride, size, in_half) for in_half in (False, True))
        # `not all(<=)` instead of `any(>)`, so that NaN disagrees.
        if not all((a - b).abs().max() <= 0.05 * a.abs().max() for a, b in zip(exact, half, strict=True)):
            return False
    return True


def _convolved(kind: str, kernel: int, stride: int, size: tuple[int, ...], half: bool) -> list[torch.Tensor]:
    """Output of one convolution, and its gradients for image and weight, in float32."""
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(2, 16, *size, generator=draw).to(kind).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(16, 16, *[kernel] * 3, generator=draw).to(kind) / (16 * kernel**3) ** 0.5
    leaves = [image.requires_grad_(), weight.requires_grad_()]
    with torch.autocast(kind, torch.bfloat16, enabled=half):
        output = torch.nn.functional.conv3d(image, weight, stride=stride, padding=kernel // 2 if stride == 1 else 0)
    gradients = torch.autograd.grad(output.float().square().sum(), leaves)
    return [tensor.detach().float() for tensor in (output, *gradients)]


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return round(memory.peak_wset / 2**20, 1)
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
