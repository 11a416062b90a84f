"""The ``segvariance`` command: what can be asked for. ``commands_study`` and ``commands_folders`` do it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from .. import __version__
from ..core.errors import SegVarianceError
from ..ensemble.postprocessing import CLEAN_UP
from ..ensemble.rules import RULES
from ..metrics.metric import METRICS, USUAL_METRICS
from ..stats.seed_matrix import FOREGROUND_MEAN
from . import (
    commands_adapt,
    commands_best,
    commands_choose,
    commands_compare,
    commands_convert,
    commands_ensemble,
    commands_folders,
    commands_nnunet,
    commands_power,
    commands_regions,
    commands_study,
    commands_transfer,
)
from .new_study import Wishes

CONTENTS = """\
Is this segmentation better, or was the training run lucky?

Begin
  demo             Make a small phantom dataset and run a whole study on it, in about two minutes.
  check            List every problem of a dataset, with the file and what to do.

A study: many seeds of one recipe, from a dataset folder to a report
  plan             Plan a study and say what it will cost, before anything runs.
  plan-transfer    Plan what sources are worth: pretrain on each, fine-tune on few cases or many, against training from scratch.
  run              Run a study, or go on with one that was stopped (also: resume). --detach for the background.
  status           Say where a study stands, from any terminal.
  stop             Stop a study; nothing is lost.

Single steps, on a study or on plain folders of NIfTI or NRRD files
  adapt            Refine trained networks for one case on training cases deformed onto it, and say what moved.
  predict          Segment images with one trained run, or with many at once.
  ensemble         Combine the predictions of several folders by one rule.
  rules            Compare rules on the same members: where they differ, what each member changes.
  uncertainty      Say where members disagree and how much, in maps and numbers.
  clean            Remove small components, and list what went.
  choose-clean-up  Choose clean-up steps on held-out predictions, and say what they gain on other cases.
  regions          Say what regions paint, rebuild labels from them, and show where Dice is lost on the way.
  score            Score predictions against references: Dice, IoU, HD95, surface Dice.
  compare          Say what a difference between recipes is worth, and what seeds alone do.
  power            Say how many trainings and cases would settle a difference.
  best             Say which configuration or ensemble of them is best, where that can be told, and write its recipe.
  report           Write the HTML report.
  convert          Turn a dataset of MSD or nnU-Net into the other, or a study's predictions into folders of nnU-Net.

Each command has its own help: segvariance COMMAND --help
"""

_defaults = Wishes()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 for a mistake that the user can mend, or 130 after a stop."""
    parsed = build_parser().parse_args(arguments)
    try:
        return parsed.function(parsed)
    except (SegVarianceError, OSError) as error:
        remedy = (
            "" if isinstance(error, SegVarianceError) else ". Check that the path exists, may be written and has room."
        )
        message = f"segvariance {parsed.command}: {error}{remedy}"
        Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segvariance",
        usage="segvariance COMMAND ...",
        description=CONTENTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"SegVariance {__version__}", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(
        dest="command", prog="segvariance", metavar="", required=True, help=argparse.SUPPRESS
    )
    _study_commands(commands)
    _folder_commands(commands)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults behind each help, but none where there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default or type(action.default) is int else action.help


