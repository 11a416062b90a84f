"""Candidates for the best configuration, from studies: predicted held-out, scored, and put on the same cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import safe_name
from ..ensemble.ensemble_recipe import RecipeMember
from ..ensemble.folders import ensemble_folders
from ..ensemble.rules import RULES
from ..ensemble.subsets import Group, subset_configuration
from ..evaluation.evaluate import Member, score_members
from ..evaluation.score_table import ScoreTable
from ..plan.nnunet_plan import NnunetConfiguration
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import LABELS, REGIONS
from ..stats.best_configuration import Candidate
from ..stats.score_cube import ScoreCube, metric_of_column
from ..stats.seed_matrix import matched
from . import stages

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Row:
    """One repetition of a candidate: the label maps by case, the name of who predicted, and the trainings behind it."""

    member: str
    label_maps: dict[str, Path]
    trainings: frozenset[str]


@dataclass(frozen=True)
class Source:
    """One configuration of one study; ``studies`` are counted from 0."""

    number: int
    study: StudyFolder
    name: str

    def files(self, seed: int, reads: str) -> dict[str, Path]:
        """Case to held-out label map or probabilities of one seed: each case by the fold that never saw it."""
        where = self.study.probabilities if reads == "probabilities" else self.study.prediction
        return {
            case_id: where(Run(self.name, fold, seed), case_id)
            for fold, cases in enumerate(self.study.folds)
            for case_id in cases.held_out
        }

    @property
    def of_nnunet(self) -> bool:
        return isinstance(self.study.plan.configuration(self.name), NnunetConfiguration)

    @property
    def trains(self) -> str:
        """What its networks draw; nnU-Net's draw regions where there are any."""
        configuration = self.study.plan.configuration(self.name)
        if isinstance(configuration, NnunetConfiguration):
            return REGIONS if self.study.labels.has_regions else LABELS
        return configuration.trains

    def training(self, seed: int) -> str:
        return f"{self.name}/seed_{seed}"


def sources_of(studies: Sequence[StudyFolder]) -> tuple[Source, ...]:
    """All configurations of the studies.

    Raises:
        SegVarianceError: two have one name, other data or labels, or a training is not done.
    """
    found = [
        Source(number, study, configuration.name)
        for number, study in enumerate(studies)
        for configuration in study.plan.configurations
    ]
    names = [source.name for source in found]
    if len(set(names)) < len(names):
        raise SegVarianceError(f"Two configurations have one name, of {', '.join(names)}. Plan them with other names.")
    first = studies[0]
    for study in studies:
        if (study.plan.dataset_digest, study.labels) != (first.plan.dataset_digest, first.labels):
            raise SegVarianceError(
                f"{study.root} and {first.root} are not of the same data. The best is picked on one dataset."
            )
        if study.held_out_cases != first.held_out_cases:
            raise SegVarianceError(
                f"{study.root} and {first.root} hold out other cases. Plan both with one split and split seed."
            )
        if waiting := [run for run in study.runs if not study.record_path(run).is_file()]:
            raise SegVarianceError(
                f"{waiting[0]} is not trained yet. Run the study first: segvariance run {study.root}"
            )
    return tuple(found)


def rule_for(sources: Sequence[Source]) -> str:
    """Mean probability where all studies kept them, else the vote."""
    return "mean_probability" if all(source.study.plan.keep_probabilities for source in sources) else "majority"


def make_candidates(sources: Sequence[Source], folder: Path, progress: Progress) -> dict[str, tuple[Row, ...]]:
    """Candidates by name, with their label maps; ensembles over several configurations are written below ``folder``.

    Single seeds and ensembles of some of the seeds of each configuration; each pair and the whole set, the i-th seed of one with
    the i-th of the other; and each of these with all seeds, which is one row alone.
    """
    rule = rule_for(sources)
    reads = RULES.function(rule).reads
    found: dict[str, tuple[Row, ...]] = {}
    for source in sources:
        seeds = source.study.plan.seeds
        found[source.name] = tuple(
            Row(f"seed_{seed}", source.files(seed, "labels"), frozenset([source.training(seed)])) for seed in seeds
        )
    for source in sources:
        for group, rows in _groups(source, rule).items():
            found[group] = rows
    for some in _sets(sources):
        if reads == "probabilities" and some in mixed_sets(sources):
            continue
        name = safe_name("+".join(source.name for source in some), "name of an ensemble")
        seeds_of = [source.study.plan.seeds for source in some]
        votes = [list(zip(some, seeds, strict=True)) for seeds in zip(*seeds_of, strict=False)]
        everything = [(source, seed) for source, seeds in zip(some, seeds_of, strict=True) for seed in seeds]
        found[name] = tuple(
            _combined(rule, reads, voters, folder / name / f"row_{row}", progress) for row, voters in enumerate(votes)
        )
        if len(votes) > 1:
            all_name = f"{name}_all"
            found[all_name] = (_combined(rule, reads, everything, folder / all_name, progress),)
    return found


