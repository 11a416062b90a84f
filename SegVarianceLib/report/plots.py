"""Plots as SVG of our own: one panel a structure, 340 units wide, so that text stays readable on a phone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..stats.score_cube import higher_is_better
from ..stats.seed_study import SeedStudy
from ..stats.verdict import amount, percent
from .markup import Markup, element

WIDTH = 340.0
_LEFT, _RIGHT, _AXIS = 10.0, 14.0, 34.0


@dataclass(frozen=True)
class Scale:
    """Values between ``low`` and ``high`` to horizontal positions between ``left`` and ``right``."""

    low: float
    high: float
    left: float = _LEFT
    right: float = WIDTH - _RIGHT

    @classmethod
    def around(cls, values: Sequence[float], left: float = _LEFT) -> Scale:
        low, high = min(values), max(values)
        room = 0.04 * (high - low) or 0.01
        return cls(low - room, high + room, left)

    def __call__(self, value: float) -> float:
        return float(self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left))

    def ticks(self) -> list[float]:
        """Two to six round numbers inside the scale: the coarsest steps of 1, 2 or 5 times a power of ten that give two."""
        power = 10 ** np.floor(np.log10(self.high - self.low))
        for step in (factor * power for factor in (5, 2, 1, 0.5, 0.2)):
            first, last = int(np.ceil(self.low / step)), int(np.floor(self.high / step))
            if last - first >= 1:
                break
        return [float(i * step) for i in range(first, last + 1)]


def caterpillar(study: SeedStudy, colour: str) -> Markup:
    """Seeds by mean: thin line if other cases had been drawn, thick on these cases, band where luck alone puts the best."""
    seeds = sorted(study.seeds, key=lambda seed: seed.mean, reverse=higher_is_better(study.metric))
    sign = 1 if higher_is_better(study.metric) else -1
    lead = study.best_of_many.no_effect_lead
    line, *band = (study.mean + sign * value for value in (lead.value, lead.low, lead.high))
    step = 16.0 if len(seeds) <= 20 else 9.0
    x = Scale.around([*(s.low for s in seeds), *(s.high for s in seeds), line, *band], left=58.0)
    bottom = 8 + step * len(seeds)
    parts = [
        _span(
            x,
            min(band),
            max(band),
            2,
            bottom,
            f"Best of {len(seeds)} by luck alone: {amount(band[0], study.metric, 1)} to {amount(band[1], study.metric, 1)}",
        ),
        _rule(x(line), 2, bottom, "luck-line"),
        _rule(x(study.mean), 2, bottom, "mean-line"),
    ]
    for row, seed in enumerate(seeds):
        y = 8 + step * (row + 0.5)
        best = seed.seed == study.best_seed
        tip = f"Seed {seed.seed}{' (best)' if best else ''}: {amount(seed.mean, study.metric, 1)}, 95 % interval {amount(seed.low, study.metric)} to {amount(seed.high, study.metric)}"
        if step > 10 or best:
            parts.append(
                _text(f"{'best: ' if best else 'seed '}{seed.seed}", 52.0, y + 4, "end", "best" if best else None)
            )
        margin = seed.same_cases_margin
        mark = (
            element("path", d=_diamond(x(seed.mean), y, 6.0), class_="mark best")
            if best
            else element("circle", cx=x(seed.mean), cy=y, r=3.5, class_="mark")
        )
        parts.append(
            element(
                "g",
                element("line", x1=x(seed.low), x2=x(seed.high), y1=y, y2=y, class_="thin"),
                element("line", x1=x(seed.mean - margin), x2=x(seed.mean + margin), y1=y, y2=y, class_="thick"),
                mark,
                element("rect", x=x.left, y=y - step / 2, width=x.right - x.left, height=step, class_="hit"),
                data_tip=tip,
            )
        )
    return _svg(parts, x, bottom, f"Mean {study.metric.title} of each seed, {study.structure}", study, colour)


def ensembles_beside_seeds(study: SeedStudy, colour: str) -> Markup:
    """Single seeds as dots on one line, every ensemble as a diamond on its own."""
    step = 34.0
    x = Scale.around([*(s.mean for s in study.seeds), *(g.mean for g in study.ensembles)])
    bottom = step * (1 + len(study.ensembles)) + 4
    parts = [
        _rule(x(study.mean), 2, bottom, "mean-line"),
        _text(f"{len(study.seeds)} single seeds", x.left, 14.0, "start"),
    ]
    for seed in study.seeds:
        tip = f"Seed {seed.seed}: {amount(seed.mean, study.metric, 1)}"
        parts.append(element("circle", cx=x(seed.mean), cy=26.0, r=5.0, class_="mark faint", data_tip=tip))
    for row, gain in enumerate(study.ensembles, start=1):
        top = row * step
        tip = f"{gain.ensemble}: {amount(gain.mean, study.metric, 1)} on {gain.cases} cases; better than {percent(gain.seeds_exceeded)} of the seeds"
        parts.append(_text(gain.ensemble, x.left, top + 14, "start"))
        parts.append(_text(f"{gain.difference:+.4f}", x.right, top + 14, "end", "strong"))
        parts.append(element("line", x1=x(gain.single_mean), x2=x(gain.mean), y1=top + 26, y2=top + 26, class_="thin"))
        parts.append(element("path", d=_diamond(x(gain.mean), top + 26, 6.5), class_="mark best", data_tip=tip))
    return _svg(parts, x, bottom, f"Ensembles beside single seeds, {study.structure}", study, colour)


def best_share_beside_selection(studies: Sequence[SeedStudy], colour_of: Callable[[str], str]) -> Markup:
    """Per structure: share of siblings that the best seed beats, and under it what picking alone gives, with its range."""
    x = Scale(0.0, 1.0, right=WIDTH - 24)
    step = 58.0
    parts: list[Markup] = []
    for row, study in enumerate(studies):
        top, alone, found = row * step, study.selection_alone, study.paired_t.best_beats
        parts += [
            _text(study.structure, x.left, top + 14, "start"),
            _text(f"{percent(found)}  |  by picking {percent(alone.mean)}", x.right, top + 14, "end", "strong"),
            element(
                "g",
                _bar(
                    x,
                    found,
                    top + 20,
                    "fill",
                    f"Best seed {study.best_seed} beats {percent(found)} of the other seeds (paired t-test)",
                ),
                class_=colour_of(study.structure),
            ),
            _bar(
                x,
                alone.mean,
                top + 36,
                "plain",
                f"Picking alone: {percent(alone.mean)} on average, {percent(alone.low)} to {percent(alone.high)} in 9 of 10 studies",
            ),
            element(
                "path",
                d=f"M{x(alone.low):.1f} {top + 42}H{x(alone.high):.1f}M{x(alone.low):.1f} {top + 38}v8M{x(alone.high):.1f} {top + 38}v8",
                class_="whisker",
            ),
        ]
    axis = _axis(
        x, step * len(studies) + 2, [(v, percent(v)) for v in (0, 0.25, 0.5, 0.75, 1)], "share of the other seeds"
    )
    return _figure([*parts, axis], step * len(studies) + 2 + _AXIS, "Share of siblings that the best seed beats")


def variance_bars(studies: Sequence[SeedStudy]) -> Markup:
    """One bar of 100 % a structure: case, seed and the rest."""
    x = Scale(0.0, 1.0, right=WIDTH - 24)
    step = 58.0
    parts: list[Markup] = []
    shown = [(study.structure, study.variance) for study in studies if study.variance is not None]
    for row, (structure, shares) in enumerate(shown):
        top, start = row * step, 0.0
        parts.append(_text(structure, x.left, top + 14, "start"))
        named = (("case", shares.case), ("seed", shares.seed), ("rest", shares.residual))
        for name, share in named:
            parts.append(
                element(
                    "rect",
                    x=x(start),
                    y=top + 20,
                    width=x(start + share) - x(start),
                    height=14.0,
                    class_=f"share-{name}",
                    data_tip=f"{structure}, {name}: {100 * share:.1f} % of the variance",
                )
            )
            start += share
        words = " · ".join(f"{name} {100 * share:.1f} %" for name, share in named)
        parts.append(_text(words, x.left, top + 48, "start", "quiet"))
    return _figure(parts, step * len(shown) + 2, "Shares of the variance of a score")


def _svg(parts: list[Markup], x: Scale, bottom: float, label: str, study: SeedStudy, colour: str) -> Markup:
    ticks = x.ticks()
    digits = max(0, int(-np.floor(np.log10(ticks[1] - ticks[0]) + 1e-9))) if len(ticks) > 1 else 3
    title = f"{study.metric.title}{f' ({study.metric.unit})' if study.metric.unit else ''}"
    axis = _axis(x, bottom, [(tick, f"{tick:.{digits}f}") for tick in ticks], title)
    return _figure([*parts, axis], bottom + _AXIS, label, colour)


def _figure(parts: list[Markup], height: float, label: str, colour: str | None = None) -> Markup:
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_label=label,
        class_=f"plot {colour or ''}".strip(),
    )


def _axis(x: Scale, y: float, ticks: Sequence[tuple[float, str]], title: str) -> Markup:
    marks = [
        Markup(element("line", x1=x(v), x2=x(v), y1=y, y2=y + 4, class_="axis") + _text(label, x(v), y + 16, "middle"))
        for v, label in ticks
    ]
    line = element("line", x1=x.left, x2=x.right, y1=y, y2=y, class_="axis")
    return element("g", line, *marks, _text(title, x.right, y + 30, "end", "quiet"))


def _text(text: str, x: float, y: float, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _rule(x: float, top: float, bottom: float, class_: str) -> Markup:
    return element("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def _span(x: Scale, low: float, high: float, top: float, bottom: float, tip: str) -> Markup:
    return element("rect", x=x(low), y=top, width=x(high) - x(low), height=bottom - top, class_="luck", data_tip=tip)


def _bar(x: Scale, share: float, top: float, class_: str, tip: str) -> Markup:
    return element("rect", x=x.left, y=top, width=max(1.0, x(share) - x.left), height=12.0, class_=class_, data_tip=tip)


def _diamond(x: float, y: float, r: float) -> str:
    return f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z"
