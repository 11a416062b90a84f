"""The steps after training, on a study folder. Each is skipped where it is done and its inputs have not changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import read_json, safe_name, sha256_of_file, sha256_of_json, write_json
from ..ensemble.clean_up import CleanUpStep, clean_folder
from ..ensemble.folders import ensemble_folders
from ..ensemble.rules import RULES, STUDY_RULES
from ..ensemble.subsets import Group, draw_groups, subset_configuration
from ..evaluation.evaluate import Member, score_members
from ..evaluation.score_table import Score, ScoreTable
from ..evaluation.uncertainty_table import UncertaintyTable
from ..metrics.metric import USUAL_METRICS
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..plan.transfer import cells_of
from ..report.content import CaseFiles, ReportContent, worst_cases
from ..report.report import write_report
from ..review.opening import open_review
from ..stats.failure_prediction import FailurePrediction, failure_predictions
from ..stats.study_statistics import StudyStatistics, study_statistics
from ..stats.transfer import DETECTION, transfer_statistics
from .facts import transfer_of, what_was_done
from .uncertainty import AGREEMENT, write_uncertainty

Progress = Callable[[str, int, int], object]
"""What is being done, how much of it is done, of how much."""

CLEANED = "_clean"
"""Ending of an ensemble's name after clean-up."""

PRIMARY_METRIC = "dice"
_PICTURED_CASES = 4


def ensemble(study: StudyFolder, progress: Progress) -> None:
    """Every rule over all seeds of each configuration, on held-out cases only; label maps in ``ensembles/``."""
    for configuration in study.plan.configurations:
        for rule in rules_of(study):
            members = [_pass_files(study, configuration.name, seed, rule) for seed in study.plan.seeds]
            named = _named(progress, f"Ensemble {RULES.facts(rule).title.lower()}")
            _combine(study, rule, members, _digests(members), study.ensemble(configuration.name, rule), named)


def ensemble_groups(study: StudyFolder, progress: Progress) -> None:
    """The first rule over groups of some of the seeds, from which is read what averaging k trainings gains.

    Every size reads a member's files at most once, as does the digest of all.
    """
    groups = groups_of(study)
    for configuration in study.plan.configurations if groups else ():
        files = {seed: _pass_files(study, configuration.name, seed, rules_of(study)[0]) for seed in study.plan.seeds}
        digests = {seed: _digests([files[seed]]) for seed in study.plan.seeds}
        for size, number, group in groups:
            folder = _group_folder(study, configuration.name, size, number)
            inputs = [group.member, *(digest for seed in group.seeds for digest in digests[seed])]
            named = _named(progress, f"Ensemble of {size} seeds, group {number}, case")
            _combine(study, group.rule, [files[seed] for seed in group.seeds], inputs, folder, named)


def uncertainty(study: StudyFolder, progress: Progress) -> None:
    """How the seeds of each configuration disagree: agreement maps and ``uncertainty.csv``, from label maps alone.

    Other maps and calibration take the probabilities, and are made on request: ``segvariance uncertainty``.
    """
    if len(study.plan.seeds) < 2:
        return
    names = [configuration.name for configuration in study.plan.configurations]
    members = [_pass_files(study, name, seed, "majority") for name in names for seed in study.plan.seeds]
    inputs = [*_digests(members), *map(sha256_of_file, map(study.reference, study.held_out_cases))]

    def make() -> None:
        write_uncertainty(open_review(study.root), study.root, False, _named(progress, "Disagreement"))

    maps = [study.map(name, AGREEMENT) for name in names]
    _unless_current(study, "uncertainty", inputs, [study.uncertainty_path, *maps], make)


def clean(study: StudyFolder, progress: Progress) -> None:
    """The planned clean-up of every ensemble, beside it in ``ensembles/``."""
    structures = study.labels.structures
    step = CleanUpStep(study.plan.clean_up, tuple(structure.name for structure in structures))
    for configuration in study.plan.configurations:
        for rule in rules_of(study):
            files = _ensemble_files(study, study.ensemble(configuration.name, rule))
            folder = study.ensemble(configuration.name, rule + CLEANED)

            def make() -> None:
                clean_folder([step], files, structures, folder, progress=_named(progress, "Clean-up"))  # noqa: B023

            name = f"ensembles/{configuration.name}/{rule}{CLEANED}"
            _unless_current(study, name, [*_digests([files]), step.step], [folder], make)


