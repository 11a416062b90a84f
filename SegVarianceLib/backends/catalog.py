"""The backends, in the order in which menus show them."""

from __future__ import annotations

from ..core.catalog import Catalog, Facts
from .builtin import Builtin

BACKENDS: Catalog[type[Builtin]] = Catalog(
    "backend",
    (),
    [(Facts("builtin", "Built-in residual U-Net", "SegVariance; recipe after nnU-Net, Isensee et al. 2021"), Builtin)],
)