def _command(
    commands: argparse._SubParsersAction,
    name: str,
    does: Callable[[argparse.Namespace], int],
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    line = next(line.split(None, 1)[1] for line in CONTENTS.splitlines() if line.startswith(f"  {name} "))
    parser = commands.add_parser(
        name,
        aliases=aliases,
        description=line,
        help=argparse.SUPPRESS,
        formatter_class=_Help,
    )
    parser.set_defaults(function=does)
    return parser


def _study_commands(commands: argparse._SubParsersAction) -> None:
    demo = _command(commands, "demo", commands_study.demo)
    demo.add_argument("folder", nargs="?", default="segvariance-demo", help="where to make dataset and study")
    demo.add_argument("--seeds", type=int, default=4, help="trainings of the same recipe")

    check = _command(commands, "check", commands_study.check)
    check.add_argument("dataset", help="MSD or nnU-Net raw folder, with dataset.json")
    _add_json(check)

    plan = _command(commands, "plan", commands_study.plan)
    plan.add_argument("dataset", help="MSD or nnU-Net raw folder, with dataset.json")
    plan.add_argument("study", help="new folder for the study")
    plan.add_argument("--configuration", default=_defaults.configuration, help="name of this recipe in all scores")
    plan.add_argument("--seeds", type=int, default=_defaults.seeds, help="trainings of the same recipe")
    plan.add_argument("--first-seed", type=int, default=_defaults.first_seed, help="seeds count up from here")
    plan.add_argument(
        "--split", default=_defaults.split, metavar="holdout|K-fold", help="who is held out; the same for all seeds"
    )
    plan.add_argument("--split-seed", type=int, default=_defaults.split_seed, help="the only randomness of the split")
    _add_groups(plan, "keep the images of one patient together")
    plan.add_argument("--budget", default=_defaults.budget, help="'2000 steps', '50 epochs' or '5 minutes' a training")
    plan.add_argument(
        "--device", default=_defaults.device, choices=("auto", "cpu", "cuda", "mps"), help="where to compute"
    )
    plan.add_argument(
        "--threads",
        type=int,
        default=_defaults.threads_per_run,
        help="CPU threads of one training; part of what makes its bytes",
    )
    plan.add_argument(
        "--no-probabilities", action="store_true", help="keep label maps only: less disk, no mean-probability ensemble"
    )
    plan.add_argument("--clean-up", default=_defaults.clean_up, choices=CLEAN_UP.ids, help="clean-up of the ensembles")
    plan.add_argument(
        "--tolerance-mm", type=float, default=_defaults.tolerance_mm, help="tolerance of the surface Dice"
    )
    plan.add_argument("--title", default=None, help="headline of the report")
    plan.add_argument(
        "--train",
        default=None,
        choices=("labels", "regions", "both"),
        help="what to train on; by default regions where there are any; both makes two configurations to compare",
    )
    plan.add_argument(
        "--regions", default=None, help='in place of those in dataset.json, such as "whole=1,2; posterior=2"'
    )
    plan.add_argument("--order", default=None, help="value that each region paints, such as 1,2; by default its own")
    commands_nnunet.add_plan_options(plan, _defaults)
    _add_json(plan)

    commands_transfer.add_arguments(_command(commands, "plan-transfer", commands_transfer.transfer))

    run = _command(commands, "run", commands_study.run, aliases=["resume"])
    run.add_argument("study", help="or the folder of an adaptation to one case")
    run.add_argument(
        "--jobs", type=int, default=None, help="trainings side by side (default: one per core, or one on a GPU)"
    )
    run.add_argument("--detach", action="store_true", help="leave it working in the background and return")

    status = _command(commands, "status", commands_study.status)
    status.add_argument("study")
    _add_json(status)

    stop = _command(commands, "stop", commands_study.stop)
    stop.add_argument("study")


def _folder_commands(commands: argparse._SubParsersAction) -> None:
    commands_adapt.add_arguments(_command(commands, "adapt", commands_adapt.adapt))

    commands_folders.add_predict_options(_command(commands, "predict", commands_folders.predict))

    ensemble = _command(commands, "ensemble", commands_ensemble.ensemble)
    ensemble.add_argument("folders", nargs="+", help="one folder of predictions a member, the same cases in each")
    ensemble.add_argument("--output", required=True, help="folder for the combined label maps and ensemble.json")
    ensemble.add_argument(
        "--rule", default="majority", choices=RULES.ids, help="those of probabilities and logits read probability files"
    )
    ensemble.add_argument(
        "--weights", type=float, nargs="+", default=None, help="for weighted_mean_probability: one for each folder"
    )
    _add_dataset(ensemble)

    rules = _command(commands, "rules", commands_ensemble.rules)
    _add_members(rules)
    rules.add_argument("--output", default="rules", help="folder for tables and maps")
    rules.add_argument(
        "--rules",
        nargs="+",
        default=None,
        choices=RULES.ids,
        metavar="RULE",
        help="as of ensemble (default: all that the files allow)",
    )
    rules.add_argument(
        "--influence-of",
        default="majority",
        choices=RULES.ids,
        metavar="RULE",
        help="the rule from which each member is left out once",
    )

    uncertainty = _command(commands, "uncertainty", commands_ensemble.uncertainty)
    _add_members(uncertainty)
    uncertainty.add_argument("--output", default=None, help="for maps and numbers (default: the study, or uncertainty)")

    clean = _command(commands, "clean", commands_folders.clean)
    clean.add_argument("folder", help="folder of label maps")
    clean.add_argument("--output", required=True, help="folder for the cleaned label maps and removed.csv")
    clean.add_argument("--step", default=None, choices=CLEAN_UP.ids, help="default: keep_largest")
    clean.add_argument("--recipe", default=None, help="clean_up.json of choose-clean-up, instead of a step")
    clean.add_argument("--minimum-mm3", type=float, default=None, help="for minimum_size: smaller components go")
    _add_dataset(clean)

    choose = _command(commands, "choose-clean-up", commands_choose.choose)
    commands_choose.add_options(choose)
    _add_dataset(choose)
    _add_groups(choose, "say which images are of one patient")
    _add_json(choose)

    commands_regions.add_arguments(_command(commands, "regions", commands_regions.regions))

    score = _command(commands, "score", commands_folders.score)
    score.add_argument(
        "folders",
        nargs="+",
        help="one folder of predictions a member (a name that ends in seed_7 makes it seed 7), or results of nnU-Net v2",
    )
    score.add_argument("--references", default=None, help="folder of reference label maps (nnU-Net's are found)")
    score.add_argument("--output", default="scores.csv")
    score.add_argument(
        "--only-predicted", action="store_true", help="leave out references that no member predicted, and say how many"
    )
    score.add_argument(
        "--metrics",
        nargs="+",
        default=USUAL_METRICS,
        choices=METRICS.ids,
        help="dice and iou alone are ten times faster",
    )
    score.add_argument("--configuration", default="default", help="name of the recipe that made them")
    score.add_argument(
        "--tolerance-mm", type=float, default=_defaults.tolerance_mm, help="tolerance of the surface Dice"
    )
    _add_dataset(score)
    score.add_argument("--regions", default=None, help='to score instead, such as "whole=1,2,4; core=1,4; enhancing=4"')
    score.add_argument("--order", default=None, help="value that each region paints; by default its own")
    _add_groups(score, "say which images are of one patient")

    compare = _command(commands, "compare", commands_compare.compare)
    _add_scores(compare)
    compare.add_argument("--metric", default="dice", help="column 'metric' of the scores")
    compare.add_argument("--structure", default=None, help="the question asked (default: the mean over structures)")
    compare.add_argument("--by", default=None, choices=("structure",), help="also each structure alone")
    _add_json(compare)

    best = _command(commands, "best", commands_best.best)
    commands_best.add_options(best)
    _add_json(best)

    power = _command(commands, "power", commands_power.power_command)
    _add_scores(power)
    power.add_argument("--metric", default="dice", help="column 'metric' of the scores")
    power.add_argument("--structure", default=FOREGROUND_MEAN, help="a structure, or the mean over all")
    power.add_argument("--hours", type=float, default=None, help="of one training (default: as measured in a study)")
    _add_json(power)

    report = _command(commands, "report", commands_folders.report)
    _add_scores(report)
    report.add_argument("--output", default=None, help="the HTML file (default: report.html beside the scores)")

    convert = _command(commands, "convert", commands_convert.convert)
    convert.add_argument("source", help="MSD or nnU-Net raw folder, with dataset.json, or a study")
    convert.add_argument("output", help="new folder; a dataset becomes DatasetXXX_Name or TaskXX_Name in it")
    convert.add_argument(
        "--to", default="nnunet", choices=commands_convert.LAYOUTS, help="files are hard links where they can be"
    )


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", help="a study, nnU-Net results, or one folder of predictions a member")
    parser.add_argument("--references", default=None, help="folder of reference label maps (default: those found)")
    _add_dataset(parser)


def _add_groups(parser: argparse.ArgumentParser, purpose: str) -> None:
    parser.add_argument(
        "--groups", default=None, metavar="CSV", help=f"{purpose}: a table with the columns case and --group-column"
    )
    parser.add_argument(
        "--group-column", default=_defaults.group_column, help="column of --groups, for example patient"
    )


def _add_scores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scores", nargs="+", help="a study, results of nnU-Net v2 or a scores.csv; several are taken together"
    )
    parser.add_argument(
        "--d0", type=float, default=None, help="smallest difference that matters (default: 0.01, or 1 mm of a distance)"
    )
    parser.add_argument("--a", default=None, help="one configuration (default: all that there are)")
    parser.add_argument("--b", default=None, help="the other")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for a program to read")


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", default=None, help="folder whose dataset.json names the labels (default: the values found)"
    )
