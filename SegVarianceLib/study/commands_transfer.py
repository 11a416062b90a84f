"""The command ``plan-transfer``: sources x numbers of target cases x seeds, as one study."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.table import Table

from ..core.errors import SegVarianceError
from ..core.records import to_json
from ..core.words import counted
from ..report.transfer_section import COST_UNKNOWN, OTHER_TITLES
from ..stats.comparison import Comparison
from ..stats.comparison_words import difference_text, short_verdict
from ..stats.transfer import TransferRow
from .new_transfer import SourceWish, TransferWishes, plan_transfer
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
        help="segmentation, case_classes, position, masked_volume or rotation, on another dataset or (default) on cases of the target's that are set apart; give it once for each source",
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
        default=_defaults.source_budget,
        help="of a pretraining, in the target's steps: a source gets as many of its own as take equally long",
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
    labels, classes = dict(arguments.source_labels), dict(arguments.source_classes)
    sources = tuple(_source(text, labels, classes) for text in arguments.source)
    if strangers := sorted({*labels, *classes} - {source.name for source in sources}):
        raise SegVarianceError(f"--source-labels or --source-classes name {strangers[0]!r}, which is no --source.")
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
        device=arguments.device,
        threads_per_run=arguments.threads,
        tolerance_mm=arguments.tolerance_mm,
        title=arguments.title,
    )
    with progress_bar() as progress:
        study, estimate = plan_transfer(Path(arguments.dataset), Path(arguments.study), wishes, progress)
    if arguments.json:
        print_json({"study": str(study.root), **to_json(estimate)})
        return 0
    out.print(study.plan.title, style="bold", markup=False)
    for each in study.plan.pretrainings:
        took = f"{each.training.steps} steps of {each.seconds_per_step:.3f} s, measured"
        out.print(f"  Source {each.name}: {each.plan.task} on {counted(len(each.cases), 'case')}, {took}", markup=False)
    out.print(
        f"  {estimate.pretrainings} pretrainings of {duration_text(estimate.source_s)}, {estimate.runs} trainings of {duration_text(estimate.target_s)} "
        f"or, from scratch at equal total budget, {duration_text(estimate.target_s + estimate.source_s)}; {duration_text(estimate.study_s)} in all",
        markup=False,
    )
    for warning in estimate.warnings:
        out.print(f"  Note: {warning}", markup=False)
    out.print(f"Nothing has been trained yet. Run it with: segvariance run {arguments.study}", markup=False)
    return 0


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


def _source(text: str, labels: dict[str, str], classes: dict[str, str]) -> SourceWish:
    name, found, what = text.partition("=")
    task, _, dataset = what.partition(":")
    if not found or not task:
        raise SegVarianceError(f"--source {text!r} is not understood. Give NAME=TASK or NAME=TASK:DATASET.")
    return SourceWish(
        name=name,
        task=task,
        dataset=Path(dataset) if dataset else None,
        structures=_structures(labels[name]) if name in labels else None,
        classes=Path(classes[name]) if name in classes else None,
    )


def _structures(text: str) -> dict[str, tuple[int, ...]]:
    """``"whole=1,2; core=2"`` to the label values of each structure."""
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split(";"):
        name, _, values = (piece.strip() for piece in part.partition("="))
        numbers = [value.strip() for value in values.split(",")]
        if not name or name in found or not all(number.isdecimal() and len(number) <= 5 for number in numbers):
            raise SegVarianceError(f"--source-labels {text!r} is not understood. Give for example 'whole=1,2'.")
        found[name] = tuple(int(number) for number in numbers)
    return found
