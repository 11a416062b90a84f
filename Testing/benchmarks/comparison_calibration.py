"""Does the two-way t keep its word? False alarms, coverage and power over null settings, beside what people use, as Markdown.

    python Testing/benchmarks/comparison_calibration.py [--repetitions 4000] > page.md

Two recipes are drawn from one law (so that each "significant" difference is a false alarm), many times a setting: Gaussian
scores and Dice-like ones (skewed, harder cases noisier, some structures missed), 3 to 10 seeds, 20 to 260 cases, hold-out and
5-fold. Then one recipe is made better, and every test is held to the false-alarm rate of 5 % that it truly has. Progress goes to
standard error; about twenty minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from SegVarianceLib.core.seeding import generator
from SegVarianceLib.stats.cross_validation import new_training_data
from SegVarianceLib.stats.resampling import Pigeonhole
from SegVarianceLib.stats.tests import paired_t_p, wilcoxon_signed_rank_p
from SegVarianceLib.stats.two_way import two_way

LEVEL = 0.05
RESAMPLES = 500
BOOTSTRAPPED = 1000  # repetitions on which the two bootstraps are run: they cost the most


@dataclass(frozen=True)
class Setting:
    """SDs of Dice points for Gaussian scores; for Dice-like ones, of the logarithm of 1 - Dice."""

    law: str
    seeds: int
    cases: int
    folds: int
    sd_seed: float
    sd_recipe_case: float
    sd_residual: float
    missed: float = 0.0
    sd_recipe_fold: float = 0.0
    gain: float = 0.0

    @property
    def name(self) -> str:
        split = "hold-out" if self.folds == 1 else f"{self.folds}-fold"
        missed = f", {100 * self.missed:g} % missed" if self.missed else ""
        fold = f", recipe x fold {self.sd_recipe_fold:g}" if self.sd_recipe_fold else ""
        return f"{self.law}, {self.seeds} seeds, {self.cases} cases, {split}, seed {self.sd_seed:g}, recipe x case {self.sd_recipe_case:g}, residual {self.sd_residual:g}{fold}{missed}"

    @property
    def fold_of_case(self) -> np.ndarray:
        return np.arange(self.cases) % self.folds

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Scores [seed, case] of a and b on the same cases; a is better by ``gain`` (of the logarithm, if Dice-like)."""
        case = rng.standard_normal(self.cases)
        return self._arm(rng, case, self.gain), self._arm(rng, case, 0.0)

    def _arm(self, rng: np.random.Generator, case: np.ndarray, gain: float) -> np.ndarray:
        fold = self.fold_of_case
        luck = self.sd_seed * np.sqrt(self.folds) * rng.standard_normal((self.seeds, self.folds))[:, fold]
        own = self.sd_recipe_case * rng.standard_normal(self.cases)
        own = own + self.sd_recipe_fold * rng.standard_normal(self.folds)[fold]
        noise = self.sd_residual * rng.standard_normal((self.seeds, self.cases))
        if self.law == "Gaussian":
            return 0.85 + 0.05 * case + own + luck + noise + gain
        error = np.exp(np.log(0.12) + 0.5 * case + own + luck + np.exp(0.4 * case) * noise - gain)
        scores = 1 - np.minimum(error, 1.0)
        return np.where(rng.random(scores.shape) < self.missed, 0.0, scores)


def settings() -> list[Setting]:
    """36 null settings: no seed effect, a small and a large one, with and without a case's own difference."""
    found = []
    for seeds, cases in ((3, 20), (3, 100), (5, 52), (5, 260), (10, 20), (10, 260)):
        found += [
            Setting("Gaussian", seeds, cases, 1, *sd) for sd in ((0, 0, 0.012), (0.0015, 0.01, 0.012), (0.005, 0, 0.02))
        ]
    for seeds, cases in ((3, 52), (5, 100), (10, 260)):
        found += [Setting("Gaussian", seeds, cases, 5, *sd) for sd in ((0.0015, 0.01, 0.012), (0.005, 0, 0.02))]
    for seeds, cases in ((3, 20), (3, 100), (5, 52), (10, 20), (10, 100)):
        found += [
            Setting("Dice-like", seeds, cases, 1, *sd, missed=0.004) for sd in ((0.0, 0.1, 0.1), (0.05, 0.05, 0.1))
        ]
    found += [
        Setting("Dice-like", 3, 260, 5, 0.02, 0.1, 0.1, missed=0.004),
        Setting("Dice-like", 5, 52, 5, 0.02, 0.05, 0.1, missed=0.02),
    ]
    return found


