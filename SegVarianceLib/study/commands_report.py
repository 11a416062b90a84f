"""The command ``report``: of a study, or of any scores."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..plan.study_folder import StudyFolder
from ..report.content import ReportContent
from ..report.report import write_report
from ..stats.study_statistics import study_statistics
from . import stages
from .commands_compare import pair_of, read_scores
from .facts import what_was_done
from .nnunet_results import is_results
from .terminal import out


def report(arguments: Namespace) -> int:
    given, pair = Path(arguments.scores[0]), pair_of(arguments)
    path = Path(arguments.output) if arguments.output else None
    if len(arguments.scores) == 1 and given.is_dir() and not pair and not is_results(given):
        study = StudyFolder.open(given)
        path = stages.report(study, stages.compare(study, arguments.d0), path)
    else:
        table = read_scores(arguments.scores)
        path = path or (given / "comparison.html" if given.is_dir() else given.with_name("report.html"))
        statistics = study_statistics(table, stages.PRIMARY_METRIC, arguments.d0, pair)
        names = ", ".join(Path(each).name for each in arguments.scores)
        content = ReportContent(
            names,
            _done_by_study(arguments.scores) or (("Scores", names),),
            table,
            statistics.studies,
            stages.PRIMARY_METRIC,
            comparisons=statistics.comparisons,
            ensemble_curves=statistics.ensemble_curves,
        )
        write_report(path, content)
    out.print(f"Report: {path}", markup=False)
    return 0


def _done_by_study(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What was done in each study that is among ``given``, its name before each line."""
    studies = [StudyFolder.open(Path(each)) for each in given if (Path(each) / "plan.json").is_file()]
    return tuple((f"{study.root.name}: {label}", text) for study in studies for label, text in what_was_done(study))
