"""One list of named things: ensemble rules, metrics, clean-up steps, backends. Facts build menus, columns and checks."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .errors import SegVarianceError

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """One setting of an entry: the UI, the command line and the checks read its range and default here."""

    name: str
    title: str
    kind: type
    default: Any
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()

    def check(self, value: Any) -> Any:
        """Return ``value`` as the parameter's type, or raise SegVarianceError with the allowed range."""
        try:
            converted = self.kind(value)
        except (TypeError, ValueError, OverflowError):
            converted = None
        # `not (a <= b)` instead of `a > b`, so that NaN is refused too.
        if (
            converted is None
            or (self.minimum is not None and not self.minimum <= converted)
            or (self.maximum is not None and not converted <= self.maximum)
            or (self.choices and converted not in self.choices)
        ):
            raise SegVarianceError(f"{self.title}: {value!r} is not allowed. Give {self._allowed()}.")
        return converted

    def _allowed(self) -> str:
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        low = "" if self.minimum is None else f" from {self.minimum:g}"
        high = "" if self.maximum is None else f" to {self.maximum:g}"
        return f"a {self.kind.__name__}{low}{high}{' ' + self.unit if self.unit else ''}"


@dataclass(frozen=True)
class Facts:
    """What a menu, a column head or a method page says of an entry. ``best`` and ``worst`` are for metrics."""

    id: str
    title: str
    citation: str
    unit: str = ""
    best: float | None = None
    worst: float | None = None
    parameters: tuple[Parameter, ...] = ()


class Catalog(Generic[T]):
    """An explicit, ordered list of (facts, function) whose functions share one signature.

    Args:
        what: what it lists, singular, for example ``"ensemble rule"``.
        arguments: names of the leading arguments that every function takes; the facts' parameters follow, by name.

    Raises:
        ValueError: an id is listed twice, or a function's arguments are not ``arguments`` plus its parameters.
    """

    def __init__(self, what: str, arguments: tuple[str, ...], entries: list[tuple[Facts, T]]):
        self.what = what
        self._facts: dict[str, Facts] = {}
        self._functions: dict[str, T] = {}
        for facts, function in entries:
            if facts.id in self._facts:
                raise ValueError(f"{what} {facts.id!r} is listed twice")
            expected = [*arguments, *(parameter.name for parameter in facts.parameters)]
            actual = list(inspect.signature(function).parameters)
            if actual != expected:
                raise ValueError(f"{what} {facts.id!r} takes {actual}, expected {expected}")
            self._facts[facts.id] = facts
            self._functions[facts.id] = function

    def __iter__(self) -> Iterator[Facts]:
        return iter(self._facts.values())

    def __contains__(self, id: str) -> bool:
        return id in self._facts

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._facts)

    def facts(self, id: str) -> Facts:
        return self._facts[self._known(id)]

    def function(self, id: str) -> T:
        return self._functions[self._known(id)]

    def settings(self, id: str, given: dict[str, Any]) -> dict[str, Any]:
        """All parameters of entry ``id``: ``given`` values, checked, over the defaults.

        Raises:
            SegVarianceError: an unknown parameter, or a value outside its bounds.
        """
        known = {parameter.name: parameter for parameter in self.facts(id).parameters}
        for name in given:
            if name not in known:
                raise SegVarianceError(
                    f"{self.what} {id!r} has no setting {name!r}. It has: {', '.join(known) or 'none'}."
                )
        return {name: parameter.check(given.get(name, parameter.default)) for name, parameter in known.items()}

    def _known(self, id: str) -> str:
        if id not in self._facts:
            near = difflib.get_close_matches(str(id), self._facts, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SegVarianceError(f"There is no {self.what} {id!r}.{hint} Known: {', '.join(self._facts)}.")
        return id
