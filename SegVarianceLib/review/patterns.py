"""File names as templates: ``{member}/{case}.nii.gz`` reads a member and a case out of a path below the opened folder."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.errors import SegVarianceError
from ..dataset.image_io import IMAGE_ENDINGS

FIELDS = ("configuration", "member", "case")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SEED = re.compile(r"seed[_-]?(\d+)", re.IGNORECASE)
_SEED_PART = re.compile(rf"[_-]?{_SEED.pattern}", re.IGNORECASE)
_FOLD = re.compile(r"fold[_-]?(\d+)", re.IGNORECASE)


class Row(NamedTuple):
    """One label map: of which case, by whom."""

    configuration: str
    member: str
    case: str
    path: Path


class Defaults(NamedTuple):
    """What a row gets where its pattern has no such placeholder."""

    configuration: str
    member: str
    case: str


def without_ending(name: str) -> str | None:
    """A file name without the ending of an image format, or None where it has none that can be read."""
    ending = next((ending for ending in IMAGE_ENDINGS if name.endswith(ending)), None)
    return None if ending is None or name.startswith(".") else name.removesuffix(ending)


def read_rows(files: Mapping[str, Path], pattern: str, defaults: Defaults) -> list[Row]:
    """The rows of those ``files`` (relative name to path) that fit ``pattern``.

    A placeholder stands for one or more characters but "/"; of several in one name the first takes as many as it can. The
    ending may be left out.

    Raises:
        SegVarianceError: the pattern has an unknown placeholder or one twice, or two files are one case of one member.
    """
    expression = _compiled(pattern)
    rows: dict[tuple[str, str, str], Row] = {}
    for name, path in files.items():
        match = expression.fullmatch(without_ending(name) or name)
        if match is None:
            continue
        row = Row(*(defaults._replace(**match.groupdict())), path)
        if row[:3] in rows:
            raise SegVarianceError(
                f"{rows[row[:3]].path} and {path} would both be case {row.case!r} of member {row.member!r}. "
                "Keep one of them, or give a pattern that tells them apart."
            )
        rows[row[:3]] = row
    return list(rows.values())


def _compiled(pattern: str) -> re.Pattern[str]:
    names = _PLACEHOLDER.findall(pattern)
    if not names or set(names) - set(FIELDS) or len(set(names)) < len(names):
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise SegVarianceError(f"Pattern {pattern!r} cannot be read: expected each of {known} once at most. Mend it.")
    bare = without_ending(pattern) or pattern
    parts = _PLACEHOLDER.split(bare)
    expression = "".join(
        f"(?P<{part}>[^/]+)" if position % 2 else re.escape(part) for position, part in enumerate(parts)
    )
    return re.compile(expression)


def common_affixes(names: Iterable[str]) -> tuple[str, str]:
    """What all names begin and end with, up to a separator (``_``, ``-`` or ``.``) and leaving some of each name."""
    known = list(names)
    if len(known) < 2:
        return "", ""
    before = re.match(r"(?:.*[_.-])?", _common_start(known))
    after = re.search(r"[_.-].*", _common_start([name[::-1] for name in known])[::-1])
    head, tail = before[0] if before else "", after[0] if after else ""
    return (head, tail) if all(len(name) > len(head) + len(tail) for name in known) else (head, "")


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in alike)


def split_names(names: Iterable[str]) -> str | None:
    """``{case}_{member}`` or ``{member}_{case}`` where the names fill a table of two cases and members or more, else None.

    The separator may be "_" or "-"; the side with fewer different parts, if both fit, is the members'.
    """
    known = list(names)
    fits: list[tuple[int, str]] = []
    for separator in "_-":
        for cut, pattern in (
            (str.rpartition, f"{{case}}{separator}{{member}}"),
            (str.partition, f"{{member}}{separator}{{case}}"),
        ):
            pairs = [(left, right) for left, middle, right in (cut(name, separator) for name in known) if middle]
            left, right = Counter(pair[0] for pair in pairs), Counter(pair[1] for pair in pairs)
            full = len(pairs) == len(known) == len(left) * len(right)
            if full and len(left) > 1 and len(right) > 1:
                members = len(right) if pattern.startswith("{case}") else len(left)
                fits.append((members, pattern))
    return min(fits, key=lambda fit: fit[0])[1] if fits else None


def number_in(name: str, what: str) -> int | None:
    """The number after the last ``seed`` or ``fold`` in a name such as ``unet_seed_07``."""
    found = {"seed": _SEED, "fold": _FOLD}[what].findall(name)
    return int(found[-1]) if found else None


def without_seed(name: str) -> str:
    """A name without its ``seed`` and number: ``nnUNetTrainer`` of ``nnUNetTrainer_seed_3`` and of ``nnUNetTrainerSeed3``."""
    return _SEED_PART.sub("", name)
