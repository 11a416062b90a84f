"""The command ``power``: how many trainings and cases would settle a difference, from what is already trained."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from statistics import mean, median

from rich.table import Table

from ..core.errors import SegVarianceError
from ..core.records import to_json
from ..evaluation.score_table import ScoreTable
from ..plan.study_folder import StudyFolder
from ..stats.comparison import smallest_difference_of
from ..stats.comparisons import recipes_of
from ..stats.power import WANTED_POWER, cost, power
from ..stats.power_plan import PowerPlan, hours_text, plan_findings, power_plan
from ..stats.score_cube import ScoreCube, metric_of_column
from ..stats.seed_matrix import matched
from ..stats.verdict import percent
from .commands_compare import read_scores
from .terminal import out, print_json

_SEEDS, _CASES = (2, 3, 5, 10, 20), (20, 50, 100, 200, 500, 1000)


def power_command(arguments: Namespace) -> int:
    table = read_scores(arguments.scores)
    metric = metric_of_column(arguments.metric)
    cubes = [ScoreCube.of(table, name, metric) for name in _recipes(table, arguments)]
    difference = smallest_difference_of(metric) if arguments.d0 is None else arguments.d0
    hours = _measured_hours(arguments.scores) if arguments.hours is None else arguments.hours
    plan = power_plan(matched(cubes, arguments.structure), difference, hours)
    if arguments.json:
        print_json(plan.to_json() | {"cost": _cost_of_need(plan), "findings": plan_findings(plan)})
    else:
        _print(plan)
    return 0


def _recipes(table: ScoreTable, arguments: Namespace) -> tuple[str, ...]:
    named = tuple(name for name in (arguments.a, arguments.b) if name is not None)
    recipes = named or recipes_of(table)
    if len(recipes) > 2 or len(set(recipes)) < len(recipes):
        raise SegVarianceError(
            f"A pilot is one configuration or two different ones; found {', '.join(map(repr, recipes))}. Choose with --a and --b."
        )
    return recipes


def _measured_hours(given: list[str]) -> float | None:
    """Median of each configuration's finished trainings, averaged over configurations; None for tables alone."""
    times: dict[tuple[str, str], list[float]] = {}
    for study in (StudyFolder.open(Path(path)) for path in given if Path(path).is_dir()):
        for run in study.runs:
            if (
                study.is_done(run) and not (record := study.record(run)).resumed
            ):  # a resumed one knows its last part alone
                times.setdefault((str(study.root), run.configuration), []).append(record.wall_s)
    return mean(map(median, times.values())) / 3600 if times else None


def _cost_of_need(plan: PowerPlan) -> dict | None:
    if plan.different.seeds is None:
        return None
    return to_json(cost(plan.different.seeds, 2, plan.folds, plan.hours_per_training))


def _print(plan: PowerPlan) -> None:
    out.print(
        f"{' and '.join(plan.recipes)}: {plan.metric.title}, {plan.structure}, {plan.cases} cases",
        style="bold",
        markup=False,
    )
    for sentence in plan_findings(plan):
        out.print(f"  - {sentence}", markup=False)
    out.print(_table(plan))
    if plan.different.seeds is not None:
        out.print("* the fewest trainings on these cases", style="dim", markup=False)
    for name, seeds in zip(plan.recipes, plan.left_out_seeds, strict=True):
        if seeds:
            out.print(f"Left out of {name}, for lack of cases: seed {', '.join(map(str, seeds))}.", markup=False)
    for exclusion in plan.exclusions:
        out.print(f"Left out: {exclusion.case}, {exclusion.structure} ({exclusion.reason}).", markup=False)


def _table(plan: PowerPlan) -> Table:
    """Power by seeds and cases, the cases at hand among them; what it costs beside."""
    what = f"{plan.difference:g} {plan.metric.unit or plan.metric.title}"
    title = f"Power to settle {what}, by trainings of each recipe and number of cases"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="dim")
    cases = sorted({*_CASES, plan.cases})
    last = ("In all",) if plan.hours_per_training is None else ("In all", "Time")
    for head in ("Each", *map(str, cases), *last):
        table.add_column(head, header_style="dim", justify="right")
    need = plan.different.seeds
    for seeds in sorted({*_SEEDS, *plan.seeds, *(() if need is None else (need,))}):
        spent = cost(seeds, 2, plan.folds, plan.hours_per_training)
        cells = [_cell(plan, seeds, count, wanted=(seeds, count) == (need, plan.cases)) for count in cases]
        time = [] if spent.hours is None else [hours_text(spent.hours)]
        table.add_row(str(seeds), *cells, str(spent.trainings), *time)
    return table


def _cell(plan: PowerPlan, seeds: int, cases: int, wanted: bool) -> str:
    chance = power(plan.pilot, seeds, cases, plan.difference)
    text = f"{'*' if wanted else ''}{percent(chance)}"
    return f"[bold green]{text}[/]" if chance >= WANTED_POWER else text
