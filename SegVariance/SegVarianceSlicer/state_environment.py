"""What the Environment panel shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EnvironmentState:
    """``sentence`` says what trainings run in at present, ``problem`` what went wrong, ``log`` the last lines of it all.

    ``base`` is the Python that an environment is made of, one of ``bases``; ``own_python`` one that the user brought; paths as text.
    """

    folder: str = ""
    base: str = ""
    bases: tuple[str, ...] = ()
    own_python: str = ""
    compute: str = "cpu"
    ready: bool = False
    sentence: str = ""
    problem: str = ""
    log: tuple[str, ...] = ()
    busy: bool = False
    percent: int = 0
    build_text: str = "Build"
    can_check: bool = False
