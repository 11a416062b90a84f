"""What the commands ``plan`` and ``predict`` do where nnU-Net trains: its checkpoints are used in its own Python only."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import read_json
from ..core.machine import usable_cores
from ..core.records import from_json
from ..core.words import counted
from ..dataset.image_io import read_case_images
from ..plan.nnunet_plan import NnunetConfiguration
from ..plan.runs import Run, RunRecord
from ..plan.study_folder import StudyFolder
from .new_study import Wishes
from .terminal import out, progress_bar


def add_plan_options(plan: ArgumentParser, defaults: Wishes) -> None:
    plan.add_argument("--backend", default=defaults.backend, choices=("builtin", "nnunet"), help="what trains")
    plan.add_argument("--nnunet-python", default=None, help="Python of the environment that has nnunetv2 2.8")
    plan.add_argument("--nnunet-configuration", default=defaults.nnunet_configuration, help="2d, 3d_fullres, 3d_lowres")
    plan.add_argument("--nnunet-planner", default=defaults.nnunet_planner, help="for example nnUNetPlannerResEncM")
    plan.add_argument("--nnunet-no-mirroring", action="store_true", help="neither in training nor in prediction")


def predict(arguments: Namespace) -> bool:
    """Predict with runs of nnU-Net; False, and nothing done, where none of the models is one."""
    found = [_runs_of(Path(model)) for model in arguments.models]
    ours = [each for each in found if each is not None]
    if not ours:
        return False
    study = ours[0][0]
    if len(ours) < len(found) or any(other.root != study.root for other, _ in ours):
        raise SegVarianceError(
            "Runs of nnU-Net predict together with runs of the same study only. Ensemble the label maps."
        )
    if arguments.recipe is not None:
        raise SegVarianceError(
            "Networks of nnU-Net do not predict from a recipe. Give the run folders of its members instead, then clean."
        )
    if arguments.regions is not None:
        raise SegVarianceError(
            "nnU-Net paints regions by itself. Keep probabilities (--probabilities), open them in the module or with segvariance "
            "regions, and rebuild the labels there."
        )
    from ..backends.nnunet_predict import predict_with

    runs = [run for _, of_model in ours for run in of_model]
    cases, output = read_case_images(Path(arguments.images)), Path(arguments.output)
    if not cases:
        raise SegVarianceError(f"{arguments.images} holds no images.")
    threads = arguments.threads or usable_cores()
    with progress_bar() as progress:
        say = partial(progress, f"Predicting with {counted(len(runs), 'member')}")
        predict_with(study, runs, cases, output, arguments.probabilities, arguments.device, threads, say)
    out.print(f"{counted(len(cases), 'case')} predicted by {counted(len(runs), 'member')}: {output}", markup=False)
    return True


def _runs_of(model: Path) -> tuple[StudyFolder, list[Run]] | None:
    """The finished runs of nnU-Net that a study or a run's folder stands for; None where another backend trained."""
    if (model / "run.json").is_file() and len(model.resolve().parents) > 4:
        study = StudyFolder(model.resolve().parents[3])
        runs = [from_json(RunRecord, read_json(model / "run.json"), str(model / "run.json")).run]
    else:
        study, runs = StudyFolder(model), []
    if not study.plan_path.is_file() or not any(
        isinstance(configuration, NnunetConfiguration) for configuration in study.plan.configurations
    ):
        return None
    runs = runs or [run for run in study.runs if study.is_done(run)]
    if not runs:
        raise SegVarianceError(f"{model} has no finished training yet. Run it with: segvariance run {model}")
    return study, runs
