"""``scores.csv``: one line a score. It can be analysed again on any machine, without the images."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import NamedTuple

from ..core.errors import SegVarianceError
from ..core.files import write_text

AGREED_ABSENT = "agreed absent"
"""Note where neither reference nor prediction has the structure: no value."""
MISSED = "missed"
"""Note where only the reference has it: Dice 0, surface Dice 0, distances without a value."""
FALSE_ALARM = "false alarm"
"""Note where only the prediction has it: Dice 0, surface Dice 0, distances without a value."""


class Score(NamedTuple):
    """One value. ``fold`` and ``seed`` are None where they do not apply (an ensemble, somebody else's predictions).

    ``member`` names who predicted within a configuration: ``seed_3``, or an ensemble such as ``mean_probability``.
    ``value`` is None where nothing can be measured, and then ``note`` says why.
    """

    configuration: str
    fold: int | None
    seed: int | None
    member: str
    case: str
    structure: str
    metric: str
    value: float | None
    note: str = ""


COLUMNS = Score._fields
OPTIONAL = ("fold", "member", "note")
"""Columns that a table of somebody else's making may lack."""
PATIENT = "patient"
"""The column that a table has besides where patients have several images."""

_CASE = COLUMNS.index("case")
_KEY = COLUMNS.index("value")
"""What stands before the value says whose it is: once in a table."""


@dataclass(frozen=True)
class ScoreTable:
    """All scores of a study or of a comparison, in the order in which they were made.

    ``patients`` says whose image each case is, where a patient has several (column ``patient`` of the file); else None.
    """

    scores: tuple[Score, ...]
    patients: Mapping[str, str] | None = None

    def unique(self, column: str) -> tuple:
        """The distinct values of one column, in order of first appearance."""
        return tuple(dict.fromkeys(getattr(score, column) for score in self.scores))

    def where(self, **wanted: object) -> ScoreTable:
        """Only the scores whose columns equal ``wanted``."""
        return ScoreTable(
            tuple(s for s in self.scores if all(getattr(s, name) == value for name, value in wanted.items())),
            self.patients,
        )

    @cached_property
    def groups(self) -> Mapping[tuple[str, str], Sequence[Score]]:
        """The scores of each (configuration, metric), both in order of first appearance."""
        groups: dict[tuple[str, str], list[Score]] = {}
        for score in self.scores:
            groups.setdefault((score.configuration, score.metric), []).append(score)
        return groups

    def write(self, path: Path) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        rows = (["" if cell is None else cell for cell in score] for score in self.scores)
        if self.patients is None:
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        else:
            writer.writerow((*COLUMNS, PATIENT))
            patients = self.patients
            writer.writerows([*row, patients.get(str(row[_CASE]), "")] for row in rows)
        write_text(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> ScoreTable:
        """Read a ``scores.csv``.

        Raises:
            SegVarianceError: missing file or columns, a value that is not a finite number, two lines for the same score.
        """
        patients: dict[str, str] = {}
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                scores = tuple(_parsed(file, path, patients))
        except FileNotFoundError:
            raise SegVarianceError(f"{path} does not exist. Score the predictions first (segvariance score).") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SegVarianceError(f"{path} cannot be read as CSV ({error}). Check the file.") from None
        _refuse_duplicates(scores, path)
        return cls(scores, patients if any(patients.values()) else None)


def patients_together(tables: Iterable[Mapping[str, str] | None]) -> dict[str, str] | None:
    """Patient of each case by several tables; None where none names any.

    Raises:
        SegVarianceError: two of them name different patients for one case.
    """
    together: dict[str, str] = {}
    for case, patient in (pair for patients in tables for pair in (patients or {}).items()):
        if together.setdefault(case, patient) != patient:
            raise SegVarianceError(
                f"Case {case!r} is of patient {together[case]!r} in some scores and of {patient!r} in others. "
                "Give each case one patient."
            )
    return together or None


def _parsed(file: Iterable[str], path: Path, patients: dict[str, str]) -> Iterator[Score]:
    """A score for each line that is not empty; fills ``patients``. Columns that nobody knows are passed over.

    Spreadsheets may have put semicolons or tabs between cells (and then decimal commas), or blanks around the heads.
    """
    lines = iter(file)
    head = next(lines, "")
    delimiter = next((mark for mark in (";", "\t") if mark in head and "," not in head), ",")
    reader = csv.reader(lines, delimiter=delimiter)
    header = [name.strip().lower() for name in next(csv.reader([head], delimiter=delimiter), [])]
    lacking = [column for column in COLUMNS if column not in header and column not in OPTIONAL]
    if lacking:
        raise SegVarianceError(
            f"{path} lacks the columns {', '.join(lacking)}. Expected: {', '.join(COLUMNS)} ({', '.join(OPTIONAL)} may be left out)."
        )
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise SegVarianceError(f"{path} has the columns {', '.join(twice)} twice. Keep the one that counts.")
    end = len(header)  # where a cell without text stands in for a column that was left out
    cells_of = itemgetter(*(header.index(column) if column in header else end for column in COLUMNS))
    whole = all(column in header for column in COLUMNS)
    patient_at = header.index(PATIENT) if PATIENT in header else None
    for line in reader if whole else (line and [*line, ""] for line in reader):
        try:
            configuration, fold, seed, member, case, structure, metric, value, note = cells_of(line)
            if not (configuration or case or value):
                continue
            if delimiter == ";":
                value = value.replace(",", ".")
            number = float(value) if value else None
            if number is not None and not isfinite(number):
                raise SegVarianceError(
                    f"{path}, line {reader.line_num + 1}: value {value!r} is not finite. "
                    "Leave the cell empty and say why in 'note'."
                )
            if patient_at is not None and patients.setdefault(case, line[patient_at]) != line[patient_at]:
                raise SegVarianceError(
                    f"{path}, line {reader.line_num + 1}: case {case!r} is of patient {line[patient_at]!r}, and of "
                    f"{patients[case]!r} above. Give each case one patient."
                )
            # Half a million lines share a few hundred names: kept once each, they are found by address.
            yield Score(
                intern(configuration),
                int(fold) if fold else None,
                int(seed) if seed else None,
                intern(member),
                intern(case),
                intern(structure),
                intern(metric),
                number,
                intern(note),
            )
        except IndexError:
            if line:
                raise SegVarianceError(
                    f"{path}, line {reader.line_num + 1}: the line has too few cells. "
                    f"Expected {len(COLUMNS)}: {', '.join(COLUMNS)}."
                ) from None
        except ValueError as error:
            raise SegVarianceError(
                f"{path}, line {reader.line_num + 1}: {error}. "
                "Fold and seed are whole numbers or empty, value is a number or empty."
            ) from None


def _refuse_duplicates(scores: Sequence[Score], path: Path) -> None:
    keys = [score[:_KEY] for score in scores]
    if len(set(keys)) < len(keys):
        key = next(key for key, count in Counter(keys).items() if count > 1)
        raise SegVarianceError(f"{path} holds two lines for {key}. Keep one: which of them counts cannot be guessed.")
