"""Work that is done in steps, so that a window stays awake and Stop works: generators that return what they make."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar, cast

Step = TypeVar("Step")
Other = TypeVar("Other")
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


def translated(steps: Generator[Step, None, Result], into: Callable[[Step], Other]) -> Generator[Other, None, Result]:
    """The same steps, where what each of them yields is said in another way."""
    while True:
        try:
            yielded = next(steps)
        except StopIteration as end:
            return cast(Result, end.value)
        yield into(yielded)


def within(steps: Generator[float, None, Result], start: float, end: float) -> Generator[float, None, Result]:
    """The same steps, where the shares that they yield (0 to 1) are a part (``start`` to ``end``) of a larger whole."""
    return translated(steps, lambda share: start + (end - start) * share)
