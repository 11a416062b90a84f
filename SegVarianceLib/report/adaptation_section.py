"""What adaptation to single cases was worth: the gain of each variant over the networks as they were, and its price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.words import counted
from ..stats.paired_gain import PairedGain, gain_sentence, gain_text, gain_verdict
from .layout import section
from .markup import Markup, element, joined
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, dot, figure, label, line, whisker
from .tables import Table, columns

_ROW, _TOP, _LEFT = 24.0, 14.0, 190.0


@dataclass(frozen=True)
class Variant:
    """Medians of ``cpu_s`` and ``wall_s`` over ``adaptations``, the largest ``peak_memory_mib``. ``flagged`` adaptations warned of
    something; ``gain_flagged`` and ``gain_silent`` are the mean gains in Dice of those and of the others."""

    name: str
    adaptations: int
    cpu_s: float
    wall_s: float
    peak_memory_mib: float
    left_out: int
    neighbours: int
    flagged: int
    gain_flagged: float | None
    gain_silent: float | None


@dataclass(frozen=True)
class Adaptation:
    """``before`` is the configuration whose networks were adapted."""

    before: str
    gains: tuple[PairedGain, ...]
    variants: tuple[Variant, ...]


def adaptation_section(found: Adaptation | None) -> Markup:
    if found is None:
        return Markup()
    primary = [gain for gain in found.gains if gain.structure == found.gains[0].structure]
    return joined(
        element("h2", "What adaptation to the single case is worth"),
        element("ul", *(element("li", gain_sentence(gain)) for gain in primary)),
        section(
            "Gain by variant",
            "Right of the line: adapted masks are better than those of the same networks before. Bars: 95 % intervals for other cases and other "
            "trainings. The first row is the method, in each other row one part of it is switched off.",
            (
                "Every adapted network is compared with itself before, case by case; the mean of these differences over networks and cases, with a "
                "two-way t interval (networks and cases drawn anew). Trainings' own luck is on both sides and falls out.",
                "Verdicts are corrected by Holm over the variants. fine_tuning learns from training cases as they are, for as many steps; "
                "test_time_augmentation averages over disturbed copies of the image and learns nothing.",
                "Method: Chen et al. 2025, Medical Physics, 10.1002/mp.17883. No reference of a case is read before it is scored.",
            ),
            _gains(primary),
        ),
    )


def adaptation_tables(found: Adaptation) -> tuple[Table, ...]:
    gains = Table(
        "adaptation_gains",
        "Gain over the networks as they were",
        columns(
            *("Variant", "Structure", "Networks", "Cases", "Dice before", "Dice adapted", "Gain (95 %)", "Verdict"),
            *("Cases better %", "Cases worse %", "Largest loss of a case"),
        ),
        tuple(
            (
                *(gain.treated, gain.structure, gain.networks, len(gain.cases), gain.before_mean, gain.treated_mean),
                *(gain_text(gain), gain_verdict(gain), gain.better_share, gain.worse_share, min(gain.worst[1], 0.0)),
            )
            for gain in found.gains
        ),
        "Better and worse: shares of cases, by more than the smallest difference that matters.",
    )
    costs = Table(
        "adaptation_costs",
        "What it cost, and what its warnings point at",
        columns(
            *("Variant", "Adaptations", "CPU-s (median)", "Seconds (median)", "Memory, MiB", "Neighbours", "Left out"),
            *("With a warning", "Their mean gain", "Mean gain of the others"),
        ),
        tuple(
            (
                *(each.name, each.adaptations, each.cpu_s, each.wall_s, each.peak_memory_mib, each.neighbours),
                *(each.left_out, each.flagged, each.gain_flagged, each.gain_silent),
            )
            for each in found.variants
        ),
        "Left out: neighbours that could not be aligned.",
    )
    return gains, costs


def _gains(gains: Sequence[PairedGain]) -> Markup:
    bottom = _TOP + _ROW * len(gains)
    x = Scale.around(
        [0.0, *(end for gain in gains for end in (gain.gain.low, gain.gain.high))], left=_LEFT, right=WIDTH - 20
    )
    parts = [Markup(line(x(0.0), _TOP - 6, x(0.0), bottom, "axis"))]
    for number, gain in enumerate(gains):
        y = _TOP + _ROW * (number + 0.5)
        name = gain.treated.removeprefix(f"{gain.before}_").replace("_", " ")
        parts += [
            Markup(label(name, _LEFT - 10, y + 4, "end", "")),
            whisker(x, gain.gain.low, gain.gain.high, y),
            Markup(dot(x(gain.gain.value), y, 4, "mark", f"{name}: {gain_text(gain)}, {gain_verdict(gain)}")),
        ]
    frame = axis(x, bottom, x.labelled_ticks(), f"gain in Dice over {counted(gains[0].networks, 'network')}")
    return figure([*parts, frame], bottom + AXIS_HEIGHT, "Gain of each variant")