def score(study: StudyFolder, progress: Progress) -> None:
    """Every member and ensemble against the references; ``scores.csv``."""
    batches = _scored(study)
    references = [study.reference(case_id) for case_id in study.held_out_cases]
    inputs = _digests([files for members in batches for files in members.values()])
    metrics = metrics_of(study)
    inputs += [*map(sha256_of_file, references), str(study.plan.tolerance_mm)]
    inputs += metrics if metrics != USUAL_METRICS else ()  # else as in studies of before there was a choice

    def make() -> None:
        scores = tuple(_scores(study, batches, metrics, _named(progress, "Scores")))
        ScoreTable(scores, study.patients).write(study.scores_path)

    _unless_current(study, "scores", inputs, [study.scores_path], make)


def compare(study: StudyFolder, smallest_difference: float | None = None) -> StudyStatistics:
    """Everything that the scores say; ``statistics.json``."""
    table = ScoreTable.read(study.scores_path)
    if cells_of(study.plan):
        found = transfer_statistics(table, study.plan, PRIMARY_METRIC, smallest_difference)
    else:
        found = study_statistics(table, PRIMARY_METRIC, smallest_difference)
    write_json(study.statistics_path, found.to_json())
    return found


def report(study: StudyFolder, statistics: StudyStatistics, path: Path | None = None) -> Path:
    """The HTML report of everything above; ``report.html`` unless ``path`` says otherwise."""
    path = study.report_path if path is None else path
    scores = ScoreTable.read(study.scores_path)
    predictions: tuple[FailurePrediction, ...] = ()
    if study.uncertainty_path.is_file():
        predictions, _ = failure_predictions(scores, UncertaintyTable.read(study.uncertainty_path))
    content = ReportContent(
        title=study.plan.title,
        what_was_done=what_was_done(study),
        scores=scores,
        studies=statistics.studies,
        comparisons=statistics.comparisons,
        ensemble_curves=statistics.ensemble_curves,
        primary_metric=PRIMARY_METRIC,
        pictures=tuple(_picture(study, case_id) for case_id in worst_cases(scores, PRIMARY_METRIC, _PICTURED_CASES)),
        labels=study.labels,
        failure_predictions=predictions,
        transfer=transfer_of(study, scores, statistics),
    )
    write_report(path, content)
    return path


def metrics_of(study: StudyFolder) -> tuple[str, ...]:
    """What this study is scored by: where sources are compared, also by the lesions that were found and those made up."""
    return (*USUAL_METRICS, *DETECTION) if cells_of(study.plan) else USUAL_METRICS


def rules_of(study: StudyFolder) -> tuple[str, ...]:
    """The rules that this study applies: none to a single seed or where sources are compared, and to probabilities only where
    they are kept."""
    if len(study.plan.seeds) < 2 or cells_of(study.plan):
        return ()
    kept = study.plan.keep_probabilities
    return tuple(rule for rule in STUDY_RULES if kept or RULES.function(rule).reads != "probabilities")


def groups_of(study: StudyFolder) -> tuple[tuple[int, int, Group], ...]:
    """Size, number and seeds of each ensemble of some of the seeds, the same in every configuration."""
    drawn = [draw_groups(rule, study.plan.seeds, study.plan.split_seed) for rule in rules_of(study)[:1]]
    return tuple(
        (size, number, group)
        for of_size in drawn
        for size, groups in of_size.items()
        for number, group in enumerate(groups)
    )


def require_free_names(study: StudyFolder) -> None:
    """Refuse a plan in which ensembles of some of the seeds could not have a configuration's name of their own.

    Raises:
        SegVarianceError: another configuration of the plan has that name already, or it would be too long for a folder.
    """
    names = [configuration.name for configuration in study.plan.configurations]
    for name in names:
        for size in dict.fromkeys(size for size, _, _ in groups_of(study)):
            made = safe_name(subset_configuration(name, size), "name of a configuration's ensembles")
            if made in names:
                raise SegVarianceError(
                    f"Configuration {made!r} has the name under which ensembles of {size} seeds of {name!r} are kept. "
                    f"Give it another name in {study.plan_path}."
                )


