"""Which part of a file's name is the case and which the member: one guess, by the shape of the folders, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..core.errors import SegVarianceError
from .folder_roles import WRAPPERS, Folders
from .patterns import common_affixes, split_names, without_ending

_FOLDER = "*"
_ONE_CASE = "members"
"""The wrapper whose files are members of one case; files in the others are cases of one member."""


def guess_pattern(folders: Folders, known_cases: frozenset[str], is_one_of_several: bool) -> tuple[str, str]:
    """The pattern for ``patterns.read_rows``, and its rule in words.

    Args:
        known_cases: case ids by the images or references, where there are any.
        is_one_of_several: several folders were opened, so that each is a member.

    Raises:
        SegVarianceError: the folders are nested too deep to guess.
    """
    shapes = {name: _shape(name) for name in folders.files}
    shape = Counter(shapes.values()).most_common(1)[0][0]
    stems = [without_ending(PurePosixPath(name).name) or "" for name, its_shape in shapes.items() if its_shape == shape]
    levels = shape.count(_FOLDER)
    innermost = shape[-1] if shape else folders.root.name
    if levels < 2 and (innermost == _ONE_CASE or (levels == 1 and _are_cases(folders))):
        rule = "each folder is a case, each file in it a member" if levels else "each file is a member, all of one case"
        return _joined(shape, ["case"], _trimmed("member", stems)), rule
    if levels == 0:
        name, rule = _flat(stems, known_cases, is_one_of_several)
        return _joined(shape, [], name), rule
    name = "{case}" if known_cases & set(stems) or not known_cases else _trimmed("case", stems)
    if levels == 1:
        return _joined(shape, ["member"], name), "each folder is a member, each file in it a case"
    if levels == 2:
        rule = "each folder is a configuration, each folder in it a member, each file in that a case"
        return _joined(shape, ["configuration", "member"], name), rule
    raise SegVarianceError(
        f"{folders.root} is nested too deep to tell members from cases: {next(iter(folders.files))!r}. "
        "Open a folder further down, or give a pattern such as {configuration}/fold_0/{member}/{case}."
    )


def _shape(name: str) -> tuple[str, ...]:
    """The folders of a relative name, those with a name of their own replaced."""
    return tuple(part if part in WRAPPERS else _FOLDER for part in PurePosixPath(name).parent.parts)


def _are_cases(folders: Folders) -> bool:
    """Whether images, references or ensembles lie beside the label maps of each folder."""
    return any(path.parent != folders.root for paths in folders.roles.values() for path in paths)


def _joined(shape: Sequence[str], placeholders: Sequence[str], name: str) -> str:
    following = iter(placeholders)
    return "/".join([*(f"{{{next(following)}}}" if part == _FOLDER else part for part in shape), name])


def _trimmed(placeholder: str, stems: Sequence[str]) -> str:
    """The placeholder between what all names begin and end with."""
    before, after = common_affixes(sorted(set(stems)))
    return f"{before}{{{placeholder}}}{after}"


def _flat(stems: Sequence[str], known_cases: frozenset[str], is_one_of_several: bool) -> tuple[str, str]:
    one_member = ("{case}", "each file is a case, all of one member")
    if is_one_of_several or (known_cases and known_cases.issuperset(stems)):
        return one_member
    pattern = split_names(stems)
    return one_member if pattern is None else (pattern, "a file's name is its case and its member")
