"""How long a comparison takes: 50 seeds x 500 cases x 10 structures from scores.csv, beside the tools one would use instead.

    python Testing/benchmarks/comparison_speed.py

CPU seconds of one process, one thread. Ours is everything of ``segvariance compare --json`` but the start of Python. Beside it, for
one structure alone: scipy's paired t and Wilcoxon called pair by pair (what our table of false alarms needs), and a mixed
model by statsmodels (REML, as the two-way t's own check) on the largest study that it fits in reasonable time.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.formula import api as formulas

from SegVarianceLib.evaluation.score_table import Score, ScoreTable
from SegVarianceLib.stats.comparisons import compare_recipes
from SegVarianceLib.stats.two_way import two_way
from SegVarianceLib.stats.usual_tests import half_differences, usual_tests

SEEDS, CASES, STRUCTURES = 50, 500, 10
SMALL_SEEDS, SMALL_CASES = 6, 40


def scores(rng: np.random.Generator, seeds: int, cases: int, structures: int) -> dict[str, np.ndarray]:
    """Scores [seed, case, structure] of two recipes on the same cases."""
    case = rng.normal(0, 0.05, (cases, 1))
    luck = {name: rng.normal(0, 0.003, (seeds, 1, 1)) for name in "ab"}
    return {name: 0.6 + case + luck[name] + rng.normal(0, 0.01, (seeds, cases, structures)) for name in "ab"}


def cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def mixed_model(a: np.ndarray, b: np.ndarray) -> float:
    """Standard error of the difference by REML; ``a`` and ``b`` are [seed, case]."""
    rows = [
        (value, recipe, case, f"{recipe}{seed}", f"{recipe}{case}")
        for recipe, values in (("a", a), ("b", b))
        for (seed, case), value in np.ndenumerate(100 * values)  # per cent: REML's steps fail on tiny variances
    ]
    table = pd.DataFrame(rows, columns=["y", "recipe", "case", "seed", "both"])
    parts = {"case": "0 + C(case)", "both": "0 + C(both)", "seed": "0 + C(seed)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = formulas.mixedlm("y ~ recipe", table, groups=np.ones(len(table)), vc_formula=parts)
        return float(model.fit(reml=True, method="lbfgs").bse["recipe[T.b]"]) / 100


def pair_by_pair(a: np.ndarray, b: np.ndarray) -> None:
    pairs = [*combinations(a, 2), *combinations(b, 2), *((x, y) for x in a for y in b)]
    for first, second in pairs:
        stats.ttest_rel(first, second)
        stats.wilcoxon(first, second)


def main() -> None:
    rng = np.random.default_rng(0)
    large = scores(rng, SEEDS, CASES, STRUCTURES)
    lines = (
        Score(name, 0, seed, f"seed_{seed}", f"case_{case}", f"structure_{structure}", "dice", float(value))
        for name, values in large.items()
        for (seed, case, structure), value in np.ndenumerate(values)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        ScoreTable(tuple(lines)).write(path)
        reading = cpu_s(lambda: ScoreTable.read(path))
        table = ScoreTable.read(path)
    comparing = cpu_s(lambda: compare_recipes(table, ("a", "b"), "dice"))
    one = {name: values[:, :, 0] for name, values in large.items()}
    ours = cpu_s(lambda: usual_tests(one["a"], one["b"], half_differences(list(one.values()), rng)))
    scipys = cpu_s(lambda: pair_by_pair(one["a"], one["b"]))
    small = {name: values[:, :, 0] for name, values in scores(rng, SMALL_SEEDS, SMALL_CASES, 1).items()}
    model = cpu_s(lambda: mixed_model(small["a"], small["b"]))
    closed = min(cpu_s(lambda: [two_way(small["a"], small["b"]) for _ in range(100)]) / 100 for _ in range(5))
    print("| what | CPU-s | beside | CPU-s | ratio |")
    print("|---|---|---|---|---|")
    print(f"| read {2 * SEEDS * CASES * STRUCTURES} lines of scores.csv | {reading:.2f} | | | |")
    print(f"| compare, mean and {STRUCTURES} structures, {SEEDS} seeds, {CASES} cases | {comparing:.2f} | | | |")
    print(
        f"| usual tests of all pairs, one structure | {ours:.2f} | scipy pair by pair | {scipys:.2f} | {scipys / ours:.0f} |"
    )
    print(
        f"| two-way t, {SMALL_SEEDS} seeds, {SMALL_CASES} cases | {closed:.5f} | statsmodels MixedLM | {model:.2f} | {model / closed:.0f} |"
    )


if __name__ == "__main__":
    main()
