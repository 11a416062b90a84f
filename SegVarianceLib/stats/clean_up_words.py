"""What a chosen clean-up is worth, in sentences."""

from __future__ import annotations

from ..core.catalog import Facts
from .clean_up_gain import ChosenCleanUp, CleanUpGain
from .score_cube import metric_of_column
from .verdict import number


def clean_up_sentences(found: ChosenCleanUp) -> tuple[str, ...]:
    """What was chosen, what it gained on the same cases, what it gains on others, and how sure the choice is."""
    folds = len(found.by_fold)
    steps = found.choice.steps
    if not steps:
        sentences = ["No clean-up raises Dice on all held-out cases together: none was chosen."]
    else:
        sentences = [f"Chosen on all held-out cases: {'; then '.join(map(str, steps))}."]
    metric = metric_of_column("dice")
    flattered, nested = found.flattered[:1], found.nested[:1]
    if steps and flattered:
        sentences.append(f"On the very cases it was chosen on (this flatters): {_gain(flattered[0], metric)}.")
    if nested:
        sentences.append(
            f"Nested, every case cleaned as chosen without its fold ({folds} folds): {_gain(nested[0], metric)}. {_meaning(nested[0])}"
        )
    for step, times in found.chosen_in.items():
        sentences.append(f"{times} of {folds} folds chose: {step}.")
    if none := sum(not choice.steps for choice in found.by_fold):
        sentences.append(f"{none} of {folds} folds chose nothing.")
    return tuple(sentences)


def _gain(gain: CleanUpGain, metric: Facts) -> str:
    interval = f"{number(gain.gain.low, metric, 2)} to {number(gain.gain.high, metric, 2)}"
    over = f"{gain.seeds} seeds and {gain.cases} cases" if gain.seeds > 1 else f"{gain.cases} cases"
    beside = [
        f"{count} {what}"
        for count, what in (
            (gain.false_alarms_removed, "false alarms of a structure removed altogether, beside this mean"),
            (gain.lost, "structures lost altogether"),
        )
        if count
    ]
    return (
        f"Dice, {gain.structure}, {number(gain.before, metric, 2)} becomes {number(gain.after, metric, 2)}, gain "
        f"{number(gain.gain.value, metric, 2)} (95 % interval {interval}; {over}){''.join(f'; {each}' for each in beside)}"
    )


def _meaning(gain: CleanUpGain) -> str:
    if gain.gain.low > 0:
        return "It is shown to help on new cases."
    if gain.gain.high < 0:
        return "It harms on new cases: leave it out."
    if gain.gain.low == gain.gain.high == 0:
        return "It changes nothing on new cases."
    return "It is not shown to help on new cases."
