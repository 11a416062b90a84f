"""How often ``segvariance best`` calls a candidate worse than the best where all are equal, and how much a pick flatters.

    python Testing/benchmarks/best_configuration_calibration.py [--repetitions 500]

Two recipes of one true mean: score = case + recipe x case + seed + residual, all normal. Candidates as for two studies: the single
recipes, groups of two of their seeds, the pair seed by seed; an ensemble's scores are the mean of its members', so that nothing
is gained and every p value below 0.05 after correction is a false alarm. At most 5 % of studies should have any.
"""

from __future__ import annotations

import argparse

import numpy as np

from SegVarianceLib.stats.best_configuration import Candidate, best_configuration
from SegVarianceLib.stats.seed_matrix import SeedMatrix

SETTINGS = (
    # cases, seeds, SD of seed, of recipe x case, of residual
    (50, 4, 0.0015, 0.01, 0.012),
    (200, 4, 0.0015, 0.01, 0.012),
    (200, 4, 0.005, 0.01, 0.012),
    (200, 8, 0.005, 0.01, 0.012),
    (50, 3, 0.005, 0.05, 0.05),
    (200, 4, 0.005, 0.0, 0.012),
)


def study(cases: int, seeds: int, sd_seed: float, sd_recipe: float, sd_residual: float, rng: np.random.Generator):
    case = rng.normal(0.85, 0.05, cases)
    a, b = (
        case
        + rng.normal(0, sd_recipe, cases)
        + rng.normal(0, sd_seed, (seeds, 1))
        + rng.normal(0, sd_residual, (seeds, cases))
        for _ in range(2)
    )
    folds = [number % 5 for number in range(cases)]

    def candidate(name: str, rows: list[np.ndarray], trainings: list[set[str]]) -> Candidate:
        matrix = SeedMatrix.of_array(np.clip(rows, 0, 1), name, "dice", folds=folds)
        return Candidate(matrix, tuple(map(frozenset, trainings)))

    found = []
    for name, values in (("a", a), ("b", b)):
        found.append(candidate(name, list(values), [{f"{name}{seed}"} for seed in range(seeds)]))
    for name, values in (("a", a), ("b", b)):
        groups = [(seed, seed + 1) for seed in range(0, seeds - 1, 2)]
        if len(groups) > 1:
            rows = [values[list(group)].mean(axis=0) for group in groups]
            found.append(candidate(f"{name}_x2", rows, [{f"{name}{seed}" for seed in group} for group in groups]))
    found.append(candidate("a+b", list((a + b) / 2), [{f"a{seed}", f"b{seed}"} for seed in range(seeds)]))
    return best_configuration(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=500)
    repetitions = parser.parse_args().repetitions
    print(
        "| cases | seeds | SD seed | recipe x case | residual | any false alarm | best called settled | flattered | said |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        rng = np.random.default_rng(0)
        alarms, settled, flattered, said = [], [], [], []
        for _ in range(repetitions):
            found = study(*setting, rng)
            alarms.append(any(each.against and each.against.p_holm < 0.05 for each in found.standings))
            settled.append(found.settled)
            best = next(each for each in found.standings if each.name == found.best)
            flattered.append(
                best.mean.value - np.mean([each.mean.value for each in found.standings if each.picked is not None])
            )
            said.append(found.optimism)
        shown = [f"{value:g}" for value in setting]
        shares = [
            f"{np.mean(alarms):.1%}",
            f"{np.mean(settled):.1%}",
            f"{np.mean(flattered):.4f}",
            f"{np.mean(said):.4f}",
        ]
        print(f"| {' | '.join([*shown, *shares])} |", flush=True)


if __name__ == "__main__":
    main()
