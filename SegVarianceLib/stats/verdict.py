"""What the figures say, in sentences for a clinician. Every sentence carries its number."""

from __future__ import annotations

from ..core.catalog import Facts
from .intervals import Estimate
from .seed_study import SeedStudy


def findings(study: SeedStudy) -> tuple[str, ...]:
    """The sentences of one study, most important first."""
    return (
        random_pair_sentence(study),
        best_seed_sentence(study),
        range_sentence(study),
        *luck_sentences(study),
        *ensemble_sentences(study),
    )


def random_pair_sentence(study: SeedStudy) -> str:
    return (
        f"Two trainings of the same recipe were called 'significantly' different in "
        f"{percent(study.paired_t.random_pairs)} of pairs here (paired t-test on {len(study.cases)} cases; "
        f"{percent(study.wilcoxon.random_pairs)} by Wilcoxon's test). Without any effect of the seed it would be 5 %."
    )


def best_seed_sentence(study: SeedStudy) -> str:
    alone, found = study.selection_alone, study.paired_t.best_beats
    if found > alone.high:
        verdict = "That is more than picking explains: the seed itself matters."
    elif found < alone.low:
        verdict = "That is less than picking alone would usually give."
    else:
        verdict = "So picking the best can explain all of it."
    return (
        f"The best of {len(study.seeds)} seeds (seed {study.best_seed}) beats {percent(found)} of its siblings with "
        f"p < 0.05; picking the best alone would give about {percent(alone.mean)} "
        f"({percent(alone.low)} to {percent(alone.high)}) even if seeds made no difference. {verdict}"
    )


def range_sentence(study: SeedStudy) -> str:
    return (
        f"{study.metric.title} ({study.structure}) lies between {number(study.lowest, study.metric)} and "
        f"{amount(study.highest, study.metric)} depending on the seed alone "
        f"(mean {number(study.mean, study.metric)}, SD between seeds {number(study.sd_between_seeds, study.metric, 1)})."
    )


def luck_sentences(study: SeedStudy) -> tuple[str, ...]:
    """What remains of the best seed's lead on new cases; nothing where no residual varies."""
    ratio, best = study.luck_ratio, study.best_of_many
    if ratio is None or best.kept_share is None:
        return ()
    own = (
        f"About {percent(best.kept_share)} of such a lead ({_kept(ratio)}) is the training's own and would show again on new cases, "
        "the rest is the luck of these cases."
    )
    if ratio.high == 0:
        own = "Seeds differ no more than the luck of these cases explains: nothing of such a lead is shown to be the training's own."
    return (
        f"The best seed leads the average seed by {amount(best.lead, study.metric, 1)}; a best of {len(study.seeds)} does so by "
        f"{number(best.expected_lead, study.metric, 1)} on average. {own}",
    )


def ensemble_sentences(study: SeedStudy) -> tuple[str, ...]:
    return tuple(
        f"Ensemble {gain.ensemble} reaches {amount(gain.mean, study.metric)}, "
        f"{amount(abs(gain.difference), study.metric, 1)} {'above' if gain.difference >= 0 else 'below'} the average single "
        f"seed, and is better than {percent(gain.seeds_exceeded)} of the single seeds."
        for gain in study.ensembles
    )


def percent(share: float) -> str:
    """``0.304`` as ``30 %``; a share that is not 0 never reads as 0."""
    return "under 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def p_value(p: float) -> str:
    """``p = 0.0123``; never ``p = 0``."""
    return "p < 0.0001" if p < 0.00005 else f"p = {p:.4f}"


def number(value: float, metric: Facts, extra_digits: int = 0) -> str:
    """Three decimals for a share such as Dice, two for millimetres; ``extra_digits`` for small differences."""
    return f"{value:z.{(2 if metric.unit else 3) + extra_digits}f}"


def amount(value: float, metric: Facts, extra_digits: int = 0) -> str:
    """``number`` with its unit."""
    return f"{number(value, metric, extra_digits)} {metric.unit}".rstrip()


def _kept(ratio: Estimate) -> str:
    low, high = (bound / (1 + bound) for bound in (ratio.low, ratio.high))
    return f"95 % interval {percent(low)} to {percent(high)}"
