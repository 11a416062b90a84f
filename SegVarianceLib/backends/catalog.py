"""The backends, in the order in which menus show them."""

from __future__ import annotations

from collections.abc import Callable

from ..core.catalog import Catalog, Facts
from .backend import Backend
from .builtin import Builtin
from .nnunet import Nnunet

BACKENDS: Catalog[Callable[[], Backend]] = Catalog(
    "backend",
    (),
    [
        (
            Facts("builtin", "Built-in residual U-Net", "SegVariance; recipe after nnU-Net, Isensee et al. 2021"),
            Builtin,
        ),
        (Facts("nnunet", "nnU-Net v2, in its own environment", "Isensee et al., Nature Methods 2021"), Nnunet),
    ],
)
