"""HTML and SVG out of nested calls. Text becomes safe by being text: only ``Markup`` goes in as it is."""

from __future__ import annotations

import html


class Markup(str):
    """A string that is markup already. Everything else is escaped when it becomes a child or an attribute."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """``<tag attributes>children</tag>``; ``class_`` means class, ``data_tip`` data-tip; None leaves an attribute out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_attribute(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{written}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Markup:
    """Children side by side, escaped unless they are ``Markup``; a number keeps its per cent sign on its line."""
    return Markup("".join(child if isinstance(child, Markup) else _text(str(child)) for child in children))


def _text(text: str) -> str:
    return html.escape(text).replace(" %", "&nbsp;%")


def _attribute(value: str | float) -> str:
    """Coordinates to a hundredth of a unit: finer is invisible and heavy."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
