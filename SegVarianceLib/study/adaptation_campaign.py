"""Many adaptations and what they are worth: each network alone on each case, scored against the networks as they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import write_json
from ..core.machine import usable_cores
from ..core.words import counted
from ..dataset.image_io import find_images, read_case_images
from ..evaluation.evaluate import Member, score_members
from ..evaluation.score_table import Score, ScoreTable
from ..plan.adaptation import variant
from ..plan.adaptation_folder import ADAPTED, INITIAL, AdaptationFolder
from ..plan.runs import Run
from ..plan.study_folder import StudyFolder
from ..report.adaptation_section import Adaptation, Variant
from ..report.content import CaseFiles, ReportContent
from ..report.report import write_report
from ..stats.paired_gain import PairedGain, gain_sentence, paired_gains
from ..stats.study_statistics import study_statistics
from .new_adaptation import AdaptationWishes, plan_adaptation, starts_of
from .pipeline import Stopped
from .terminal import out, progress_bar

_METRIC = "dice"


@dataclass(frozen=True)
class CampaignCase:
    """``reference`` is for scoring afterwards; no adaptation is told where it lies."""

    id: str
    images: tuple[Path, ...]
    reference: Path


@dataclass(frozen=True)
class _Task:
    run: Run
    variant: str
    case: CampaignCase
    folder: AdaptationFolder


def run_campaign(
    model: Path,
    cases: Mapping[int, Sequence[CampaignCase]],
    variants: Sequence[str],
    output: Path,
    wishes: AdaptationWishes,
    jobs: int | None,
) -> tuple[PairedGain, ...]:
    """Adapt every network of ``model`` to every case of its fold, in every variant; write ``scores.csv``, ``gains.json`` and ``report.html``.

    Run again, it goes on where it stood.

    Args:
        cases: by fold; a run adapts to those of its own.

    Raises:
        Stopped: interrupted; what is done stays done.
        SegVarianceError: as ``plan_adaptation``, or an adaptation failed.
    """
    study, runs = starts_of(model, wishes.configuration)
    if len({run.seed for run in runs}) < 2:
        raise SegVarianceError(
            "What adaptation is worth beyond the luck of a training needs at least 2 trainings of the recipe, better 3. Give a study that has them."
        )
    tasks: list[_Task] = []
    with progress_bar() as progress:
        wanted = [(run, name, case) for name in variants for run in runs for case in cases[run.fold]]
        copies: int | None = None
        for number, (run, name, case) in enumerate(wanted, start=1):
            settings = variant(name, wishes.settings)
            own = replace(wishes, variant=name, settings=settings, seed=run.seed, augmented=copies)
            where = output / "adaptations" / run.configuration / name / f"fold_{run.fold}" / run.member / case.id
            folder = plan_adaptation(study.run_folder(run), case.images, where, own)
            copies = folder.plan.settings.augmented or copies  # measured once, for the first case
            tasks.append(_Task(run, name, case, folder))
            progress("Planning", number, len(wanted))
        _adapt_all([task.folder for task in tasks if not task.folder.is_done], jobs or usable_cores(), progress)
        scores = _scores(study, tasks, lambda done, of: progress("Scores", done, of))
    table = ScoreTable(tuple(scores), study.patients)
    table.write(output / "scores.csv")
    before = runs[0].configuration
    gains = paired_gains(table, [(f"{before}_{name}", before) for name in variants], _METRIC)
    write_json(output / "gains.json", [gain.to_json() for gain in gains])
    found = Adaptation(before, gains, tuple(_variant(name, tasks, table, before) for name in variants))
    content = ReportContent(
        title=f"{study.dataset.name}: {before} adapted to {counted(len(gains[0].cases), 'case')}",
        what_was_done=_what_was_done(study, tasks),
        scores=table,
        studies=study_statistics(table.where(configuration=before), _METRIC).studies,
        primary_metric=_METRIC,
        pictures=_pictures(tasks, gains),
        labels=study.labels,
        adaptation=found,
    )
    write_report(output / "report.html", content)
    return gains


def cases_by_fold(study: StudyFolder, most: int) -> dict[int, list[CampaignCase]]:
    """The first ``most`` cases that each fold holds out."""
    if most < 1:
        raise SegVarianceError(f"--held-out {most}: give at least 1.")
    return {
        number: [
            CampaignCase(case_id, study.case(case_id).images, study.reference(case_id))
            for case_id in fold.held_out[:most]
        ]
        for number, fold in enumerate(study.folds)
    }


def cases_in(study: StudyFolder, images: Path, references: Path) -> dict[int, list[CampaignCase]]:
    """The cases of two folders, for every fold.

    Raises:
        SegVarianceError: a folder cannot be read, or a case has no reference.
    """
    found, drawn = read_case_images(images), find_images(references)
    if missing := sorted(found.keys() - drawn.keys()):
        raise SegVarianceError(
            f"{references} has no reference of {len(missing)} case(s), the first is {missing[0]!r}. Add it, or take its image away."
        )
    if not found:
        raise SegVarianceError(f"{images} holds no images. Give a folder of images, channels as CASE_0000, CASE_0001.")
    cases = [CampaignCase(case_id, files, drawn[case_id]) for case_id, files in found.items()]
    return dict.fromkeys(range(len(study.folds)), cases)


def print_gains(gains: Sequence[PairedGain], output: Path) -> None:
    for gain in gains:
        out.print(f"  - {gain_sentence(gain)}", markup=False)
    out.print(f"\nReport: {output / 'report.html'}", markup=False)


def _adapt_all(folders: Sequence[AdaptationFolder], jobs: int, progress: Callable[[str, int, int], None]) -> None:
    """Side by side in processes of their own, each of which makes many."""
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(threads, "1"))
    failures: list[str] = []
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(_adapt_one, str(folder.root)) for folder in folders}
            try:
                while waiting:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    failures += [sentence for each in done if (sentence := each.result())]
                    progress("Adapting", len(folders) - len(waiting), len(folders))
            except KeyboardInterrupt:
                pool.shutdown(wait=True, cancel_futures=True)
                raise Stopped from None
    except BrokenProcessPool:
        raise SegVarianceError(
            "An adaptation was killed. What is done stays done: run the same command again."
        ) from None
    finally:
        for name, value in threads.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    if failures:
        raise SegVarianceError(
            f"{counted(len(failures), 'adaptation')} of {len(folders)} failed. The first: {failures[0]} Mend it and run the same command again."
        )


def _adapt_one(root: str) -> str:
    """In a process of the pool: why it failed, or nothing."""
    from .adapting import run_adaptation

    try:
        run_adaptation(AdaptationFolder(Path(root)))
    except Stopped:
        return f"{root} was stopped."
    except SegVarianceError as error:
        return str(error)
    return ""


def _scores(study: StudyFolder, tasks: Sequence[_Task], progress: Callable[[int, int], None]) -> list[Score]:
    """The first masks of the first variant as the networks as they were, and the adapted masks of every variant."""
    found: list[Score] = []
    for fold in dict.fromkeys(task.run.fold for task in tasks):
        members: dict[Member, dict[str, Path]] = {}
        references: dict[str, Path] = {}
        for task in (task for task in tasks if task.run.fold == fold):
            references[task.case.id] = task.case.reference
            for name, which in (
                (task.run.configuration, INITIAL),
                (f"{task.run.configuration}_{task.variant}", ADAPTED),
            ):
                who = Member(name, task.run.member, task.run.seed, fold)
                members.setdefault(who, {}).setdefault(task.case.id, task.folder.mask(which))
        found += score_members(members, references, study.labels, study.plan.tolerance_mm, progress)
    return found


def _variant(name: str, tasks: Sequence[_Task], table: ScoreTable, before: str) -> Variant:
    """What a variant cost, and whether its warnings point at cases that lost."""
    mine = [task for task in tasks if task.variant == name]
    records = [task.folder.record() for task in mine]
    dice = {
        (score.configuration, score.member, score.case, score.structure): score.value
        for score in table.scores
        if score.metric == _METRIC and score.value is not None
    }
    structures = table.unique("structure")

    def gain(task: _Task) -> float | None:
        keys = [(task.run.member, task.case.id, structure) for structure in structures]
        pairs = [(dice.get((f"{before}_{name}", *key)), dice.get((before, *key))) for key in keys]
        known = [after - first for after, first in pairs if after is not None and first is not None]
        return sum(known) / len(known) if known else None

    gains = [(gain(task), bool(record.warnings)) for task, record in zip(mine, records, strict=True)]
    flagged = [value for value, warned in gains if warned and value is not None]
    silent = [value for value, warned in gains if not warned and value is not None]
    return Variant(
        name=name,
        adaptations=len(records),
        cpu_s=sorted(record.cpu_s for record in records)[len(records) // 2],
        wall_s=sorted(record.wall_s for record in records)[len(records) // 2],
        peak_memory_mib=max(record.peak_memory_mib for record in records),
        left_out=sum(bool(each.left_out) for record in records for each in record.neighbours),
        neighbours=sum(len(record.neighbours) for record in records),
        flagged=len(flagged),
        gain_flagged=sum(flagged) / len(flagged) if flagged else None,
        gain_silent=sum(silent) / len(silent) if silent else None,
    )


def _what_was_done(study: StudyFolder, tasks: Sequence[_Task]) -> tuple[tuple[str, str], ...]:
    plan = tasks[0].folder.plan
    settings, machine = plan.settings, tasks[0].folder.record().machine
    runs = list(dict.fromkeys(task.run for task in tasks))
    return (
        ("Study", f"{study.plan.title}; networks: {', '.join(map(str, runs))}"),
        ("Training cases", f"{len(plan.training_cases)}, of which the nearest {settings.neighbours} are learnt from"),
        (
            "Adaptation",
            f"{settings.rounds} rounds of {settings.steps} steps at a learning rate of {settings.learning_rate:g}; {settings.predictions} predictions a round into "
            f"a moving average that keeps {settings.average_decay:g}",
        ),
        ("Registration", f"SimpleITK {machine['sitk']}: affine, then diffeomorphic demons"),
        (
            "Computed on",
            f"{machine['device_name']}, {machine['precision']}, {machine['threads']} thread(s), torch {machine['torch']}",
        ),
    )


def _pictures(tasks: Sequence[_Task], gains: Sequence[PairedGain]) -> tuple[CaseFiles, ...]:
    """Of the first variant and the first network: the cases that gained and lost most, before and after."""
    first = gains[0]
    by_case = dict(zip(first.cases, first.values[0], strict=True))
    run, name = tasks[0].run, tasks[0].variant
    mine = {
        task.case.id: task for task in tasks if task.variant == name and task.run == run and task.case.id in by_case
    }
    order = sorted(mine, key=lambda case: by_case[case])
    return tuple(
        CaseFiles(
            case,
            mine[case].case.images[0],
            0,
            mine[case].case.reference,
            {
                "before": mine[case].folder.mask(INITIAL),
                f"{name}: {by_case[case]:+.3f} Dice": mine[case].folder.mask(ADAPTED),
            },
        )
        for case in dict.fromkeys((*order[::-1][:2], *order[:2]))
    )
