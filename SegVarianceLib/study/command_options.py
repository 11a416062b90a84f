"""The options of each ``segvariance`` command, which also say what does it. A command loads what it needs with its options."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def _demo(demo: argparse.ArgumentParser) -> None:
    from . import commands_study

    demo.set_defaults(function=commands_study.demo)
    demo.add_argument("folder", nargs="?", default="segvariance-demo", help="where to make dataset and study")
    demo.add_argument("--seeds", type=int, default=4, help="trainings of the same recipe")


def _check(check: argparse.ArgumentParser) -> None:
    from . import commands_study

    check.set_defaults(function=commands_study.check)
    check.add_argument("dataset", help="MSD or nnU-Net raw folder, with dataset.json")
    _add_json(check)


def _plan(plan: argparse.ArgumentParser) -> None:
    from ..ensemble.postprocessing import CLEAN_UP
    from . import commands_nnunet, commands_study
    from .new_study import Wishes

    plan.set_defaults(function=commands_study.plan)
    defaults = Wishes()
    plan.add_argument("dataset", help="MSD or nnU-Net raw folder, with dataset.json")
    plan.add_argument("study", help="new folder for the study")
    plan.add_argument("--configuration", default=defaults.configuration, help="name of this recipe in all scores")
    plan.add_argument("--seeds", type=int, default=defaults.seeds, help="trainings of the same recipe")
    plan.add_argument("--first-seed", type=int, default=defaults.first_seed, help="seeds count up from here")
    plan.add_argument(
        "--split", default=defaults.split, metavar="holdout|K-fold", help="who is held out; the same for all seeds"
    )
    plan.add_argument("--split-seed", type=int, default=defaults.split_seed, help="the only randomness of the split")
    _add_groups(plan, "keep the images of one patient together")
    plan.add_argument("--budget", default=defaults.budget, help="'2000 steps', '50 epochs' or '5 minutes' a training")
    plan.add_argument(
        "--device", default=defaults.device, choices=("auto", "cpu", "cuda", "mps"), help="where to compute"
    )
    plan.add_argument(
        "--threads",
        type=int,
        default=defaults.threads_per_run,
        help="CPU threads of one training; part of what makes its bytes",
    )
    plan.add_argument(
        "--no-probabilities", action="store_true", help="keep label maps only: less disk, no mean-probability ensemble"
    )
    plan.add_argument("--clean-up", default=defaults.clean_up, choices=CLEAN_UP.ids, help="clean-up of the ensembles")
    plan.add_argument("--tolerance-mm", type=float, default=defaults.tolerance_mm, help="tolerance of the surface Dice")
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
    commands_nnunet.add_plan_options(plan, defaults)
    _add_json(plan)


def _plan_transfer(parser: argparse.ArgumentParser) -> None:
    from . import commands_transfer

    parser.set_defaults(function=commands_transfer.transfer)
    commands_transfer.add_arguments(parser)


def _run(run: argparse.ArgumentParser) -> None:
    from . import commands_study

    run.set_defaults(function=commands_study.run)
    run.add_argument("study", help="or the folder of an adaptation to one case")
    run.add_argument(
        "--jobs", type=int, default=None, help="trainings side by side (default: one per core, or one on a GPU)"
    )
    run.add_argument("--detach", action="store_true", help="leave it working in the background and return")


def _status(status: argparse.ArgumentParser) -> None:
    from . import commands_study

    status.set_defaults(function=commands_study.status)
    status.add_argument("study")
    _add_json(status)


def _stop(stop: argparse.ArgumentParser) -> None:
    from . import commands_study

    stop.set_defaults(function=commands_study.stop)
    stop.add_argument("study")


def _adapt(parser: argparse.ArgumentParser) -> None:
    from . import commands_adapt

    parser.set_defaults(function=commands_adapt.adapt)
    commands_adapt.add_arguments(parser)


def _predict(parser: argparse.ArgumentParser) -> None:
    from . import commands_folders

    parser.set_defaults(function=commands_folders.predict)
    commands_folders.add_predict_options(parser)


def _ensemble(ensemble: argparse.ArgumentParser) -> None:
    from . import commands_combine

    ensemble.set_defaults(function=commands_combine.ensemble)
    commands_combine.add_options(ensemble)
    _add_dataset(ensemble)


def _rules(rules: argparse.ArgumentParser) -> None:
    from ..ensemble.rules import RULES
    from . import commands_ensemble

    rules.set_defaults(function=commands_ensemble.rules)
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


def _uncertainty(uncertainty: argparse.ArgumentParser) -> None:
    from . import commands_ensemble

    uncertainty.set_defaults(function=commands_ensemble.uncertainty)
    _add_members(uncertainty)
    uncertainty.add_argument("--output", default=None, help="for maps and numbers (default: the study, or uncertainty)")


def _clean(clean: argparse.ArgumentParser) -> None:
    from ..ensemble.postprocessing import CLEAN_UP
    from . import commands_folders

    clean.set_defaults(function=commands_folders.clean)
    clean.add_argument("folder", help="folder of label maps")
    clean.add_argument("--output", required=True, help="folder for the cleaned label maps and removed.csv")
    clean.add_argument("--step", default=None, choices=CLEAN_UP.ids, help="default: keep_largest")
    clean.add_argument("--recipe", default=None, help="clean_up.json of choose-clean-up, instead of a step")
    clean.add_argument("--minimum-mm3", type=float, default=None, help="for minimum_size: smaller components go")
    _add_dataset(clean)


def _choose_clean_up(choose: argparse.ArgumentParser) -> None:
    from . import commands_choose

    choose.set_defaults(function=commands_choose.choose)
    commands_choose.add_options(choose)
    _add_dataset(choose)
    _add_groups(choose, "say which images are of one patient")
    _add_json(choose)


def _regions(parser: argparse.ArgumentParser) -> None:
    from . import commands_regions

    parser.set_defaults(function=commands_regions.regions)
    commands_regions.add_arguments(parser)


def _score(score: argparse.ArgumentParser) -> None:
    from ..metrics.metric import METRICS, USUAL_METRICS
    from . import commands_folders
    from .new_study import Wishes

    score.set_defaults(function=commands_folders.score)
    defaults = Wishes()
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
        "--tolerance-mm", type=float, default=defaults.tolerance_mm, help="tolerance of the surface Dice"
    )
    _add_dataset(score)
    score.add_argument("--regions", default=None, help='to score instead, such as "whole=1,2,4; core=1,4; enhancing=4"')
    score.add_argument("--order", default=None, help="value that each region paints; by default its own")
    _add_groups(score, "say which images are of one patient")


def _compare(compare: argparse.ArgumentParser) -> None:
    from . import commands_compare

    compare.set_defaults(function=commands_compare.compare)
    _add_scores(compare)
    compare.add_argument("--metric", default="dice", help="column 'metric' of the scores")
    compare.add_argument("--structure", default=None, help="the question asked (default: the mean over structures)")
    compare.add_argument("--by", default=None, choices=("structure",), help="also each structure alone")
    _add_json(compare)


def _best(best: argparse.ArgumentParser) -> None:
    from . import commands_best

    best.set_defaults(function=commands_best.best)
    commands_best.add_options(best)
    _add_json(best)


def _power(power: argparse.ArgumentParser) -> None:
    from ..stats.seed_matrix import FOREGROUND_MEAN
    from . import commands_power

    power.set_defaults(function=commands_power.power_command)
    _add_scores(power)
    power.add_argument("--metric", default="dice", help="column 'metric' of the scores")
    power.add_argument("--structure", default=FOREGROUND_MEAN, help="a structure, or the mean over all")
    power.add_argument("--hours", type=float, default=None, help="of one training (default: as measured in a study)")
    _add_json(power)


def _report(report: argparse.ArgumentParser) -> None:
    from . import commands_report

    report.set_defaults(function=commands_report.report)
    _add_scores(report)
    report.add_argument("--output", default=None, help="the HTML file (default: report.html beside the scores)")


def _convert(convert: argparse.ArgumentParser) -> None:
    from . import commands_convert

    convert.set_defaults(function=commands_convert.convert)
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
    from .new_study import Wishes

    parser.add_argument("--group-column", default=Wishes().group_column, help="column of --groups, for example patient")


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


OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "demo": _demo,
    "check": _check,
    "plan": _plan,
    "plan-transfer": _plan_transfer,
    "run": _run,
    "status": _status,
    "stop": _stop,
    "adapt": _adapt,
    "predict": _predict,
    "ensemble": _ensemble,
    "rules": _rules,
    "uncertainty": _uncertainty,
    "clean": _clean,
    "choose-clean-up": _choose_clean_up,
    "regions": _regions,
    "score": _score,
    "compare": _compare,
    "best": _best,
    "power": _power,
    "report": _report,
    "convert": _convert,
}
"""In the order in which they are listed."""
ALIASES = {"resume": "run"}
