"""What a comparison says, in sentences for a clinician. Every sentence carries its number and its interval."""

from __future__ import annotations

from ..core.catalog import Facts
from .comparison import Comparison, Recipe, Verdict
from .intervals import Estimate
from .score_cube import higher_is_better
from .tests import SIGNIFICANCE_LEVEL
from .verdict import amount, number, percent


def comparison_findings(comparison: Comparison) -> tuple[str, ...]:
    """The sentences of one comparison, most important first."""
    return (
        verdict_sentence(comparison),
        *failure_sentences(comparison),
        once_more_sentence(comparison),
        cases_sentence(comparison),
        *error_sentences(comparison),
        equal_trainings_sentence(comparison),
        *new_data_sentences(comparison),
    )


def verdict_title(comparison: Comparison) -> str:
    """The verdict in a few words, with the names."""
    a, b = comparison.a.name, comparison.b.name
    if comparison.verdict is Verdict.EQUIVALENT:
        return f"{a} and {b} are equivalent for your purpose"
    if comparison.verdict is Verdict.NOT_SETTLED:
        return f"{a} against {b}: not settled"
    return f"{comparison.leader.name} is {comparison.verdict}"


def short_verdict(comparison: Comparison, leader: str | None = None) -> str:
    """The verdict where there is room for a word or two; ``leader`` in place of its whole name."""
    return {
        Verdict.BETTER: f"{leader or comparison.leader.name} better",
        Verdict.MAYBE_TOO_LITTLE: "maybe too little",
        Verdict.EQUIVALENT: "equivalent",
        Verdict.NOT_SETTLED: "not settled",
    }[comparison.verdict]


def verdict_sentence(comparison: Comparison) -> str:
    """One of four, by the 95 % interval of the difference (equivalence: 90 %) against the smallest that matters."""
    c, d0 = comparison, amount_of_d0(comparison)
    leader, follower = comparison.leader.name, comparison.follower.name
    gain = f"{_gain_verb(c.metric)} {amount(abs(c.lead.value), c.metric, 1)} {c.metric.title} (95 % interval {_range(_of_leader(c), c.metric)})"
    if c.verdict is Verdict.BETTER:
        return (
            f"{leader} is better. Trained again and used on new patients, it is expected to {gain} over {follower}: more "
            f"than {d0}, the least that is to matter here."
        )
    if c.verdict is Verdict.MAYBE_TOO_LITTLE:
        return (
            f"{leader} is better on average, but the gain may be too small to matter: it is expected to {gain} over "
            f"{follower}, and {d0} is the least that is to matter here."
        )
    if c.verdict is Verdict.EQUIVALENT:
        clear = " The difference is beyond luck, and still too small to matter." if c.lead.low * c.lead.high > 0 else ""
        return (
            f"The two are equivalent for your purpose: trained again and used on new patients, they are expected to differ by "
            f"less than {d0} {c.metric.title} ({c.a.name} minus {c.b.name} {_signed(difference(c), c.metric)}, 90 % interval "
            f"{signed_range(difference(c, c.equivalence), c.metric)}).{clear}"
        )
    by = f"{leader} is ahead by {amount(abs(c.lead.value), c.metric, 1)} {c.metric.title} (95 % interval {_range(_of_leader(c), c.metric)})"
    if c.p < SIGNIFICANCE_LEVEL and c.p_holm is not None:
        return (
            f"Not settled. {by}: alone it would pass for a difference, among the {c.family} comparisons made here it may be "
            f"chance. {settle_sentence(c)}"
        )
    luck = "re-training the same recipe" if c.from_seeds >= c.from_cases else "testing other patients"
    return f"Not settled. {by}: a difference of the size that {luck} produces. {settle_sentence(c)}"


def settle_sentence(comparison: Comparison) -> str:
    """What would settle a difference of d0 four times in five."""
    need, d0, sides = comparison.to_settle, amount_of_d0(comparison), (comparison.a, comparison.b)
    if need.at_hand >= need.wanted:
        return f"A true difference of {d0} would most likely have been found with the trainings and cases at hand."
    ways = []
    if need.seeds is not None and any(len(side.seeds) < need.seeds for side in sides):
        lacking = ", ".join(f"{max(0, need.seeds - len(side.seeds))} more of {side.name}" for side in sides)
        ways.append(f"about {need.seeds} {units(comparison.a)} of each recipe ({lacking})")
    if need.cases is not None and need.cases > len(comparison.cases):
        ways.append(f"about {need.cases} cases instead of {len(comparison.cases)}")
    if not ways and need.both is not None:
        return (
            f"To settle a difference of {d0}, neither more trainings nor more cases alone are enough: it takes both, as "
            f"{need.both[0]} {units(comparison.a)} of each recipe and {need.both[1]} cases."
        )
    if not ways:
        return f"A difference of {d0} is out of reach even with hundreds of trainings and thousands of cases."
    return f"To settle a difference of {d0}: {' or '.join(ways)}."


def units(side: Recipe) -> str:
    """What is repeated: trainings, or ensembles of some."""
    return "trainings" if side.ensemble_of == 1 else f"ensembles of {side.ensemble_of}"


