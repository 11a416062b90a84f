"""How much averaging k trainings gains, and how many are enough: from groups of seeds that share no training.

A group's gain is its ensemble minus the mean of the very seeds in it, case by case, so that neither an easy case nor a
lucky seed passes for a gain. Groups of one size are independent, so [group, case] carries an interval as [seed, case] does.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core.catalog import Facts
from ..core.errors import SegVarianceError
from ..ensemble.rules import RULES
from ..ensemble.subsets import Group, base_configuration
from ..evaluation.score_table import Score, ScoreTable
from .comparison import smallest_difference_of
from .comparisons import recipes_of
from .intervals import Estimate
from .patients import images_by_column, mean_over_images
from .score_cube import ScoreCube, higher_is_better, metric_of_column
from .seed_matrix import FOREGROUND_MEAN, MIN_CASES, MIN_SEEDS, Exclusion, chosen, mean_of_counted
from .two_way import mean_interval
from .verdict import amount, number

NOT_WORSE_CONFIDENCE = 0.90
"""An interval of 90 % that ends below a bound is a one-sided test of that bound at 5 %."""

_NOTHING = Estimate(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class EnsembleSize:
    """Ensembles of ``members`` seeds: ``groups`` of them, which share no training.

    ``mean``: their scores. ``gain``: over the mean of the very seeds in each group. ``behind``: by how much the ensemble of
    all seeds is better, with a 90 % interval. Both are positive in the direction of better, also for a distance; one
    training has no gain and the ensemble of all is not behind. With one group, an interval holds for other cases only, not
    for other trainings; with two, chance can make it too narrow where groups really differ in what they gain.
    """

    members: int
    groups: int
    mean: Estimate
    gain: Estimate
    behind: Estimate


@dataclass(frozen=True)
class EnsembleCurve:
    """Every size from a single training to all ``seeds`` seeds, on the same ``cases`` throughout.

    ``enough``: the fewest members of which it is shown that the ensemble of all seeds is better by less than ``d0``. One
    group alone cannot show it: it may be a lucky one.
    """

    configuration: str
    metric: Facts
    structure: str
    rule: str
    seeds: int
    cases: tuple[str, ...]
    sizes: tuple[EnsembleSize, ...]
    d0: float
    enough: int
    exclusions: tuple[Exclusion, ...]

    def of_size(self, members: int) -> EnsembleSize:
        return next(size for size in self.sizes if size.members == members)

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        content["metric"] = {"id": self.metric.id, "title": self.metric.title, "unit": self.metric.unit}
        return content


def cube_with_groups(table: ScoreTable, configuration: str, metric: Facts) -> ScoreCube:
    """The cube of a configuration, in which the ensembles of some of its seeds stand beside those of all.

    Raises:
        SegVarianceError: as ``ScoreCube.of``.
    """
    lines = [score for score in table.scores if score.metric == metric.id]
    pairs = {(score.configuration, score.member) for score in lines}
    groups = {pair for pair in pairs if base_configuration(*pair) == configuration}
    scores = [score for score in lines if score.configuration == configuration]
    scores += [
        Score(configuration, None, None, s.member, s.case, s.structure, s.metric, s.value, s.note)
        for s in lines
        if (s.configuration, s.member) in groups
    ]
    return ScoreCube.of(ScoreTable(tuple(scores or table.scores), table.patients), configuration, metric)


def ensemble_curves(
    table: ScoreTable, metric: str, d0: float | None = None
) -> tuple[tuple[EnsembleCurve, ...], tuple[str, ...]]:
    """Curves of every configuration that has ensembles, the mean over structures first; and why others have none.

    ``metric`` is a column of the table; ``d0`` is in its unit, by default 0.01 or 1 mm.
    """
    facts = metric_of_column(metric)
    bound = smallest_difference_of(facts) if d0 is None else d0
    curves, without = [], []
    for configuration in recipes_of(table):
        cube = cube_with_groups(table, configuration, facts)
        if len(cube.seeds) < MIN_SEEDS or not cube.ensembles:
            continue
        for structure in (*((FOREGROUND_MEAN,) if len(cube.structures) > 1 else ()), *cube.structures):
            try:
                curves.append(ensemble_curve(cube, structure, bound))
            except SegVarianceError as error:
                without.append(str(error))
    return tuple(curves), tuple(without)


def ensemble_curve(cube: ScoreCube, structure: str, d0: float) -> EnsembleCurve:
    """The curve of one structure, or of ``FOREGROUND_MEAN``, from a cube of ``cube_with_groups``.

    A (case, structure) counts only if every seed, every group and the ensemble of all seeds have a value.

    Args:
        d0: the smallest difference that matters, in the metric's unit.

    Raises:
        SegVarianceError: ``d0`` is not above 0, fewer than 2 seeds or 3 cases that all have scored, no ensemble of all
            seeds, or groups that do not fit: of several rules, with a seed in two of one size, or with one that has no scores.
    """
    if not 0 < d0 < math.inf:
        raise SegVarianceError(
            f"The smallest difference that matters is {d0}; give a number above 0, as 0.01 for Dice."
        )
    rule, groups = _rule_and_groups(cube)
    ensembles = [rule, *(group.member for some in groups.values() for group in some)]
    rows = np.concatenate([cube.seed_values, [cube.ensemble_values(name) for name in ensembles]])
    counted = np.isfinite(rows).all(axis=0) & chosen(cube, structure)
    kept = np.flatnonzero(counted.any(axis=1))
    if len(kept) < MIN_CASES:
        raise SegVarianceError(
            f"{cube.metric.title} of {structure!r}, configuration {cube.configuration!r}: the seeds and their ensembles "
            f"share {len(kept)} scored case(s), {MIN_CASES} are needed. Score all of them on the same cases."
        )
    columns = images_by_column([cube.cases[case] for case in kept], cube.patients)
    values = mean_over_images(mean_of_counted(rows[:, kept], counted[kept]), columns.values())
    sizes = _sizes(cube, values, dict(zip(ensembles, values[len(cube.seeds) :], strict=True)), rule, groups)
    return EnsembleCurve(
        cube.configuration,
        cube.metric,
        structure,
        rule,
        len(cube.seeds),
        tuple(columns),
        sizes,
        d0,
        next((size.members for size in sizes if size.groups > 1 and size.behind.high < d0), len(cube.seeds)),
        _exclusions(cube, ensembles, chosen(cube, structure) & ~counted),
    )


def _sizes(
    cube: ScoreCube, values: np.ndarray, combined: dict[str, np.ndarray], rule: str, groups: dict[int, list[Group]]
) -> tuple[EnsembleSize, ...]:
    """All sizes, ascending, from ``values`` [seed and then ensemble, case] and the ensembles' rows by name."""
    sign = 1 if higher_is_better(cube.metric) else -1
    seeds = values[: len(cube.seeds)]
    row_of = {seed: row for row, seed in enumerate(cube.seeds)}

    def size(members: int, scores: np.ndarray, singles: np.ndarray, behind: np.ndarray) -> EnsembleSize:
        gain, lag = mean_interval(sign * (scores - singles)), mean_interval(sign * behind, NOT_WORSE_CONFIDENCE)
        return EnsembleSize(members, len(scores), mean_interval(scores), gain, lag)

    whole = combined[rule][None]
    found = [size(1, seeds, seeds, whole - seeds)]
    for members, some in sorted(groups.items()):
        scores = np.array([combined[group.member] for group in some])
        singles = np.array([seeds[[row_of[seed] for seed in group.seeds]].mean(axis=0) for group in some])
        found.append(size(members, scores, singles, whole - scores))
    return (*found, size(len(seeds), whole, seeds.mean(axis=0)[None], whole - whole))


