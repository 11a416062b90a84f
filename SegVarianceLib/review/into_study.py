"""A result that a reader has made goes into the study it was made from, as an ensemble with a name of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import __version__
from ..core.errors import SegVarianceError
from ..core.files import path_inside, safe_name, write_json
from ..core.records import to_json
from ..dataset.image_io import write_label_map
from ..ensemble.rules import RULES
from ..plan.study_folder import StudyFolder
from .description import Review, ReviewMember
from .from_study import is_study
from .open_case import OpenCase
from .vote_recipe import VoteRecipe

_CLEANED = "_clean"
"""What the worker puts behind a rule's name after its own clean-up (``study.stages.CLEANED``, which this half does not load)."""


def study_of(review: Review | None) -> StudyFolder | None:
    """The study that is open; None where none or several are."""
    studies = [path for path in review.request.paths if is_study(path)] if review is not None else []
    return StudyFolder(studies[0]) if len(studies) == 1 else None


def ensemble_folder(study: StudyFolder, recipe: VoteRecipe, name: str) -> Path:
    """Where results of the recipe go under ``name``: ``ensembles/<configuration>/<name>``.

    Raises:
        SegVarianceError: the name is no file name or one that the study gives to its own ensembles, what lies there was made
            by somebody else, or the members are not of one configuration of the study.
    """
    safe_name(name, "name of an ensemble")
    configurations = sorted({key.partition("/")[0] for key in recipe.members})
    planned = {configuration.name for configuration in study.plan.configurations}
    if len(configurations) != 1 or not planned.issuperset(configurations):
        raise SegVarianceError(
            f"Members of {' and '.join(configurations)} vote. Tick members of one configuration of the study alone "
            f"({', '.join(sorted(planned))}): it keeps the ensembles of each apart."
        )
    if name in {f"{facts.id}{ending}" for facts in RULES for ending in ("", _CLEANED)}:
        raise SegVarianceError(f"{name!r} is a name that the study gives to its own ensembles. Choose another one.")
    folder = study.ensemble(configurations[0], name)
    made_here = any((folder / f"{case_id}.json").is_file() for case_id in study.held_out_cases)
    if folder.is_dir() and any(folder.iterdir()) and not made_here:
        raise SegVarianceError(f"{folder} holds an ensemble that was not made here. Choose another name.")
    return folder


def write_into_study(
    study: StudyFolder, folder: Path, opened: OpenCase, label_map: np.ndarray, recipe: VoteRecipe
) -> Path:
    """Write the result [z, y, x] of a case, and ``<case>.json`` beside it, which says how it was made.

    Returns:
        The label map's path. What a reader has put there before under the same name is replaced.
    """
    case_id = opened.case.id
    path = path_inside(folder, f"{case_id}{study.dataset.file_ending}", "case id")
    like = opened.members[0].files[case_id]
    made = {"case": case_id, "made_by": f"SegVariance {__version__}"} | to_json(recipe)
    # The record first: without it the folder would look like somebody else's.
    write_json(path_inside(folder, f"{case_id}.json", "case id"), made)
    write_label_map(path, label_map, opened.geometry, like=like)
    return path


def with_ensemble(review: Review, path: Path, case_id: str) -> Review:
    """The review with a label map that was just written as ``ensembles/<configuration>/<name>/<case>``."""
    made = ReviewMember(path.parent.parent.name, path.parent.name, {case_id: path})
    known = {each.key: each for each in review.ensembles}
    files = {**known[made.key].files, case_id: path} if made.key in known else made.files
    known[made.key] = replace(made, files=files)
    return replace(review, ensembles=tuple(known.values()))
