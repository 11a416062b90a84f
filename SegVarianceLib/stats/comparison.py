"""What a difference between two recipes is worth: one metric, one structure, all figures.

Arrays are [seed, case]. Every lead is positive where the first recipe, a, is better, also for a distance in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.seeding import generator
from .cross_validation import NewTrainingData, new_training_data
from .effects import cases_beyond, error_ratio, failure_rate, probability_better
from .intervals import Estimate
from .multiplicity import holm
from .power import ToSettle, to_settle
from .resampling import Pigeonhole, canonical, percentile_interval
from .score_cube import higher_is_better
from .seed_matrix import Exclusion, SeedMatrix
from .tests import SIGNIFICANCE_LEVEL, exact_permutation_p
from .two_way import two_way
from .usual_tests import UsualTest, half_differences, usual_tests
from .variance_components import PilotVariances, pilot_variances
from .variance_parts import VariancePart, variance_parts

EQUIVALENCE_CONFIDENCE = 0.90
"""Two one-sided tests at 5 % are a 90 % interval inside the bounds (Schuirmann 1987, J Pharmacokinet Biopharm 15:657)."""

FAILED_BELOW = 0.5
"""A score between 0 and 1 below this is a failure, like a missed structure or a false alarm."""


class Verdict(StrEnum):
    """What the intervals say against the smallest difference that matters, d0."""

    BETTER = "better beyond re-training luck"
    MAYBE_TOO_LITTLE = "better, but maybe too little to matter"
    EQUIVALENT = "equivalent for your purpose"
    NOT_SETTLED = "not settled"


@dataclass(frozen=True)
class Recipe:
    """One side. ``failures``: share of its scores that are missed, false alarms or below 0.5, over all cases that every
    seed has a line for (a missed structure has no distance, and is a failure). ``ensemble_of``: how many trainings stand
    behind one of ``seeds``, 1 but for ensembles."""

    name: str
    seeds: tuple[int, ...]
    mean: float
    sd_between_seeds: float
    failures: Estimate
    left_out_seeds: tuple[int, ...]
    ensemble_of: int = 1


@dataclass(frozen=True)
class Comparison:
    """All figures of a against b.

    ``lead`` and ``p``: the two-way t, 95 %. ``beyond_p``: of the leader's lead being d0 (``smallest_difference``) or less, twice
    the one-sided p, so that it stands beside ``p``. ``equivalence``, ``equivalence_p``: 90 % interval, and the larger p of two
    one-sided tests against d0. ``from_cases``, ``from_seeds``: the parts of the squared error that other cases, and other
    trainings, would change, each without what both share.

    ``redrawn``: pigeonhole bootstrap. ``probability_better``, ``cases_better``, ``cases_worse``, ``error_ratio``: ``stats.effects``.
    ``p_holm``: corrected within the family of ``family`` comparisons that was asked for, and the verdict with it.
    """

    a: Recipe
    b: Recipe
    metric: Facts
    structure: str
    smallest_difference: float
    cases: tuple[str, ...]
    images: int
    folds: int
    verdict: Verdict
    lead: Estimate
    standard_error: float
    freedom: float
    from_cases: float
    from_seeds: float
    p: float
    beyond_p: float
    equivalence: Estimate
    equivalence_p: float
    redrawn: Estimate
    new_training_data: NewTrainingData | None
    probability_better: Estimate
    cases_better: Estimate
    cases_worse: Estimate
    error_ratio: Estimate | None
    permutation_p: float | None
    usual: tuple[UsualTest, ...]
    variance: tuple[VariancePart, ...]
    pilot: PilotVariances
    to_settle: ToSettle
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    random_seed: int
    p_holm: float | None = None
    family: int = 1
    a_values: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)
    b_values: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)

    @property
    def leader(self) -> Recipe:
        """Whoever has the better mean here."""
        return self.a if self.lead.value >= 0 else self.b

    @property
    def follower(self) -> Recipe:
        return self.b if self.lead.value >= 0 else self.a

    def to_json(self) -> dict[str, Any]:
        """All figures, without single scores and single p values (they follow from scores.csv)."""
        content = asdict(self)
        for name in ("a_values", "b_values"):
            del content[name]
        for test in content["usual"]:
            del test["between_p"], test["within_p"]
        content["metric"] = {"id": self.metric.id, "title": self.metric.title, "unit": self.metric.unit}
        return content


def smallest_difference_of(metric: Facts) -> float:
    """d0 where the user names none: 0.01 of a score between 0 and 1, 1 mm of a distance."""
    return 1.0 if metric.unit == "mm" else 0.01


def require_sensible(metric: Facts, smallest_difference: float) -> None:
    """Raises SegVarianceError where ``smallest_difference`` (d0) cannot be meant for ``metric``."""
    if not 0 < smallest_difference < (np.inf if metric.unit else 1.0):
        room = "above 0" if metric.unit else "above 0 and below 1 (0.01 is one percentage point)"
        raise SegVarianceError(
            f"The smallest difference that matters must be {room}, found {smallest_difference:g}. Give for example 0.01."
        )


def compare_matrices(
    a: SeedMatrix, b: SeedMatrix, smallest_difference: float | None = None, random_seed: int = 0
) -> Comparison:
    """Compare two recipes on the same cases (``seed_matrix.matched``; from arrays, ``SeedMatrix.of_array``).

    ``smallest_difference`` (d0) is in the metric's unit. ``random_seed`` feeds the bootstrap and the random halvings;
    names and order of cases and seeds change no number.

    Raises:
        SegVarianceError: other cases in a than in b, fewer than 2 seeds on a side, or d0 not above 0.
    """
    d0 = smallest_difference_of(a.metric) if smallest_difference is None else smallest_difference
    _check(a, b, d0)
    higher = higher_is_better(a.metric)
    first, second, folds, drawn, halves = _in_canonical_order(a, b, 1.0 if higher else -1.0, random_seed)
    result = two_way(first, second)
    equivalence = result.interval(EQUIVALENCE_CONFIDENCE)
    pilot = pilot_variances(first, second)
    better, worse = cases_beyond(first, second, d0)
    p, beyond_p, equivalence_p = result.p_different(), result.p_not_beyond(d0), result.p_not_equivalent(d0)
    return Comparison(
        a=_recipe(a),
        b=_recipe(b),
        metric=a.metric,
        structure=a.structure,
        smallest_difference=d0,
        cases=a.cases,
        images=sum(a.images),
        folds=0 if folds is None else len(np.unique(folds)),
        verdict=verdict_of(p, beyond_p, equivalence_p),
        lead=result.interval(),
        standard_error=result.standard_error,
        freedom=result.freedom,
        from_cases=max(0.0, result.case - result.residual),
        from_seeds=max(0.0, result.seed - result.residual),
        p=p,
        beyond_p=beyond_p,
        equivalence=equivalence,
        equivalence_p=equivalence_p,
        redrawn=percentile_interval(result.difference, drawn.means[0] - drawn.means[1]),
        new_training_data=None if folds is None else new_training_data(first, second, folds),
        probability_better=probability_better(first, second, drawn),
        cases_better=better,
        cases_worse=worse,
        error_ratio=error_ratio(first, second) if higher else None,
        permutation_p=exact_permutation_p(first.mean(axis=1), second.mean(axis=1)),
        usual=usual_tests(first, second, halves),
        variance=variance_parts((first, second), folds),
        pilot=pilot,
        to_settle=to_settle(pilot, len(first), len(second), first.shape[1], d0),
        exclusions=a.exclusions,
        notes=tuple(dict.fromkeys((*a.notes, *b.notes, *_warnings(a, b)))),
        random_seed=random_seed,
        a_values=a.values,
        b_values=b.values,
    )


def verdict_of(p: float, beyond_p: float, equivalence_p: float) -> Verdict:
    """From the three p values, each at 5 %: for a single comparison, the 95 % interval (equivalence: 90 %) against 0 and d0.

    A gain that is surely too small is an equivalence.
    """
    if beyond_p < SIGNIFICANCE_LEVEL:
        return Verdict.BETTER
    if equivalence_p < SIGNIFICANCE_LEVEL:
        return Verdict.EQUIVALENT
    return Verdict.MAYBE_TOO_LITTLE if p < SIGNIFICANCE_LEVEL else Verdict.NOT_SETTLED


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons as one family: Holm's correction of each kind of p value, and the verdicts that follow."""
    kinds = (
        holm(np.array([getattr(each, name) for each in comparisons])) for name in ("p", "beyond_p", "equivalence_p")
    )
    return [
        replace(each, p_holm=float(p[0]), family=len(comparisons), verdict=verdict_of(*p))
        for each, p in zip(comparisons, np.stack([*kinds], axis=1), strict=True)
    ]


