"""The ``segvariance`` command: what can be asked for. ``command_options`` says with what options and by which module."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from .. import __version__
from ..core.errors import SegVarianceError
from .command_options import ALIASES, OPTIONS

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 for a mistake that the user can mend, or 130 after a stop."""
    given = sys.argv[1:] if arguments is None else arguments
    parsed = build_parser(given[0] if given else None).parse_args(given)
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


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """With the options of ``command`` alone, which spares loading what the others need; of all where it is none."""
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
    asked = ALIASES.get(command or "", command)
    for name, add_options in OPTIONS.items():
        parser_of_one = _command(commands, name)
        if asked == name or asked not in OPTIONS:
            add_options(parser_of_one)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults behind each help, but none where there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default or type(action.default) is int else action.help


def _command(commands: argparse._SubParsersAction, name: str) -> argparse.ArgumentParser:
    line = next(line.split(None, 1)[1] for line in CONTENTS.splitlines() if line.startswith(f"  {name} "))
    return commands.add_parser(
        name,
        aliases=[alias for alias, of in ALIASES.items() if of == name],
        description=line,
        help=argparse.SUPPRESS,
        formatter_class=_Help,
    )
