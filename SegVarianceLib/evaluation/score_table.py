"""``scores.csv``: one line a score. It can be analysed again on any machine, without the images."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.files import write_text

AGREED_ABSENT = "agreed absent"
"""Note where neither reference nor prediction has the structure: no value."""
MISSED = "missed"
"""Note where only the reference has it: Dice 0, surface Dice 0, distances without a value."""
FALSE_ALARM = "false alarm"
"""Note where only the prediction has it: Dice 0, surface Dice 0, distances without a value."""


@dataclass(frozen=True)
class Score:
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


COLUMNS = tuple(field.name for field in fields(Score))


@dataclass(frozen=True)
class ScoreTable:
    """All scores of a study or of a comparison, in the order in which they were made."""

    scores: tuple[Score, ...]

    def unique(self, column: str) -> tuple:
        """The distinct values of one column, in order of first appearance."""
        return tuple(dict.fromkeys(getattr(score, column) for score in self.scores))

    def where(self, **wanted: object) -> ScoreTable:
        """Only the scores whose columns equal ``wanted``."""
        return ScoreTable(
            tuple(s for s in self.scores if all(getattr(s, name) == value for name, value in wanted.items()))
        )

    def write(self, path: Path) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(["" if cell is None else cell for cell in astuple(score)] for score in self.scores)
        write_text(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> ScoreTable:
        """Read a ``scores.csv``.

        Raises:
            SegVarianceError: missing file or columns, a value that is not a finite number, two lines for the same score.
        """
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
                if lacking:
                    raise SegVarianceError(
                        f"{path} lacks the columns {', '.join(lacking)}. Expected: {', '.join(COLUMNS)}."
                    )
                scores = tuple(_parse(row, f"{path}, line {reader.line_num}") for row in reader)
        except FileNotFoundError:
            raise SegVarianceError(f"{path} does not exist. Score the predictions first (segvariance score).") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SegVarianceError(f"{path} cannot be read as CSV ({error}). Check the file.") from None
        _refuse_duplicates(scores, path)
        return cls(scores)


def _parse(row: dict[str, str], where: str) -> Score:
    if any(row[column] is None for column in COLUMNS):
        raise SegVarianceError(f"{where}: the line has too few cells. Expected {len(COLUMNS)}: {', '.join(COLUMNS)}.")
    try:
        value = float(row["value"]) if row["value"] else None
        fold, seed = (int(row[column]) if row[column] else None for column in ("fold", "seed"))
    except ValueError as error:
        raise SegVarianceError(
            f"{where}: {error}. Fold and seed are whole numbers or empty, value is a number or empty."
        ) from None
    if value is not None and not math.isfinite(value):
        raise SegVarianceError(
            f"{where}: value {row['value']!r} is not finite. Leave the cell empty and say why in 'note'."
        )
    text = {column: row[column] for column in ("configuration", "member", "case", "structure", "metric", "note")}
    return Score(fold=fold, seed=seed, value=value, **text)


def _refuse_duplicates(scores: Iterable[Score], path: Path) -> None:
    seen: set[tuple] = set()
    for score in scores:
        key = (score.configuration, score.fold, score.seed, score.member, score.case, score.structure, score.metric)
        if key in seen:
            raise SegVarianceError(
                f"{path} holds two lines for {key}. Keep one: which of them counts cannot be guessed."
            )
        seen.add(key)
