"""A table once, shown twice: sortable HTML for people, CSV for programs, from the same rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.files import safe_name, write_text
from .markup import Markup, element, joined

Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """``share`` columns hold 0 to 1 and read as per cent on the page; the CSV keeps the fraction."""

    title: str
    share: bool = False


@dataclass(frozen=True)
class Table:
    """``name`` becomes the CSV's file name. A cell of None has no value and stays empty."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def columns(*titles: str) -> tuple[Column, ...]:
    """Columns of these titles; one that ends in `` %`` is a share."""
    return tuple(Column(title.removesuffix(" %"), title.endswith(" %")) for title in titles)


def table_html(table: Table) -> Markup:
    """The table in a box of its own that scrolls sideways, folded away behind its title."""
    heads = [
        element("th", element("button", column.title, type="button", class_="sort"), scope="col")
        for column in table.columns
    ]
    rows = (
        element("tr", *(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)))
        for row in table.rows
    )
    return element(
        "details",
        element("summary", f"{table.title} ({len(table.rows)} rows)"),
        element("p", table.note, class_="note") if table.note else Markup(),
        element(
            "div",
            element("table", element("thead", element("tr", *heads)), element("tbody", *rows)),
            class_="scroll",
        ),
        class_="table",
        id=f"table-{table.name}",
    )


def table_csv(table: Table) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f"{column.title} (share)" if column.share else column.title for column in table.columns])
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    return text.getvalue()


def write_tables(folder: Path, tables: Sequence[Table]) -> None:
    """One CSV a table."""
    for table in tables:
        write_text(folder / f"{safe_name(table.name, 'table name')}.csv", table_csv(table))


def _cell(cell: Cell, column: Column) -> Markup:
    if cell is None:
        return element("td")
    if isinstance(cell, float):
        return element("td", f"{100 * cell:.1f} %" if column.share else f"{cell:.4f}", class_="n")
    return element("td", joined(str(cell)), class_="n" if isinstance(cell, int) else None)
