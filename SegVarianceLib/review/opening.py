"""Opening folders for review: a study, nnU-Net results, or any label maps. Only headers are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..core.arrays import values_present
from ..core.errors import Problem, SegVarianceError
from ..core.labels import LabelSet, Structure
from ..dataset.case import Case
from ..dataset.grids import read_or_note
from ..dataset.image_io import read_label_map
from ..dataset.labelling import labels_of_values
from .agreement import HeaderChecks
from .description import Found, Request, Review, ReviewMember
from .from_folders import find_in_folder
from .from_nnunet import find_in_results, trainer_folders
from .from_study import find_in_study, is_study

_MOST_SAMPLED = 8
"""So many label maps are read, of one case, where nothing says which values there are: half a second of a brain tumour."""


def open_review(
    paths: Path | Sequence[Path],
    pattern: str | None = None,
    images: Path | None = None,
    references: Path | None = None,
    labels: LabelSet | None = None,
) -> Review:
    """Describe what lies in one or several folders: studies, results of nnU-Net, or label maps of any tool, also mixed.

    Args:
        paths: folders. Of several folders of label maps each is a member.
        pattern: how names of label maps are read, such as ``{case}_{member}`` or ``{configuration}/{member}/{case}``, instead
            of the guess.
        images, references: folders of them, instead of those known by their usual names. Images are one file a case, or one
            a channel as ``<case>_0000``; of a single case, all files are its channels.
        labels: what the values mean, instead of what the folders declare.

    Raises:
        SegVarianceError: there is no such folder, nothing to review in it, or two members of one name. What is wrong with
            single files stands in the review's ``problems``.
    """
    given = (paths,) if isinstance(paths, str | Path) else paths
    told = [None if path is None else Path(path).absolute() for path in (images, references)]
    return _open(Request(tuple(Path(path).absolute() for path in given), pattern, told[0], told[1], labels))


def refresh(review: Review) -> Review:
    """What lies there now, asked for in the same way; ``description.landed`` tells what is new."""
    return _open(review.request)


def _open(request: Request) -> Review:
    parts = list(_parts(request))
    if not parts:
        raise SegVarianceError("There is no folder to open. Give at least one.")
    members = [member for part in parts for member in part.members]
    ensembles = [ensemble for part in parts for ensemble in part.ensembles]
    problems = [problem for part in parts for problem in part.problems]
    cases = _cases(parts, [*members, *ensembles])
    if not cases:
        raise SegVarianceError(f"{request.paths[0]} holds no prediction yet. Open it again when the first has landed.")
    _refuse_twins([*members, *ensembles])
    checks = HeaderChecks([*members, *ensembles], {case.id: case.label for case in cases if case.label})
    checks.compare_label_maps()
    checks.compare_images({case.id: case.images for case in cases})
    problems += checks.problems
    problems += _incomplete(members, len(cases), bool(sum(part.awaited for part in parts)))
    labels, source, declared = _labels(request, parts, checks, cases, members or ensembles, problems)
    return Review(
        request=request,
        kinds=tuple(dict.fromkeys(part.kind for part in parts)),
        title=", ".join(dict.fromkeys(part.title for part in parts)),
        cases=cases,
        channels=next((part.channels for part in parts if part.channels), ()),
        members=tuple(members),
        ensembles=tuple(ensembles),
        labels=labels,
        labels_from=source,
        labels_declared=declared,
        problems=tuple(problems),
        guesses=tuple(guess for part in parts for guess in part.guesses),
        awaited=sum(part.awaited for part in parts),
    )


def _parts(request: Request) -> Iterator[Found]:
    """What each folder holds; several results of nnU-Net are one, for their trainings are numbered together."""
    results = []
    for path in request.paths:
        if not path.is_dir():
            raise SegVarianceError(
                f"{path} is not a folder. Open a study, results of nnU-Net, or a folder of label maps."
            )
        if is_study(path):
            yield find_in_study(path)
        elif request.pattern is None and trainer_folders(path):
            results.append(path)
        else:
            yield find_in_folder(path, request)
    if results:
        yield find_in_results(results)


def _cases(parts: Sequence[Found], layers: Sequence[ReviewMember]) -> tuple[Case, ...]:
    """All cases that somebody predicted; images and references are those of the first part that has them."""
    ids = sorted({case_id for layer in layers for case_id in layer.files})
    return tuple(
        Case(
            case_id,
            next((part.images[case_id] for part in parts if case_id in part.images), ()),
            next((part.references[case_id] for part in parts if case_id in part.references), None),
        )
        for case_id in ids
    )


def _refuse_twins(layers: Iterable[ReviewMember]) -> None:
    seen: dict[str, ReviewMember] = {}
    for layer in layers:
        if layer.key in seen:
            places = [next(iter(each.files.values())).parent for each in (seen[layer.key], layer)]
            raise SegVarianceError(
                f"{places[0]} and {places[1]} would both be member {layer.key!r}. Rename a folder, or open the one above both."
            )
        seen[layer.key] = layer


def _incomplete(members: Iterable[ReviewMember], cases: int, is_training: bool) -> Iterable[Problem]:
    """Members that lack cases which others have; while a study trains that is as it should be."""
    for member in () if is_training else members:
        if len(member.files) < cases:
            what = f"it has {len(member.files)} of {cases} cases."
            yield Problem(member.key, what, "Only cases that it has are compared; predict the others.", fatal=False)


def _labels(
    request: Request,
    parts: Sequence[Found],
    checks: HeaderChecks,
    cases: Sequence[Case],
    layers: Sequence[ReviewMember],
    problems: list[Problem],
) -> tuple[LabelSet, str, bool]:
    """What the values mean, where that is from, and whether it was declared."""
    if request.labels is not None:
        return request.labels, "given", True
    declaring = [part for part in parts if part.labels is not None]
    for part in declaring[1:]:
        if part.labels != declaring[0].labels:
            what = f"it declares other labels than {declaring[0].labels_from}."
            problems.append(Problem(part.labels_from, what, "Compare predictions of one labelling only."))
    if declaring and declaring[0].labels is not None:
        return declaring[0].labels, declaring[0].labels_from, True
    if checks.segments:
        named = tuple(Structure(name, (value,)) for name, value in checks.segments)
        return LabelSet(named), "the segments' names in the .seg.nrrd files", True
    first = cases[0]
    files = [layer.files[first.id] for layer in layers if first.id in layer.files][:_MOST_SAMPLED]
    files += [first.label] if first.label else []
    unread: list[Problem] = []  # those are among the problems already
    maps = [found for path in files if (found := read_or_note(path, read_label_map, unread))]
    values = {value for found in maps for value in values_present(found.array)}
    return labels_of_values(values), f"the values in {len(maps)} label maps of {first.id}", False
