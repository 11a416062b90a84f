"""Cases x seeds as one small indexed image with the values beside it for the tooltip: light even for 50 x 260."""

from __future__ import annotations

import json

import numpy as np

from ..stats.score_cube import higher_is_better
from ..stats.seed_study import SeedStudy
from ..stats.verdict import amount
from .markup import Markup, element, joined
from .png import png_address

_ANCHORS = np.array([[38, 18, 74], [54, 66, 134], [40, 122, 142], [66, 172, 124], [176, 214, 92], [252, 244, 176]])
"""Worst to best, lightness rising all the way, so that it reads without colour vision and in print."""

_SHOWN = (2, 98)
"""Percentiles that the colours span: a few extreme scores must not make all others look alike."""

_LABELLED_SEEDS = 20


def heat_map(study: SeedStudy, colour: str) -> Markup:
    """Rows are seeds, best on top; columns are cases, hardest on the left."""
    better = 1 if higher_is_better(study.metric) else -1
    cases = np.argsort(better * study.values.mean(axis=0), kind="stable")
    seeds = np.argsort(-better * study.values.mean(axis=1), kind="stable")
    values = study.values[np.ix_(seeds, cases)]
    low, high = np.percentile(values, _SHOWN)
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    indices = np.rint(255 * (share if better > 0 else 1 - share)).astype(np.uint8)
    seed_names = [study.seeds[row].seed for row in seeds]
    data = {
        "seeds": seed_names,
        "cases": [study.cases[column] for column in cases],
        "values": [[round(float(value), 4) for value in row] for row in values],
        "unit": study.metric.unit,
    }
    height = max(90, (16 if len(seeds) <= _LABELLED_SEEDS else 8) * len(seeds))
    picture = element(
        "img",
        src=png_address(indices, palette()),
        alt=f"{study.metric.title} of {len(cases)} cases by {len(seeds)} seeds, {study.structure}",
        style=f"height:{height}px",
        data_heat=json.dumps(data, separators=(",", ":")),
    )
    shown = seed_names if len(seeds) <= _LABELLED_SEEDS else ["best seed", "worst seed"]
    labels = element("div", *(element("span", str(name)) for name in shown), class_="heat-seeds")
    return element(
        "div",
        element("h4", study.structure, class_=colour),
        element("div", labels, element("div", picture, class_="heat-box"), class_="heat"),
        element("p", element("span", "hardest case"), element("span", "easiest case"), class_="heat-cases"),
        _legend(study, float(low), float(high)),
        class_="wide",
    )


def palette() -> np.ndarray:
    """uint8 [256, rgb]"""
    at = np.linspace(0, len(_ANCHORS) - 1, 256)
    channels = [np.interp(at, range(len(_ANCHORS)), _ANCHORS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def _legend(study: SeedStudy, low: float, high: float) -> Markup:
    worst, best = (low, high) if higher_is_better(study.metric) else (high, low)
    ramp = element(
        "img", src=png_address(np.arange(256, dtype=np.uint8)[None], palette()), alt="colour scale", class_="ramp"
    )
    return element(
        "p",
        joined(f"{study.metric.title}: {amount(worst, study.metric)} or worse "),
        ramp,
        joined(f" {amount(best, study.metric)} or better"),
        class_="legend",
    )
