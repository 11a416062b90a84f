"""Plots of one recipe's seeds: one panel a structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..stats.score_cube import higher_is_better
from ..stats.seed_study import SeedMean, SeedStudy
from ..stats.verdict import amount, percent
from .markup import Markup, element
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, box, diamond, dot, figure, label, line, whisker

_NAMES_WIDTH = 58.0


def caterpillar_scale(studies: Sequence[SeedStudy]) -> Scale:
    """One scale for the same structure in several recipes, so that they can be compared by eye."""
    values: list[float] = []
    for study in studies:
        line_at, *band = _luck(study)
        values += [line_at, *band, *(s.low for s in study.seeds), *(s.high for s in study.seeds)]
    return Scale.around(values, left=_NAMES_WIDTH)


def caterpillar(study: SeedStudy, colour: str, x: Scale) -> Markup:
    """Seeds by mean: thin line if other cases had been drawn, thick on these cases, band where luck alone puts the best."""
    seeds = sorted(study.seeds, key=lambda seed: seed.mean, reverse=higher_is_better(study.metric))
    at, *band = _luck(study)
    step = 16.0 if len(seeds) <= 20 else 9.0
    bottom = 8 + step * len(seeds)
    luck = (
        f"Best of {len(seeds)} by luck alone: {amount(band[0], study.metric, 1)} to {amount(band[1], study.metric, 1)}"
    )
    parts = [
        box(x(band[0]), 2, x(band[1]), bottom, "luck", luck),
        line(x(at), 2, x(at), bottom, "luck-line"),
        line(x(study.mean), 2, x(study.mean), bottom, "mean-line"),
        *(_seed_row(study, seed, x, 8 + step * (row + 0.5), step) for row, seed in enumerate(seeds)),
    ]
    return _with_axis(parts, x, bottom, f"Mean {study.metric.title} of each seed, {study.structure}", study, colour)


def _luck(study: SeedStudy) -> tuple[float, float, float]:
    """Where luck alone puts the best: on average, and 5 to 95 %."""
    sign = 1 if higher_is_better(study.metric) else -1
    lead = study.best_of_many.no_effect_lead
    return study.mean + sign * lead.value, study.mean + sign * lead.low, study.mean + sign * lead.high


def _seed_row(study: SeedStudy, seed: SeedMean, x: Scale, y: float, step: float) -> Markup:
    best, margin = seed.seed == study.best_seed, seed.same_cases_margin
    tip = (
        f"Seed {seed.seed}{' (best)' if best else ''}: {amount(seed.mean, study.metric, 1)}, 95 % interval "
        f"{amount(seed.low, study.metric)} to {amount(seed.high, study.metric)}"
    )
    name = label(f"{'best: ' if best else 'seed '}{seed.seed}", 52.0, y + 4, "end", "best" if best else None)
    return element(
        "g",
        name if best or step > 10 else Markup(),
        line(x(seed.low), y, x(seed.high), y, "thin"),
        line(x(seed.mean - margin), y, x(seed.mean + margin), y, "thick"),
        diamond(x(seed.mean), y, 6.0, "mark best") if best else dot(x(seed.mean), y, 3.5, "mark"),
        box(x.left, y - step / 2, x.right, y + step / 2, "hit"),
        data_tip=tip,
    )


def ensembles_beside_seeds(study: SeedStudy, colour: str) -> Markup:
    """Single seeds as dots on one line, every ensemble as a diamond on its own."""
    step = 34.0
    x = Scale.around([*(s.mean for s in study.seeds), *(g.mean for g in study.ensembles)])
    bottom = step * (1 + len(study.ensembles)) + 4
    parts = [
        line(x(study.mean), 2, x(study.mean), bottom, "mean-line"),
        label(f"{len(study.seeds)} single seeds", x.left, 14.0, "start"),
    ]
    for seed in study.seeds:
        tip = f"Seed {seed.seed}: {amount(seed.mean, study.metric, 1)}"
        parts.append(dot(x(seed.mean), 26.0, 5.0, "mark faint", tip))
    for row, gain in enumerate(study.ensembles, start=1):
        top = row * step
        tip = f"{gain.ensemble}: {amount(gain.mean, study.metric, 1)} on {gain.cases} cases; better than {percent(gain.seeds_exceeded)} of the seeds"
        parts.append(label(gain.ensemble, x.left, top + 14, "start"))
        parts.append(label(f"{gain.difference:+z.4f}", x.right, top + 14, "end", "strong"))
        parts.append(line(x(gain.single_mean), top + 26, x(gain.mean), top + 26, "thin"))
        parts.append(diamond(x(gain.mean), top + 26, 6.5, "mark best", tip))
    return _with_axis(parts, x, bottom, f"Ensembles beside single seeds, {study.structure}", study, colour)


def best_share_beside_selection(studies: Sequence[SeedStudy], colour_of: Callable[[str], str]) -> Markup:
    """Per structure: share of siblings that the best seed beats, and under it what picking alone gives, with its range."""
    x = Scale(0.0, 1.0, right=WIDTH - 24)
    step = 58.0
    parts: list[Markup] = []
    for row, study in enumerate(studies):
        top, alone, found = row * step, study.selection_alone, study.paired_t.best_beats
        best = f"Best seed {study.best_seed} beats {percent(found)} of the other seeds (paired t-test)"
        picking = f"Picking alone: {percent(alone.mean)} on average, {percent(alone.low)} to {percent(alone.high)} in 9 of 10 studies"
        parts += [
            label(study.structure, x.left, top + 14, "start"),
            label(f"{percent(found)}  |  by picking {percent(alone.mean)}", x.right, top + 14, "end", "strong"),
            element("g", _bar(x, found, top + 20, "fill", best), class_=colour_of(study.structure)),
            _bar(x, alone.mean, top + 36, "plain", picking),
            whisker(x, alone.low, alone.high, top + 42),
        ]
    shares = [(v, percent(v)) for v in (0, 0.25, 0.5, 0.75, 1)]
    bottom = step * len(studies) + 2
    below = axis(x, bottom, shares, "share of the other seeds")
    return figure([*parts, below], bottom + AXIS_HEIGHT, "Share of siblings that the best seed beats")


def _with_axis(parts: list[Markup], x: Scale, bottom: float, name: str, study: SeedStudy, colour: str) -> Markup:
    title = f"{study.metric.title}{f' ({study.metric.unit})' if study.metric.unit else ''}"
    return figure([*parts, axis(x, bottom, x.labelled_ticks(), title)], bottom + AXIS_HEIGHT, name, colour)


def _bar(x: Scale, share: float, top: float, class_: str, tip: str) -> Markup:
    return box(x.left, top, max(x.left + 1.0, x(share)), top + 12.0, class_, tip)
