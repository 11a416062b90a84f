"""The command ``plan-transfer``: sources x numbers of target cases x seeds, as one study."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.table import Table

from ..core.errors import SegVarianceError
from ..core.records import to_json
from ..core.words import counted
from ..plan.fine_tuning import CHANNEL_RULES, INFLATIONS, PARTS
from ..plan.study_folder import StudyFolder
from ..report.transfer_section import COST_UNKNOWN, OTHER_TITLES, WEIGHTS_WORDS
from ..stats.comparison import Comparison
from ..stats.comparison_words import difference_text, short_verdict
from ..stats.transfer import TransferRow
from .new_sources import WEIGHTS, SourceWish
from .new_transfer import SOURCE_BUDGET, TransferEstimate, TransferWishes, plan_targets, plan_transfer, target_labels
from .progress_display import duration_text
from .terminal import out, print_json, progress_bar

_defaults = TransferWishes((), ())


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("dataset", help="the target: MSD or nnU-Net raw folder, with dataset.json")
    parser.add_argument("study", help="new folder for the study")
    parser.add_argument(
        "--source",
        action="append",
        required=True,
        metavar="NAME=TASK[:DATASET]",
        help="segmentation, case_classes, position, masked_volume or rotation, on another dataset or (default) on cases of the target's that are set apart; or NAME=weights:FILE for weights from elsewhere: of a run of another study, of nnU-Net, of a MONAI bundle, any safetensors or torch file; give it once for each source",
    )
    parser.add_argument(
        "--target",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "LABELS"),
        help='several targets in one dataset, each a study of its own in the folder STUDY, with shared sources; LABELS as "whole=1,2" or "front=1; back=2"',
    )
    parser.add_argument(
        "--source-labels",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "LABELS"),
        help='what a segmentation source learns in place of its own labels, such as "whole=1,2"',
    )
    parser.add_argument(
        "--source-classes",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "CSV"),
        help="for a source case_classes: a table with the columns case and class",
    )
    parser.add_argument(
        "--source-map",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "JSON"),
        help="for weights whose tensors have other names: ours to theirs",
    )
    parser.add_argument(
        "--source-part",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "PART"),
        help=f"what is taken of a source: {', '.join(PARTS)} (default: all that its task trains)",
    )
    parser.add_argument(
        "--frozen-share",
        type=float,
        default=_defaults.frozen_share,
        help="share of the fine-tuning's steps in which the encoder stands still, 0 to 1",
    )
    parser.add_argument(
        "--rate-decay",
        type=float,
        default=_defaults.rate_decay,
        help="each stage learns so many times as fast as the next one nearer to the output, above 0 and at most 1",
    )
    parser.add_argument(
        "--channels",
        default=_defaults.channels,
        choices=CHANNEL_RULES,
        help="where a source saw another number of channels: each gets the mean of the source's, or the source's in turn",
    )
    parser.add_argument(
        "--inflation",
        default=_defaults.inflation,
        choices=INFLATIONS,
        help="2-D kernels of weights from elsewhere: not taken, repeated along the first axis, or put in its middle",
    )
    parser.add_argument(
        "--target-cases", type=int, nargs="+", required=True, help="such as 5 10 20; fewer are among more"
    )
    parser.add_argument("--seeds", type=int, default=_defaults.seeds, help="trainings of each cell")
    parser.add_argument(
        "--source-seeds", type=int, default=None, help="pretrainings of each source (default: as many as --seeds)"
    )
    parser.add_argument(
        "--source-cases",
        type=int,
        default=None,
        help="cases of the target's dataset set apart for sources (default: half)",
    )
    parser.add_argument("--budget", default=_defaults.budget, help="of a fine-tuning: '2000 steps' or '5 minutes'")
    parser.add_argument(
        "--source-budget",
        default=None,
        help=f"of a pretraining, in the target's steps: a source gets as many of its own as take equally long (default: {SOURCE_BUDGET})",
    )
    parser.add_argument("--split", default=_defaults.split, metavar="holdout|K-fold", help="of the target's cases")
    parser.add_argument(
        "--split-seed",
        type=int,
        default=_defaults.split_seed,
        help="who is source, target, held out, and in which order",
    )
    parser.add_argument(
        "--groups", default=None, metavar="CSV", help="patients: a table with the columns case and --group-column"
    )
    parser.add_argument(
        "--group-column", default=_defaults.group_column, help="column of --groups, for example patient"
    )
    parser.add_argument(
        "--device", default=_defaults.device, choices=("auto", "cpu", "cuda", "mps"), help="where to compute"
    )
    parser.add_argument("--threads", type=int, default=_defaults.threads_per_run, help="CPU threads of one training")
    parser.add_argument(
        "--tolerance-mm", type=float, default=_defaults.tolerance_mm, help="tolerance of the surface Dice"
    )
    parser.add_argument("--title", default=None, help="headline of the report")
    parser.add_argument("--json", action="store_true", help="print JSON for a program to read")


def transfer(arguments: Namespace) -> int:
    given = {name: dict(getattr(arguments, f"source_{name}")) for name in ("labels", "classes", "map", "part")}
    sources = tuple(_source(text, **given) for text in arguments.source)
    for option, by_name in given.items():
        if strangers := sorted(set(by_name) - {source.name for source in sources}):
            raise SegVarianceError(f"--source-{option} names {strangers[0]!r}, which is no --source.")
    wishes = TransferWishes(
        sources=sources,
        target_cases=tuple(arguments.target_cases),
        seeds=arguments.seeds,
        source_seeds=arguments.source_seeds,
        source_cases=arguments.source_cases,
        split=arguments.split,
        split_seed=arguments.split_seed,
        groups=None if arguments.groups is None else Path(arguments.groups),
        group_column=arguments.group_column,
        budget=arguments.budget,
        source_budget=arguments.source_budget,
        channels=arguments.channels,
        inflation=arguments.inflation,
        frozen_share=arguments.frozen_share,
        rate_decay=arguments.rate_decay,
        device=arguments.device,
        threads_per_run=arguments.threads,
        tolerance_mm=arguments.tolerance_mm,
        title=arguments.title,
    )
    targets = {name: target_labels(_structures(text, "--target")) for name, text in arguments.target}
    if len(targets) < len(arguments.target):
        raise SegVarianceError("Two --target have the same name. Give each target a name of its own.")
    folder, root = Path(arguments.dataset), Path(arguments.study)
    with progress_bar() as progress:
        if targets:
            planned = list(plan_targets(folder, root, targets, wishes, progress).values())
        else:
            planned = [plan_transfer(folder, root, wishes, progress)]
    if arguments.json:
        found = [{"study": str(study.root), **to_json(estimate)} for study, estimate in planned]
        print_json(found if targets else found[0])
        return 0
    for study, estimate in planned:
        _print_planned(study, estimate)
    for study, _ in planned:
        out.print(f"Nothing has been trained yet. Run it with: segvariance run {study.root}", markup=False)
    return 0


def _print_planned(study: StudyFolder, estimate: TransferEstimate) -> None:
    out.print(study.plan.title, style="bold", markup=False)
    for each in study.plan.pretrainings:
        took = f"{each.training.steps} steps of {each.seconds_per_step:.3f} s, measured"
        out.print(f"  Source {each.name}: {each.plan.task} on {counted(len(each.cases), 'case')}, {took}", markup=False)
    for name, sentence in estimate.weights.items():
        out.print(f"  Source {name}: weights of {sentence}", markup=False)
    if estimate.weights:
        out.print(f"  {WEIGHTS_WORDS}", markup=False)
    target = duration_text(estimate.target_s)
    if estimate.pretrainings:
        total = duration_text(estimate.target_s + estimate.source_s)
        trained = f"{estimate.pretrainings} pretrainings of {duration_text(estimate.source_s)}, {estimate.runs} trainings of {target} or, from scratch at equal total budget, {total}"
    else:
        trained = f"{estimate.runs} trainings of {target}"
    out.print(f"  {trained}; {duration_text(estimate.study_s)} in all", markup=False)
    for warning in estimate.warnings:
        out.print(f"  Note: {warning}", markup=False)


def print_transfer(rows: Sequence[TransferRow]) -> None:
    """A line for each cell: its Dice, and what it is worth against both trainings from scratch; then its IoU and detection."""
    heads = ("Dice (95 %)", "Minus scratch, equal target budget", "Minus scratch, equal total budget")
    _print_cells(heads, rows, _worth)
    if any(row.others for row in rows):
        out.print()
        _print_cells(tuple(OTHER_TITLES.values()), rows, _found)


def _print_cells(
    heads: Sequence[str], rows: Sequence[TransferRow], said: Callable[[TransferRow], Iterable[str]]
) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("Source", "Cases", *heads):
        table.add_column(column, header_style="dim")
    for row in rows:
        table.add_row(row.source, str(row.cases), *said(row))
    out.print(table)


def _worth(row: TransferRow) -> tuple[str, str, str]:
    total = in_words(row.against_total) if row.cost_known else COST_UNKNOWN
    dice = f"{row.score.value:.3f} ({row.score.low:.3f} to {row.score.high:.3f})"
    return dice, in_words(row.against_target), total


def _found(row: TransferRow) -> Iterable[str]:
    return (f"{row.others[name].value:.3f}" if name in row.others else "" for name in OTHER_TITLES)


def in_words(comparison: Comparison | None) -> str:
    """The difference and its verdict; empty where nothing was compared."""
    return "" if comparison is None else f"{difference_text(comparison)}, {short_verdict(comparison)}"


def _source(
    text: str, labels: dict[str, str], classes: dict[str, str], map: dict[str, str], part: dict[str, str]
) -> SourceWish:
    name, found, what = text.partition("=")
    task, _, where = what.partition(":")
    if not found or not task:
        raise SegVarianceError(
            f"--source {text!r} is not understood. Give NAME=TASK, NAME=TASK:DATASET or NAME=weights:FILE."
        )
    path = Path(where) if where else None
    return SourceWish(
        name=name,
        task=task,
        dataset=None if task == WEIGHTS else path,
        structures=_structures(labels[name], "--source-labels") if name in labels else None,
        classes=Path(classes[name]) if name in classes else None,
        weights=path if task == WEIGHTS else None,
        name_map=Path(map[name]) if name in map else None,
        part=part.get(name),
    )


def _structures(text: str, option: str) -> dict[str, tuple[int, ...]]:
    """``"whole=1,2; core=2"`` to the label values of each structure."""
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split(";"):
        name, _, values = (piece.strip() for piece in part.partition("="))
        numbers = [value.strip() for value in values.split(",")]
        if not name or name in found or not all(number.isdecimal() and len(number) <= 5 for number in numbers):
            raise SegVarianceError(f"{option} {text!r} is not understood. Give for example 'whole=1,2'.")
        found[name] = tuple(int(number) for number in numbers)
    return found
