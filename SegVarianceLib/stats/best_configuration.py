"""Which of several recipes and their ensembles is best, where the scores can tell, and how much of the choice is luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.sparse import csgraph

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.seeding import generator
from .comparison import Verdict, require_sensible, smallest_difference_of, verdict_of
from .intervals import Estimate
from .multiplicity import holm
from .resampling import REPETITIONS
from .score_cube import higher_is_better
from .seed_matrix import SeedMatrix
from .tests import SIGNIFICANCE_LEVEL
from .two_way import TwoWay, mean_interval, two_way, two_way_of_one


@dataclass(frozen=True)
class Candidate:
    """Something that could be used: ``matrix`` [row, case], in which a row is one repetition of it, made anew from other trainings.

    ``trainings`` names for each row the trainings (whole cross-validated passes) behind it.
    """

    matrix: SeedMatrix
    trainings: tuple[frozenset[str], ...]

    @property
    def name(self) -> str:
        return self.matrix.configuration

    @property
    def size(self) -> int:
        """How many trainings vote in one prediction."""
        return max(map(len, self.trainings))


@dataclass(frozen=True)
class Against:
    """How far the best leads another candidate: 95 % interval, p value, Holm's correction over all pairs, and the verdict with it.

    ``paired``: difference by difference of blocks of rows that share trainings with each other and with no other block (a pair
    against its single members, an ensemble of two seeds against these two); else as if independent, which is cautious where
    trainings are shared.
    """

    lead: Estimate
    p: float
    p_holm: float
    verdict: Verdict
    paired: bool


@dataclass(frozen=True)
class Standing:
    """A candidate's ``mean``: with several ``rows`` its interval holds for other trainings and cases, with one for other cases only.

    Then it cannot be told from luck: it stands beside the family and is never picked. ``picked``: the share of redrawn studies
    in which it has the best mean. ``against`` is None for the best itself, and beside the family.
    """

    name: str
    trainings: int
    rows: int
    mean: Estimate
    picked: float | None
    against: Against | None


@dataclass(frozen=True)
class BestConfiguration:
    """``best`` has the best mean of the family; ``settled`` says whether it is shown to be better than every other.

    ``alike`` are those that it is not shown to be better than; ``simplest`` is the one of the best and these with the fewest
    trainings a prediction. ``optimism``: by how much the mean of the best flatters it, since it was picked for it (bootstrap).
    ``nested``: mean of what is picked on the other folds, on each fold's cases; None without folds.
    """

    metric: Facts
    structure: str
    smallest_difference: float
    cases: int
    best: str
    settled: bool
    alike: tuple[str, ...]
    simplest: str
    optimism: float
    nested: float | None
    standings: tuple[Standing, ...]

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        content["metric"] = {"id": self.metric.id, "title": self.metric.title, "unit": self.metric.unit}
        return content


def best_configuration(
    candidates: Sequence[Candidate], smallest_difference: float | None = None, random_seed: int = 0
) -> BestConfiguration:
    """Judge ``candidates``, all on the same cases (``seed_matrix.matched``), in the order given.

    Raises:
        SegVarianceError: fewer than 2 candidates with at least 2 rows, other cases in one than in another, d0 not above 0.
    """
    family = [each for each in candidates if len(each.trainings) > 1]
    first = candidates[0].matrix if candidates else None
    if first is None or len(family) < 2 or any(each.matrix.cases != first.cases for each in candidates):
        raise SegVarianceError(
            f"The best of several needs at least 2 candidates with 2 repetitions each, on the same cases; found {len(family)}. "
            "Train at least two seeds of each configuration."
        )
    d0 = smallest_difference_of(first.metric) if smallest_difference is None else smallest_difference
    require_sensible(first.metric, d0)
    sign = 1.0 if higher_is_better(first.metric) else -1.0
    scores = [sign * each.matrix.values for each in family]
    best = int(np.argmax([values.mean() for values in scores]))
    against = _all_against(family, scores, best, d0)
    picked, optimism = _picked(scores, family, random_seed)
    standings = []
    for each in candidates:
        place = family.index(each) if each in family else None
        standings.append(
            Standing(
                each.name,
                each.size,
                len(each.trainings),
                mean_interval(each.matrix.values),
                None if place is None else float(picked[place]),
                None if place is None else against.get(place),
            )
        )
    alike = [place for place, found in against.items() if found.p_holm >= SIGNIFICANCE_LEVEL]
    simplest = min((best, *alike), key=lambda place: (family[place].size, -scores[place].mean()))
    return BestConfiguration(
        first.metric,
        first.structure,
        d0,
        len(first.cases),
        family[best].name,
        not alike,
        tuple(family[place].name for place in alike),
        family[simplest].name,
        optimism,
        _nested(scores, first.folds, sign),
        tuple(standings),
    )


def _all_against(family: Sequence[Candidate], scores: Sequence[np.ndarray], best: int, d0: float) -> dict[int, Against]:
    """The best against each other one, corrected over all pairs of the family: which one is best was not known before."""
    pairs = list(combinations(range(len(family)), 2))
    results: dict[tuple[int, int], tuple[TwoWay, bool]] = {}
    for i, j in pairs:
        a, b = (j, i) if j == best else (i, j)
        blocks = _blocks(family[a], family[b])
        if blocks is None:
            results[a, b] = two_way(scores[a], scores[b]), False
        else:
            differences = [scores[a][of_a].mean(axis=0) - scores[b][of_b].mean(axis=0) for of_a, of_b in blocks]
            results[a, b] = two_way_of_one(np.array(differences)), True
    kinds = [
        holm(np.array(p))
        for p in (
            [result.p_different() for result, _ in results.values()],
            [result.p_not_beyond(d0) for result, _ in results.values()],
            [result.p_not_equivalent(d0) for result, _ in results.values()],
        )
    ]
    found = {}
    for place, ((a, b), (result, paired)) in enumerate(results.items()):
        if a == best:
            corrected = [float(kind[place]) for kind in kinds]
            verdict = verdict_of(corrected[0], corrected[1], corrected[2])
            found[b] = Against(result.interval(), result.p_different(), corrected[0], verdict, paired)
    return dict(sorted(found.items()))


def _blocks(a: Candidate, b: Candidate) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Rows of a and of b that share trainings, block by block; None unless there are several, each of as many rows of both."""
    shared = np.array([[bool(x & y) for y in b.trainings] for x in a.trainings])
    count, block = csgraph.connected_components(
        np.block([[np.zeros((len(shared),) * 2), shared], [shared.T, np.zeros((shared.shape[1],) * 2)]]), directed=False
    )
    rows_a, rows_b = (
        np.bincount(block[: len(shared)], minlength=count),
        np.bincount(block[len(shared) :], minlength=count),
    )
    if count < 2 or not rows_a.all() or not rows_b.all() or np.ptp(rows_a) or np.ptp(rows_b):
        return None
    return [
        (np.flatnonzero(block[: len(shared)] == i), np.flatnonzero(block[len(shared) :] == i)) for i in range(count)
    ]


