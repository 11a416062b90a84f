"""The ``labels`` part of a dataset.json: what each label value means, in either of the two directions in use."""

from __future__ import annotations

from typing import Any

from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LabelSet, Structure

IGNORE = "ignore"
_HIGHEST_VALUE = 65535


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


def _label_value(value: Any, name: str, where: str) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
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
                "The i-th value belongs to the i-th declared region: restore the order of 'labels' (JSON writers may sort names)."
            )
    return values
