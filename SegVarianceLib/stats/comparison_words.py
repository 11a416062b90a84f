"""What a comparison says, in sentences for a clinician. Every sentence carries its number and its interval."""

from __future__ import annotations

from ..core.catalog import Facts
from .comparison import Comparison, Recipe, Verdict
from .intervals import Estimate
from .score_cube import higher_is_better
from .verdict import amount, number, percent


def comparison_findings(comparison: Comparison) -> tuple[str, ...]:
    """The sentences of one comparison, most important first."""
    return (
        verdict_sentence(comparison),
        once_more_sentence(comparison),
        cases_sentence(comparison),
        equal_trainings_sentence(comparison),
        *failure_sentences(comparison),
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


def verdict_sentence(comparison: Comparison) -> str:
    """One of four, by the 95 % interval of the difference (equivalence: 90 %) against the smallest that matters."""
    c, d0 = comparison, amount_of_d0(comparison)
    leader, follower = comparison.leader.name, comparison.follower.name
    gain = f"{_gain_verb(c.metric)} {amount(abs(c.lead.value), c.metric, 1)} {c.metric.title} (95 % interval {_range(_of_leader(c), c.metric)})"
    if c.verdict is Verdict.BETTER:
        return (
            f"{leader} is better. Trained again and used on new patients, it is expected to {gain} over {follower}: more "
            f"than the {d0} you called relevant."
        )
    if c.verdict is Verdict.MAYBE_TOO_LITTLE:
        return (
            f"{leader} is better on average, but the gain may be too small to matter: it is expected to {gain} over "
            f"{follower}, and {d0} is the least you called relevant."
        )
    if c.verdict is Verdict.EQUIVALENT:
        clear = " The difference is beyond luck, and still too small to matter." if c.lead.low * c.lead.high > 0 else ""
        return (
            f"The two are equivalent for your purpose: trained again and used on new patients, they are expected to differ by "
            f"less than {d0} {c.metric.title} ({c.a.name} minus {c.b.name} {_signed(difference(c), c.metric)}, 90 % interval "
            f"{signed_range(difference(c, c.equivalence), c.metric)}).{clear}"
        )
    return (
        f"Not settled. {leader} is ahead by {amount(abs(c.lead.value), c.metric, 1)} {c.metric.title} (95 % interval "
        f"{_range(_of_leader(c), c.metric)}): a difference of the size that re-training the same recipe produces. {settle_sentence(c)}"
    )


def settle_sentence(comparison: Comparison) -> str:
    """What would settle a difference of d0 four times in five."""
    need, d0 = comparison.to_settle, amount_of_d0(comparison)
    more_cases = None if need.cases is None else need.cases - len(comparison.cases)
    most = max(len(comparison.a.seeds), len(comparison.b.seeds))
    more_seeds = None if need.seeds is None else need.seeds - most
    if more_seeds is not None and more_seeds <= 0:
        return f"A true difference of {d0} would most likely have been found with the trainings and cases at hand."
    ways = []
    if more_seeds is not None:
        ways.append(f"about {more_seeds} more training{'s' * (more_seeds > 1)} of each recipe")
    if more_cases is not None and more_cases > 0:
        ways.append(f"about {more_cases} more cases")
    if not ways and need.both is not None:
        return (
            f"To settle a difference of {d0}, neither more trainings nor more cases alone are enough: it takes both, as "
            f"{need.both[0]} trainings of each recipe and {need.both[1]} cases."
        )
    if not ways:
        return f"A difference of {d0} is out of reach even with hundreds of trainings and thousands of cases."
    return f"To settle a difference of {d0}: {' or '.join(ways)}."


def once_more_sentence(comparison: Comparison) -> str:
    p = comparison.probability_better
    share = p if comparison.lead.value >= 0 else Estimate(1 - p.value, 1 - p.high, 1 - p.low)
    return (
        f"If both were trained once more, {comparison.leader.name} would have the better mean {percent(share.value)} of the "
        f"time (95 % interval {percent(share.low)} to {percent(share.high)})."
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
    return (
        f"Two trainings of the same recipe were called 'significantly' different in {percent(t.false_alarms)} of pairs here "
        f"by the {t.name} ({percent(wilcoxon.false_alarms)} by {wilcoxon.name}); 5 % is what they promise."
    )


def failure_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Nothing where nothing failed."""
    if not any(side.failures.value for side in (comparison.a, comparison.b)):
        return ()
    what = "missed, falsely found" + ("" if comparison.metric.unit else " or below 0.5")
    sides = ", ".join(f"{side.name} in {_failures(side)}" for side in (comparison.a, comparison.b))
    return (f"It fails ({what}): {sides} of cases.",)


def new_data_sentences(comparison: Comparison) -> tuple[str, ...]:
    """With cross-validation alone: the wider claim."""
    new = comparison.new_training_data
    if new is None:
        return ()
    return (
        f"All of this is for these {new.folds} splits. Had other cases been there to train on, the difference "
        f"({comparison.a.name} minus {comparison.b.name}) could lie between "
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