def new_data_settings() -> list[Setting]:
    """Where the training data of a fold favour one recipe by chance: equal recipes, if the data were drawn anew."""
    return [
        Setting("Gaussian", seeds, cases, 5, 0.002, 0.01, 0.012, sd_recipe_fold=sd)
        for seeds, cases in ((3, 50), (10, 260))
        for sd in (0.002, 0.005, 0.01)
    ]


Figures = tuple[float, float]
"""p value and the size of the statistic (to compare tests at equal false alarms)."""


def usual(name: str, a: np.ndarray, b: np.ndarray) -> Figures:
    """p and |t| or its like by what people use; ``a`` and ``b`` are [seed, case]."""
    if name == "paired t, one seed":
        p = float(paired_t_p((a[0] - b[0])[None])[0])
    elif name == "paired t, seed means":
        p = float(paired_t_p((a.mean(axis=0) - b.mean(axis=0))[None])[0])
    elif name == "Wilcoxon, one seed":
        p = float(wilcoxon_signed_rank_p((a[0] - b[0])[None])[0])
    else:
        p = float(stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False).pvalue)
    return p, -p


def case_bootstrap(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> Figures:
    differences = a.mean(axis=0) - b.mean(axis=0)
    drawn = rng.multinomial(len(differences), np.full(len(differences), 1 / len(differences)), RESAMPLES) @ differences
    return _percentile_figures(differences.mean(), drawn / len(differences))


def pigeonhole(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> Figures:
    first, second = Pigeonhole.of((a, b), rng, RESAMPLES).means
    return _percentile_figures(a.mean() - b.mean(), first - second)


def _percentile_figures(value: float, drawn: np.ndarray) -> Figures:
    above = (drawn > 0).mean()
    return 2 * min(above, 1 - above), abs(value) / drawn.std()


USUAL = ("paired t, one seed", "paired t, seed means", "Wilcoxon, one seed", "Welch, seed means")
BOOTSTRAPS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Figures]] = {
    "case bootstrap": case_bootstrap,
    "pigeonhole": pigeonhole,
}
MAIN, NEW_DATA = "two-way t", "Nadeau-Bengio"
TESTS = (MAIN, *BOOTSTRAPS, *USUAL, NEW_DATA)


@dataclass(frozen=True)
class Outcome:
    """p values and statistics [repetition] of each test; the two-way t's lead, and half its interval."""

    p: dict[str, np.ndarray]
    size: dict[str, np.ndarray]
    lead: np.ndarray
    margin: np.ndarray

    def alarms(self, test: str) -> float:
        return float((self.p[test] < LEVEL).mean()) if self.p[test].size else np.nan


def run(setting: Setting, repetitions: int, seed: int) -> Outcome:
    rng = generator(seed, "calibration", repr(setting))
    figures: dict[str, list[Figures]] = {test: [] for test in TESTS}
    leads = []
    for repetition in range(repetitions):
        a, b = setting.draw(rng)
        main = two_way(a, b)
        figures[MAIN].append((main.p_different(), abs(main.difference) / main.standard_error))
        leads.append((main.difference, main.interval().high - main.difference))
        for test in USUAL:
            figures[test].append(usual(test, a, b))
        if repetition < BOOTSTRAPPED:
            for test, bootstrap in BOOTSTRAPS.items():
                figures[test].append(bootstrap(a, b, rng))
        if (found := new_training_data(a, b, setting.fold_of_case)) is not None:
            figures[NEW_DATA].append((found.p, -found.p))
    arrays = {test: np.array(rows).reshape(-1, 2).T for test, rows in figures.items()}
    lead, margin = np.array(leads).T
    return Outcome({t: f[0] for t, f in arrays.items()}, {t: f[1] for t, f in arrays.items()}, lead, margin)


