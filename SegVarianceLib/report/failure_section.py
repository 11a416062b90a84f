"""Whether disagreement between members tells which cases fail: a scatter of cases and the risk-coverage curve, by structure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..stats.failure_prediction import KEPT, FailurePrediction, prediction_sentence
from ..stats.verdict import percent
from .layout import ColourOf, folded_grid, section
from .markup import Markup, element
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, box, dot, figure, label, line, upright_axis
from .tables import Table, columns

_LEFT, _TOP, _BOTTOM = 52.0, 18.0, 190.0


def failure_section(predictions: Sequence[FailurePrediction], colour_of: ColourOf) -> Markup:
    """The section of one configuration; nothing where there is no prediction."""
    if not predictions:
        return Markup()
    panels = [
        element(
            "figure",
            element("h4", p.structure, class_=colour_of(p.structure)),
            agreement_scatter(p, colour_of(p.structure)),
            risk_coverage_plot(p, colour_of(p.structure)),
            element("p", prediction_sentence(p)),
            class_="with-words",
        )
        for p in predictions
    ]
    first = predictions[0]
    return section(
        "Does disagreement tell which cases fail?",
        "Above: each dot is a case; right is where the members agree, up is where their ensemble is right. Below: the mean error of "
        "the cases that are kept when those with least agreement are taken out first; dashed, from above: taken out by chance, "
        "and by someone who knows the errors.",
        (
            "Agreement: mean Dice between every two members, which needs no reference. Error: 1 minus the Dice of "
            f"{first.ensemble.replace('_', ' ')} on cases that no member was trained on. Spearman's rank correlation; interval: "
            "2 000 bootstrap samples of patients.",
            "Area under the risk-coverage curve: mean over all coverages (Geifman, El-Yaniv 2017); predictor: Roy et al. 2019, Zenk et "
            "al. 2025.",
        ),
        folded_grid(panels),
    )


def agreement_scatter(p: FailurePrediction, colour: str) -> Markup:
    """Dice of the ensemble by mean Dice between two members, a dot a case."""
    x = Scale.around(p.predicted.tolist(), left=_LEFT + 8)
    y = Scale.around(p.actual.tolist(), left=_BOTTOM, right=_TOP)
    parts = [
        *(
            dot(x(member), y(ensemble), 3.0, "mark faint", f"{case}: agreement {member:.3f}, Dice {ensemble:.3f}")
            for case, member, ensemble in zip(p.cases, p.predicted, p.actual, strict=True)
        ),
        upright_axis(y, _LEFT, y.labelled_ticks()),
        label("Dice of the ensemble", 0.0, 10.0, "start", "quiet"),
        axis(x, _BOTTOM, x.labelled_ticks(), "mean Dice between two members"),
    ]
    return figure(parts, _BOTTOM + AXIS_HEIGHT, f"Agreement and Dice of each case, {p.structure}", colour)


def risk_coverage_plot(p: FailurePrediction, colour: str) -> Markup:
    """Mean error of the cases kept, by how many are kept."""
    coverage = np.arange(1, len(p.risk) + 1) / len(p.risk)
    x = Scale(0.0, 1.0, left=_LEFT + 8, right=WIDTH - 18)
    y = Scale.around([0.0, p.aurc_random, *p.risk.tolist()], left=_BOTTOM, right=_TOP)
    tip = (
        f"Area: {p.aurc.value:.4f} (95 % interval {p.aurc.low:.4f} to {p.aurc.high:.4f}); by chance {p.aurc_random:.4f}, "
        f"knowing the errors {p.aurc_oracle:.4f}"
    )
    parts = [
        line(x(0), y(p.aurc_random), x(1), y(p.aurc_random), "zero-line dashed"),
        element("path", d=_path(x, y, coverage, p.best_risk), class_="grey-curve dashed"),
        element("path", d=_path(x, y, coverage, p.risk), class_="curve"),
        line(x(KEPT), _TOP, x(KEPT), _BOTTOM, "zero-line"),
        box(x(0), _TOP, x(1), _BOTTOM, "hit", tip),
        upright_axis(y, _LEFT, y.labelled_ticks()),
        label("mean error (1 − Dice)", 0.0, 10.0, "start", "quiet"),
        axis(x, _BOTTOM, [(v, percent(v)) for v in (0, 0.2, 0.4, 0.6, 0.8, 1)], "cases kept"),
    ]
    return figure(parts, _BOTTOM + AXIS_HEIGHT, f"Mean error of the cases kept, {p.structure}", colour)


def failure_table(predictions: Sequence[FailurePrediction]) -> Table:
    """One row a configuration and structure."""
    heads = columns(
        *("Configuration", "Structure", "Ensemble", "Cases", "Left out", "Rank correlation", "95 % low", "95 % high"),
        *("AURC", "AURC by chance", "AURC of an oracle", "Mean Dice", f"Mean Dice of the {percent(KEPT)} kept"),
    )
    rows = tuple(
        (
            *(p.configuration, p.structure, p.ensemble, len(p.cases), p.left_out),
            *(p.correlation.value, p.correlation.low, p.correlation.high),
            *(p.aurc.value, p.aurc_random, p.aurc_oracle, 1 - p.aurc_random, p.mean_at(p.risk, KEPT)),
        )
        for p in predictions
    )
    note = "How well the mean Dice between two members predicts the ensemble's Dice. AURC: area under the risk-coverage curve."
    return Table("failure_prediction", "Does disagreement tell which cases fail?", heads, rows, note)


def _path(x: Scale, y: Scale, coverage: np.ndarray, risk: np.ndarray) -> str:
    return "M" + "L".join(f"{x(at):.1f} {y(value):.1f}" for at, value in zip(coverage, risk, strict=True))
