"""Region training against label training on real seeds: at both levels, and what the way of rebuilding labels is worth.

    python Testing/benchmarks/hippocampus_regions.py --work FOLDER [--seeds 6] [--steps 2000] > page.md

Plans and runs one study of the hippocampus in FOLDER with both trainings as configurations (regions whole = 1, 2 and posterior = 2),
going on where it stood; rebuilds labels from the kept region probabilities in the other ways too; prints what ``segvariance compare`` says
of each, as Markdown. Of a finished study it prints the page again without training. About 25 minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from hippocampus_seed_study import segvariance, table
from nnunet_reference import hippocampus_folder

from SegVarianceLib.core.files import read_json
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.stats.comparison_words import difference_text, verdict_title
from SegVarianceLib.stats.comparisons import compare_recipes
from SegVarianceLib.study.facts import recipe_in_words, split_in_words
from SegVarianceLib.study.status import status_of

REGIONS = "whole=1,2; posterior=2"
LABELS, PAINTED = "hippocampus_labels", "hippocampus_regions"
OTHER_WAYS = ("nested", "label_probability")
SMALLEST_DIFFERENCE = 0.005
LEVELS = {"label value 1": "Anterior", "label value 2": "Posterior"}
"""Labels as a study with regions names them, and as the dataset does."""


def plan_and_run(work: Path, seeds: int, steps: int) -> StudyFolder:
    root = work / "study"
    if not (root / "plan.json").exists():
        wishes = ("--seeds", seeds, "--budget", f"{steps} steps", "--device", "cpu", "--split-seed", 0)
        told = ("--configuration", "hippocampus", "--regions", REGIONS, "--train", "both")
        segvariance("plan", hippocampus_folder(), root, *told, *wishes)
    study = StudyFolder.open(root)
    if status_of(study).state != "finished":
        segvariance("run", root, "--jobs", 1)
    return study


def rebuilt(study: StudyFolder, work: Path, rule: str) -> ScoreTable:
    """Scores of the region-trained members with labels rebuilt by ``rule``, named as the study names labels."""
    folder = work / rule
    members = [folder / f"seed_{seed}" for seed in study.plan.seeds]
    if not (folder / "scores.csv").exists():
        for seed, member in zip(study.plan.seeds, members, strict=True):
            which = ("--member", f"{PAINTED}/seed_{seed}", "--probabilities")
            segvariance("regions", study.root, *which, "--rule", rule, "--output", member)
        references = ("--references", hippocampus_folder() / "labelsTr", "--dataset", hippocampus_folder())
        given = (*references, "--only-predicted", "--configuration", rule, "--output", folder / "scores.csv")
        segvariance("score", *members, *given)
    names = {name: value for value, name in LEVELS.items()}
    found = ScoreTable.read(folder / "scores.csv").scores
    return ScoreTable(tuple(score._replace(structure=names[score.structure], fold=0) for score in found))


def page(study: StudyFolder, others: ScoreTable) -> str:
    scores = ScoreTable((*ScoreTable.read(study.scores_path).scores, *others.scores))
    return "\n\n".join(
        (
            "# Region training against label training, on real seeds",
            _how_it_was_made(study),
            "## Trained on labels, or on regions",
            _differences(scores, (LABELS, PAINTED), ("whole", "posterior", *LEVELS)),
            "## Labels rebuilt from the same region probabilities in another way",
            *(f"{rule}:\n\n{_differences(scores, (rule, PAINTED), tuple(LEVELS))}" for rule in OTHER_WAYS),
            f"label_probability against label training:\n\n{_differences(scores, ('label_probability', LABELS), tuple(LEVELS))}",
        )
    )


def _how_it_was_made(study: StudyFolder) -> str:
    machine, seeds = read_json(study.environment_path), study.plan.seeds
    costs = [
        f"{name} {median(study.record(run).cpu_s for run in study.runs if run.configuration == name):.0f} CPU-s"
        for name in (LABELS, PAINTED)
    ]
    steps = study.plan.configurations[0].training.steps
    facts = (
        f"Command: `python Testing/benchmarks/hippocampus_regions.py --work FOLDER --seeds {len(seeds)} --steps {steps}`",
        f"Data: {study.dataset.name}, {split_in_words(study)} (split seed {study.plan.split_seed}); regions {REGIONS}",
        f"Both: {recipe_in_words(study.plan.configurations[0])}",
        f"Cost of a training: {', '.join(costs)}",
        f"Machine: {machine['processor']}, {machine['cores']} core(s), Python {machine['python']}",
    )
    return "\n".join(f"- {fact}" for fact in facts)


def _differences(scores: ScoreTable, pair: tuple[str, str], structures: tuple[str, ...]) -> str:
    head = ("Structure", *pair, "difference (95 %)", "p", "Verdict")
    rows = []
    for structure in structures:
        primary = compare_recipes(scores, pair, "dice", SMALLEST_DIFFERENCE, structure=structure).primary[0]
        means = f"{primary.a.mean:.4f}", f"{primary.b.mean:.4f}"
        rows.append((structure, *means, difference_text(primary), f"{primary.p:.2g}", verdict_title(primary)))
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the study, new or finished")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=2000, help="length of each training")
    given = parser.parse_args()
    study = plan_and_run(given.work, given.seeds, given.steps)
    others = [score for rule in OTHER_WAYS for score in rebuilt(study, given.work, rule).scores]
    print(page(study, ScoreTable(tuple(others))))


if __name__ == "__main__":
    main()