def _in_canonical_order(
    a: SeedMatrix, b: SeedMatrix, sign: float, random_seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Pigeonhole, np.ndarray | None]:
    """Both sides' scores (higher is better) with folds by case, redrawn studies and halves of seeds: nothing of it hangs on
    names, on the order of lines, or on which side is called a."""
    swap = sorted((tuple(np.sort(m.values, axis=None)), m is b) for m in (a, b))[0][1]
    sides = (b, a) if swap else (a, b)
    arms, order = canonical([sign * side.values for side in sides])
    drawn = Pigeonhole.of(arms, generator(random_seed, "pigeonhole"))
    halves = half_differences(arms, generator(random_seed, "halvings"))
    folds = None if a.folds[0] is None else np.array(a.folds)[order]
    if swap:
        arms, drawn = arms[::-1], Pigeonhole(drawn.seed_weights[::-1], drawn.seed_means[::-1])
        halves = None if halves is None else halves[::-1]
    return arms[0], arms[1], folds, drawn, halves


def _check(a: SeedMatrix, b: SeedMatrix, d0: float) -> None:
    if a.cases != b.cases or a.metric != b.metric or a.structure != b.structure:
        raise SegVarianceError(
            f"{a.configuration!r} and {b.configuration!r} are not on the same cases, metric and structure. "
            "Match them first (seed_matrix.matched)."
        )
    if min(len(a.seeds), len(b.seeds)) < 2:
        raise SegVarianceError("A comparison that carries training luck needs at least 2 trainings of each recipe.")
    require_sensible(a.metric, d0)


