"""The commands ``rules`` and ``uncertainty``: compare the ways to combine members, say how those disagree."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Sequence
from math import fsum
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ..core.errors import SegVarianceError
from ..core.files import write_text
from ..core.labels import LabelSet
from ..core.words import counted
from ..dataset.dataset_json import open_dataset
from ..dataset.image_io import write_map
from ..ensemble.rules import RULES
from ..ensemble.running_votes import RunningVotes
from ..ensemble.side_by_side import ANY_LABEL, Difference, Influence, KOfN, k_of_n
from ..evaluation.score_table import ScoreTable
from ..evaluation.uncertainty_table import UncertaintyTable
from ..plan.study_folder import StudyFolder
from ..review.description import Review, ReviewMember
from ..review.from_study import is_study
from ..review.open_case import read_case
from ..review.opening import open_review
from ..review.rules_of_case import influence_of_members, side_by_side
from ..stats.failure_prediction import failure_predictions, prediction_sentence
from .terminal import out, progress_bar
from .uncertainty import groups_of, map_path, write_uncertainty

_NAMES = ("first", "second", "without", "configuration", "structure")
"""Columns of names, which no narrow terminal may cut."""

Row = tuple[object, ...]
Key = tuple[str, str]


def rules(arguments: Namespace) -> int:
    """Every rule that the members allow, on the same members: tables, and a map of where the rules differ."""
    review, output = _review(arguments), Path(arguments.output)
    chosen = arguments.rules or None
    found: list[tuple[Key, list[Difference], list[Influence], list[KOfN]]] = []
    groups = _require_groups(review)
    with progress_bar() as progress:
        for done, (configuration, case_id, members) in enumerate(groups, start=1):
            opened = read_case(review, case_id, members)
            votes = RunningVotes(opened.maps)
            beside = side_by_side(opened, votes, chosen)
            like = opened.members[0].files[case_id]
            target = map_path(output, configuration, "rules_differ", case_id, opened)
            write_map(target, beside.differing, opened.geometry, like)
            influence = influence_of_members(opened, votes, arguments.influence_of)
            volume_mm3 = opened.geometry.voxel_volume_mm3
            shared = k_of_n(votes, opened.labels, volume_mm3, opened.reference)
            found.append(((configuration, case_id), beside.differences, influence, shared))
            progress("Rules", done, len(groups))
    of_case = ("configuration", "case")
    _write(output / "differences.csv", of_case + Difference._fields, ((*k, *row) for k, d, _, _ in found for row in d))
    _write(output / "influence.csv", of_case + Influence._fields, ((*k, *row) for k, _, i, _ in found for row in i))
    _write(output / "k_of_n.csv", of_case + KOfN._fields, ((*k, *row) for k, _, _, n in found for row in n))
    for configuration in dict.fromkeys(key[0] for key, _, _, _ in found):
        mine = [entry for entry in found if entry[0][0] == configuration]
        out.print(f"\n{configuration}, {counted(len(mine), 'case')}", style="bold", markup=False)
        out.print(_difference_table([row for _, rows, _, _ in mine for row in rows]))
        out.print(_influence_table([row for _, _, rows, _ in mine for row in rows], arguments.influence_of))
    out.print(f"\nTables and maps (how many further labels the rules give at a voxel): {output}", markup=False)
    return 0


def uncertainty(arguments: Namespace) -> int:
    """Maps and numbers of how members disagree; of a study also whether that tells which cases fail."""
    review = _review(arguments)
    first = Path(arguments.folders[0])
    alone = len(arguments.folders) == 1 and is_study(first)
    output = Path(arguments.output) if arguments.output else first if alone else Path("uncertainty")
    _require_groups(review)
    with progress_bar() as progress:
        table = write_uncertainty(review, output, True, lambda done, of: progress("Uncertainty", done, of))
    out.print(_number_table(table))
    if alone and (scores := StudyFolder.open(first).scores_path).is_file():
        predictions, without = failure_predictions(ScoreTable.read(scores), table)
        told = (f"{each.configuration}: {prediction_sentence(each)}" for each in predictions)
        for sentence in (*told, *without):
            out.print(f"  - {sentence}", markup=False)
    out.print(f"\n{output}/uncertainty.csv and maps in {output}/maps", markup=False)
    return 0


def _review(arguments: Namespace) -> Review:
    labels: LabelSet | None = None if arguments.dataset is None else open_dataset(Path(arguments.dataset)).labels
    references = None if arguments.references is None else Path(arguments.references)
    review = open_review([Path(folder) for folder in arguments.folders], references=references, labels=labels)
    review.require_sound()
    return review


def _require_groups(review: Review) -> list[tuple[str, str, list[ReviewMember]]]:
    """``groups_of``; where there are none, nothing is written."""
    if not (groups := list(groups_of(review))):
        raise SegVarianceError(
            f"{review.title} has no case that two members of one configuration predicted. Give the folders of two or more."
        )
    return groups


def _difference_table(rows: Sequence[Difference]) -> Table:
    """Each pair: voxels with another label in all cases together, and the mean Dice of each structure."""
    structures = [name for name in dict.fromkeys(row.structure for row in rows) if name != ANY_LABEL]
    table = Table(box=None, pad_edge=False, title_justify="left", title_style="dim", title="Rules against each other")
    for column in ("first", "second", "voxels that differ", "ml", *(f"Dice {name}" for name in structures)):
        table.add_column(escape(column), header_style="dim", no_wrap=column in _NAMES)
    for pair in dict.fromkeys((row.first, row.second) for row in rows):
        mine = [row for row in rows if (row.first, row.second) == pair]
        whole = [row for row in mine if row.structure == ANY_LABEL]
        dice = (_mean(row.dice for row in mine if row.structure == name) for name in structures)
        voxels, volume_ml = sum(row.voxels for row in whole), fsum(row.volume_ml for row in whole)
        table.add_row(*map(escape, pair), str(voxels), f"{volume_ml:.2f}", *dice)
    return table


def _influence_table(rows: Sequence[Influence], rule: str) -> Table:
    """Each member: what changes without it, and the Dice with the reference then."""
    title = f"Without one member ({RULES.facts(rule).title.lower()})"
    table = Table(box=None, pad_edge=False, title_justify="left", title_style="dim", title=title)
    structures = [name for name in dict.fromkeys(row.structure for row in rows) if name != ANY_LABEL]
    judged = any(row.reference_with is not None for row in rows)
    heads = (f"{name}: without, with all, to the reference" if judged else f"Dice {name}" for name in structures)
    for column in ("without", "voxels that change", *heads):
        table.add_column(escape(column), header_style="dim", no_wrap=column in _NAMES)
    for member in dict.fromkeys(row.member for row in rows):
        mine = [row for row in rows if row.member == member]
        cells = []
        for name in structures:
            of = [row for row in mine if row.structure == name]
            without, whole = _mean(row.reference_without for row in of), _mean(row.reference_with for row in of)
            cells.append(f"{without}  {whole}" if judged else _mean(row.dice for row in of))
        table.add_row(escape(member), str(sum(row.voxels for row in mine if row.structure == ANY_LABEL)), *cells)
    return table


def _number_table(found: UncertaintyTable) -> Table:
    """Means over cases of the measures that say most."""
    table = Table(box=None, pad_edge=False)
    shown = ("mean_pairwise_dice", "dice_to_vote", "dice_to_reference", "volume_cv", "ece")
    for column in ("configuration", "structure", *(name.replace("_", " ") for name in shown)):
        table.add_column(escape(column), header_style="dim", no_wrap=column in _NAMES)
    for key in dict.fromkeys((row.configuration, row.structure) for row in found.rows):
        mine = [row for row in found.rows if (row.configuration, row.structure) == key]
        table.add_row(*map(escape, key), *(_mean(row.value for row in mine if row.measure == name) for name in shown))
    return table


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fsum(known) / len(known):.4f}" if known else "-"


def _write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    write_text(path, text.getvalue())