def once_more_sentence(comparison: Comparison) -> str:
    p = comparison.probability_better
    share = p if comparison.lead.value >= 0 else Estimate(1 - p.value, 1 - p.high, 1 - p.low)
    return (
        f"If both were trained once more and tested on {len(comparison.cases)} patients, {comparison.leader.name} would have the "
        f"better mean {percent(share.value)} of the time (95 % interval {percent(share.low)} to {percent(share.high)})."
    )


def cases_sentence(comparison: Comparison) -> str:
    better, worse = comparison.cases_better, comparison.cases_worse
    if comparison.lead.value < 0:
        better, worse = worse, better
    return (
        f"One training of each: {comparison.leader.name} is better by more than {amount_of_d0(comparison)} in "
        f"{percent(better.value)} of patients (95 % interval {percent(better.low)} to {percent(better.high)}), and worse by more in "
        f"{percent(worse.value)} ({percent(worse.low)} to {percent(worse.high)})."
    )


def equal_trainings_sentence(comparison: Comparison) -> str:
    """The sentence that always stands: what the usual tests make of no difference at all."""
    t, wilcoxon = comparison.usual
    a, b = comparison.a.name, comparison.b.name
    return (
        f"Two trainings of the same recipe were called 'significantly' different in {percent(t.false_alarms)} of pairs here "
        f"by the {t.name} ({a} {percent(t.first_false_alarms)}, {b} {percent(t.second_false_alarms)}; {wilcoxon.name} "
        f"{percent(wilcoxon.false_alarms)}); 5 % is what they promise."
    )


def error_sentences(comparison: Comparison) -> tuple[str, ...]:
    """The same on a relative scale, where scores near 1 do not look alike; nothing for a distance."""
    ratio = comparison.error_ratio
    if ratio is None:
        return ()
    if comparison.lead.value < 0:
        ratio = Estimate(1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
    return (
        f"What {comparison.leader.name} leaves wrong (1 minus {comparison.metric.title}) is {ratio.value:.2f} of what "
        f"{comparison.follower.name} does (95 % interval {ratio.low:.2f} to {ratio.high:.2f}).",
    )


def failure_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Nothing where nothing failed."""
    if not any(side.failures.value for side in (comparison.a, comparison.b)):
        return ()
    what = "missed, falsely found" + ("" if comparison.metric.unit else " or below 0.5")
    sides = ", ".join(f"{side.name} in {_failures(side)}" for side in (comparison.a, comparison.b))
    lost = (
        " Where a structure is missed there is no distance, so those cases are not in the difference."
        if comparison.metric.unit
        else ""
    )
    return (f"Failures ({what}) per case and training: {sides}.{lost}",)


def new_data_sentences(comparison: Comparison) -> tuple[str, ...]:
    """With cross-validation alone: the wider claim."""
    new = comparison.new_training_data
    if new is None:
        return ()
    return (
        f"All of this is for single trainings on these {new.folds} splits, not for an ensemble of folds. Had other cases been there to "
        f"train on, the difference ({comparison.a.name} minus {comparison.b.name}) could lie in "
        f"{signed_range(difference(comparison, new.difference), comparison.metric)} (95 %, Nadeau and Bengio).",
    )


def amount_of_d0(comparison: Comparison) -> str:
    return f"{comparison.smallest_difference:g} {comparison.metric.unit}".rstrip()


def difference_text(comparison: Comparison) -> str:
    """a minus b as measured, in the metric's unit, with its 95 % interval: ``+0.0123 (+0.0050 to +0.0196)``."""
    found = difference(comparison)
    return f"{_signed(found, comparison.metric)} ({signed_range(found, comparison.metric)})"


def difference(comparison: Comparison, lead: Estimate | None = None) -> Estimate:
    """A lead (positive where a is better) as a minus b in the metric's own direction."""
    lead = comparison.lead if lead is None else lead
    return lead if higher_is_better(comparison.metric) else Estimate(-lead.value, -lead.high, -lead.low)


def _of_leader(comparison: Comparison) -> Estimate:
    lead = comparison.lead
    return lead if lead.value >= 0 else Estimate(-lead.value, -lead.high, -lead.low)


def _gain_verb(metric: Facts) -> str:
    return "gain" if higher_is_better(metric) else "save"


def _range(estimate: Estimate, metric: Facts) -> str:
    return f"{number(estimate.low, metric, 1)} to {number(estimate.high, metric, 1)}"


def _signed(estimate: Estimate, metric: Facts) -> str:
    return f"{estimate.value:+z.{3 if metric.unit else 4}f}"


def signed_range(estimate: Estimate, metric: Facts) -> str:
    """The bounds with their signs: ``+0.0050 to +0.0196``."""
    digits = 3 if metric.unit else 4
    return f"{estimate.low:+z.{digits}f} to {estimate.high:+z.{digits}f}"


def _failures(side: Recipe) -> str:
    return f"{percent(side.failures.value)} ({percent(side.failures.low)} to {percent(side.failures.high)})"
