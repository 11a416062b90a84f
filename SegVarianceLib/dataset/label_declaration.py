"""The ``labels`` part of a dataset.json: what each label value means, in either of the two directions in use.

Regions are also written in one line, as ``"whole=1,2,4; core=1,4; enhancing=4"`` with the order ``"2,1,4"``.
"""

from __future__ import annotations

from typing import Any

from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LABEL_VALUE, LabelSet, Structure
from ..core.nesting import arrangement_that_fits

IGNORE = "ignore"
_HIGHEST_VALUE = 65535
_MOST_DIGITS = 5
_REGIONS_TEXT = "The regions"


def read_labels(content: dict[str, Any], where: str) -> LabelSet:
    """Read ``labels`` (MSD: value to name; nnU-Net: name to value or list of values) and ``regions_class_order``.

    Raises:
        SegVarianceError: values that are no label values or mean two things, or regions that cannot be rebuilt.
    """
    declared = content.get("labels")
    if not isinstance(declared, dict) or not declared:
        raise SegVarianceError(
            f'{where} declares no labels. Expected for example "labels": {{"background": 0, "tumour": 1}}.'
        )
    if all(isinstance(name, str) for name in declared.values()):
        pairs = [(name, value) for value, name in declared.items()]
    else:
        pairs = list(declared.items())
    structures, ignore_value = [], None
    for name, value in pairs:
        values = tuple(_label_value(one, name, where) for one in (value if isinstance(value, list) else [value]))
        if values == (BACKGROUND,):
            continue
        if name.lower() == IGNORE and len(values) == 1:
            ignore_value = values[0]
        else:
            structures.append(Structure(name, values))
    _refuse_ambiguous(structures, ignore_value, where)
    has_regions = any(len(structure.values) > 1 for structure in structures)
    order = _class_order(content.get("regions_class_order"), structures, where) if has_regions else None
    return LabelSet(tuple(structures), ignore_value, order)


def regions_of_text(text: str, order: str | None, ignore_value: int | None = None) -> LabelSet:
    """Regions such as ``"whole=1,2,4; core=1,4; enhancing=4"`` and the values that they paint, such as ``"2,1,4"``.

    Without ``order`` each region paints the one value that it holds and no later region does.

    Raises:
        SegVarianceError: it is not of this form, a region leaves several values to paint, or as in ``read_labels``.
    """
    declared: dict[str, Any] = {}
    for part in (part for part in text.split(";") if part.strip()):
        name, equals, values = (piece.strip() for piece in part.partition("="))
        if not equals or not name or name in declared:
            raise SegVarianceError(
                f"{_REGIONS_TEXT} {text!r}: cannot read {part.strip()!r}. Expected NAME=VALUE,VALUE; NAME=VALUE with each name once."
            )
        declared[name] = [value.strip() for value in values.split(",")]
    content: dict[str, Any] = {"labels": declared or None}
    if ignore_value is not None:
        content["labels"] = declared | {IGNORE: ignore_value}
    content["regions_class_order"] = (
        _values_left(declared, text) if order is None else [value.strip() for value in order.split(",")]
    )
    labels = read_labels(content, _REGIONS_TEXT)
    if not labels.has_regions:
        raise SegVarianceError(
            f"{_REGIONS_TEXT} {text!r} names single labels only. Expected a region of several values, such as whole=1,2,4."
        )
    return labels


def regions_text(labels: LabelSet) -> str:
    """Regions in one line, as ``regions_of_text`` reads them; their order is not in it."""
    return "; ".join(f"{each.name}={','.join(map(str, each.values))}" for each in labels.structures)


def declaration(labels: LabelSet) -> dict[str, Any]:
    """``labels`` and, with regions, ``regions_class_order`` as a dataset.json has them, in declared order.

    Write it with ``core.files.write_json``: sorted names would give every region another value to paint.
    """
    declared: dict[str, Any] = {"background": BACKGROUND}
    for structure in labels.structures:
        declared[structure.name] = structure.values[0] if len(structure.values) == 1 else list(structure.values)
    if labels.ignore_value is not None:
        declared[IGNORE] = labels.ignore_value
    order = labels.regions_class_order
    return {"labels": declared} | ({} if order is None else {"regions_class_order": list(order)})


