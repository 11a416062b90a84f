"""``uncertainty.csv``: how much the members of each case disagree, one line a number; readable without the images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from ..core.errors import SegVarianceError
from ..core.files import write_text


class Uncertainty(NamedTuple):
    """``measure`` is an id of ``ensemble.disagreement.MEASURES``; ``value`` is None where nothing can be measured."""

    configuration: str
    case: str
    structure: str
    measure: str
    value: float | None


COLUMNS = Uncertainty._fields


@dataclass(frozen=True)
class UncertaintyTable:
    """All numbers of a study or of some folders, in the order in which they were made."""

    rows: tuple[Uncertainty, ...]

    def of(self, configuration: str, measure: str) -> dict[tuple[str, str], float]:
        """Value by (case, structure), without those that have none."""
        return {
            (row.case, row.structure): row.value
            for row in self.rows
            if (row.configuration, row.measure) == (configuration, measure) and row.value is not None
        }

    def write(self, path: Path) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(["" if cell is None else cell for cell in row] for row in self.rows)
        write_text(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> UncertaintyTable:
        """Read an ``uncertainty.csv``.

        Raises:
            SegVarianceError: missing file or columns, or a value that is not a finite number.
        """
        try:
            with open(path, newline="", encoding="utf-8") as file:
                return cls(tuple(_parsed(csv.DictReader(file), path)))
        except FileNotFoundError:
            raise SegVarianceError(f"{path} does not exist. Make it with: segvariance uncertainty") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SegVarianceError(f"{path} cannot be read as CSV ({error}). Check the file.") from None


def _parsed(reader: csv.DictReader, path: Path) -> Iterable[Uncertainty]:
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise SegVarianceError(f"{path} lacks the columns {', '.join(missing)}. Make it again: segvariance uncertainty")
    for line in reader:
        text = line["value"]
        try:
            value = float(text) if text else None
        except (TypeError, ValueError):
            value = float("nan")
        if value is not None and not isfinite(value):
            raise SegVarianceError(f"{path}, line {reader.line_num}: {text!r} is not a number. Mend the line.")
        yield Uncertainty(line["configuration"], line["case"], line["structure"], line["measure"], value)