def mixed_sets(sources: Sequence[Source]) -> tuple[tuple[Source, ...], ...]:
    """Pairs, or the whole set, of networks of labels and networks of regions, whose probabilities have no mean."""
    return tuple(some for some in _sets(sources) if len({source.trains for source in some}) > 1)


def score_candidates(candidates: Mapping[str, Sequence[Row]], study: StudyFolder, progress: Progress) -> ScoreTable:
    """All rows against the references; a row is the ``seed`` of its candidate."""
    members = {
        Member(name, row.member, seed=number): row.label_maps
        for name, rows in candidates.items()
        for number, row in enumerate(rows)
    }
    references = {case_id: study.reference(case_id) for case_id in study.held_out_cases}
    scores = score_members(
        members, references, study.labels, study.plan.tolerance_mm, lambda done, of: progress("Scores", done, of)
    )
    return ScoreTable(scores, study.patients)


def judged_candidates(
    table: ScoreTable, candidates: Mapping[str, Sequence[Row]], study: StudyFolder, metric: str, structure: str
) -> tuple[Candidate, ...]:
    """The candidates' scores [row, case] on the cases that all have, with the fold of each case."""
    fold_of = {case_id: fold for fold, cases in enumerate(study.folds) for case_id in cases.held_out}
    cubes = [ScoreCube.of(table, name, metric_of_column(metric)) for name in candidates]
    cubes = [replace(cube, folds=tuple(fold_of[case_id] for case_id in cube.cases)) for cube in cubes]
    matrices = matched(cubes, structure, min_seeds=1)
    return tuple(
        Candidate(matrix, tuple(row.trainings for row in candidates[matrix.configuration])) for matrix in matrices
    )


def recipe_members(sources: Sequence[Source], trainings: frozenset[str]) -> tuple[RecipeMember, ...]:
    """Every fold's run of the trainings named."""
    return tuple(
        RecipeMember(
            source.number,
            source.name,
            fold,
            seed,
            source.study.weights(run).relative_to(source.study.root).as_posix(),
            source.study.record(run).weights_sha256,
        )
        for source in sources
        for seed in source.study.plan.seeds
        if source.training(seed) in trainings
        for fold in range(len(source.study.folds))
        for run in [Run(source.name, fold, seed)]
    )


def _sets(sources: Sequence[Source]) -> list[tuple[Source, ...]]:
    """Each pair, and all together where there are more than two."""
    return [*combinations(sources, 2), *([tuple(sources)] if len(sources) > 2 else [])]


def _groups(source: Source, rule: str) -> dict[str, tuple[Row, ...]]:
    """The study's own ensembles of some seeds, and of all, made by the same rule."""
    study, seeds = source.study, source.study.plan.seeds
    ending = study.dataset.file_ending
    by_size: dict[int, list[tuple[Group, Path]]] = {}
    for size, number, group in stages.groups_of(study):
        if group.rule == rule:
            where = study.ensemble(subset_configuration(source.name, size), f"group_{number}")
            by_size.setdefault(size, []).append((group, where))
    if rule in stages.rules_of(study):
        by_size[len(seeds)] = [(Group(rule, tuple(sorted(seeds))), study.ensemble(source.name, rule))]
    missing = [where for groups in by_size.values() for _, where in groups if not where.is_dir()]
    if missing:
        raise SegVarianceError(
            f"{missing[0]} is not there: the study was stopped before its ensembles were made, or an earlier version made fewer. "
            f"Trainings stay as they are when you run it again: segvariance run {study.root}"
        )
    return {
        subset_configuration(source.name, size): tuple(
            Row(
                group.member,
                {case_id: where / f"{case_id}{ending}" for case_id in study.held_out_cases},
                frozenset(map(source.training, group.seeds)),
            )
            for group, where in groups
        )
        for size, groups in by_size.items()
    }


def _combined(rule: str, reads: str, voters: Sequence[tuple[Source, int]], folder: Path, progress: Progress) -> Row:
    first = voters[0][0].study
    written = ensemble_folders(
        rule,
        [source.files(seed, reads) for source, seed in voters],
        first.labels,
        folder,
        first.dataset.file_ending,
        lambda done, of: progress(f"Ensemble {folder.parent.name} {folder.name}", done, of),
    )
    return Row(folder.name, written, frozenset(source.training(seed) for source, seed in voters))
