"""From region Dice to label Dice for people: a picture, a table and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..core.files import write_text
from ..core.labels import BACKGROUND
from ..evaluation.region_steps import LabelStep, RegionSteps
from .layout import colours
from .markup import Markup, element
from .style import STYLE
from .svg import AXIS_HEIGHT, WIDTH, Scale, axis, box, diamond, dot, figure, label
from .tables import Cell, Table, columns

_NAMES, _LONGEST_NAME = 152.0, 22
_ROW, _HEAD, _TOP = 20.0, 26.0, 2.0


def region_plot(found: RegionSteps) -> Markup:
    """One block a label: its region's Dice, and what each region that is painted over it, and so taken away, costs.

    Grey is the part that the same wrong voxels take because less is left; the colour is the part of wrong voxels that came.
    """
    chains = [chain for value in _painted(found) if (chain := found.of_label(value))]
    known = [step.dice for chain in chains for step in chain if step.dice is not None]
    x = Scale(max(0.0, min(known, default=0.0) - 0.05), 1.0, left=_NAMES)
    colour_of = colours([str(value) for value in _painted(found)])
    parts: list[Markup] = []
    y = _TOP
    for chain in chains:
        parts.append(element("g", *_block(chain, x, y), class_=colour_of(str(chain[0].value))))
        y += _HEAD + _ROW * len(chain) + 6
    legend = [
        box(10, y + 7, 30, y + 15, "plain"),
        label("the same errors in what is left", 36, y + 16, "start", "quiet"),
        box(10, y + 23, 30, y + 31, "fill"),
        label("errors that came with the step", 36, y + 32, "start", "quiet"),
    ]
    below = axis(x, y, x.labelled_ticks(), "Dice")
    shown = element("g", *legend, class_="s0", transform=f"translate(0 {AXIS_HEIGHT:g})")
    return figure([*parts, below, shown], y + 2 * AXIS_HEIGHT + 4, "From region Dice to label Dice")


def write_region_plot(path: Path, found: RegionSteps) -> None:
    """The plot as an SVG file that needs nothing else."""
    style = f"<style>{STYLE}svg {{ font-family: system-ui, sans-serif; background: var(--paper) }} svg.plot {{ max-width: none }}</style>"
    opening, rest = region_plot(found).split(">", 1)
    write_text(path, f'{opening} xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH:.0f}">{style}{rest}\n')


def region_step_table(cases: Mapping[str, RegionSteps]) -> Table:
    """A row for each case, label and step; a mean of cases may stand among them under a name of its own."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            step.value,
            step.region,
            step.step,
            step.painted_region,
            step.dice,
            step.volume_part,
            step.errors_part,
            step.reference_ml,
            step.predicted_ml,
            step.wrong_ml,
            step.boundary_share,
            step.orphans_ml,
            step.cases,
        )
        for name, found in cases.items()
        for step in found.steps
    ]
    heads = columns(
        "Case", "Label value", "Begins as region", "Step", "Painted", "Dice", "Change: volume", "Change: errors",
        "Reference ml", "Predicted ml", "Wrong ml", "Boundary %", "Orphans ml", "Cases",
    )  # fmt: skip
    note = "Step by step in painting order; the first row of a label is its region. The two changes add up to the change of Dice."
    return Table("region_steps", "From region Dice to label Dice", heads, tuple(rows), note)


def cross_table(cases: Mapping[str, RegionSteps]) -> Table:
    """Which label of the reference became which, in ml."""
    rows: list[tuple[Cell, ...]] = [
        (name, value, becomes, float(found.cross_ml[row, column]))
        for name, found in cases.items()
        for row, value in enumerate(found.values)
        for column, becomes in enumerate(found.values)
        if value or becomes
    ]
    heads = columns("Case", "Reference label", "Rebuilt label", "ml")
    return Table("region_cross", "Which label became which", heads, tuple(rows), "0 is background.")


def region_sentences(found: RegionSteps) -> list[str]:
    """What happened to each label on the way, for a reader who does not know how regions are painted."""
    sentences = [_of_chain(found.of_label(value)) for value in _painted(found)]
    for region in found.regions:
        if region.orphans_ml:
            sentences.append(
                f"{region.orphans_ml:.3g} ml of {region.region} are orphans: inside it, outside a region that should hold it. They "
                "are painted all the same."
            )
    return [*sentences, *_losses(found)]


