"""Whether what was found can be compared: grids and meanings of values, from headers, before anything is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.errors import Problem
from ..core.geometry import Geometry
from ..dataset.grids import read_or_note
from ..dataset.image_io import read_label_map
from .description import ReviewMember
from .headers import Header, HeaderReader, Segments

_REFERENCES = "references"


class HeaderChecks:
    """The headers of all label maps and images of a review, each read once, and what they say against comparing.

    Label maps of one member on another grid make one problem: fifty members of twenty cases must not give a thousand lines.
    """

    def __init__(self, layers: Sequence[ReviewMember], references: Mapping[str, Path]):
        self.problems: list[Problem] = []
        self._reader = HeaderReader()
        self._files = {each.key: each.files for each in layers} | {_REFERENCES: references}
        self._headers: dict[Path, Header] = {}
        for files in self._files.values():
            self._read(files)
        self._usual = self._usual_geometries()

    @property
    def segments(self) -> Segments:
        """What the first ``.seg.nrrd`` with named segments says of its values; empty where there is none."""
        return next((header.segments for header in self._headers.values() if header.segments), ())

    def compare_label_maps(self) -> None:
        """Refuse members that lie elsewhere than most label maps of a case, or whose values mean something else."""
        for who, files in self._files.items():
            elsewhere = [
                f"{path}: {difference}"
                for case_id, path in files.items()
                if path in self._headers
                and (difference := _difference(self._usual[case_id], self._headers[path].geometry))
            ]
            if elsewhere:
                what = f"{len(elsewhere)} of {len(files)} label maps lie elsewhere than the others of their case ({elsewhere[0]})."
                self.problems.append(Problem(who, what, "Resample them (nearest neighbour), or leave them out."))
        self._compare_segments()

    def compare_images(self, images: Mapping[str, tuple[Path, ...]]) -> None:
        """Note images that lie elsewhere than the label maps of their case: viewers show both in the patient."""
        elsewhere: list[str] = []
        for case_id, paths in images.items():
            for path in paths:
                header = read_or_note(path, self._reader.read, self.problems)
                expected = self._usual.get(case_id)
                if header and expected and (difference := _difference(expected, header.geometry)):
                    elsewhere.append(f"{path}: {difference}")
        if elsewhere:
            what = f"{len(elsewhere)} image files lie elsewhere than the label maps of their case ({elsewhere[0]})."
            self.problems.append(Problem("images", what, "Check that they belong together.", fatal=False))

    def _read(self, files: Mapping[str, Path]) -> None:
        """Headers of one member; voxels too of files that look cut short, and of the first that is stored unusually."""
        looked_at_unusual = False
        for path in files.values():
            header = read_or_note(path, self._reader.read, self.problems)
            if header is None:
                continue
            if header.incomplete or (header.unusual and not looked_at_unusual):
                looked_at_unusual = looked_at_unusual or header.unusual
                if read_or_note(path, read_label_map, self.problems) is None:
                    continue
            self._headers[path] = header

    def _usual_geometries(self) -> dict[str, Geometry]:
        """Of each case, where most of its label maps lie; of equally many the first."""
        found: dict[str, Counter[Geometry]] = {}
        for files in self._files.values():
            for case_id, path in files.items():
                if path in self._headers:
                    found.setdefault(case_id, Counter())[self._headers[path].geometry] += 1
        return {case_id: counts.most_common(1)[0][0] for case_id, counts in found.items()}

    def _compare_segments(self) -> None:
        """Slicer numbers the segments of each file anew, so that one value may mean two things in two files."""
        first: dict[int, tuple[str, Path]] = {}
        for path, header in self._headers.items():
            for name, value in header.segments:
                expected, where = first.setdefault(value, (name, path))
                if name != expected:
                    what = f"value {value} is {name!r} here and {expected!r} in {where}."
                    remedy = "Export all members with the same segments in the same order."
                    self.problems.append(Problem(str(path), what, remedy))
                    return


def _difference(expected: Geometry, found: Geometry) -> str | None:
    return None if expected == found else expected.difference(found)
