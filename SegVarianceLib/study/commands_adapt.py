"""The command ``adapt``: networks refined for one case, or for all held-out cases of a study to see whether that helps."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import SegVarianceError
from ..core.events import read_events
from ..core.records import to_json
from ..core.words import counted
from ..plan.adaptation import ADAPTED, GUIDES, VARIANTS, AdaptationSettings, variant
from ..plan.adaptation_folder import AdaptationFolder, AdaptationRecord
from .new_adaptation import AdaptationWishes, plan_adaptation, starts_of
from .pipeline import Stopped
from .progress_display import duration_text
from .terminal import aside, out, print_json, progress_bar
from .worker import start_detached, worker_of

_defaults = AdaptationSettings()


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="a study, whose runs all begin, or one run folder of it")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--case", nargs="+", metavar="IMAGE", help="the image, one file for each channel")
    what.add_argument(
        "--held-out",
        type=int,
        metavar="N",
        help="the first N cases that the study holds out, by each run alone, scored against the runs as they were",
    )
    what.add_argument("--images", metavar="FOLDER", help="as --held-out, on these images; needs --references")
    parser.add_argument(
        "--references", metavar="FOLDER", help="with --images: to score afterwards, by nobody else read"
    )
    parser.add_argument("--output", default=None, help="new folder, or one to go on with (default: in the study)")
    parser.add_argument("--configuration", default=None, help="of the study, where it has several")
    parser.add_argument(
        "--budget", default=None, help="'60 steps' a round, or '2 minutes' for a case (default: 40 steps)"
    )
    parser.add_argument("--neighbours", type=int, default=_defaults.neighbours, help="training cases to learn from")
    parser.add_argument("--rounds", type=int, default=_defaults.rounds, help="of deforming and learning")
    parser.add_argument(
        "--guide", default=_defaults.guide, choices=GUIDES, help="what leads the deformation of training cases"
    )
    parser.add_argument(
        "--variant",
        nargs="+",
        default=[ADAPTED],
        choices=VARIANTS,
        help="with a part switched off; several, to compare, with --held-out",
    )
    parser.add_argument("--seed", type=int, default=0, help="of patches, their augmentation and their order")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; part of what makes its bytes")
    parser.add_argument(
        "--jobs", type=int, default=None, help="with --held-out: cases side by side (default: one a core)"
    )
    parser.add_argument("--detach", action="store_true", help="with --case: leave it working in the background")
    parser.add_argument(
        "--plan-only", action="store_true", help="with --case: write the plan; segvariance run FOLDER adapts"
    )


def adapt(arguments: Namespace) -> int:
    wishes = _wishes(arguments)
    output = None if arguments.output is None else Path(arguments.output)
    if arguments.case is None:
        return _campaign(arguments, output, wishes)
    if len(arguments.variant) > 1:
        raise SegVarianceError(
            "Several variants are compared on held-out cases. Give one with --case, or --held-out N."
        )
    name = arguments.variant[0]
    wishes = replace(wishes, variant=name, settings=variant(name, wishes.settings))
    images = [Path(image) for image in arguments.case]
    folder = plan_adaptation(
        Path(arguments.model), images, output, wishes, lambda text: aside.print(text, style="dim", markup=False)
    )
    if arguments.plan_only:
        out.print(f"Planned. Adapt with: segvariance run {folder.root}", markup=False)
        return 0
    return detach(folder) if arguments.detach else run(folder)


def _campaign(arguments: Namespace, output: Path | None, wishes: AdaptationWishes) -> int:
    """Many cases and networks, and what it was worth."""
    from .adaptation_campaign import cases_by_fold, cases_in, print_gains, run_campaign

    if output is None:
        raise SegVarianceError("Many adaptations need a folder of their own: --output FOLDER.")
    if (arguments.images is None) != (arguments.references is None):
        raise SegVarianceError(
            "--images and --references belong together: adapted masks are scored against references."
        )
    model = Path(arguments.model)
    study, _ = starts_of(model, wishes.configuration)
    if arguments.images is None:
        cases = cases_by_fold(study, arguments.held_out)
    else:
        cases = cases_in(study, Path(arguments.images), Path(arguments.references))
    try:
        gains = run_campaign(model, cases, arguments.variant, output, wishes, arguments.jobs)
    except Stopped:
        out.print("Stopped; what is done stays done. Give the same command again to go on.", markup=False)
        return 130
    print_gains(gains, output)
    return 0


def detach(folder: AdaptationFolder) -> int:
    worker = start_detached(folder, [])
    out.print(f"{worker} adapts in {folder.root}. Watch it with: segvariance status {folder.root}", markup=False)
    return 0


def run(folder: AdaptationFolder) -> int:
    """Adapt, or go on, and say what moved."""
    from .adapting import run_adaptation

    try:
        with progress_bar() as progress:

            def listen(event: dict[str, Any]) -> None:
                if event["kind"] == "stage_step":
                    progress(event["what"], event["done"], event["of"])

            record = run_adaptation(folder, listen)
    except Stopped:
        out.print(f"Stopped; nothing is lost. Go on with: segvariance run {folder.root}", markup=False)
        return 130
    _print_record(folder, record)
    return 0


def status(folder: AdaptationFolder, as_json: bool) -> int:
    worker, last = worker_of(folder), {}
    for event in read_events(folder.events_path):
        last = event
    state = "running" if worker else "finished" if folder.is_done else "stopped"
    if as_json:
        found = {"adaptation": str(folder.root), "case": folder.plan.case, "state": state, "last_event": last}
        print_json(found | {"record": to_json(folder.record()) if folder.is_done else None})
        return 0
    doing = (
        f", {last['what'].lower()} {last['done']} of {last['of']}"
        if worker and last.get("kind") == "stage_step"
        else ""
    )
    left = f", about {duration_text(last['time_left_s'])} left" if worker and "time_left_s" in last else ""
    out.print(f"{folder.plan.case}: {state}{f' by {worker}' if worker else ''}{doing}{left}", markup=False)
    if last.get("message"):
        out.print(last["message"], markup=False)
    if folder.is_done:
        _print_record(folder, folder.record())
    return 0


def _wishes(arguments: Namespace) -> AdaptationWishes:
    try:
        settings = AdaptationSettings(neighbours=arguments.neighbours, rounds=arguments.rounds, guide=arguments.guide)
    except ValueError as error:
        raise SegVarianceError(f"{error} Give other numbers.") from None
    if arguments.threads < 1 or (arguments.jobs is not None and arguments.jobs < 1):
        raise SegVarianceError("--threads and --jobs must be at least 1.")
    return AdaptationWishes(
        configuration=arguments.configuration,
        settings=settings,
        budget=arguments.budget,
        seed=arguments.seed,
        device=arguments.device,
        threads=arguments.threads,
    )


def _print_record(folder: AdaptationFolder, record: AdaptationRecord) -> None:
    plan = folder.plan
    learnt = sum(not each.left_out for each in record.neighbours)
    out.print(
        f"{plan.case}: {counted(len(plan.starts), 'network')} adapted on {counted(learnt, 'deformed training case')} in "
        f"{duration_text(record.wall_s)}, {record.peak_memory_mib:.0f} MiB",
        markup=False,
    )
    for each in record.moved:
        agreement = "" if each.dice is None else f"; Dice of both {each.dice:.3f}"
        out.print(
            f"  {each.structure}: {each.initial_ml:.2f} to {each.adapted_ml:.2f} ml ({each.added_ml:.2f} added, {each.removed_ml:.2f} "
            f"removed{agreement})",
            markup=False,
        )
    for warning in record.warnings:
        out.print(f"  Look twice: {warning}", style="yellow", markup=False)
    if not record.warnings:
        out.print("  Nothing departs implausibly. That is no proof that the mask is better.", markup=False)
    out.print(f"{folder.root}: masks, differences, probabilities and the deformed neighbours", markup=False)