def _rule_and_groups(cube: ScoreCube) -> tuple[str, dict[int, list[Group]]]:
    """The rule, and the groups by size, below the number of seeds; both whatever the order of lines."""
    found = sorted(group for group in map(Group.parse, cube.ensembles) if group and len(group.seeds) < len(cube.seeds))
    rules = {group.rule for group in found} or set([name for name in RULES.ids if name in cube.ensembles][:1])
    groups: dict[int, list[Group]] = {}
    for group in found:
        groups.setdefault(len(group.seeds), []).append(group)
    what = f"Configuration {cube.configuration!r}, {cube.metric.title}:"
    if len(cube.seeds) < MIN_SEEDS or len(rules) != 1 or not rules <= set(cube.ensembles):
        raise SegVarianceError(
            f"{what} expected at least {MIN_SEEDS} seeds and the ensemble of all by the same rule as those of some; found "
            f"{len(cube.seeds)} seed(s) and the ensembles {', '.join(cube.ensembles) or 'none'}. Score them together."
        )
    for size, some in groups.items():
        used = Counter(seed for group in some for seed in group.seeds)
        if wrong := sorted(seed for seed, times in used.items() if times > 1 or seed not in cube.seeds):
            raise SegVarianceError(
                f"{what} seed {wrong[0]} stands in {used[wrong[0]]} ensemble(s) of {size} and must have scores of its own "
                "and stand in one, so that they share no training. Leave the others out."
            )
    return rules.pop(), groups


