"""What the seeds of one recipe show in a few figures, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from ..stats.score_cube import higher_is_better
from ..stats.seed_study import SeedStudy
from ..stats.verdict import (
    amount,
    best_seed_sentence,
    ensemble_sentences,
    number,
    percent,
    random_pair_sentence,
    range_sentence,
)
from .markup import Markup, element, joined


def headline(studies: Sequence[SeedStudy]) -> Markup:
    """What matters, with its number, from the first study of a configuration (the foreground mean where there is one)."""
    study = studies[0]
    best = percent(study.paired_t.best_beats)
    cards = [
        _card(
            percent(study.paired_t.random_pairs),
            "of pairs of equal trainings called different",
            random_pair_sentence(study),
        ),
        _card(
            f"{best} vs {percent(study.selection_alone.mean)}",
            "of siblings beaten by the best seed; by picking alone",
            best_seed_sentence(study),
        ),
        _card(
            f"{number(study.lowest, study.metric)}–{amount(study.highest, study.metric)}",
            f"{study.metric.title} depending on the seed alone",
            range_sentence(study),
        ),
    ]
    if study.ensembles:
        # The first one, declared beforehand by the order of rules: showing the best of several would be picking again.
        gain = study.ensembles[0]
        better = gain.difference > 0 if higher_is_better(study.metric) else gain.difference < 0
        cards.append(
            _card(
                f"{'+' if gain.difference >= 0 else '−'}{amount(abs(gain.difference), study.metric, 1)}",
                f"{'gain' if better else 'no gain'} of the ensemble over a single training",
                ensemble_sentences(study)[0],
            )
        )
    return joined(element("div", *cards, class_="cards"), _left_out(study))


def _left_out(study: SeedStudy) -> Markup:
    """Nothing where every seed has a value for everything."""
    sentences = []
    if study.left_out_seeds:
        sentences.append(
            f"Seeds left out, because they lack cases and keeping them would cost more: "
            f"{', '.join(map(str, study.left_out_seeds))}."
        )
    if study.incomplete_seeds:
        sentences.append(f"Seeds that lack cases: {', '.join(map(str, study.incomplete_seeds))}.")
    if study.exclusions:
        what = "1 structure of a case" if len(study.exclusions) == 1 else f"{len(study.exclusions)} structures of cases"
        sentences.append(
            f"Left out for all seeds, because not every seed has a value: {what}; {len(study.cases)} cases count. "
            "Each is named in the table 'What was left out'."
        )
    return element("p", " ".join(sentences), class_="warning") if sentences else Markup()


def _card(figure: str, what: str, sentence: str) -> Markup:
    return element(
        "div",
        element("div", figure, class_="number"),
        element("div", what, class_="what"),
        element("p", sentence),
        class_="card",
    )
