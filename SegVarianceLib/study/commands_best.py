"""The command ``best``: every configuration, every pair and the whole set, and which of them is best where that can be told."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ..core.errors import SegVarianceError
from ..core.files import write_json
from ..core.words import counted
from ..ensemble.clean_up_recipe import CleanUpRecipe
from ..ensemble.ensemble_recipe import EnsembleRecipe
from ..plan.study_folder import StudyFolder
from ..review.from_study import is_study
from ..stats.best_configuration import BestConfiguration, best_configuration
from ..stats.best_words import best_sentences
from ..stats.seed_matrix import FOREGROUND_MEAN
from ..stats.verdict import number, percent
from .best import (
    Source,
    judged_candidates,
    make_candidates,
    mixed_sets,
    recipe_members,
    rule_for,
    score_candidates,
    sources_of,
)
from .terminal import out, print_json, progress_bar


def add_options(parser: ArgumentParser) -> None:
    """The options of ``best`` that no other command has."""
    parser.add_argument("studies", nargs="+", help="finished studies of one dataset and split")
    parser.add_argument("--output", required=True, help="folder for ensembles, scores.csv, the answer and the recipe")
    parser.add_argument("--metric", default="dice", help="column 'metric' of the scores")
    parser.add_argument("--structure", default=None, help="the question asked (default: the mean over structures)")
    parser.add_argument("--d0", type=float, default=None, help="smallest difference that matters")
    parser.add_argument("--clean-up", default=None, metavar="JSON", help="clean_up.json to go into the recipe")
    parser.add_argument(
        "--simplest",
        action="store_true",
        help="recipe of the candidate with the fewest trainings a prediction that is not shown to be worse, from its first row alone",
    )


def best(arguments: Namespace) -> int:
    """Writes below ``--output``: ensembles, scores.csv, best_configuration.json and ensemble_recipe.json."""
    studies = [StudyFolder.open(Path(each)) for each in arguments.studies]
    output = Path(arguments.output)
    if is_study(output):
        raise SegVarianceError(f"{output} is a study, whose scores would be overwritten. Give another folder.")
    clean_up = None if arguments.clean_up is None else CleanUpRecipe.read(Path(arguments.clean_up))
    sources = sources_of(studies)
    if clean_up is not None:
        clean_up.require_same_labels(studies[0].labels)
    with progress_bar() as progress:
        rows = make_candidates(sources, output / "ensembles", progress)
        table = score_candidates(rows, studies[0], progress)
    table.write(output / "scores.csv")
    several = len(studies[0].labels.structures) > 1
    structure = arguments.structure or (FOREGROUND_MEAN if several else studies[0].labels.structures[0].name)
    candidates = judged_candidates(table, rows, studies[0], arguments.metric, structure)
    found = best_configuration(candidates, arguments.d0)
    chosen = found.simplest if arguments.simplest else found.best
    taken = rows[chosen][:1] if arguments.simplest else rows[chosen]
    trainings = frozenset(name for row in taken for name in row.trainings)
    sentences = best_sentences(found)
    members = recipe_members(sources, trainings)
    rule = rule_for(sources)
    recipe = EnsembleRecipe.of(chosen, [study.root.name for study in studies], members, rule, clean_up, sentences[0])
    recipe.write(output / "ensemble_recipe.json")
    command = ["segvariance", "predict", *arguments.studies, "--recipe", str(output / "ensemble_recipe.json")]
    cannot = _why_not_predicted(sources, rule)
    predict = "" if cannot else f"{shlex.join(command)} --images IMAGES --output PREDICTIONS"
    write_json(output / "best_configuration.json", found.to_json() | {"chosen": chosen, "predict": predict})
    if arguments.json:
        print_json(found.to_json() | {"chosen": chosen, "predict": predict})
        return 0
    _print(found)
    for sentence in sentences:
        out.print(f"  - {sentence}", markup=False)
    taken_in = f"{counted(len(trainings), 'training')}, {counted(len(members), 'network')}"
    if len(studies[0].folds) > 1:
        out.print(
            f"  Scores are held-out: each case by the fold that never saw it. The recipe of {chosen} takes all folds of {taken_in}: "
            "such a fold ensemble cannot be scored on these cases, since its other folds have trained on them.",
            markup=False,
        )
    else:
        out.print(f"  The recipe of {chosen} takes {taken_in}.", markup=False)
    if rule == "mean_probability" and (mixed := mixed_sets(sources)):
        names = ", ".join("+".join(source.name for source in some) for some in mixed)
        out.print(f"  Left out: {names}; networks of labels and of regions have no mean probability.", markup=False)
    out.print(cannot or f"Predict new cases with: {predict}", markup=False)
    return 0


def _why_not_predicted(sources: Sequence[Source], rule: str) -> str:
    """Why ``predict --recipe`` takes no recipe of these, and what to do instead; empty where it does."""
    each = "predict new cases with each training of the recipe, then: segvariance ensemble FOLDERS --rule"
    if rule != "mean_probability":
        return f"Not all studies kept probabilities, so this was scored by {rule}: {each} {rule}"
    if any(source.of_nnunet for source in sources):
        return f"Networks of nnU-Net predict in its own Python, not from a recipe: {each} {rule}"
    return ""


def _print(found: BestConfiguration) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("Candidate", "Trainings", "Rows", found.metric.title, "95 %", "Picked"):
        table.add_column(column, header_style="dim", no_wrap=True)
    for each in found.standings:
        interval = f"{number(each.mean.low, found.metric, 1)} to {number(each.mean.high, found.metric, 1)}"
        picked = "" if each.picked is None else percent(each.picked)
        mean = number(each.mean.value, found.metric, 1)
        table.add_row(escape(each.name), str(each.trainings), str(each.rows), mean, interval, picked)
    out.print(table)
