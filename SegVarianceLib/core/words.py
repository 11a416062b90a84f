"""Numbers of things in sentences."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """``1 seed``, ``3 seeds``, ``0 boxes``; ``things`` where more of them are not called by an s at the end."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"
