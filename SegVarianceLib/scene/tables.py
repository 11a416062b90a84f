"""Scores as a table node: one row a case, structure and member, one numeric column a metric."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..evaluation.score_table import Score, ScoreTable


class Shown(NamedTuple):
    """What a row of the table or a point of a chart leads to; ``member`` is ``<configuration>/<name>``."""

    case: str
    structure: str
    member: str


def shown_by(score: Score) -> Shown:
    return Shown(score.case, score.structure, f"{score.configuration}/{score.member}")


def add_score_table(scene: Any, name: str, table: ScoreTable) -> Any:
    """A new vtkMRMLTableNode, rows in the order of the scores; what cannot be measured is NaN."""
    metrics = table.unique("metric")
    rows: dict[Shown, list[float]] = {}
    for score in table.scores:
        values = rows.setdefault(shown_by(score), [np.nan] * len(metrics))
        if score.value is not None:
            values[metrics.index(score.metric)] = score.value
    node = slicer.vtkMRMLTableNode()
    node.SetName(name)
    for number, field in enumerate(Shown._fields):
        node.AddColumn(_words(field, [row[number] for row in rows]))
    for number, metric in enumerate(metrics):
        column = numpy_to_vtk(np.array([values[number] for values in rows.values()], dtype=float), deep=True)
        column.SetName(metric)
        node.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(True)
    scene.AddNode(node)
    return node


def shown_in_row(node: Any, row: int) -> Shown:
    """Case, structure and member of a row of the table node."""
    return Shown(*(node.GetTable().GetColumnByName(field).GetValue(row) for field in Shown._fields))


def _words(name: str, values: list[str]) -> Any:
    column = vtk.vtkStringArray()
    column.SetName(name)
    for value in values:
        column.InsertNextValue(value)
    return column
