"""What a difference between two recipes is worth: one metric, one structure, all figures.

Arrays are [seed, case]. Every lead is positive where the first recipe, a, is better, also for a distance in mm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.seeding import generator
from .cross_validation import NewTrainingData, new_training_data
from .intervals import Estimate, share_interval
from .power import ToSettle, to_settle
from .resampling import Pigeonhole, canonical, pair_wins, percentile_interval
from .score_cube import higher_is_better
from .seed_matrix import Exclusion, SeedMatrix
from .tests import exact_permutation_p
from .two_way import TwoWay, two_way
from .usual_tests import UsualTest, usual_tests
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
    """One side. ``failures``: share of its scores that are missed, false alarms or below 0.5, with Wilson's interval on the
    number of cases (as if all seeds failed on the same)."""

    name: str
    seeds: tuple[int, ...]
    mean: float
    sd_between_seeds: float
    failures: Estimate
    left_out_seeds: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """All figures of a against b.

    ``lead`` and ``p``: the two-way t, 95 %; ``equivalence``: its 90 % interval and the larger p of two one-sided tests against
    d0 (``smallest_difference``). ``redrawn``: pigeonhole bootstrap. ``probability_better``: if both are trained once more,
    how often a has the better mean. ``cases_better``, ``cases_worse``: share of cases by more than d0, one training each.
    ``p_holm``: corrected within the family that was asked for, None for the primary question.
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
    p: float
    equivalence: Estimate
    equivalence_p: float
    redrawn: Estimate
    new_training_data: NewTrainingData | None
    probability_better: Estimate
    cases_better: Estimate
    cases_worse: Estimate
    permutation_p: float | None
    usual: tuple[UsualTest, ...]
    variance: tuple[VariancePart, ...]
    pilot: PilotVariances
    to_settle: ToSettle
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    random_seed: int
    p_holm: float | None = None
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
    sign = 1.0 if higher_is_better(a.metric) else -1.0
    first, second = sign * a.values, sign * b.values
    result = two_way(first, second)
    equivalence = result.interval(EQUIVALENCE_CONFIDENCE)
    folds = None if a.folds[0] is None else np.array(a.folds)
    ordered = canonical([first, second])
    redrawn = Pigeonhole.of(ordered, generator(random_seed, "pigeonhole"))
    pilot = pilot_variances(first, second)
    better, worse = _cases_beyond(first, second, d0)
    return Comparison(
        a=_recipe(a),
        b=_recipe(b),
        metric=a.metric,
        structure=a.structure,
        smallest_difference=d0,
        cases=a.cases,
        images=sum(a.images),
        folds=1 if folds is None else len(np.unique(folds)),
        verdict=verdict_of(result.interval(), equivalence, d0),
        lead=result.interval(),
        standard_error=result.standard_error,
        freedom=result.freedom,
        p=result.p_different(),
        equivalence=equivalence,
        equivalence_p=_equivalence_p(result, d0),
        redrawn=percentile_interval(result.difference, redrawn.means[0] - redrawn.means[1]),
        new_training_data=None if folds is None else new_training_data(first, second, folds),
        probability_better=_probability_better(first, second, redrawn),
        cases_better=better,
        cases_worse=worse,
        permutation_p=exact_permutation_p(first.mean(axis=1), second.mean(axis=1)),
        usual=usual_tests(ordered[0], ordered[1], generator(random_seed, "halvings")),
        variance=variance_parts((first, second), folds),
        pilot=pilot,
        to_settle=to_settle(pilot, len(first), len(second), first.shape[1], d0),
        exclusions=a.exclusions,
        notes=tuple(dict.fromkeys((*a.notes, *b.notes, *_same_trainings(a, b)))),
        random_seed=random_seed,
        a_values=a.values,
        b_values=b.values,
    )


def verdict_of(lead: Estimate, equivalence: Estimate, smallest_difference: float) -> Verdict:
    """From the 95 % interval of the lead and its 90 % interval. A gain that is surely too small is an equivalence."""
    low = max(lead.low, -lead.high)  # of whoever is ahead
    if low > smallest_difference:
        return Verdict.BETTER
    if -smallest_difference < equivalence.low and equivalence.high < smallest_difference:
        return Verdict.EQUIVALENT
    return Verdict.MAYBE_TOO_LITTLE if low > 0 else Verdict.NOT_SETTLED


def _check(a: SeedMatrix, b: SeedMatrix, d0: float) -> None:
    if a.cases != b.cases or a.metric != b.metric or a.structure != b.structure:
        raise SegVarianceError(
            f"{a.configuration!r} and {b.configuration!r} are not on the same cases, metric and structure. "
            "Match them first (seed_matrix.matched)."
        )
    if min(len(a.seeds), len(b.seeds)) < 2:
        raise SegVarianceError("A comparison that carries training luck needs at least 2 trainings of each recipe.")
    if not 0 < d0 < np.inf:
        raise SegVarianceError(
            f"The smallest difference that matters must be above 0, found {d0:g}. Give for example 0.01."
        )


def _same_trainings(a: SeedMatrix, b: SeedMatrix) -> list[str]:
    """A warning where a training seems to stand on both sides: one recipe with one seed gives the same bytes twice."""
    same = (a.values[:, None] == b.values[None]).all(axis=2)
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
        share_interval(float(failed.mean()), len(matrix.cases)),
        matrix.left_out_seeds,
    )


def _equivalence_p(result: TwoWay, d0: float) -> float:
    return max(result.p_not_above(-d0), 1 - result.p_not_above(d0))


def _probability_better(first: np.ndarray, second: np.ndarray, redrawn: Pigeonhole) -> Estimate:
    """Share of pairs of seed means that a wins; Wilson's interval with the effective number of pairs that its bootstrap
    variance means, never more than pairs of equal recipes are worth."""
    share = float(pair_wins(first.mean(axis=1), second.mean(axis=1)).mean())
    most = 3 * len(first) * len(second) / (len(first) + len(second) + 1)
    return share_interval(share, _effective(share, float(redrawn.probability_first_better().var()), most))


def _cases_beyond(first: np.ndarray, second: np.ndarray, d0: float) -> tuple[Estimate, Estimate]:
    """Shares of (case, training of a, training of b) in which a is better by more than d0, and worse by more.

    Variance from structural components over cases and both recipes' seeds (Sen 1960), which counts the residual more
    than once and is therefore cautious; Wilson's interval with the effective number of cases, never more than there are.
    """
    differences = first[:, None] - second[None]  # [a's seed, b's seed, case]
    room = 1e-9 * max(1.0, d0)  # 0.85 - 0.84 must not be more than 0.01 by rounding
    shares = []
    for beyond in (differences > d0 + room, differences < -d0 - room):
        parts = (beyond.mean(axis=(0, 1)), beyond.mean(axis=(1, 2)), beyond.mean(axis=(0, 2)))
        variance = sum(float(part.var(ddof=1)) / len(part) for part in parts)
        share = float(beyond.mean())
        shares.append(share_interval(share, _effective(share, variance, first.shape[1])))
    return shares[0], shares[1]


def _effective(share: float, variance: float, most: float) -> float:
    """Number of yes-or-no observations whose share has this variance, between 1 and ``most``.

    A share of all or none is taken a little inside for this, else a variance however small would leave no observation.
    """
    inside = (share * most + 1) / (most + 2)
    return max(1.0, min(most, inside * (1 - inside) / variance)) if variance > 0 else most
