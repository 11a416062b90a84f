"""Any folder of label maps, and the images, references and ensembles in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..core.errors import Problem, SegVarianceError
from ..dataset.image_io import IMAGE_ENDINGS, find_images, read_case_images
from ..dataset.nnunet_plans import on_own_axes
from .declared import declared_in
from .description import FOLDERS, Found, Guess, Request, ReviewMember
from .folder_roles import WRAPPERS, Folders, look_through
from .guessing import guess_pattern
from .patterns import Defaults, Row, number_in, read_rows, without_ending


def find_in_folder(root: Path, request: Request) -> Found:
    """Members, ensembles, images and references below ``root``, which may be one of several opened folders.

    Raises:
        SegVarianceError: it holds no label map, or the request's pattern fits none, or two files are one case of a member.
    """
    problems: list[Problem] = []
    several = len(request.paths) > 1
    folders = look_through(root, [path for path in (request.images, request.references) if path])
    for role, told in (("images", request.images), ("references", request.references)):
        if told is not None:
            folders.roles[role] = [told]
    if not folders.files:
        besides = " and ".join(role for role in ("images", "references", "ensembles") if folders.roles[role])
        raise SegVarianceError(
            f"{root} holds {besides + ' but ' if besides else ''}no label maps of members. "
            f"Expected files that end in {', '.join(IMAGE_ENDINGS)}, in it or in a folder for each member."
        )
    pattern, rule = request.pattern, "the pattern that was given"
    if pattern is None:
        pattern, rule = guess_pattern(folders, _known_cases(folders), several)
    own = root.parent if root.name in WRAPPERS else root
    own_name = own.name
    one_case = own_name if "{case}" not in pattern else None
    rows = _rows(folders, pattern, Defaults(own.parent.name if several else own_name, own_name, own_name), problems)
    cases = dict.fromkeys(row.case for row in rows)
    declared = declared_in(dict.fromkeys([root, *(row.path.parent for row in rows)]), problems)
    images, channels = _images(folders, one_case, problems)
    return Found(
        kind=FOLDERS,
        title=own_name,
        members=tuple(_members(rows, problems)),
        ensembles=tuple(_ensembles(folders, one_case, own_name)),
        images={case_id: images[case_id] for case_id in cases if case_id in images},
        references={case_id: path for case_id, path in _references(folders, one_case).items() if case_id in cases},
        channels=declared.channels or channels,
        labels=declared.labels,
        labels_from=str(declared.source or ""),
        problems=tuple(problems),
        guesses=(Guess(rule, pattern, tuple((row.case, row.member, row.path) for row in rows)),),
    )


def _rows(folders: Folders, pattern: str, defaults: Defaults, problems: list[Problem]) -> list[Row]:
    rows = read_rows(folders.files, pattern, defaults)
    if not rows:
        example = next(iter(folders.files))
        raise SegVarianceError(
            f"No file below {folders.root} fits the pattern {pattern!r}; one of them is {example!r}. Mend the pattern."
        )
    if len(rows) < len(folders.files):
        fitting = {row.path for row in rows}
        odd = [name for name, path in folders.files.items() if path not in fitting]
        what = (
            f"{len(odd)} of {len(folders.files)} label maps, such as {odd[0]}, do not fit {pattern!r} and are left out."
        )
        problems.append(Problem(str(folders.root), what, "Give another pattern to have them.", fatal=False))
    return rows


def _members(rows: Iterable[Row], problems: list[Problem]) -> Iterator[ReviewMember]:
    files: dict[tuple[str, str], dict[str, Path]] = {}
    for row in rows:
        files.setdefault((row.configuration, row.member), {})[row.case] = row.path
    for (configuration, name), paths in files.items():
        fold = number_in(name, "fold")
        folds = {} if fold is None else dict.fromkeys(paths, fold)
        probabilities = on_own_axes(probabilities_beside(paths), problems)
        yield ReviewMember(configuration, name, paths, number_in(name, "seed"), folds, probabilities)


def probabilities_beside(files: Mapping[str, Path]) -> dict[str, Path]:
    """Probability files that go with label maps: nnU-Net's ``.npz``, or SegVariance's in ``probabilities`` inside or beside."""
    listed: dict[Path, set[str]] = {}
    found = {}
    for case_id, path in files.items():
        stem = without_ending(path.name)
        of_ours = (above / "probabilities" / f"{stem}.nrrd" for above in (path.parent, path.parent.parent))
        for probable in (path.parent / f"{stem}.npz", *of_ours):
            if probable.name in _names(probable.parent, listed):
                found[case_id] = probable
                break
    return found


def _names(folder: Path, listed: dict[Path, set[str]]) -> set[str]:
    if folder not in listed:
        listed[folder] = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return listed[folder]


def _case_of(folder: Path, folders: Folders, one_case: str | None) -> str | None:
    """The case to which all files of an image, reference or ensemble folder belong; None where each has its own."""
    if one_case is not None:
        return one_case
    return folder.parent.name if folders.root in folder.parent.parents else None


def _known_cases(folders: Folders) -> frozenset[str]:
    shared = [path for role in ("images", "references") for path in folders.roles[role]]
    known: set[str] = set()
    for path in shared:
        if folders.root not in path.parent.parents and path.is_dir():
            known |= {stem for file in path.iterdir() if (stem := without_ending(file.name)) is not None}
    return frozenset(known) | {stem[:-5] for stem in known if stem[-5:-4] == "_" and stem[-4:].isdecimal()}


def _images(
    folders: Folders, one_case: str | None, problems: list[Problem]
) -> tuple[dict[str, tuple[Path, ...]], tuple[str, ...]]:
    """Channel files of each case, and the channels' names where files are named by them."""
    images: dict[str, tuple[Path, ...]] = {}
    channels: tuple[str, ...] = ()
    for folder in folders.roles["images"]:
        case_id = _case_of(folder, folders, one_case)
        try:
            files = find_images(folder)
            if case_id is None:
                images.update(read_case_images(folder))
            elif files:
                images[case_id], channels = tuple(files.values()), tuple(files)
        except SegVarianceError as error:
            problems.append(Problem(folder.name, str(error), "Its images are left out.", fatal=False))
    return images, channels


def _references(folders: Folders, one_case: str | None) -> dict[str, Path]:
    references: dict[str, Path] = {}
    for folder in folders.roles["references"]:
        case_id, files = _case_of(folder, folders, one_case), find_images(folder)
        if case_id is None:
            references.update(files)
        elif case_id in files or len(files) == 1:
            references[case_id] = files.get(case_id) or next(iter(files.values()))
    return references


def _ensembles(folders: Folders, one_case: str | None, configuration: str) -> Iterator[ReviewMember]:
    """A folder of cases, or of a folder of cases for each ensemble; within a case, a file for each ensemble."""
    found: dict[str, dict[str, Path]] = {}
    for folder in folders.roles["ensembles"]:
        case_id = _case_of(folder, folders, one_case)
        if case_id is not None:
            for name, path in find_images(folder).items():
                found.setdefault(name, {})[case_id] = path
            continue
        for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
            found.setdefault(place.name, {}).update(find_images(place))
    for name, files in found.items():
        if files:
            yield ReviewMember(configuration, name, files)
