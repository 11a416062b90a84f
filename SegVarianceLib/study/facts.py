"""What was done, in words and figures for the head of the report. Everything is read from the study folder."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from ..core.files import read_json
from ..evaluation.score_table import ScoreTable
from ..plan.fine_tuning import ALL, NO_INFLATION, FineTuning
from ..plan.nnunet_plan import NnunetConfiguration, NnunetTrainingPlan
from ..plan.pretraining_plan import Pretraining
from ..plan.runs import RunRecord
from ..plan.study_folder import StudyFolder
from ..plan.study_plan import REGIONS, AnyConfiguration, Configuration, StudyPlan
from ..plan.transfer import Cell, cells_of, weights_of
from ..report.transfer_section import SourceCost, Transfer
from ..stats.study_statistics import StudyStatistics
from ..stats.transfer import transfer_rows


def what_was_done(study: StudyFolder) -> tuple[tuple[str, str], ...]:
    """Label and text of each line."""
    plan, dataset = study.plan, study.dataset
    folds = study.folds
    records = [study.record(run) for run in study.runs if study.is_done(run)]
    seeds = f"{len(plan.seeds)} ({', '.join(map(str, plan.seeds))})"
    facts = [
        ("Dataset", f"{dataset.name}: {len(dataset.images)} cases, {' + '.join(dataset.channels)}"),
        ("Structures", ", ".join(structure.name for structure in study.labels.structures)),
        ("Split", f"{split_in_words(study)}, the same for every seed (split seed {plan.split_seed})"),
        ("Seeds", f"{seeds}: what differs is first weights, order of cases, patches and augmentation"),
        ("Trainings", f"{len(records)} of {len(plan.configurations) * len(plan.seeds) * len(folds)} done"),
        *((f"Recipe {c.name}", recipe_in_words(c)) for c in plan.configurations),
        ("Clean-up", f"{plan.clean_up.replace('_', ' ')} per structure, 26 neighbours"),
        ("Surface Dice", f"tolerance {plan.tolerance_mm:g} mm"),
        *((f"Source {p.name}", _source_in_words(p)) for p in plan.pretrainings),
        *((f"Source {name}", _weights_in_words(rules)) for name, rules in weights_of(plan).items()),
        *_taken_in_words(plan),
    ]
    return (*facts, *_machine(study, records))


def transfer_of(study: StudyFolder, scores: ScoreTable, statistics: StudyStatistics) -> Transfer | None:
    """What a transfer study says; None of any other."""
    if not cells_of(study.plan):
        return None
    return Transfer(
        transfer_rows(scores, study.plan, "dice", statistics.comparisons),
        (*(_cost(study, each) for each in study.plan.pretrainings), *_unknown_costs(study)),
    )


def _cost(study: StudyFolder, pretraining: Pretraining) -> SourceCost:
    runs = [run for run in study.pretraining_runs if run.configuration == pretraining.name and study.is_done(run)]
    started = [source for source in map(study.started_from, study.runs) if source is not None]
    return SourceCost(
        source=pretraining.name,
        task=pretraining.plan.task,
        cases=len(pretraining.cases),
        steps=pretraining.training.steps,
        pretrainings=len(runs),
        cpu_s=round(sum(study.record(run).cpu_s for run in runs), 1),
        served=sum(source.configuration == pretraining.name for source in started),
    )


def _unknown_costs(study: StudyFolder) -> Iterator[SourceCost]:
    for name in weights_of(study.plan):
        cells = [cell for cell in cells_of(study.plan) if cell.source == name]
        served = len(cells) * len(study.plan.seeds) * len(study.folds)
        yield SourceCost(name, "weights from elsewhere", None, None, 0, None, served)


def _source_in_words(pretraining: Pretraining) -> str:
    plan, cases = pretraining.plan, len(pretraining.cases)
    return f"{plan.task} on {cases} cases of {pretraining.dataset_folder}, {plan.training.steps} steps, {len(pretraining.seeds)} times"


def _weights_in_words(rules: FineTuning) -> str:
    mapped = f", {len(rules.name_map)} names mapped" if rules.name_map else ""
    inflated = "" if rules.inflation == NO_INFLATION else f", 2-D kernels inflated: {rules.inflation}"
    return (
        f"weights of {rules.weights} (sha256 {rules.sha256[:12]}){mapped}{inflated}; what they cost is not known here, and what they "
        "have learned from only where they lie in a study of SegVariance"
    )


def _taken_in_words(plan: StudyPlan) -> Iterator[tuple[str, str]]:
    """How each source is trained on, a line a source; nothing where all of it learns at one rate from the start."""
    for source, rules in {cell.source: _rules(plan, cell) for cell in cells_of(plan)}.items():
        careful = [f"the {rules.part} is taken"] if rules and rules.part != ALL else []
        if rules and rules.frozen_share:
            careful.append(f"the encoder stands still for the first {rules.frozen_share:.0%} of the steps")
        if rules and rules.rate_decay < 1:
            careful.append(f"each stage learns {rules.rate_decay:g} times as fast as the next one nearer to the output")
        if careful:
            yield f"Taken from {source}", "; ".join(careful)


def _rules(plan: StudyPlan, cell: Cell) -> FineTuning | None:
    configuration = plan.configuration(cell.configuration)
    return configuration.fine_tuning if isinstance(configuration, Configuration) else None


def split_in_words(study: StudyFolder) -> str:
    first = study.folds[0]
    if len(study.folds) == 1:
        return f"hold-out, {len(first.training)} cases for training and {len(first.held_out)} held out"
    return f"{len(study.folds)}-fold cross-validation; every case is predicted once per seed, by the fold that never saw it"


def recipe_in_words(configuration: AnyConfiguration) -> str:
    if isinstance(configuration, NnunetConfiguration):
        return _nnunet_in_words(configuration.training)
    network, training = configuration.network, configuration.training
    spacing = " x ".join(f"{mm:g}" for mm in configuration.preprocessing.spacing_zyx_mm)
    patch = " x ".join(map(str, network.patch_zyx))
    mirrors = {0: "head-foot", 1: "front-back", 2: "left-right"}
    mirrored = " and ".join(mirrors[axis] for axis in training.mirror_axes) or "none"
    trained_on = "; trained on regions, a sigmoid each" if configuration.trains == REGIONS else ""
    return (
        f"residual U-Net with {len(network.channels)} levels at {spacing} mm, patches of {patch} voxels, "
        f"{training.steps} steps of {training.batch_size} patches, mirrored axes: {mirrored}{trained_on}"
    )


def _nnunet_in_words(training: NnunetTrainingPlan) -> str:
    return (
        f"nnU-Net {training.nnunetv2}, {training.configuration} as its {training.planner} plans it, {training.epochs} epoch{'s' * (training.epochs != 1)} "
        f"of {training.steps_per_epoch} steps, mirroring {'on' if training.mirroring else 'off'}, seeded at every step"
    )


def _machine(study: StudyFolder, records: list[RunRecord]) -> list[tuple[str, str]]:
    if not records:
        return []
    machine, computer = records[0].machine, read_json(study.environment_path)
    whole = [record for record in records if not record.resumed] or records
    wall_s, cpu_s = (median(getattr(record, name) for record in whole) for name in ("wall_s", "cpu_s"))
    memory_mib = max(record.peak_memory_mib for record in records)
    where = f"{machine['device']} ({computer['processor']}, {computer['cores']} cores)"
    return [
        ("Computed on", f"{where}, {machine['precision']}, {machine['threads']} thread(s) a training"),
        ("Cost of a training", f"{wall_s:.0f} s, {cpu_s:.0f} CPU-s (medians); at most {memory_mib:.0f} MiB of memory"),
        ("Versions", f"SegVariance {machine['segvariance']}, torch {machine['torch']}, numpy {machine['numpy']}"),
    ]
