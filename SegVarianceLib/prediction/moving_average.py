"""Class probabilities of a whole image on disk, and their moving average over predictions: memory holds a few rows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..core.files import write_beside_and_rename
from ..model.sliding_window import Rows

_VALUES_AT_ONCE = 2**22


def write_average(
    path: Path, rows: Iterator[Rows], shape: tuple[int, int, int, int], before: Path | None = None, kept: float = 0.0
) -> None:
    """Write probabilities [c, z, y, x] float16 row by row: ``kept`` times those in ``before``, and the rest of the new ones."""
    earlier = None if before is None else _opened(before)

    def write(beside: Path) -> None:
        made = np.lib.format.open_memmap(beside, "w+", np.float16, shape)
        for piece in rows:
            cut = _cut(piece)
            new = np.moveaxis(piece.probabilities, 1, 1 + piece.axis)
            made[cut] = new if earlier is None else kept * earlier[cut].astype(np.float32) + (1 - kept) * new
        made.flush()
        del made

    write_beside_and_rename(path, write)


def mean_rows(paths: Sequence[Path]) -> Iterator[Rows]:
    """The mean of several such files, in pieces, as ``sliding_rows`` gives a prediction."""
    files = [_opened(path) for path in paths]
    shape = files[0].shape
    axis = int(np.argmax(shape[1:]))
    step = max(1, _VALUES_AT_ONCE * shape[1 + axis] // int(np.prod(shape)))
    for start in range(0, shape[1 + axis], step):
        cut: list[slice] = [slice(None)] * 4
        cut[1 + axis] = slice(start, min(start + step, shape[1 + axis]))
        total = np.stack([file[tuple(cut)] for file in files]).mean(axis=0, dtype=np.float32)
        yield Rows(axis, start, np.ascontiguousarray(np.moveaxis(total, 1 + axis, 1)))


def _cut(piece: Rows) -> tuple[slice, ...]:
    cut = [slice(None)] * 4
    cut[1 + piece.axis] = slice(piece.start, piece.start + piece.probabilities.shape[1])
    return tuple(cut)


def _opened(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)
