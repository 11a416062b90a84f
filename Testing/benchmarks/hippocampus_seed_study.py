"""The real seed study: ten seeds of one recipe on hippocampus, 160 training and 40 held-out cases, as a page of Markdown.

    python Testing/benchmarks/hippocampus_seed_study.py --study FOLDER [--seeds 10] [--steps 2000] > page.md

Plans the study in FOLDER if it holds none, runs it (goes on where it stood; does nothing if it is finished), and prints what came
out. Of a finished study it prints the page again without training. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from nnunet_reference import SEGVARIANCE, hippocampus_folder

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import read_json
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.stats.seed_study import SeedStudy, seed_studies
from SegVarianceLib.stats.variance_components import Estimate
from SegVarianceLib.stats.verdict import findings, percent
from SegVarianceLib.study.facts import recipe_in_words, split_in_words
from SegVarianceLib.study.status import status_of

METRIC = "dice"


def plan_and_run(root: Path, seeds: int, steps: int, jobs: int | None) -> StudyFolder:
    if not (root / "plan.json").exists():
        wishes = ("--seeds", seeds, "--split", "holdout", "--split-seed", 0, "--budget", f"{steps} steps")
        segvariance("plan", hippocampus_folder(), root, *wishes)
    study = StudyFolder.open(root)
    if status_of(study).state != "finished":
        segvariance("run", root, *(() if jobs is None else ("--jobs", jobs)))
    return study


def segvariance(*arguments: object) -> None:
    subprocess.run([*SEGVARIANCE, *map(str, arguments)], check=True, stdout=sys.stderr)


def page(study: StudyFolder) -> str:
    studies = seed_studies(ScoreTable.read(study.scores_path).where(metric=METRIC))
    found = studies.studies
    first = found[0]
    parts = [
        f"# Seed study: {study.dataset.name}, {len(first.seeds)} seeds of one recipe",
        *_how_it_was_made(study),
        f"## What came out ({first.metric.title}, {first.structure})",
        "\n".join(f"- {sentence}" for sentence in findings(first)),
        "## Spread between seeds",
        table(
            (
                "Structure",
                "Seeds",
                "Cases",
                "Mean",
                "Lowest seed",
                "Highest seed",
                "SD between seeds",
                "Lambda (95 % interval)",
            ),
            (
                (
                    s.structure,
                    len(s.seeds),
                    len(s.cases),
                    *map(_four, (s.mean, s.lowest, s.highest, s.sd_between_seeds)),
                    _interval(s.luck_ratio),
                )
                for s in found
            ),
        ),
        "Lambda: number of cases x variance of the seed / residual variance; 0 means that seeds make no difference.",
        '## How often a test calls two trainings of the same recipe "significantly" different (p < 0.05)',
        table(
            (
                *(
                    "Structure",
                    "Best seed",
                    "Best beats, paired t",
                    "Best beats, Wilcoxon",
                    "Picking the best alone (5-95 %)",
                ),
                *("Random pairs, paired t", "Random pairs, Wilcoxon", "Random pairs expected (95 % interval)"),
            ),
            map(_shares, found),
        ),
        "Best beats: share of the other seeds that the best one beats. Picking alone: what that share would be if seeds made "
        "no difference. Random pairs expected: from lambda; 5 % would be no effect of the seed.",
        "## Ensembles of all seeds against the single seeds",
        table(
            ("Structure", "Ensemble", "Mean", "Mean of single seeds", "Difference", "Single seeds exceeded"),
            (
                (
                    s.structure,
                    g.ensemble,
                    *map(_four, (g.mean, g.single_mean)),
                    f"{g.difference:+.4f}",
                    percent(g.seeds_exceeded),
                )
                for s in found
                for g in s.ensembles
            ),
        ),
        "## Each seed: mean over the held-out cases",
        _each_seed(found),
        *studies.not_studied,
    ]
    return "\n\n".join(parts)


def _how_it_was_made(study: StudyFolder) -> list[str]:
    plan, machine = study.plan, read_json(study.environment_path)
    steps = plan.configurations[0].training.steps
    records = [study.record(run) for run in study.runs]
    *_, finished = (event["time_s"] for event in read_events(study.events_path) if event["kind"] == "study_finished")
    whole = [
        record for record in records if not record.resumed
    ] or records  # of a resumed one the last part is recorded
    cpu_s, memory_mib = median(record.cpu_s for record in whole), max(record.peak_memory_mib for record in records)
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    facts = (
        (
            "Command",
            f"`python Testing/benchmarks/hippocampus_seed_study.py --study FOLDER --seeds {len(plan.seeds)} --steps {steps}`",
        ),
        ("Data", f"{study.dataset.name}, {split_in_words(study)} (split seed {plan.split_seed})"),
        ("Recipe", recipe_in_words(plan.configurations[0])),
        (
            "Machine",
            f"{machine['processor']}, {machine['cores']} core(s), {machine['memory_gib']} GiB, {records[0].machine['precision']}",
        ),
        (
            "Cost of a training",
            f"{cpu_s:.0f} CPU-s (median, prediction of the held-out cases included), at most {memory_mib:.0f} MiB",
        ),
        ("Date", time.strftime("%Y-%m-%d", time.gmtime(finished))),
        ("Versions", f"SegVariance {machine['segvariance']}, Python {machine['python']}, {packages}"),
    )
    return ["\n".join(f"- {what}: {text}" for what, text in facts)]


def _shares(s: SeedStudy) -> tuple[object, ...]:
    alone, expected = s.selection_alone, s.expected_random_pairs
    return (
        *(s.structure, s.best_seed, percent(s.paired_t.best_beats), percent(s.wilcoxon.best_beats)),
        f"{percent(alone.mean)} ({percent(alone.low)} to {percent(alone.high)})",
        *(percent(s.paired_t.random_pairs), percent(s.wilcoxon.random_pairs)),
        "" if expected is None else f"{percent(expected.value)} ({percent(expected.low)} to {percent(expected.high)})",
    )


def _each_seed(studies: Sequence[SeedStudy]) -> str:
    seeds = sorted({seed.seed for s in studies for seed in s.seeds})
    means = [{seed.seed: _four(seed.mean) for seed in s.seeds} for s in studies]
    rows = ((seed, *(column.get(seed, "") for column in means)) for seed in seeds)
    return table(("Seed", *(s.structure for s in studies)), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _four(value: float) -> str:
    return f"{value:.4f}"


def _interval(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True, help="folder of the study, new or finished")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=2000, help="length of each training")
    parser.add_argument("--jobs", type=int, default=None, help="trainings side by side (default: one per core)")
    a = parser.parse_args()
    print(page(plan_and_run(a.study.resolve(), a.seeds, a.steps, a.jobs)))


if __name__ == "__main__":
    main()
