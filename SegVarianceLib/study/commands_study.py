"""The commands on a study as a whole: demo, check, plan, run, status, stop."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rich.table import Table

from ..backends.backend import jobs_at_once
from ..core.errors import SegVarianceError
from ..core.records import to_json
from ..core.words import counted
from ..dataset.checks import check_dataset
from ..dataset.dataset_json import open_dataset
from ..dataset.label_declaration import regions_of_text
from ..dataset.phantom import make_phantom
from ..dataset.region_checks import described
from ..evaluation.score_table import ScoreTable
from ..plan.adaptation_folder import AdaptationFolder
from ..plan.nnunet_plan import NnunetConfiguration
from ..plan.study_folder import StudyFolder
from ..plan.transfer import cells_of
from ..stats.study_statistics import study_statistics
from ..stats.transfer import transfer_rows
from . import commands_adapt
from .commands_transfer import print_transfer
from .facts import recipe_in_words, split_in_words
from .findings import print_statistics
from .new_study import Estimate, Wishes, plan_study
from .pipeline import Stopped, run_study
from .progress_display import STAGES, ProgressDisplay, duration_text
from .stages import PRIMARY_METRIC, compare
from .status import status_of
from .terminal import aside, out, print_json, progress_bar
from .worker import start_detached, stop_worker

_DEMO_SEED = 0
_DEMO_BUDGET = "350 steps"
_DEMO_CASES = 40


def demo(arguments: Namespace) -> int:
    """Phantom, plan, run, report; run again, it goes on or shows what is there."""
    folder = Path(arguments.folder)
    study = StudyFolder(folder / "study")
    if not study.plan_path.exists():
        dataset = make_phantom(folder / "dataset", _DEMO_SEED, _DEMO_CASES)
        wishes = Wishes(
            seeds=arguments.seeds, budget=_DEMO_BUDGET, title="Demo: a phantom with three nested structures"
        )
        with progress_bar() as progress:
            study, estimate = plan_study(dataset, study.root, wishes, progress)
        _print_plan(study, estimate)
    return _run_here(study, None)


def check(arguments: Namespace) -> int:
    """Exit code 0 if nothing fatal was found, else 2."""
    dataset = open_dataset(Path(arguments.dataset))
    with progress_bar() as progress:
        problems = check_dataset(dataset, lambda done, of: progress("Checking cases", done, of))
    fatal = [problem for problem in problems if problem.fatal]
    if arguments.json:
        print_json({"dataset": dataset.name, "cases": len(dataset.cases), "problems": [to_json(p) for p in problems]})
    else:
        for problem in problems:
            out.print(f"{'problem' if problem.fatal else 'note'}  {problem}", markup=False)
        for sentence in described(dataset.labels):
            out.print(f"regions  {sentence}", markup=False)
        structures = ", ".join(structure.name for structure in dataset.labels.structures)
        out.print(
            f"{dataset.name}: {counted(len(dataset.cases), 'case')}, {' + '.join(dataset.channels)}, {structures}. ",
            markup=False,
            end="",
        )
        out.print(f"{counted(len(fatal), 'problem')} to mend." if fatal else "Ready for training.")
    return 2 if fatal else 0


def plan(arguments: Namespace) -> int:
    wishes = Wishes(
        seeds=arguments.seeds,
        first_seed=arguments.first_seed,
        split=arguments.split,
        split_seed=arguments.split_seed,
        groups=None if arguments.groups is None else Path(arguments.groups),
        group_column=arguments.group_column,
        budget=arguments.budget,
        configuration=arguments.configuration,
        device=arguments.device,
        threads_per_run=arguments.threads,
        keep_probabilities=not arguments.no_probabilities,
        clean_up=arguments.clean_up,
        tolerance_mm=arguments.tolerance_mm,
        title=arguments.title,
        labels=None if arguments.regions is None else regions_of_text(arguments.regions, arguments.order),
        trains=arguments.train,
        backend=arguments.backend,
        nnunet_python=arguments.nnunet_python,
        nnunet_configuration=arguments.nnunet_configuration,
        nnunet_planner=arguments.nnunet_planner,
        nnunet_mirroring=not arguments.nnunet_no_mirroring,
    )
    with progress_bar() as progress:
        study, estimate = plan_study(Path(arguments.dataset), Path(arguments.study), wishes, progress)
    if arguments.json:
        print_json({"study": str(study.root), **to_json(estimate)})
    else:
        _print_plan(study, estimate)
        out.print(f"Nothing has been trained yet. Run it with: segvariance run {arguments.study}", markup=False)
    return 0


def run(arguments: Namespace) -> int:
    if (adaptation := adaptation_in(arguments.study)) is not None:
        return commands_adapt.detach(adaptation) if arguments.detach else commands_adapt.run(adaptation)
    study = StudyFolder.open(Path(arguments.study))
    if arguments.jobs is not None and arguments.jobs < 1:
        raise SegVarianceError(f"--jobs {arguments.jobs}: give at least 1.")
    if arguments.detach:
        given = [] if arguments.jobs is None else ["--jobs", str(arguments.jobs)]
        worker = start_detached(study, given)
        out.print(f"{worker} works on {study.root}. Watch it with: segvariance status {arguments.study}", markup=False)
        return 0
    return _run_here(study, arguments.jobs)


def status(arguments: Namespace) -> int:
    if (adaptation := adaptation_in(arguments.study)) is not None:
        return commands_adapt.status(adaptation, arguments.json)
    found = status_of(StudyFolder.open(Path(arguments.study)))
    if arguments.json:
        print_json(to_json(found))
        return 0
    done = sum(run.state == "done" for run in found.runs)
    out.print(found.title, style="bold", markup=False)
    by = f" by {found.worker}" if found.worker else ""
    left = "" if found.time_left_s is None else f", about {duration_text(found.time_left_s)} of training left"
    stage = f", now: {STAGES[found.stage].lower()}" if found.stage else ""
    out.print(f"{found.state}{by}: {done} of {len(found.runs)} trainings done{stage}{left}", markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("Training", "State", "Step", "Dice held out"):
        table.add_column(column, header_style="dim")
    for run in found.runs:
        dice = "" if run.dice is None else f"{run.dice:.3f}"
        name = f"{run.configuration} · fold {run.fold} · seed {run.seed}"
        table.add_row(name, run.state, f"{run.step} of {run.steps}", dice)
    out.print(table)
    if found.message:
        out.print(found.message, markup=False)
    return 0


def stop(arguments: Namespace) -> int:
    folder = adaptation_in(arguments.study) or StudyFolder.open(Path(arguments.study))
    out.print(stop_worker(folder), markup=False)
    return 0


def adaptation_in(folder: str) -> AdaptationFolder | None:
    """The adaptation to one case that a folder holds in place of a study."""
    found = AdaptationFolder(Path(folder))
    return found if found.plan_path.is_file() else None


def _run_here(study: StudyFolder, jobs: int | None) -> int:
    plan = study.plan
    try:
        with ProgressDisplay(aside) as display:
            report = run_study(study, jobs or jobs_at_once(plan.threads_per_run, plan.device), display)
    except Stopped:
        out.print(f"Stopped; nothing is lost. Go on with: segvariance run {study.root}", markup=False)
        return 130
    scores = ScoreTable.read(study.scores_path)
    if cells_of(study.plan):
        print_transfer(transfer_rows(scores, study.plan, PRIMARY_METRIC, compare(study).comparisons))
    else:
        print_statistics(study_statistics(scores.where(metric=PRIMARY_METRIC), PRIMARY_METRIC))
    out.print(f"\nReport: {report}", markup=False)
    return 0


def _print_plan(study: StudyFolder, estimate: Estimate) -> None:
    plan, configuration = study.plan, study.plan.configurations[0]
    out.print(plan.title, style="bold", markup=False)
    lines = [
        ("Data", f"{study.dataset.name}, {len(study.dataset.images)} cases; {split_in_words(study)}"),
        ("Recipe", recipe_in_words(configuration)),
        ("Trainings", f"{estimate.runs}, {estimate.jobs} side by side"),
        (
            "Time",
            f"about {duration_text(estimate.run_s)} a training ({estimate.seconds_per_step:.3f} s a step, measured), {duration_text(estimate.study_s)} in all",
        ),
        *([] if isinstance(configuration, NnunetConfiguration) else [("Memory", _memory_in_words(estimate))]),
        ("Disk", f"about {estimate.disk_gib:.2f} GiB of {estimate.free_gib:.0f} GiB free"),
    ]
    for label, text in lines:
        out.print(f"  {label:<10} {text}", markup=False)
    for warning in estimate.warnings:
        out.print(f"  Note       {warning}", markup=False)


def _memory_in_words(estimate: Estimate) -> str:
    return (
        f"cases take {estimate.cache_gib:.2f} GiB a training, in RAM if 40 % of what is free holds them, else on disk"
    )