def _warnings(a: SeedMatrix, b: SeedMatrix) -> list[str]:
    """What a reader should know before trusting the figures."""
    found = _same_trainings(a, b)
    if len(a.cases) < 10:
        found.append(f"{len(a.cases)} cases are few: all intervals are rough. Score at least 10.")
    if min(len(a.seeds), len(b.seeds)) == 2:
        found.append(
            "Two trainings are the least that can show luck at all: all intervals are rough. Train at least three."
        )
    return found


def _same_trainings(a: SeedMatrix, b: SeedMatrix) -> list[str]:
    """A warning where a training seems to stand on both sides: one recipe with one seed gives the same bytes twice."""
    varied = a.values.std(axis=1) > 0  # two that failed on every case are alike and need not be one
    same = (a.values[:, None] == b.values[None]).all(axis=2) & varied[:, None]
    if not same.any():
        return []
    i, j = np.argwhere(same)[0]
    return [
        f"Seed {a.seeds[i]} of {a.configuration} and seed {b.seeds[j]} of {b.configuration} have the same score on every case: they "
        "look like one training given twice. Train one side with other seeds (--first-seed)."
    ]


def _recipe(matrix: SeedMatrix) -> Recipe:
    failed = matrix.failures
    if not matrix.metric.unit:
        failed = failed | (matrix.values < FAILED_BELOW)
    means = matrix.values.mean(axis=1)
    return Recipe(
        matrix.configuration,
        matrix.seeds,
        float(means.mean()),
        float(means.std(ddof=1)),
        failure_rate(np.concatenate([failed, matrix.failures_left_out], axis=1)),
        matrix.left_out_seeds,
    )
