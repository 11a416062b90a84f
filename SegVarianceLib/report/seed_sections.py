"""The plots of one recipe's seeds, each with how to read it and how it was computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.words import counted
from ..stats.ensemble_size import EnsembleCurve, enough_sentence, gain_sentence
from ..stats.seed_study import SeedStudy
from ..stats.tests import pairwise_tests
from ..stats.verdict import findings
from .ensemble_plot import ensemble_size_curve
from .false_alarm_plot import false_alarm_map
from .heat_map import heat_map
from .layout import OPEN_PANELS, ColourOf, fold, folded_grid, grid, panel, section
from .markup import Markup, element, joined
from .methods import FALSE_ALARM_MAP, VARIANCE_PARTS
from .plots import best_share_beside_selection, caterpillar, ensembles_beside_seeds
from .power_section import power_of_one
from .svg import Scale
from .variance_plot import variance_bars


def plot_sections(
    studies: Sequence[SeedStudy],
    curves: Sequence[EnsembleCurve],
    scales: Mapping[str, Scale],
    colour_of: ColourOf,
    compared: bool,
) -> Markup:
    """All plots of one configuration's primary metric; ``scales`` of the caterpillars by structure.

    Where it is ``compared`` with another, its false alarms and the power already stand beside that comparison.
    """
    found = [
        element(
            "div", element("h4", s.structure, class_=colour_of(s.structure)), *(element("p", f) for f in findings(s))
        )
        for s in studies
    ]
    return joined(
        fold("Every finding in words, for each structure", *found),
        _means(studies, scales, colour_of),
        _best_seed(studies, colour_of),
        Markup() if compared else _false_alarms(studies[0]),
        _heat_maps(studies, colour_of),
        _ensembles(studies, colour_of),
        _ensemble_sizes(curves, colour_of),
        _variance(studies, colour_of),
        Markup() if compared else power_of_one(studies[0], colour_of(studies[0].structure)),
    )


def _means(studies: Sequence[SeedStudy], scales: Mapping[str, Scale], colour_of: ColourOf) -> Markup:
    panels = [
        panel(s.structure, colour_of(s.structure), caterpillar(s, colour_of(s.structure), scales[s.structure]))
        for s in studies
    ]
    return section(
        "Each seed's mean",
        "Each dot is one training; only its seed differs. Thin line: where the mean could lie had other patients been "
        "tested. Thick line: what is left when the same patients are compared. Shaded: where the best of "
        f"{len(studies[0].seeds)} would land by luck alone if seeds made no difference.",
        (
            "Mean over cases; thin line: 95 % t interval over cases. Thick line: 95 % interval from the residual of a two-way "
            "analysis of variance (seed, case). Band: 5 to 95 % range of the largest of k normal numbers times the residual's "
            "standard error of a mean; dashed: its expectation m_k. Recipes share one scale.",
        ),
        grid(panels),
    )


def _best_seed(studies: Sequence[SeedStudy], colour_of: ColourOf) -> Markup:
    return section(
        "Is the best seed really better?",
        "Coloured: the share of other seeds that the best one beats with p < 0.05. Grey: what picking the best would give "
        "even if all seeds were equally good. A coloured bar inside the whisker is no evidence for a better seed.",
        (
            f"Paired t-test over {len(studies[0].cases)} cases, the best seed by its mean against each other seed, not "
            "corrected (with Holm's correction and Wilcoxon's test in the tables). Grey: 10 000 simulated studies with as "
            "many seeds and cases, normal residuals and no seed effect; the whisker holds 90 % of them.",
            "Design: Åkesson, Töger, Heiberg 2024.",
        ),
        element("figure", best_share_beside_selection(studies, colour_of)),
    )


def _false_alarms(study: SeedStudy) -> Markup:
    pairs = pairwise_tests(study.values)
    plots = [
        element("figure", false_alarm_map(test, p, None))
        for test, p in (("paired t-test", pairs.paired_t_p), ("Wilcoxon's test", pairs.wilcoxon_p))
    ]
    return section(
        "How often equal trainings are called different",
        "Every pair of these trainings, compared by a usual test over cases. No pair differs in its recipe, so the line "
        "should run along the dashed one, and 5 % of pairs should lie in the shaded part.",
        FALSE_ALARM_MAP,
        grid(plots),
    )


def _heat_maps(studies: Sequence[SeedStudy], colour_of: ColourOf) -> Markup:
    maps = [heat_map(study, colour_of(study.structure)) for study in studies]
    rest = maps[OPEN_PANELS:]
    return section(
        "Which cases are hard, and for which seed",
        "Each column is a case, hardest on the left, each row a seed, best on top. Vertical stripes: the case matters more "
        "than the seed. A single dark cell: one training failed where others did not. Point at a cell to read it.",
        ("The colours span the 2nd to 98th percentile of the scores of that structure.",),
        element("figure", *maps[:OPEN_PANELS], fold(counted(len(rest), "more structure"), *rest) if rest else Markup()),
    )


def _ensembles(studies: Sequence[SeedStudy], colour_of: ColourOf) -> Markup:
    shown = [study for study in studies if study.ensembles]
    panels = [
        panel(s.structure, colour_of(s.structure), ensembles_beside_seeds(s, colour_of(s.structure))) for s in shown
    ]
    if not panels:
        return Markup()
    return section(
        "Ensembles beside single trainings",
        "Dots: single trainings. Diamonds: what they give together. The number is the gain over the average single training.",
        (
            "Means on the cases that the ensemble and every seed have. The gain has no interval here: it is a point estimate.",
        ),
        grid(panels),
    )


def _ensemble_sizes(curves: Sequence[EnsembleCurve], colour_of: ColourOf) -> Markup:
    if not curves:
        return Markup()
    panels = [
        element(
            "figure",
            element("h4", curve.structure, class_=colour_of(curve.structure)),
            ensemble_size_curve(curve, colour_of(curve.structure)),
            element("p", gain_sentence(curve, curve.seeds)),
            element("p", enough_sentence(curve)),
            class_="with-words",
        )
        for curve in curves
    ]
    return section(
        "How many trainings are worth averaging",
        "What averaging k trainings gains over a single one, with its 95 % interval; up is better. Dashed: only one group "
        "of that size, so the interval holds for other patients, not for other trainings.",
        (
            "The seeds are dealt into groups that share no training. A group's gain is its ensemble minus the mean of the very "
            "seeds in it, case by case, so that neither an easy case nor a lucky seed passes for a gain.",
            "Interval of several groups: the two-way t of groups and cases; of one group: Student's t over cases. Enough: the "
            f"fewest members whose 90 % interval of what is lost against all {curves[0].seeds} stays below the smallest "
            "difference that matters, shown by at least two groups.",
        ),
        folded_grid(panels),
    )


def _variance(studies: Sequence[SeedStudy], colour_of: ColourOf) -> Markup:
    shown = [study for study in studies if study.variance]
    panels = [panel(s.structure, colour_of(s.structure), variance_bars(s.variance, s.structure)) for s in shown]
    if not panels:
        return Markup()
    return section(
        "Where the differences come from",
        "How much of the spread of single scores is the patient, the training's general luck, and the rest (chance that "
        "concerns one training on one patient).",
        VARIANCE_PARTS,
        folded_grid(panels),
    )
