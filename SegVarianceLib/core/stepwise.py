"""Work that is done in steps, so that a window stays awake and Stop works: generators that return what they make."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar, cast

Step = TypeVar("Step")
Result = TypeVar("Result")


def result_of(
    steps: Generator[Step, None, Result], step_done: Callable[[Step], object] = lambda yielded: None
) -> Result:
    """Take all steps at once and return what they make; ``step_done`` is called with what each of them yields."""
    while True:
        try:
            yielded = next(steps)
        except StopIteration as end:
            return cast(Result, end.value)
        step_done(yielded)


def within(steps: Generator[float, None, Result], start: float, end: float) -> Generator[float, None, Result]:
    """The same steps, where the shares that they yield (0 to 1) are a part (``start`` to ``end``) of a larger whole."""
    while True:
        try:
            share = next(steps)
        except StopIteration as stop:
            return cast(Result, stop.value)
        yield start + (end - start) * share
