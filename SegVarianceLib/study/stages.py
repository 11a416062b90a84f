"""The steps after training, on a study folder. Each is skipped where it is done and its inputs have not changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..core.files import read_json, sha256_of_file, sha256_of_json, write_json
from ..ensemble.folders import ensemble_folders
from ..ensemble.postprocessing import clean_folder
from ..ensemble.rules import RULES
from ..evaluation.evaluate import Member, score_members
from ..evaluation.score_table import Score, ScoreTable
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..report.content import CaseFiles, ReportContent, worst_cases
from ..report.report import write_report
from ..stats.seed_study import SeedStudies, seed_studies
from .facts import what_was_done

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
            probabilities = RULES.function(rule).reads == "probabilities"
            members = [_pass_files(study, configuration.name, seed, probabilities) for seed in study.plan.seeds]
            folder = study.ensemble(configuration.name, rule)
            what = f"Ensemble {RULES.facts(rule).title.lower()}"

            def make() -> None:
                ending = study.dataset.file_ending
                ensemble_folders(rule, members, study.labels, folder, ending, _named(progress, what))  # noqa: B023

            _unless_current(study, f"ensembles/{configuration.name}/{rule}", _digests(members), [folder], make)


def clean(study: StudyFolder, progress: Progress) -> None:
    """The planned clean-up of every ensemble, beside it in ``ensembles/``."""
    step, structures = study.plan.clean_up, study.labels.structures
    for configuration in study.plan.configurations:
        for rule in rules_of(study):
            files = _ensemble_files(study, configuration.name, rule)
            folder = study.ensemble(configuration.name, rule + CLEANED)

            def make() -> None:
                clean_folder(step, files, structures, folder, progress=_named(progress, "Clean-up"))  # noqa: B023

            name = f"ensembles/{configuration.name}/{rule}{CLEANED}"
            _unless_current(study, name, [*_digests([files]), step], [folder], make)


def score(study: StudyFolder, progress: Progress) -> None:
    """Every member and ensemble against the references; ``scores.csv``."""
    batches = _scored(study)
    references = [study.reference(case_id) for case_id in study.held_out_cases]
    inputs = _digests([files for members in batches for files in members.values()])
    inputs += [*map(sha256_of_file, references), str(study.plan.tolerance_mm)]

    def make() -> None:
        ScoreTable(tuple(_scores(study, batches, _named(progress, "Scores")))).write(study.scores_path)

    _unless_current(study, "scores", inputs, [study.scores_path], make)


def compare(study: StudyFolder) -> SeedStudies:
    """The seed study of all scores; ``statistics.json``."""
    found = seed_studies(ScoreTable.read(study.scores_path))
    write_json(study.statistics_path, found.to_json())
    return found


def report(study: StudyFolder, studies: SeedStudies) -> Path:
    """The HTML report of everything above; ``report.html``."""
    scores = ScoreTable.read(study.scores_path)
    content = ReportContent(
        title=study.plan.title,
        what_was_done=what_was_done(study),
        scores=scores,
        studies=studies,
        primary_metric=PRIMARY_METRIC,
        pictures=tuple(_picture(study, case_id) for case_id in worst_cases(scores, PRIMARY_METRIC, _PICTURED_CASES)),
        labels=study.labels,
    )
    write_report(study.report_path, content)
    return study.report_path


def rules_of(study: StudyFolder) -> tuple[str, ...]:
    """The ensemble rules that this study can apply: none to a single seed, and to probabilities only where they are kept."""
    if len(study.plan.seeds) < 2:
        return ()
    kept = study.plan.keep_probabilities
    return tuple(facts.id for facts in RULES if kept or RULES.function(facts.id).reads != "probabilities")


def _pass_files(study: StudyFolder, configuration: str, seed: int, probabilities: bool) -> dict[str, Path]:
    """Case to file for one seed: each held-out case as predicted by the fold that never saw it."""
    where = study.probabilities if probabilities else study.prediction
    return {
        case_id: where(Run(configuration, fold, seed), case_id)
        for fold, cases in enumerate(study.folds)
        for case_id in cases.held_out
    }


def _ensemble_files(study: StudyFolder, configuration: str, name: str) -> dict[str, Path]:
    folder, ending = study.ensemble(configuration, name), study.dataset.file_ending
    return {case_id: folder / f"{case_id}{ending}" for case_id in study.held_out_cases}


def _scored(study: StudyFolder) -> list[dict[Member, dict[str, Path]]]:
    """Members with their files, in batches that share their cases: the runs of each fold, then all ensembles."""
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
    together = {Member(name, ensemble): _ensemble_files(study, name, ensemble) for name, ensemble in ensembles}
    return [*batches, together] if together else batches


def _scores(
    study: StudyFolder, batches: Sequence[Mapping[Member, Mapping[str, Path]]], progress: Callable[[int, int], object]
) -> Iterable[Score]:
    for members in batches:
        references = {case_id: study.reference(case_id) for case_id in next(iter(members.values()))}
        yield from score_members(members, references, study.labels, study.plan.tolerance_mm, progress)


def _picture(study: StudyFolder, case_id: str) -> CaseFiles:
    """The case with the first configuration's first ensemble, if there is one, and its first seed beside it."""
    name = study.plan.configurations[0].name
    fold = next(number for number, cases in enumerate(study.folds) if case_id in cases.held_out)
    run = Run(name, fold, study.plan.seeds[0])
    predictions = {rule: _ensemble_files(study, name, rule)[case_id] for rule in rules_of(study)[:1]}
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