def _combine(
    study: StudyFolder,
    rule: str,
    members: Sequence[Mapping[str, Path]],
    inputs: Sequence[str],
    folder: Path,
    progress: Callable[[int, int], object],
) -> None:
    def make() -> None:
        ensemble_folders(rule, members, study.labels, folder, study.dataset.file_ending, progress)

    _unless_current(study, folder.relative_to(study.root).as_posix(), inputs, [folder], make)


def _group_folder(study: StudyFolder, configuration: str, size: int, number: int) -> Path:
    return study.ensemble(subset_configuration(configuration, size), f"group_{number}")


def _pass_files(study: StudyFolder, configuration: str, seed: int, rule: str) -> dict[str, Path]:
    """Case to file that the rule reads, for one seed: each held-out case as predicted by the fold that never saw it."""
    where = study.probabilities if RULES.function(rule).reads == "probabilities" else study.prediction
    return {
        case_id: where(Run(configuration, fold, seed), case_id)
        for fold, cases in enumerate(study.folds)
        for case_id in cases.held_out
    }


def _ensemble_files(study: StudyFolder, folder: Path) -> dict[str, Path]:
    return {case_id: folder / f"{case_id}{study.dataset.file_ending}" for case_id in study.held_out_cases}


def _scored(study: StudyFolder) -> list[dict[Member, dict[str, Path]]]:
    """Members with their files, in batches that share their cases: the runs of each fold, all ensembles, groups by size."""
    names = [configuration.name for configuration in study.plan.configurations]
    batches = []
    for fold, cases in enumerate(study.folds):
        runs = [Run(name, fold, seed) for name in names for seed in study.plan.seeds]
        batches.append(
            {
                Member(run.configuration, run.member, run.seed, fold): {
                    case_id: study.prediction(run, case_id) for case_id in cases.held_out
                }
                for run in runs
            }
        )
    ensembles = [(name, rule + ending) for name in names for rule in rules_of(study) for ending in ("", CLEANED)]
    folders = {Member(name, ensemble): study.ensemble(name, ensemble) for name, ensemble in ensembles}
    by_size: dict[int, dict[Member, Path]] = {}
    for size, number, group in groups_of(study):
        for name in names:
            member = Member(subset_configuration(name, size), group.member, seed=number)
            by_size.setdefault(size, {})[member] = _group_folder(study, name, size, number)
    together = [batch for batch in (folders, *by_size.values()) if batch]
    return [*batches, *({who: _ensemble_files(study, where) for who, where in batch.items()} for batch in together)]


def _scores(
    study: StudyFolder,
    batches: Sequence[Mapping[Member, Mapping[str, Path]]],
    metrics: Sequence[str],
    progress: Callable[[int, int], object],
) -> Iterable[Score]:
    for members in batches:
        references = {case_id: study.reference(case_id) for case_id in next(iter(members.values()))}
        yield from score_members(members, references, study.labels, study.plan.tolerance_mm, progress, metrics)


def _picture(study: StudyFolder, case_id: str) -> CaseFiles:
    """The case with the first configuration's first ensemble, if there is one, and its first seed beside it."""
    name = study.plan.configurations[0].name
    fold = next(number for number, cases in enumerate(study.folds) if case_id in cases.held_out)
    run = Run(name, fold, study.plan.seeds[0])
    predictions = {rule: _ensemble_files(study, study.ensemble(name, rule))[case_id] for rule in rules_of(study)[:1]}
    predictions[run.member] = study.prediction(run, case_id)
    return CaseFiles(case_id, study.case(case_id).images[0], 0, study.reference(case_id), predictions)


def _unless_current(
    study: StudyFolder, name: str, inputs: Sequence[str], outputs: Sequence[Path], make: Callable[[], None]
) -> None:
    """Call ``make`` unless its outputs are there and were made from these inputs; remember the inputs' digest."""
    made = read_json(study.stages_path) if study.stages_path.exists() else {}
    digest = sha256_of_json(inputs)
    if made.get(name) == digest and all(path.exists() for path in outputs):
        return
    make()
    write_json(study.stages_path, made | {name: digest})


def _digests(files: Iterable[Mapping[str, Path]]) -> list[str]:
    return [sha256_of_file(path) for some in files for path in some.values()]


def _named(progress: Progress, what: str) -> Callable[[int, int], object]:
    return lambda done, of: progress(what, done, of)
