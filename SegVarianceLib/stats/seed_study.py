"""The seed study: what comes out when one recipe is trained again and again and only the seed changes.

Design: Akesson, Toger, Heiberg 2024, Comput Biol Med 180:108944, with what selection alone would give beside it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.seeding import generator
from ..core.stepwise import result_of
from ..ensemble.subsets import subset_configurations
from ..evaluation.score_table import ScoreTable
from .ensemble_gain import EnsembleGain, ensemble_gain
from .intervals import CONFIDENCE, Estimate
from .multiplicity import holm
from .score_cube import ScoreCube, higher_is_better, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, Exclusion, SeedMatrix
from .selection import (
    SelectionAlone,
    expected_maximum,
    expected_share_of_random_pairs,
    maximum_range,
    selection_alone,
)
from .tests import SIGNIFICANCE_LEVEL, PairwiseTests, pairwise_tests
from .variance_components import MeanSquares, luck_ratio
from .variance_parts import VariancePart, variance_parts


@dataclass(frozen=True)
class SeedMean:
    """One seed: its mean over cases, the 95 % t interval if other cases had been drawn (``low``, ``high``), and half the
    width of the 95 % interval for comparing seeds on these very cases (difficulty of cases taken out)."""

    seed: int
    mean: float
    low: float
    high: float
    same_cases_margin: float


@dataclass(frozen=True)
class SignificantShares:
    """Shares at p < 0.05 by one test. ``best_beats``: of the other seeds, those that the best one is better than.

    ``random_pairs``: of all unordered pairs, those called different. ``ordered_pairs``: of all ordered pairs, those
    whose first is called better. ``_holm``: after Holm's correction, over the best's k - 1 comparisons or over all pairs.
    """

    best_beats: float
    best_beats_holm: float
    ordered_pairs: float
    ordered_pairs_holm: float
    random_pairs: float
    random_pairs_holm: float


@dataclass(frozen=True)
class BestOfMany:
    """How much the best of k seeds flatters.

    ``lead``: its mean over that of all seeds, as found; ``expected_lead``: m_k x SD between seeds, what the best of k
    leads by on average. Only ``kept_share`` = lambda / (1 + lambda) of a lead is the seed's own and would show again on
    new cases (None where lambda cannot be estimated). ``no_effect_lead``: mean and 5-95 % range of the best's lead if
    seeds made no difference. Leads are positive in the direction of better.
    """

    lead: float
    expected_lead: float
    kept_share: float | None
    no_effect_lead: Estimate


@dataclass(frozen=True)
class SeedStudy:
    """Every figure of one configuration, metric and structure (or the foreground mean)."""

    configuration: str
    metric: Facts
    structure: str
    cases: tuple[str, ...]
    seeds: tuple[SeedMean, ...]
    mean: float
    lowest: float
    highest: float
    sd_between_seeds: float
    best_seed: int
    paired_t: SignificantShares
    wilcoxon: SignificantShares
    selection_alone: SelectionAlone
    luck_ratio: Estimate | None
    expected_random_pairs: Estimate | None
    best_of_many: BestOfMany
    variance: tuple[VariancePart, ...]
    ensembles: tuple[EnsembleGain, ...]
    exclusions: tuple[Exclusion, ...]
    incomplete_seeds: tuple[int, ...]
    left_out_seeds: tuple[int, ...]
    values: np.ndarray = field(repr=False, compare=False)
    """[seed, case], as in ``seeds`` and ``cases``."""

    def to_json(self) -> dict[str, Any]:
        """All figures, without the single scores (they stand in scores.csv)."""
        content = asdict(self)
        del content["values"]
        content["metric"] = {"id": self.metric.id, "title": self.metric.title, "unit": self.metric.unit}
        return content


@dataclass(frozen=True)
class SeedStudies:
    """Studies of every configuration and structure, foreground mean first; ``not_studied`` says in sentences what could not be."""

    studies: tuple[SeedStudy, ...]
    not_studied: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"studies": [study.to_json() for study in self.studies], "not_studied": list(self.not_studied)}


def seed_studies(table: ScoreTable, random_seed: int = 0) -> SeedStudies:
    """Study each metric that the table holds, per configuration and structure, and for the mean over structures.

    Configurations that hold ensembles of some seeds of another are no recipes: ``ensemble_size`` studies them.
    ``random_seed`` feeds only the simulation of selection alone, one stream per (number of seeds, number of cases), so
    neither the order of lines nor names of cases or structures change a number.
    """

    return result_of(seed_study_steps(table, random_seed))


def seed_study_steps(table: ScoreTable, random_seed: int = 0) -> Generator[float, None, SeedStudies]:
    """``seed_studies``, a structure at a time: yields the share that is done, so that a window can stay awake or stop it."""

    @cache
    def simulated(seeds: int, cases: int) -> SelectionAlone:
        return selection_alone(seeds, cases, 0.0, generator(random_seed, "selection", seeds, cases))

    studies: list[SeedStudy] = []
    not_studied: list[str] = []
    subsets = subset_configurations((score.configuration, score.member) for score in table.scores)
    asked = dict.fromkeys((score.metric, score.configuration) for score in table.scores)
    for before, (column, configuration) in enumerate(asked):
        if configuration in subsets:
            continue
        try:
            cube = ScoreCube.of(table, configuration, metric_of_column(column))
        except SegVarianceError as error:
            not_studied.append(str(error))
            continue
        structures = (*((FOREGROUND_MEAN,) if len(cube.structures) > 1 else ()), *cube.structures)
        for done, structure in enumerate(structures):
            yield (before + done / len(structures)) / len(asked)
            try:
                matrix = SeedMatrix.of(cube, structure)
            except SegVarianceError as error:
                not_studied.append(str(error))
                continue
            gains, without = _ensemble_gains(cube.without(matrix.left_out_seeds), structure)
            not_studied.extend(without)
            studies.append(study_seeds(matrix, simulated(len(matrix.seeds), len(matrix.cases)), gains))
    return SeedStudies(tuple(studies), tuple(not_studied))


def _ensemble_gains(cube: ScoreCube, structure: str) -> tuple[tuple[EnsembleGain, ...], list[str]]:
    """The gains, and a sentence for each ensemble that shares no case with the seeds."""
    gains: list[EnsembleGain] = []
    without: list[str] = []
    for ensemble in cube.ensembles:
        try:
            gains.append(ensemble_gain(cube, structure, ensemble))
        except SegVarianceError as error:
            without.append(str(error))
    return tuple(gains), without


def study_seeds(matrix: SeedMatrix, alone: SelectionAlone, ensembles: tuple[EnsembleGain, ...] = ()) -> SeedStudy:
    """All figures of one matrix; ``alone`` is ``selection_alone`` for as many seeds and cases with lambda 0."""
    k, n = matrix.values.shape
    sign = 1 if higher_is_better(matrix.metric) else -1
    means = matrix.values.mean(axis=1)
    best = int(np.argmax(sign * means))
    squares = MeanSquares.of(matrix.values)
    ratio = luck_ratio(squares)
    pairs = pairwise_tests(sign * matrix.values)
    return SeedStudy(
        configuration=matrix.configuration,
        metric=matrix.metric,
        structure=matrix.structure,
        cases=matrix.cases,
        seeds=_seed_means(matrix, squares),
        mean=float(means.mean()),
        lowest=float(means.min()),
        highest=float(means.max()),
        sd_between_seeds=float(means.std(ddof=1)),
        best_seed=matrix.seeds[best],
        paired_t=_shares(pairs, pairs.paired_t_p, best, k),
        wilcoxon=_shares(pairs, pairs.wilcoxon_p, best, k),
        selection_alone=alone,
        luck_ratio=ratio,
        expected_random_pairs=None if ratio is None else _expected_pairs(ratio, n),
        best_of_many=_best_of_many(sign * means, squares, ratio),
        variance=variance_parts([matrix.values], _known_folds(matrix)),
        ensembles=ensembles,
        exclusions=matrix.exclusions,
        incomplete_seeds=matrix.incomplete_seeds,
        left_out_seeds=matrix.left_out_seeds,
        values=matrix.values,
    )


def _known_folds(matrix: SeedMatrix) -> np.ndarray | None:
    return None if matrix.folds[0] is None else np.array(matrix.folds)


def _seed_means(matrix: SeedMatrix, squares: MeanSquares) -> tuple[SeedMean, ...]:
    k, n = matrix.values.shape
    half = (1 + CONFIDENCE) / 2
    margins = stats.t.ppf(half, n - 1) * matrix.values.std(axis=1, ddof=1) / np.sqrt(n)
    same_cases = stats.t.ppf(half, (k - 1) * (n - 1)) * np.sqrt(squares.residual / n)
    return tuple(
        SeedMean(seed, float(mean), float(mean - margin), float(mean + margin), float(same_cases))
        for seed, mean, margin in zip(matrix.seeds, matrix.values.mean(axis=1), margins, strict=True)
    )


def _shares(pairs: PairwiseTests, p: np.ndarray, best: int, k: int) -> SignificantShares:
    """Shares from p values [pair]; ``pairs.mean_difference`` is positive where the first is better."""
    of_best = (pairs.first == best) | (pairs.second == best)
    lead = np.where(pairs.first == best, pairs.mean_difference, -pairs.mean_difference)[of_best]
    differ = pairs.mean_difference != 0
    found = float((differ & (p < SIGNIFICANCE_LEVEL)).mean())
    found_holm = float((differ & (holm(p) < SIGNIFICANCE_LEVEL)).mean())
    return SignificantShares(
        best_beats=float(((lead > 0) & (p[of_best] < SIGNIFICANCE_LEVEL)).mean()),
        best_beats_holm=float(((lead > 0) & (holm(p[of_best]) < SIGNIFICANCE_LEVEL)).mean()),
        ordered_pairs=found / 2,
        ordered_pairs_holm=found_holm / 2,
        random_pairs=found,
        random_pairs_holm=found_holm,
    )


def _expected_pairs(ratio: Estimate, cases: int) -> Estimate:
    return Estimate(*(expected_share_of_random_pairs(bound, cases) for bound in (ratio.value, ratio.low, ratio.high)))


def _best_of_many(signed_means: np.ndarray, squares: MeanSquares, ratio: Estimate | None) -> BestOfMany:
    k = len(signed_means)
    noise = float(np.sqrt(squares.residual / squares.cases))
    low, high = maximum_range(k)
    return BestOfMany(
        lead=float(signed_means.max() - signed_means.mean()),
        expected_lead=float(expected_maximum(k) * signed_means.std(ddof=1)),
        kept_share=None if ratio is None else ratio.value / (1 + ratio.value),
        no_effect_lead=Estimate(expected_maximum(k) * noise, low * noise, high * noise),
    )
