"""The command ``compare``: what a difference is worth, or what the seeds of one recipe do."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..ensemble.subsets import base_configuration
from ..evaluation.score_table import Score, ScoreTable, patients_together
from ..plan.study_folder import StudyFolder
from ..stats.comparisons import compare_recipes, recipes_of
from ..stats.study_statistics import study_statistics
from .findings import print_comparisons, print_statistics
from .nnunet_results import is_results, read_results
from .terminal import aside, print_json


def compare(arguments: Namespace) -> int:
    table = read_scores(arguments.scores)
    if arguments.metric not in table.unique("metric"):
        raise SegVarianceError(
            f"There is no metric {arguments.metric!r} in the scores. They hold: {', '.join(table.unique('metric'))}."
        )
    recipes = pair_of(arguments) or recipes_of(table)
    if len(recipes) < 2:
        return _one_recipe(table, arguments)
    # Every metric, though one is printed: Holm's correction is over all of them, here as in the report.
    further = table.unique("metric")
    found = compare_recipes(
        table, recipes, arguments.metric, arguments.d0, further_metrics=further, structure=arguments.structure
    )
    if arguments.json:
        print_json(found.to_json())
    else:
        print_comparisons(found, arguments.by == "structure")
    return 0


def pair_of(arguments: Namespace) -> tuple[str, ...]:
    """The two configurations that the user names; empty for all."""
    if (arguments.a is None) != (arguments.b is None):
        raise SegVarianceError("Give both --a and --b, or neither to compare all.")
    return () if arguments.a is None else (arguments.a, arguments.b)


def read_scores(given: Sequence[str]) -> ScoreTable:
    """One table of several ``scores.csv`` or studies. A configuration's name that two of them use gets its study's name.

    Raises:
        SegVarianceError: a file that cannot be read, or the same study twice.
    """
    paths = [_scores_path(Path(each)) for each in given]
    tables = [read_results(path) if is_results(path) else ScoreTable.read(path) for path in paths]
    if len(tables) == 1:
        return tables[0]
    if len({path.resolve() for path in paths}) < len(paths):
        raise SegVarianceError("The same scores are given twice. Give each study once.")
    patients = patients_together(table.patients for table in tables)
    names = [name for table in tables for name in recipes_of(table)]
    if len(set(names)) == len(names):
        return ScoreTable(tuple(score for table in tables for score in table.scores), patients)
    labels = [path.parent.resolve().name if path.name == "scores.csv" else path.stem for path in paths]
    if len(set(labels)) < len(labels):
        raise SegVarianceError(
            f"Configurations of these scores have the same names, and so have their folders: {', '.join(labels)}. Rename one."
        )
    aside.print(
        f"These studies share names of configurations, so they are named after their folders: {', '.join(labels)}.",
        markup=False,
    )
    renamed = (s for table, label in zip(tables, labels, strict=True) for s in _renamed(table, label))
    return ScoreTable(tuple(renamed), patients)


def _renamed(table: ScoreTable, label: str) -> list[Score]:
    recipes = recipes_of(table)
    new = {name: label if len(recipes) == 1 else f"{label}.{name}" for name in recipes}
    pairs = {(score.configuration, score.member) for score in table.scores}
    for configuration, member in pairs:
        if configuration not in new:  # an ensemble of some seeds keeps its ending: default_x3
            base = base_configuration(configuration, member) or ""
            new[configuration] = new.get(base, base) + configuration.removeprefix(base)
    return [score._replace(configuration=new[score.configuration]) for score in table.scores]


def _scores_path(given: Path) -> Path:
    if given.is_dir() and not (given / "scores.csv").is_file():
        if is_results(given):
            return given
        return StudyFolder.open(given).scores_path
    return given / "scores.csv" if given.is_dir() else given


def _one_recipe(table: ScoreTable, arguments: Namespace) -> int:
    found = study_statistics(table.where(metric=arguments.metric), arguments.metric, arguments.d0)
    if arguments.json:
        print_json(found.to_json())
    else:
        print_statistics(found)
    return 0