def _row_by_row(a: Candidate, b: Candidate) -> bool:
    """Whether the i-th row of one is drawn again with the i-th row of the other: they share a training, row by row."""
    return len(a.trainings) == len(b.trainings) and all(x & y for x, y in zip(a.trainings, b.trainings, strict=True))


def _picked(scores: Sequence[np.ndarray], family: Sequence[Candidate], random_seed: int) -> tuple[np.ndarray, float]:
    """How often each has the best mean where cases and trainings are drawn anew, [candidate]; and how much its mean there flatters.

    Cases are drawn together for all; rows together for candidates that are made of the same trainings row by row.
    """
    draws = generator(random_seed, "best configuration")
    cases = scores[0].shape[1]
    leaders = [next(j for j in range(i + 1) if j == i or _row_by_row(family[i], family[j])) for i in range(len(family))]
    case_weights = draws.multinomial(cases, np.full(cases, 1 / cases), size=REPETITIONS) / cases
    row_weights = {
        leader: draws.multinomial(
            len(scores[leader]), np.full(len(scores[leader]), 1 / len(scores[leader])), REPETITIONS
        )
        / len(scores[leader])
        for leader in dict.fromkeys(leaders)
    }
    means = np.stack(
        [
            (row_weights[leader] * (case_weights @ values.T)).sum(axis=1)
            for leader, values in zip(leaders, scores, strict=True)
        ]
    )
    winner = means.argmax(axis=0)
    own = np.array([values.mean() for values in scores])
    # What the one picked in a redrawn study has there, above what it has here, beyond what all candidates have alike.
    shift = means[winner, np.arange(REPETITIONS)] - own[winner]
    return np.bincount(winner, minlength=len(family)) / REPETITIONS, float(
        shift.mean() - (means.mean(axis=1) - own).mean()
    )


def _nested(scores: Sequence[np.ndarray], folds: Sequence[int | None], sign: float) -> float | None:
    numbers = sorted({fold for fold in folds if fold is not None})
    if len(numbers) < 2 or None in folds:
        return None
    of_case = np.array(folds)
    values = np.zeros(len(folds))
    for fold in numbers:
        here = of_case == fold
        winner = int(np.argmax([each[:, ~here].mean() for each in scores]))
        values[here] = scores[winner][:, here].mean(axis=0)
    return float(sign * values.mean())
