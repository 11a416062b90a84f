"""The comparison on real seeds: one recipe trained twice over under two names, and the same recipe with a fifth of the steps.

    python Testing/benchmarks/hippocampus_comparison.py --work FOLDER [--seeds 8] [--steps 2000] > page.md

Plans and runs three studies of the hippocampus in FOLDER (``full``, ``full_again`` with other seeds, ``fifth``), going on where they
stood, and prints what ``segvariance compare`` says, as Markdown. Of finished studies it prints the page again without training.
Progress goes to standard error; about 40 minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from hippocampus_seed_study import segvariance, table
from nnunet_reference import hippocampus_folder

from SegVarianceLib.core.files import read_json
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.stats.comparison import Comparison
from SegVarianceLib.stats.comparison_words import comparison_findings, difference_text, verdict_title
from SegVarianceLib.stats.comparisons import compare_recipes
from SegVarianceLib.stats.verdict import percent
from SegVarianceLib.study.commands_compare import read_scores
from SegVarianceLib.study.facts import recipe_in_words, split_in_words
from SegVarianceLib.study.status import status_of

METRIC = "dice"
PAIRS = (("full", "full_again"), ("full", "fifth"))


def plan_and_run(work: Path, seeds: int, steps: int, jobs: int | None) -> dict[str, StudyFolder]:
    studies = {}
    for number, (name, length) in enumerate((("full", steps), ("full_again", steps), ("fifth", steps // 5))):
        root = work / name
        if not (root / "plan.json").exists():
            wishes = (
                "--configuration",
                name,
                "--seeds",
                seeds,
                "--first-seed",
                number * seeds,
                "--budget",
                f"{length} steps",
            )
            segvariance("plan", hippocampus_folder(), root, *wishes, "--split", "holdout", "--split-seed", 0)
        studies[name] = StudyFolder.open(root)
        if status_of(studies[name]).state != "finished":
            segvariance("run", root, *(() if jobs is None else ("--jobs", jobs)))
    return studies


def page(studies: dict[str, StudyFolder], seeds: int, steps: int) -> str:
    scores = read_scores([str(study.root) for study in studies.values()])
    parts = [f"# Real seeds: {seeds} trainings of a recipe against {seeds} others, and against a fifth of the training"]
    parts += _how_it_was_made(studies, seeds, steps)
    for a, b in PAIRS:
        found = compare_recipes(scores, (a, b), METRIC)
        primary = found.primary[0]
        parts += [
            f"## {verdict_title(primary)}",
            f"Dice, {primary.structure}: {a} {primary.a.mean:.4f}, {b} {primary.b.mean:.4f}; {len(primary.a.seeds)} and "
            f"{len(primary.b.seeds)} trainings, {len(primary.cases)} cases.",
            "\n".join(f"- {sentence}" for sentence in comparison_findings(primary)),
            _differences((primary, *found.by_structure)),
            "What people use, on the same scores (p < 0.05):",
            _usual(primary),
        ]
    return "\n\n".join(parts)


def _how_it_was_made(studies: dict[str, StudyFolder], seeds: int, steps: int) -> list[str]:
    first = studies["full"]
    machine = read_json(first.environment_path)
    cpu_s = {name: median(study.record(run).cpu_s for run in study.runs) for name, study in studies.items()}
    facts = (
        (
            "Command",
            f"`python Testing/benchmarks/hippocampus_comparison.py --work FOLDER --seeds {seeds} --steps {steps}`",
        ),
        (
            "Data",
            f"{first.dataset.name}, {split_in_words(first)} (split seed {first.plan.split_seed}), the same for all",
        ),
        *((name, recipe_in_words(study.plan.configurations[0])) for name, study in studies.items()),
        ("Seeds", ", ".join(f"{name}: {s.plan.seeds[0]} to {s.plan.seeds[-1]}" for name, s in studies.items())),
        ("Cost of a training", ", ".join(f"{name} {cost:.0f} CPU-s" for name, cost in cpu_s.items())),
        ("Machine", f"{machine['processor']}, {machine['cores']} core(s), Python {machine['python']}"),
    )
    return ["\n".join(f"- {what}: {text}" for what, text in facts)]


def _differences(comparisons: Sequence[Comparison]) -> str:
    head = ("Structure", "a", "b", "a minus b (95 %)", "p", "Holm p", "Verdict")
    rows = (
        (c.structure, f"{c.a.mean:.4f}", f"{c.b.mean:.4f}", difference_text(c), f"{c.p:.2g}", "" if c.p_holm is None else f"{c.p_holm:.2g}", c.verdict)
        for c in comparisons
    )  # fmt: skip
    return table(head, rows)


def _usual(c: Comparison) -> str:
    head = ("Test", f"one training each: {c.a.name} better", f"{c.b.name} better", "equal trainings called different",
            "p of all averaged", "equal halves called different")  # fmt: skip
    rows = (
        (t.name, *map(percent, (t.first_better, t.second_better, t.false_alarms)), f"{t.averaged_p:.2g}",
         "" if t.averaged_false_alarms is None else percent(t.averaged_false_alarms))
        for t in c.usual
    )  # fmt: skip
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the three studies, new or finished")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2000, help="length of each full training")
    parser.add_argument("--jobs", type=int, default=None, help="trainings side by side (default: one per core)")
    a = parser.parse_args()
    print(page(plan_and_run(a.work.resolve(), a.seeds, a.steps, a.jobs), a.seeds, a.steps))


if __name__ == "__main__":
    main()
