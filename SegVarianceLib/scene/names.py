"""What nodes are called: ``<case> · <configuration> · seed 07 · fold 2``."""

from __future__ import annotations

_SEPARATOR = " · "


def member_title(configuration: str, name: str = "", seed: int | None = None, fold: int | None = None) -> str:
    """``default · seed 07 · fold 2``; a member without a seed goes by its ``name``, and what is not known is left out."""
    who = name if seed is None else f"seed {seed:02d}"
    return _SEPARATOR.join(part for part in (configuration, who, "" if fold is None else f"fold {fold}") if part)


def node_name(case: str, title: str) -> str:
    """Name of the node that shows ``title`` (a member, an ensemble, a map) of a case."""
    return f"{case}{_SEPARATOR}{title}"
