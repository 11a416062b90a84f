"""New images through finished runs of nnU-Net."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import SegVarianceError
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from .nnunet_data import dataset_name
from .nnunet_request import ask_child, folders, keep_arrays, recipe_of, request_of


def predict_with(
    study: StudyFolder,
    runs: Sequence[Run],
    images: Mapping[str, tuple[Path, ...]],
    output: Path,
    probabilities: bool,
    device: str,
    threads: int,
    progress: Callable[[int, int], object],
) -> None:
    """Segment new images with the mean probability of finished runs of a study that nnU-Net trained, into ``output``.

    Raises:
        SegVarianceError: the runs are of several recipes, a checkpoint is not what its ``run.json`` describes, the images
            have another number of channels, or the child fails.
    """
    if len({run.configuration for run in runs}) != 1:
        raise SegVarianceError(f"{study.root} holds several recipes of nnU-Net. Give the run folders of one of them.")
    recipe = recipe_of(study.plan.configuration(runs[0].configuration))
    for case_id, files in images.items():
        if len(files) != len(study.dataset.channels):
            raise SegVarianceError(
                f"Case {case_id!r} comes in {len(files)} file(s), one is expected for each of {', '.join(study.dataset.channels)}."
            )
    work = output / ".nnunet"
    members = [{"checkpoint": str(checkpoint(study, run)), "sha256": study.record(run).weights_sha256} for run in runs]
    request = request_of(recipe, dataset_name(study.dataset.name), device, threads) | {
        "action": "predict",
        "members": members,
        "cases": {case_id: [str(path.absolute()) for path in files] for case_id, files in images.items()},
        "out": str(work),
        "probabilities": probabilities,
    }

    def hear(event: dict[str, Any]) -> None:
        if event["kind"] == "progress":
            progress(event["done"], event["of"])
        elif event["kind"] == "case":
            case_id, like = event["case"], images[event["case"]][0]
            ending = next(end for end in (".nii.gz", ".nii", ".nrrd", ".mha") if like.name.endswith(end))
            kept = output / "probabilities" / f"{case_id}.nrrd" if probabilities else None
            keep_arrays(work, case_id, like, study.labels, output / f"{case_id}{ending}", kept)

    ask_child(recipe, request, work, folders(work, work, threads), hear, lambda: False)
    shutil.rmtree(work)


def checkpoint(study: StudyFolder, run: Run) -> Path:
    """nnU-Net's last checkpoint of a finished run. It is a pickle: only the child opens it, and only if it has the digest
    that ``run.json`` recorded.

    Raises:
        SegVarianceError: it is not there.
    """
    folder = study.run_folder(run) / "nnunet"
    found = list(folder.glob(f"Dataset*/*/fold_{run.fold}/checkpoint_final.pth"))
    if len(found) != 1:
        raise SegVarianceError(
            f"{folder} holds {len(found)} final checkpoints of nnU-Net, expected one. Train {run} again."
        )
    return found[0]
