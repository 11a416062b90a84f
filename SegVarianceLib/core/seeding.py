"""Independent random streams from one seed. Randomness is an argument everywhere else; here it gets its start."""

from __future__ import annotations

import hashlib

import numpy as np


def derived_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose, for example ``derived_seed(7, "augmentation", "fold", 2)``.

    Streams of different purposes or seeds are independent of each other (SHA-256 of both), the same on every machine.
    """
    text = "\x1f".join([str(int(seed)), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng(derived_seed(seed, *purpose))