def _values_left(declared: dict[str, list[str]], text: str) -> list[str]:
    """Of each region the one value that no later region holds."""
    names, order = list(declared), []
    for position, name in enumerate(names):
        later = {value for other in names[position + 1 :] for value in declared[other]}
        left = [value for value in declared[name] if value not in later]
        if len(left) != 1:
            what = f"leaves {', '.join(left)}" if left else "leaves no value"
            raise SegVarianceError(
                f"{_REGIONS_TEXT} {text!r}: region {name!r} {what} once the later ones are painted, so what it paints cannot be "
                "told. Write large regions first, or say the order, one value a region."
            )
        order += left
    return order


def _label_value(value: Any, name: str, where: str) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= _MOST_DIGITS else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _HIGHEST_VALUE:
        raise SegVarianceError(
            f"{where} gives label {name!r} the value {value!r}. Expected a whole number from 0 to {_HIGHEST_VALUE}, or a list of them."
        )
    return number


def _refuse_ambiguous(structures: list[Structure], ignore_value: int | None, where: str) -> None:
    if not structures:
        raise SegVarianceError(f"{where} declares no label besides the background. Add what is to be segmented.")
    names: set[str] = set()
    meanings: dict[frozenset[int], str] = {}
    for structure in structures:
        values = frozenset(structure.values)
        if structure.name in names or not structure.name.strip():
            raise SegVarianceError(
                f"{where} names two labels {structure.name!r}, or one with no name. Name each differently."
            )
        if structure.name.startswith(LABEL_VALUE) and any(len(other.values) > 1 for other in structures):
            raise SegVarianceError(
                f"{where}: {structure.name!r} is how the labels within regions are called in scores. Name the region differently."
            )
        if BACKGROUND in values or ignore_value in values or len(values) != len(structure.values):
            raise SegVarianceError(
                f"{where}: label {structure.name!r} holds the background, the ignore label or a value twice. List its own values once."
            )
        if values in meanings:
            raise SegVarianceError(
                f"{where}: labels {meanings[values]!r} and {structure.name!r} have the same values. Remove one of them."
            )
        names.add(structure.name)
        meanings[values] = structure.name


def _class_order(order: Any, structures: list[Structure], where: str) -> tuple[int, ...]:
    """The value that each region paints; it must be the region's own, or a writer has sorted the regions' names."""
    if not isinstance(order, list) or len(order) != len(structures):
        raise SegVarianceError(
            f"{where} declares {len(structures)} regions but regions_class_order is {order!r}. "
            "Expected one label value a region, in the order in which the regions are declared."
        )
    values = tuple(_label_value(value, "regions_class_order", where) for value in order)
    for structure, value in zip(structures, values, strict=True):
        if value not in structure.values:
            raise SegVarianceError(
                f"{where}: regions_class_order paints region {structure.name!r} with {value}, which it does not hold. "
                f"The i-th value belongs to the i-th declared region. {order_remedy(LabelSet(tuple(structures), None, values))}"
            )
    return values


def order_remedy(labels: LabelSet) -> str:
    """What to do about regions whose ``regions_class_order`` does not fit; tells apart names that a JSON writer sorted."""
    fitting = arrangement_that_fits(labels)
    if fitting is None:
        return "Write large regions first, and for each the value that it alone holds of those painted after it."
    names = [structure.name for structure in labels.structures]
    arrangement = ", ".join(structure.name for structure in fitting)
    order = ", ".join(map(str, labels.regions_class_order or ()))
    if len(names) > 1 and names == sorted(names):
        return (
            f"The names stand in alphabetical order, as JSON writers leave them that sort keys; {order} fits the order "
            f"{arrangement}: restore it, and write the file with sort_keys=False."
        )
    return f"{order} fits the order {arrangement}: declare the regions so, or correct regions_class_order."
