"""Filling menus and tables without telling anybody that the user had done it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import qt

_DISPLAY_ROLE, _TIP_ROLE, _USER_ROLE = (
    0,
    3,
    256,
)  # Qt::DisplayRole, ToolTipRole and UserRole, whose names moved between Qt 5 and 6 in Python

_MOST_ROWS = 8
_ROOM_BELOW = 4


@contextmanager
def quietly(*widgets: Any) -> Iterator[None]:
    """Signals of these widgets are kept back, so that showing a state does not start what a click would."""
    for widget in widgets:
        widget.blockSignals(True)
    try:
        yield
    finally:
        for widget in widgets:
            widget.blockSignals(False)


def fill_combo(combo: Any, entries: Sequence[tuple[str, str]], chosen: str, tips: Sequence[str] = ()) -> None:
    """Show (id, title) entries, perhaps each with a tool tip; the id is the item's data."""
    with quietly(combo):
        combo.clear()
        for key, title in entries:
            combo.addItem(title, key)
        for number, tip in enumerate(tips):
            combo.setItemData(number, tip, _TIP_ROLE)
        combo.setCurrentIndex([key for key, _ in entries].index(chosen) if chosen in dict(entries) else -1)
        combo.setEnabled(bool(entries))


def chosen_in(combo: Any) -> str:
    """Id of the chosen entry, empty where there is none."""
    return str(combo.itemData(combo.currentIndex) or "")


def fill_table(
    table: Any, rows: Sequence[Sequence[str | int | float]], ticks: Sequence[bool] = (), keys: Sequence[str] = ()
) -> None:
    """Show rows; numbers sort as numbers. With ``ticks`` the first column has boxes, with ``keys`` each row has a key."""
    with quietly(table):
        table.setRowCount(len(rows))
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                if table.item(row, column) is None:  # an item whose own change is being handled must not be replaced
                    table.setItem(row, column, qt.QTableWidgetItem())
                table.item(row, column).setData(_DISPLAY_ROLE, value)
            if ticks:
                table.item(row, 0).setCheckState(qt.Qt.Checked if ticks[row] else qt.Qt.Unchecked)
            if keys:
                table.item(row, 0).setData(_USER_ROLE, keys[row])
        table.resizeColumnsToContents()
        _fit_height(table)


def _fit_height(table: Any) -> None:
    """As high as its rows, so that a short table leaves no hole in the panel; a long one scrolls."""
    row = table.verticalHeader().defaultSectionSize
    rows = min(table.verticalHeader().length(), _MOST_ROWS * row)
    header = table.horizontalHeader().sizeHint.height()
    table.setFixedHeight(max(rows, row) + header + 2 * table.frameWidth + _ROOM_BELOW)


def key_of(item: Any) -> str:
    return str(item.data(_USER_ROLE))


def is_ticked(item: Any) -> bool:
    return bool(item.checkState() == qt.Qt.Checked)


def say(label: Any, sentence: str) -> None:
    """Show a sentence, or take the label away where there is none."""
    label.setText(sentence)
    label.setVisible(bool(sentence))


def show_progress(bar: Any, stop_button: Any, share: float | None) -> None:
    """A bar of 100 and the button that stops the work; neither where nothing is going on."""
    bar.setVisible(share is not None)
    bar.setValue(round(100 * (share or 0)))
    stop_button.setVisible(share is not None)
