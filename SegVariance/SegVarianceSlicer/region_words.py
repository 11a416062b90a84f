"""What an inspection says in numbers and words for the panel Regions."""

from __future__ import annotations

import math
from dataclasses import replace

from SegVarianceLib.core.labels import BACKGROUND
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.evaluation.region_steps import RegionSteps
from SegVarianceLib.report.region_plot import region_sentences
from SegVarianceLib.review.inspection import Inspection, Picture

from .state_regions import RegionRow, RegionSlider, RegionsState

_ROUNDING = 1e-9


def described(state: RegionsState, inspected: Inspection, picture: Picture, members: int) -> RegionsState:
    """``state`` with what is painted now; ``members`` who vote, 0 where no votes are counted."""
    scores = inspected.scores()
    return replace(
        state,
        rule=inspected.rule,
        sliders=_sliders(inspected, members),
        step=inspected.painted,
        steps=len(inspected.shown.order),
        step_words=_step_words(inspected.shown, inspected.painted),
        changes=(
            f"Gained {_ml(picture.gained_ml)} (white), lost {_ml(picture.lost_ml)} (red), another label "
            f"{_ml(picture.relabelled_ml)} (yellow)."
        ),
        orphans=_orphan_words(inspected.shown),
        rows=_rows(inspected, scores),
        why="" if scores is None else _why(inspected, scores),
    )


def _sliders(inspected: Inspection, members: int) -> tuple[RegionSlider, ...]:
    regions = inspected.shown.labels.structures
    thresholds = zip(regions, inspected.thresholds or (), strict=False)
    return tuple(RegionSlider(each.name, value, _threshold_words(value, members)) for each, value in thresholds)


def _threshold_words(threshold: float, members: int) -> str:
    if not members:
        return f"{threshold:.2f}"
    needed = math.floor(threshold * members + _ROUNDING) + 1
    return f"{threshold:.2f}, {f'from {needed} of {members}' if needed <= members else 'nobody'}"


def _step_words(shown: Reconstruction, painted: int) -> str:
    if painted == 0:
        return "nothing is painted yet."
    region, value = shown.labels.structures[painted - 1], shown.order[painted - 1]
    taken = shown.overwritten_ml(painted)
    others = [f"{_ml(volume)} over label {label}" for label, volume in taken.items() if label != BACKGROUND]
    if not taken:
        return f"{region.name} is empty: nothing is painted."
    over = f", of it {' and '.join(others)}" if others else ""
    return f"{region.name} is painted as label {value}: {_ml(sum(taken.values()))}{over}."


def _orphan_words(shown: Reconstruction) -> str:
    found = [f"{_ml(volume)} of {name}" for name, volume in shown.orphans_ml.items() if volume]
    if not found:
        return "No orphans: every region lies inside those that should hold it."
    return f"{' and '.join(found)} outside a region that should hold it (magenta)."


def _rows(inspected: Inspection, scores: RegionSteps | None) -> tuple[RegionRow, ...]:
    shown, before = inspected.shown, inspected.scores_before
    volumes, orphans = shown.volumes_ml(inspected.painted), shown.orphans_ml
    rows = []
    for at, (region, value) in enumerate(zip(shown.labels.structures, shown.order, strict=True)):
        row = RegionRow(region.name, value, volumes[value], orphans[region.name])
        if scores is not None and before is not None:
            of_region = before.regions[at].dice, scores.regions[at].dice
            of_label = (_label_dice(each, value, inspected.painted) for each in (before, scores))
            row = replace(row, region_dice=of_region, label_dice=tuple(of_label))  # type: ignore[arg-type]
        rows.append(row)
    return tuple(rows)


def _label_dice(scores: RegionSteps, value: int, painted: int) -> float | None:
    """After as many steps; None before the label is painted."""
    return next((step.dice for step in reversed(scores.of_label(value)) if step.step <= painted), None)


def _why(inspected: Inspection, scores: RegionSteps) -> str:
    """The sentence about the label that was painted last, of the whole way."""
    if inspected.painted == 0:
        return ""
    values = list(dict.fromkeys(inspected.shown.order))
    return region_sentences(scores)[values.index(inspected.shown.order[inspected.painted - 1])]


def _ml(volume: float) -> str:
    return f"{volume:.3f} ml" if volume < 1 else f"{volume:.1f} ml"
