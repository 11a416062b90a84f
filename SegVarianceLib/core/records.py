"""Frozen dataclasses to JSON and back, checked on the way in: a plan file may have been edited by hand."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from .errors import SegVarianceError

R = TypeVar("R")


def to_json(record: Any) -> Any:
    """A dataclass, nested ones too, as plain JSON values; tuples become lists."""
    if is_dataclass(record):
        return {field.name: to_json(getattr(record, field.name)) for field in fields(record)}
    if isinstance(record, tuple | list):
        return [to_json(item) for item in record]
    if isinstance(record, dict):
        return {str(key): to_json(value) for key, value in record.items()}
    return record


def from_json(kind: type[R], content: Any, where: str) -> R:
    """Build dataclass ``kind`` from what ``to_json`` gave.

    Args:
        where: what is being read, for the sentence of the error, for example ``"study/plan.json"``.

    Raises:
        SegVarianceError: a field without a default is missing, or one is unknown or of another type than declared, or
            ``kind`` refuses its values.
    """
    if not isinstance(content, dict):
        raise SegVarianceError(f"{where}: expected an object with named fields, found {type(content).__name__}.")
    hints = typing.get_type_hints(kind)
    optional = {field.name: field.default is not MISSING for field in fields(kind)}  # type: ignore[arg-type]
    names = list(optional)
    for name in content:
        if name not in names:
            raise SegVarianceError(f"{where}: unknown field {name!r}. Expected: {', '.join(names)}.")
    for name in names:
        if name not in content and not optional[name]:
            raise SegVarianceError(f"{where}: field {name!r} is missing. Make the file again, or restore the field.")
    values = {name: _value(hints[name], content[name], f"{where}, {name}") for name in names if name in content}
    try:
        return kind(**values)
    except ValueError as error:
        raise SegVarianceError(f"{where}: {error} Mend the entry, or make the file again.") from None


def _value(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        return from_json(hint, value, where)  # type: ignore[arg-type]
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [option for option in arguments if option is not type(None)]
        return _value(min(options, key=lambda option: _differing_names(option, value)), value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is dict and isinstance(value, dict):
        return {_key(arguments[0], key): _value(arguments[1], item, f"{where}, {key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise SegVarianceError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {value!r}.")


def _differing_names(option: Any, value: Any) -> int:
    """How many fields of a value a dataclass does not know, or does not find in it and needs; tells those of a union apart.

    Fields with a default count for nothing: a file from before they were there is still of its kind.
    """
    if not is_dataclass(option) or not isinstance(value, dict):
        return 0
    known = {field.name for field in fields(option)}
    needed = {field.name for field in fields(option) if field.default is MISSING}
    return len(value.keys() - known) + len(needed - value.keys())


def _tuple(arguments: tuple, value: Any, where: str) -> tuple:
    if not isinstance(value, list):
        raise SegVarianceError(f"{where}: expected a list, found {value!r}.")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise SegVarianceError(f"{where}: expected {len(arguments)} entries, found {len(value)}.")
    return tuple(
        _value(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _key(kind: type, key: str) -> Any:
    return int(key) if kind is int else key
