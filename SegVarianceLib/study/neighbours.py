"""Studies side by side that share pretrainings: what one of them has made, the others take."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from ..core.errors import SegVarianceError
from ..core.files import sha256_of_file, write_beside_and_rename, write_json
from ..core.records import to_json
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder


def take_pretrainings(study: StudyFolder, taken: Callable[[Run, StudyFolder], object]) -> None:
    """Copy pretrainings that a study beside this one has made from the same inputs: data, recipe and seed by their digest.

    ``taken`` is called with each of them. The record is the one that was written when it was made, with its machine and cost.
    """
    waiting = [run for run in study.pretraining_runs if not study.is_done(run)]
    for folder in sorted(study.root.parent.iterdir()) if waiting else ():
        other = StudyFolder(folder)
        if other.root == study.root or not other.plan_path.is_file():
            continue
        for run in [run for run in waiting if _has_made(other, run, study.run_inputs(run))]:
            _copy(other, study, run)
            taken(run, other)
            waiting.remove(run)


def _has_made(other: StudyFolder, run: Run, inputs: str) -> bool:
    try:
        pretraining = other.plan.pretraining(run.configuration)
        if pretraining is None or pretraining.inputs(run.seed) != inputs or not other.is_done(run):
            return False
        return sha256_of_file(other.weights(run)) == other.record(run).weights_sha256
    except (SegVarianceError, OSError):  # a neighbour that cannot be read has nothing to give
        return False


def _copy(other: StudyFolder, study: StudyFolder, run: Run) -> None:
    source = other.weights(run)
    write_beside_and_rename(study.weights(run), lambda beside: shutil.copyfile(source, beside))
    write_json(study.record_path(run), to_json(other.record(run)))  # last: the pretraining is done when it is there