def _exclusions(cube: ScoreCube, ensembles: list[str], dropped: np.ndarray) -> tuple[Exclusion, ...]:
    """Why each (case, structure) in ``dropped`` [case, structure] does not count."""
    names = (*cube.seeds, *cube.ensembles)
    used = [row for row, name in enumerate(names) if row < len(cube.seeds) or name in ensembles]
    found = []
    for case, structure in map(tuple, np.argwhere(dropped).tolist()):
        lacking = [row for row in used if np.isnan(cube.values[row, case, structure])]
        gaps = Counter(cube.gaps[row, case, structure] for row in lacking)
        reason = "; ".join(f"{gap}: {times} of {len(used)} seeds and ensembles" for gap, times in sorted(gaps.items()))
        found.append(Exclusion(cube.cases[case], cube.structures[structure], reason))
    return tuple(found)


def gain_sentence(curve: EnsembleCurve, members: int) -> str:
    """What averaging ``members`` trainings gains; the curve holds that size."""
    size, metric = curve.of_size(members), curve.metric
    source = f"{size.groups} groups that share no training" if size.groups > 1 else "one group: for other patients only"
    interval = f"(95 % interval {_range(size.gain, metric)}; {source})"
    if size.gain.low * size.gain.high <= 0:
        return (
            f"No gain of averaging {members} trainings is shown: {metric.title} ({curve.structure}) is better by "
            f"{amount(size.gain.value, metric, 1)} than that of a single one {interval}."
        )
    if size.gain.value < 0:
        loss = Estimate(-size.gain.value, -size.gain.high, -size.gain.low)
        return (
            f"Averaging {members} trainings worsens {metric.title} ({curve.structure}) by {amount(loss.value, metric, 1)} "
            f"over a single one (95 % interval {_range(loss, metric)}; {source})."
        )
    return (
        f"Averaging {members} trainings improves {metric.title} ({curve.structure}) by {amount(size.gain.value, metric, 1)} "
        f"over a single one {interval}."
    )


def enough_sentence(curve: EnsembleCurve) -> str:
    """How many members are enough."""
    bound = f"{curve.d0:g} {curve.metric.unit}".rstrip()
    if curve.enough == curve.seeds:
        return f"It is not shown that fewer than all {curve.seeds} members come within {bound} of the ensemble of all."
    behind = curve.of_size(curve.enough).behind
    who = "A single training is" if curve.enough == 1 else f"{curve.enough} members are"
    return (
        f"{who} within {bound} of the ensemble of all {curve.seeds}: "
        f"{amount(abs(behind.value), curve.metric, 1)} {'worse' if behind.value >= 0 else 'better'} "
        f"(90 % interval of what is lost {_range(behind, curve.metric)})."
    )


def _range(estimate: Estimate, metric: Facts) -> str:
    return f"{number(estimate.low, metric, 1)} to {number(estimate.high, metric, 1)}"