def _painted(found: RegionSteps) -> tuple[int, ...]:
    return tuple(dict.fromkeys(step.value for step in found.steps))


def _block(chain: tuple[LabelStep, ...], x: Scale, top: float) -> list[Markup]:
    first, last = chain[0], chain[-1]
    numbers = f"{_number(first.dice)} to {_number(last.dice)}" if len(chain) > 1 else _number(first.dice)
    parts = [
        label(f"label {first.value}", 8, top + 14, "start", "strong"),
        label(numbers, WIDTH - 14, top + 14, "end", "strong"),
    ]
    before: float | None = None
    for row, step in enumerate(chain):
        y = top + _HEAD + _ROW * (row + 0.5)
        words = step.region if step is first else f"\N{MINUS SIGN} {step.painted_region}"
        parts.append(label(_shortened(words), _NAMES - 10, y + 4, "end", "quiet"))
        if step.dice is None:
            parts.append(label("absent", x.left, y + 4, "start", "quiet"))
        else:
            parts += _mark(step, before, x, y)
        before = step.dice
    return parts


def _mark(step: LabelStep, before: float | None, x: Scale, y: float) -> list[Markup]:
    assert step.dice is not None  # noqa: S101 (the caller has looked)
    if before is None or step.volume_part is None or step.errors_part is None:
        return [dot(x(step.dice), y, 5.0, "mark", f"Dice of region {step.region}: {step.dice:.4f}")]
    middle = before + step.volume_part
    tip = f"Dice {step.dice:.4f} after {step.painted_region}: volume {step.volume_part:+.4f}, errors {step.errors_part:+.4f}"
    return [
        box(x(before), y - 6, x(middle), y - 1, "plain"),
        box(x(middle), y + 1, x(step.dice), y + 6, "fill"),
        diamond(x(step.dice), y, 5.5, "mark", tip),
    ]


def _of_chain(chain: tuple[LabelStep, ...]) -> str:
    first, last = chain[0], chain[-1]
    if first.dice is None or last.dice is None:
        return f"Label {first.value}: there is nothing to compare, in no case both steps have a Dice."
    begins = f"Label {first.value} begins as region {first.region} with Dice {first.dice:.3f}"
    if len(chain) == 1:
        return f"{begins} and keeps it: nothing is painted over it."
    volume, errors = (
        sum(part or 0.0 for part in parts)
        for parts in ([step.volume_part for step in chain], [step.errors_part for step in chain])
    )
    painted = " and ".join(step.painted_region for step in chain[1:])
    return (
        f"{begins} and ends at {last.dice:.3f} when {painted} {'is' if len(chain) == 2 else 'are'} painted over it: {volume:+.3f} "
        f"because the same wrong voxels weigh more in {last.reference_ml:.3g} ml than in {first.reference_ml:.3g} ml, "
        f"{errors:+.3f} from wrong voxels that {'come' if errors <= 0 else 'go'} with what is painted over it. {_boundary(first, last)}"
    ).strip()


def _boundary(first: LabelStep, last: LabelStep) -> str:
    if first.boundary_share is None or last.boundary_share is None:
        return ""
    return f"{100 * last.boundary_share:.0f} % of its voxels are boundary, of the region {100 * first.boundary_share:.0f} %."


def _losses(found: RegionSteps) -> list[str]:
    """Of each label the one to which it loses most."""
    sentences = []
    for row, value in enumerate(found.values):
        lost = found.cross_ml[row].copy()
        lost[row] = 0.0
        if value != BACKGROUND and lost.any():
            to, whole = found.values[int(lost.argmax())], float(found.cross_ml[row].sum())
            name = "the background" if to == BACKGROUND else f"label {to}"
            sentences.append(f"Label {value} loses most to {name}: {lost.max():.3g} of {whole:.3g} ml.")
    return sentences


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def _number(dice: float | None) -> str:
    return "absent" if dice is None else f"{dice:.3f}"