def with_gain(setting: Setting) -> Setting:
    """The setting with a true difference that the two-way t finds about two times in three."""
    rng = generator(0, "gain", repr(setting))
    error = np.median([two_way(*setting.draw(rng)).standard_error for _ in range(50)])
    return replace(setting, gain=2.5 * float(error) * (1.0 if setting.law == "Gaussian" else 1 / 0.15))


def true_lead(setting: Setting, seed: int) -> float:
    """Expected lead of a setting with a gain: exact if Gaussian, else the mean over very many cases."""
    if setting.law == "Gaussian":
        return setting.gain
    many = replace(setting, seeds=2, cases=200_000, folds=1, sd_seed=0.0)
    rng = generator(seed, "true lead", repr(setting))
    # a hold-out of one seed each carries the seed's effect to all cases: it is put among the recipe's own, case by case
    own = float(np.hypot(setting.sd_recipe_case, setting.sd_seed * np.sqrt(setting.folds)))
    draws = [replace(many, sd_recipe_case=own).draw(rng) for _ in range(10)]
    return float(np.mean([a.mean() - b.mean() for a, b in draws]))


def null_table(found: Sequence[tuple[Setting, Outcome, float]]) -> Iterator[str]:
    yield "| Setting | " + " | ".join(TESTS) + " | coverage at a true difference |"
    yield "|---|" + "---|" * (len(TESTS) + 1)
    for setting, outcome, coverage in found:
        cells = " | ".join("" if np.isnan(v := outcome.alarms(test)) else f"{100 * v:.1f}" for test in TESTS)
        yield f"| {setting.name} | {cells} | {100 * coverage:.1f} |"
    ranges = []
    for test in TESTS:
        alarms = [100 * v for _, outcome, _ in found if not np.isnan(v := outcome.alarms(test))]
        ranges.append(f"{min(alarms):.1f}–{max(alarms):.1f}")
    covered = [100 * coverage for *_, coverage in found]
    yield f"| **all settings** | {' | '.join(ranges)} | {min(covered):.1f}–{max(covered):.1f} |"


def new_data_table(found: Sequence[tuple[Setting, Outcome]]) -> Iterator[str]:
    yield f"| Setting | {MAIN} | {NEW_DATA} |"
    yield "|---|---|---|"
    for setting, outcome in found:
        yield f"| {setting.name} | {100 * outcome.alarms(MAIN):.1f} | {100 * outcome.alarms(NEW_DATA):.1f} |"


def power_table(found: Sequence[tuple[Setting, Outcome, Outcome]]) -> Iterator[str]:
    tests = [test for test in TESTS if test != NEW_DATA]
    yield "| Setting | true difference | " + " | ".join(tests) + " |"
    yield "|---|---|" + "---|" * len(tests)
    for setting, null, better in found:
        cells = []
        for test in tests:
            threshold = np.quantile(null.size[test], 1 - LEVEL)
            cells.append(f"{100 * (better.size[test] > threshold).mean():.0f}")
        yield f"| {setting.name} | {better.lead.mean():.4f} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    null, power = [], []
    chosen = settings()
    for number, setting in enumerate(chosen, start=1):
        print(f"{number} of {len(chosen)}: {setting.name}", file=sys.stderr)
        gained = with_gain(setting)
        outcome, better = run(setting, a.repetitions, a.seed), run(gained, a.repetitions // 2, a.seed)
        coverage = float((np.abs(better.lead - true_lead(gained, a.seed)) <= better.margin).mean())
        null.append((setting, outcome, coverage))
        power.append((setting, outcome, better))
    print(f"### False alarms at 5 % nominal, in % of {a.repetitions} studies of two equal recipes\n")
    print("\n".join(null_table(null)))
    print("\n### False alarms in %, cross-validation, where the claim is about new training data\n")
    print("\n".join(new_data_table([(s, run(s, a.repetitions, a.seed)) for s in new_data_settings()])))
    print(
        f"\n### Power in % at a true difference, every test held to 5 % true false alarms ({a.repetitions // 2} studies)\n"
    )
    print("\n".join(power_table(power)))


if __name__ == "__main__":
    main()
