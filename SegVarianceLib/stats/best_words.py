"""What "best" means here, in sentences."""

from __future__ import annotations

from .best_configuration import BestConfiguration, Standing
from .comparison import Verdict
from .verdict import amount, number, percent


def best_sentences(found: BestConfiguration) -> tuple[str, ...]:
    """Which candidate is best, which cannot be told from it, and how much of the choice is luck."""
    metric = found.metric
    best = _standing(found, found.best)
    interval = f"{number(best.mean.low, metric, 1)} to {number(best.mean.high, metric, 1)}"
    others = len([each for each in found.standings if each.picked is not None]) - 1
    about = f"{metric.title}, {found.structure}: {found.best} has the best mean, {number(best.mean.value, metric, 1)} (95 % interval {interval}; {found.cases} cases)"
    if found.settled:
        sentences = [
            f"{about}, and is shown to be better than {f'each of the {others} others' if others > 1 else 'the other'} (Holm's "
            "correction over all pairs)."
        ]
    else:
        sentences = [
            f"{about}, but 'best' is not settled: it is not distinguishable from {', '.join(found.alike)}.",
        ]
        if found.simplest != found.best:
            size = _standing(found, found.simplest).trainings
            sentences.append(
                f"Of these, {found.simplest} needs the fewest trainings a prediction ({size}) and is not shown to be worse."
            )
    for each in found.standings:
        if each.against is not None:
            sentences.append(_against(found, each))
    if alone := [each.name for each in found.standings if each.rows == 1]:
        sentences.append(f"One repetition alone, so for other cases only and not to be picked: {', '.join(alone)}.")
    if two := [each.name for each in found.standings if each.rows == 2]:
        sentences.append(
            f"Two repetitions alone of {', '.join(two)}: chance can make these intervals far too wide or too narrow. Train more seeds."
        )
    sentences.append(
        f"Picked anew in redrawn studies (other cases, other trainings): {', '.join(f'{each.name} {percent(each.picked)}' for each in found.standings if each.picked is not None)}."
    )
    nested = "" if found.nested is None else f"; picked on other folds, the mean is {number(found.nested, metric, 1)}"
    sentences.append(f"The pick flatters the best mean by about {amount(abs(found.optimism), metric, 2)}{nested}.")
    return tuple(sentences)


def _against(found: BestConfiguration, each: Standing) -> str:
    against, metric = each.against, found.metric
    assert against is not None  # noqa: S101 (for the type checker)
    lead = f"{number(against.lead.value, metric, 1)} ({number(against.lead.low, metric, 1)} to {number(against.lead.high, metric, 1)}), p after correction {against.p_holm:.2g}"
    what = {
        Verdict.BETTER: f"better by more than {found.smallest_difference:g}",
        Verdict.MAYBE_TOO_LITTLE: "better, but maybe too little to matter",
        Verdict.EQUIVALENT: f"within {found.smallest_difference:g} of each other"
        + (", though not equal" if against.p_holm < 0.05 else ""),
        Verdict.NOT_SETTLED: "not settled",
    }[against.verdict]
    return f"{found.best} against {each.name}: {lead}: {what}."


def _standing(found: BestConfiguration, name: str) -> Standing:
    return next(each for each in found.standings if each.name == name)
