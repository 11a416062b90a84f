"""Many label maps of one case in little memory: what all members share, once, and what each drew where they differ."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np

from ..core.arrays import foreground_box, values_present
from ..core.errors import SegVarianceError
from ..core.stepwise import result_of

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class MemberMaps:
    """The label maps of all members of a case, without loss; 50 members of a tumour take a few MB.

    Attributes:
        names: the members, in the order of the rows of ``drawn``.
        shape_zyx: of the whole image.
        box: the part of it in which any member drew anything; all below is of this part.
        shared: label map [z, y, x] of the first member, and where ``places`` does not point, of every member.
        places: flat index of each voxel on which members differ, ascending, [n].
        drawn: the label that each member drew there, [member, n].
        values: every label value that occurs, and background 0, ascending.
    """

    names: tuple[str, ...]
    shape_zyx: tuple[int, int, int]
    box: Box
    shared: np.ndarray
    places: np.ndarray
    drawn: np.ndarray
    values: tuple[int, ...]

    @classmethod
    def of(cls, names: Iterable[str], label_maps: Iterable[np.ndarray]) -> MemberMaps:
        """From one uint8 or uint16 label map [z, y, x] for each name, which are read one after the other and not kept.

        Raises:
            SegVarianceError: there is none, or their shapes differ.
        """
        return result_of(cls.steps(names, label_maps))

    @classmethod
    def steps(cls, names: Iterable[str], label_maps: Iterable[np.ndarray]) -> Generator[None, None, MemberMaps]:
        """``of``, a label map at a time: a window can stay awake in between, or stop it."""
        members = iter(label_maps)
        first = next(members, None)
        if first is None:
            raise SegVarianceError("There is no member to look at. Give at least one.")
        contested = np.zeros(first.size, dtype=bool)
        places = np.empty(0, dtype=np.intp)
        rows = [np.empty(0, dtype=first.dtype)]
        yield
        for label_map in members:
            if label_map.shape != first.shape:
                raise SegVarianceError(
                    f"Member {len(rows) + 1} has {label_map.shape} voxels [z, y, x], the first one {first.shape}. "
                    "Expected one grid: resample or predict again."
                )
            # Where it differs from the first and nobody before it did, all before it drew what the first did.
            fresh = np.flatnonzero((label_map != first).ravel() & ~contested)
            contested[fresh] = True
            places = np.concatenate([places, fresh])
            rows.append(label_map.ravel()[places])
            yield
        return cls._packed(tuple(islice(names, len(rows))), first, contested.reshape(first.shape), places, rows)

    @classmethod
    def of_all(cls, label_maps: Iterable[np.ndarray]) -> MemberMaps:
        """``of`` members without names: they are called ``0``, ``1`` and so on."""
        return cls.of(map(str, count()), label_maps)

    @classmethod
    def _packed(
        cls,
        names: tuple[str, ...],
        first: np.ndarray,
        contested: np.ndarray,
        places: np.ndarray,
        rows: list[np.ndarray],
    ) -> MemberMaps:
        box = foreground_box(contested | (first != 0)) or (slice(0, 1), slice(0, 1), slice(0, 1))
        order = np.argsort(places)
        drawn = np.empty((len(rows), len(places)), dtype=np.result_type(*rows))
        of_first = first.ravel()[places]
        for number, row in enumerate(rows):
            drawn[number] = np.concatenate([row, of_first[len(row) :]])[order]
            rows[number] = row[:0]
        shared = first[box].copy()
        values = set(values_present(shared)).union(*(values_present(row[None, None]) for row in drawn), {0})
        within = np.flatnonzero(contested[box])
        return cls(names, first.shape, box, shared, within, drawn, tuple(sorted(values)))

    def of_members(self, names: Iterable[str]) -> MemberMaps:
        """Only these members, in this order.

        Raises:
            SegVarianceError: there is no such member, or none is named.
        """
        rows = [self.row(name) for name in names]
        if not rows:
            raise SegVarianceError("No member is selected. Select at least one.")
        drawn = self.drawn[rows]
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            shared=self.filled(self.shared, drawn[0]),
            drawn=drawn,
        )

    def member(self, name: str) -> np.ndarray:
        """One member's label map [z, y, x], of the whole image."""
        return self.whole(self.filled(self.shared, self.drawn[self.row(name)]))

    def row(self, name: str) -> int:
        """Raises SegVarianceError where there is no such member."""
        if name not in self.names:
            raise SegVarianceError(f"There is no member {name!r} of this case. It has: {', '.join(self.names)}.")
        return self.names.index(name)

    def filled(self, shared: np.ndarray, differing: np.ndarray) -> np.ndarray:
        """A copy of ``shared`` [z, y, x] (of the box) with the values ``differing`` [n] where members differ."""
        out = shared.astype(np.promote_types(shared.dtype, differing.dtype))
        out.ravel()[self.places] = differing
        return out

    def whole(self, part: np.ndarray, outside: float = 0) -> np.ndarray:
        """``part`` (of the box) in an array of the whole image, with ``outside`` around it."""
        out = np.full(self.shape_zyx, outside, dtype=part.dtype)
        out[self.box] = part
        return out
