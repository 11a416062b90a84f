"""A SegVariance study, finished or still training: what its folder holds now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import Problem, SegVarianceError
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from .description import STUDY, Found, ReviewMember


def is_study(folder: Path) -> bool:
    """Whether a plan lies in it; nnU-Net calls its own ``plans.json``."""
    return (folder / "plan.json").is_file()


def find_in_study(root: Path) -> Found:
    """One member for each configuration and seed, each held-out case by the fold that never saw it, and all ensembles.

    Raises:
        SegVarianceError: plan, dataset or splits are missing, damaged or of another version.
    """
    study = StudyFolder.open(root)
    problems: list[Problem] = []
    present: dict[Path, set[str]] = {}
    stale = {run for run in study.runs if _is_stale(study, run, problems)}
    members = [
        member
        for configuration in study.plan.configurations
        for seed in study.plan.seeds
        if (member := _member(study, configuration.name, seed, stale, present)).files
    ]
    planned = len(study.held_out_cases) * len(study.plan.configurations) * len(study.plan.seeds)
    images, references = _dataset_files(study, problems)
    return Found(
        kind=STUDY,
        title=study.plan.title,
        members=tuple(members),
        ensembles=tuple(_ensembles(study, present)),
        images=images,
        references=references,
        channels=study.dataset.channels,
        labels=study.labels,
        labels_from=str(study.dataset_path),
        problems=tuple(problems),
        awaited=planned - sum(len(member.files) for member in members),
    )


def _is_stale(study: StudyFolder, run: Run, problems: list[Problem]) -> bool:
    """Whether a finished run's record cannot be trusted: damaged, or made from another plan."""
    if not study.record_path(run).is_file():
        return False
    try:
        if study.is_done(run):
            return False
        what = "it was made from another plan, and its predictions are left out."
        problems.append(Problem(str(study.run_folder(run)), what, "Run the study again.", fatal=False))
    except SegVarianceError as error:
        problems.append(Problem(str(run), str(error), "Its predictions are left out.", fatal=False))
    return True


def _member(
    study: StudyFolder, configuration: str, seed: int, stale: set[Run], present: dict[Path, set[str]]
) -> ReviewMember:
    files: dict[str, Path] = {}
    probabilities: dict[str, Path] = {}
    folds: dict[str, int] = {}
    for number, fold in enumerate(study.folds):
        run = Run(configuration, number, seed)
        if run in stale:
            continue
        for case_id in fold.held_out:
            if _is_there(path := study.prediction(run, case_id), present):
                files[case_id], folds[case_id] = path, number
                if _is_there(path := study.probabilities(run, case_id), present):
                    probabilities[case_id] = path
    return ReviewMember(configuration, f"seed_{seed}", files, seed, folds, probabilities)


def _ensembles(study: StudyFolder, present: dict[Path, set[str]]) -> Iterator[ReviewMember]:
    for configuration in (each.name for each in study.plan.configurations):
        above = study.root / "ensembles" / configuration
        for folder in sorted(path for path in above.iterdir() if path.is_dir()) if above.is_dir() else ():
            paths = {case_id: folder / f"{case_id}{study.dataset.file_ending}" for case_id in study.held_out_cases}
            files = {case_id: path for case_id, path in paths.items() if _is_there(path, present)}
            if files:
                yield ReviewMember(configuration, folder.name, files)


def _dataset_files(study: StudyFolder, problems: list[Problem]) -> tuple[dict[str, tuple[Path, ...]], dict[str, Path]]:
    """Images and references of the held-out cases, as far as they are on this machine."""
    present: dict[Path, set[str]] = {}
    images: dict[str, tuple[Path, ...]] = {}
    references: dict[str, Path] = {}
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for case_id in study.held_out_cases:
        case = study.case(case_id)
        if all(_is_there(path, present) for path in case.images):
            images[case_id] = case.images
        else:
            missing["images"].append(case_id)
        reference = study.reference(case_id)
        if _is_there(reference, present):
            references[case_id] = reference
        else:
            missing["references"].append(case_id)
    for what, cases in missing.items():
        found = f"the {what} of {len(cases)} of {len(study.held_out_cases)} cases are not on this machine, such as {cases[0]}."
        remedy = "Bring the dataset there to see them; the predictions can be compared without."
        problems.append(Problem(study.dataset.folder, found, remedy, fatal=False))
    return images, references


def _is_there(path: Path, present: dict[Path, set[str]]) -> bool:
    """Whether a file exists, listing each folder once: a study on a slow disk has thousands of files."""
    if path.parent not in present:
        present[path.parent] = {each.name for each in path.parent.iterdir()} if path.parent.is_dir() else set()
    return path.name in present[path.parent]
