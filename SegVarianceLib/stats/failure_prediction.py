"""Whether the members' disagreement tells which cases fail: it is there without a reference, so it could send them to a reader.

Predictor: mean Dice between two members, found the best of simple ones by Zenk et al. 2025 (Med Image Anal 101:103392). Truth: the
ensemble's score on cases that its members never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..core.seeding import generator
from ..ensemble.rules import RULES
from ..evaluation.score_table import ScoreTable
from ..evaluation.uncertainty_table import UncertaintyTable
from .comparisons import recipes_of
from .intervals import Estimate
from .patients import images_by_column
from .resampling import REPETITIONS, percentile_interval
from .score_cube import ScoreCube, metric_of_column
from .shared_cells import FOREGROUND_MEAN, averaged
from .verdict import percent

PREDICTOR = "mean_pairwise_dice"
METRIC = "dice"
MIN_CASES = 20
"""Cases, or patients where a table names them; below it a bootstrap interval of a correlation says too little."""
KEPT = 0.8
"""The share of cases that the sentence keeps."""


@dataclass(frozen=True)
class FailurePrediction:
    """``predicted`` is the predictor of each case, ``actual`` the ensemble's Dice; ``correlation`` is Spearman's.

    ``risk`` [k] is the mean of 1 - Dice over the k + 1 cases that the predictor trusts most (a risk-coverage curve, ties shared
    out), ``best_risk`` that of an oracle. ``aurc`` is the curve's mean, beside that of an order by chance and of the oracle.
    Cases in which no member or no ensemble has a value are ``left_out``.
    """

    configuration: str
    metric: Facts
    structure: str
    ensemble: str
    cases: tuple[str, ...]
    predicted: np.ndarray
    actual: np.ndarray
    correlation: Estimate
    risk: np.ndarray
    best_risk: np.ndarray
    aurc: Estimate
    aurc_random: float
    aurc_oracle: float
    left_out: int

    def mean_at(self, risk: np.ndarray, share: float) -> float:
        """Mean Dice when this share of the cases is kept."""
        return float(1 - risk[max(0, round(share * len(risk)) - 1)])


def failure_predictions(
    scores: ScoreTable, uncertainty: UncertaintyTable
) -> tuple[tuple[FailurePrediction, ...], tuple[str, ...]]:
    """Of every configuration with an ensemble, the mean over structures first; and why others have none."""
    facts = metric_of_column(METRIC)
    found: list[FailurePrediction] = []
    without: list[str] = []
    for configuration in recipes_of(scores):
        known = uncertainty.of(configuration, PREDICTOR)
        cube = ScoreCube.of(scores, configuration, facts)
        ensemble = next((rule for rule in RULES.ids if rule in cube.ensembles), None)
        if ensemble is None or not known:
            continue
        # Scores may be of labels too where members are compared as regions.
        names = [name for name in cube.structures if any(name == structure for _, structure in known)]
        predicted = np.array([[known.get((case, name), np.nan) for name in names] for case in cube.cases])
        actual = cube.ensemble_values(ensemble)[:, [cube.structures.index(name) for name in names]]
        columns = [(name, predicted[:, i], actual[:, i]) for i, name in enumerate(names)]
        whole = np.isin(names, list(averaged(names)))
        if whole.sum() > 1:
            columns.insert(0, (FOREGROUND_MEAN, predicted[:, whole].mean(axis=1), actual[:, whole].mean(axis=1)))
        for structure, of_members, of_ensemble in columns:
            try:
                found.append(_prediction(cube, structure, ensemble, of_members, of_ensemble))
            except SegVarianceError as error:
                without.append(str(error))
    return tuple(found), tuple(without)


def rank_correlation(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Spearman's, ties by mean ranks; NaN where one of them is constant."""
    ranks = rankdata(predicted), rankdata(actual)
    if min(np.ptp(rank) for rank in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def risk_coverage(predicted: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """Mean risk of the k + 1 cases with the highest ``predicted``; cases that tie count as if in any order, on average."""
    order = np.argsort(-predicted, kind="stable")
    group = np.unique(-predicted[order], return_inverse=True)[1].ravel()
    shared = (np.bincount(group, risk[order]) / np.bincount(group))[group]
    return np.cumsum(shared) / np.arange(1, len(shared) + 1)


def _prediction(
    cube: ScoreCube, structure: str, ensemble: str, predicted: np.ndarray, actual: np.ndarray
) -> FailurePrediction:
    counted = np.isfinite(predicted) & np.isfinite(actual)
    predicted, actual = predicted[counted], actual[counted]
    cases = [case for case, counts in zip(cube.cases, counted, strict=True) if counts]
    patients = list(images_by_column(cases, cube.patients).values())
    correlation = rank_correlation(predicted, actual) if len(patients) >= MIN_CASES else float("nan")
    if np.isnan(correlation):
        who = "cases" if cube.patients is None else "patients"
        raise SegVarianceError(
            f"Whether disagreement predicts failure ({structure}, {cube.configuration}): {len(patients)} {who} have both, expected "
            f"at least {MIN_CASES} that are not all alike. Hold out more {who}."
        )
    risk, best = risk_coverage(predicted, 1 - actual), risk_coverage(actual, 1 - actual)
    redrawn = _redrawn(predicted, actual, patients)
    return FailurePrediction(
        cube.configuration,
        cube.metric,
        structure,
        ensemble,
        tuple(cases),
        predicted,
        actual,
        percentile_interval(correlation, redrawn[0][np.isfinite(redrawn[0])]),
        risk,
        best,
        percentile_interval(float(risk.mean()), redrawn[1]),
        float((1 - actual).mean()),
        float(best.mean()),
        len(cube.cases) - len(cases),
    )


def _redrawn(predicted: np.ndarray, actual: np.ndarray, patients: Sequence[Sequence[int]]) -> np.ndarray:
    """Correlation and area under the risk-coverage curve of redrawn cases, all images of a patient together, [2, repetition]."""
    draws = generator(0, "failure prediction", len(patients))
    found = np.empty((2, REPETITIONS))
    for repetition in range(REPETITIONS):
        drawn = np.concatenate([patients[i] for i in draws.integers(0, len(patients), len(patients))]).astype(np.intp)
        found[0, repetition] = rank_correlation(predicted[drawn], actual[drawn])
        found[1, repetition] = risk_coverage(predicted[drawn], 1 - actual[drawn]).mean()
    return found


def prediction_sentence(p: FailurePrediction) -> str:
    """What the disagreement of members tells about the ensemble's errors."""
    rank = f"rank correlation {p.correlation.value:.2f}, 95 % interval {p.correlation.low:.2f} to {p.correlation.high:.2f}, {len(p.cases)} cases"
    if p.correlation.low <= 0 <= p.correlation.high:
        return f"That disagreement between members tells which cases fail is not shown ({p.structure}; {rank})."
    if p.correlation.value < 0:
        return f"Cases on which members agree more are worse, not better ({p.structure}; {rank}): do not sort by it."
    kept, best = (p.mean_at(risk, KEPT) for risk in (p.risk, p.best_risk))
    return (
        f"Cases on which members disagree are worse ({p.structure}; {rank}). With the {percent(1 - KEPT)} of cases on which they "
        f"disagree most sent to a reader, the others have a mean Dice of {kept:.3f} instead of {1 - p.aurc_random:.3f}; who knew "
        f"the worst would have {best:.3f}."
    )
