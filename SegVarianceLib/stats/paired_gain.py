"""What a treatment of trained networks is worth, where every treated network is one of the untreated ones: by differences, pair by pair.

The comparison of two recipes (``stats.comparison``) takes the trainings of both sides as independent, which is right for two recipes and
too cautious here: a network's own luck is on both sides and falls out of the difference. What is left has the luck of cases and of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..evaluation.score_table import ScoreTable
from .comparison import Verdict, require_sensible, smallest_difference_of, verdict_of
from .intervals import Estimate
from .multiplicity import holm
from .score_cube import ScoreCube, higher_is_better, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, matched
from .two_way import two_way_of_one
from .verdict import percent


@dataclass(frozen=True)
class PairedGain:
    """``treated`` minus ``before`` in one metric and structure, positive where treated is better.

    ``gain``: mean over networks and cases with its 95 % interval for other ones of both (two-way t on the differences).
    ``better_share``, ``worse_share``: of cases, by more than ``smallest_difference`` on average over networks. ``worst``: the case that loses
    most, with its loss. ``p_holm``: corrected over the ``family`` that was asked for, and the verdict with it.
    """

    treated: str
    before: str
    metric: Facts
    structure: str
    smallest_difference: float
    networks: int
    cases: tuple[str, ...]
    treated_mean: float
    before_mean: float
    gain: Estimate
    verdict: Verdict
    p: float
    beyond_p: float
    equivalence_p: float
    better_share: float
    worse_share: float
    worst: tuple[str, float]
    p_holm: float | None = None
    family: int = 1
    values: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        del content["values"]
        content["verdict"] = gain_verdict(self)
        content["metric"] = {"id": self.metric.id, "title": self.metric.title, "unit": self.metric.unit}
        return content


def paired_gains(
    table: ScoreTable, pairs: Sequence[tuple[str, str]], metric: str, smallest_difference: float | None = None
) -> tuple[PairedGain, ...]:
    """The gain of each (treated, before) pair of configurations in the mean over structures (or the only one), and then in each structure.

    The first kind is corrected by Holm over the pairs, the second over pairs and structures.

    Raises:
        SegVarianceError: an unknown configuration or metric, or networks or cases that the two do not share.
    """
    primary, others = [], []
    for treated, before in pairs:
        cubes = [ScoreCube.of(table, name, metric_of_column(metric)) for name in (treated, before)]
        names = [name for name in cubes[0].structures if name in cubes[1].structures]
        several = len(names) > 1
        primary.append(_gain(cubes, FOREGROUND_MEAN if several else names[0], smallest_difference))
        others += [_gain(cubes, name, smallest_difference) for name in (names if several else ())]
    return (*_corrected(primary), *_corrected(others))


def _gain(cubes: Sequence[ScoreCube], structure: str, smallest_difference: float | None) -> PairedGain:
    treated, before = matched(cubes, structure)
    if treated.seeds != before.seeds:
        raise SegVarianceError(
            f"{treated.configuration!r} has the networks {list(treated.seeds)}, {before.configuration!r} {list(before.seeds)}. Score the same ones on both sides."
        )
    metric = treated.metric
    d0 = smallest_difference_of(metric) if smallest_difference is None else smallest_difference
    require_sensible(metric, d0)
    sign = 1.0 if higher_is_better(metric) else -1.0
    values = sign * (treated.values - before.values)
    found = two_way_of_one(values)
    by_case = values.mean(axis=0)
    p, beyond_p, equivalence_p = found.p_different(), found.p_not_beyond(d0), found.p_not_equivalent(d0)
    worst = int(np.argmin(by_case))
    return PairedGain(
        treated=treated.configuration,
        before=before.configuration,
        metric=metric,
        structure=structure,
        smallest_difference=d0,
        networks=len(treated.seeds),
        cases=treated.cases,
        treated_mean=float(treated.values.mean()),
        before_mean=float(before.values.mean()),
        gain=found.interval(),
        verdict=verdict_of(p, beyond_p, equivalence_p),
        p=p,
        beyond_p=beyond_p,
        equivalence_p=equivalence_p,
        better_share=float((by_case > d0).mean()),
        worse_share=float((by_case < -d0).mean()),
        worst=(treated.cases[worst], float(by_case[worst])),
        values=values,
    )


def _corrected(gains: Sequence[PairedGain]) -> list[PairedGain]:
    if len(gains) < 2:
        return list(gains)
    kinds = (holm(np.array([getattr(each, name) for each in gains])) for name in ("p", "beyond_p", "equivalence_p"))
    return [
        replace(each, p_holm=float(p[0]), family=len(gains), verdict=verdict_of(*p))
        for each, p in zip(gains, np.stack([*kinds], axis=1), strict=True)
    ]


def gain_text(gain: PairedGain) -> str:
    """``+0.0123 (+0.0050 to +0.0196)``; positive is better, also for a distance."""
    return f"{gain.gain.value:+.4f} ({gain.gain.low:+.4f} to {gain.gain.high:+.4f})"


def gain_verdict(gain: PairedGain) -> str:
    """In a few words, and which way."""
    way = "better" if gain.gain.value > 0 else "worse"
    return {
        Verdict.BETTER: f"{way} beyond re-training luck",
        Verdict.MAYBE_TOO_LITTLE: f"{way}, but maybe too little to matter",
        Verdict.EQUIVALENT: "equivalent for your purpose",
        Verdict.NOT_SETTLED: "not settled",
    }[gain.verdict]


def gain_sentence(gain: PairedGain) -> str:
    """For a clinician, every part with its number."""
    unit = f" {gain.metric.unit}" if gain.metric.unit else ""
    case, change = gain.worst
    worst = f" ({abs(change):.3f}{unit} at most, {case})" if change < 0 else ""
    return (
        f"{gain.treated} against {gain.before}: {gain_verdict(gain)}. {gain.metric.title} ({gain.structure}) {gain.before_mean:.3f} becomes "
        f"{gain.treated_mean:.3f}{unit}, {gain_text(gain)} over {gain.networks} networks and {len(gain.cases)} cases. {percent(gain.better_share)} of the cases "
        f"are better by more than {gain.smallest_difference:g}{unit}, and {percent(gain.worse_share)} worse{worst}."
    )
