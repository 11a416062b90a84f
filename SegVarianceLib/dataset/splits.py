"""Who trains and who is held out: fixed once for a whole study, so that only training luck varies between seeds."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.seeding import generator

HOLDOUT_SHARE = 0.2


@dataclass(frozen=True)
class Fold:
    """Case ids of one training; ``held_out`` is what its models predict and are scored on. Both sorted."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def split(
    case_ids: Sequence[str], kind: str, split_seed: int, groups: Mapping[str, str] | None = None
) -> tuple[Fold, ...]:
    """Split cases into one hold-out fold (``"holdout"``, a fifth held out) or k folds (``"5-fold"``).

    Args:
        case_ids: unique ids; their order does not matter.
        kind: ``"holdout"`` or ``"<k>-fold"`` with k from 2 to the number of groups.
        split_seed: the only randomness; the same seed and ids give the same split on every machine.
        groups: group of each case (a patient with several images); a group is never divided. Default: each case alone.

    Raises:
        SegVarianceError: an unknown kind, too few cases or groups, or a case without a group.
    """
    ids = sorted(case_ids)
    missing = [case_id for case_id in ids if groups is not None and case_id not in groups]
    if missing:
        raise SegVarianceError(
            f"{len(missing)} cases have no group, the first is {missing[0]!r}. Add them to the groups file."
        )
    members: dict[str, list[str]] = {}
    for case_id in ids:
        members.setdefault(groups[case_id] if groups is not None else case_id, []).append(case_id)
    names = sorted(members)
    order = [names[i] for i in generator(split_seed, "split").permutation(len(names))]

    folds = _fold_count(kind, len(names))
    if folds is None:
        held_out_groups = [order[: max(1, round(HOLDOUT_SHARE * len(order)))]]
    else:
        held_out_groups = [order[fold::folds] for fold in range(folds)]
    return tuple(_fold(ids, {case for group in held for case in members[group]}) for held in held_out_groups)


def read_groups(path: Path, column: str) -> dict[str, str]:
    """Read the group of each case from a CSV with a ``case`` column and the named one.

    Raises:
        SegVarianceError: the file cannot be read, lacks a column, or gives one case two groups.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"case", column} <= set(reader.fieldnames or ()):
                raise SegVarianceError(
                    f"{path} needs the columns 'case' and {column!r}; it has {', '.join(reader.fieldnames or ())}."
                )
            groups: dict[str, str] = {}
            for row in reader:
                if groups.setdefault(row["case"], row[column]) != row[column]:
                    raise SegVarianceError(f"{path} gives case {row['case']!r} two groups. Keep one line a case.")
            return groups
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SegVarianceError(f"{path} cannot be read as CSV ({error}). Check the file.") from None


def _fold_count(kind: str, groups: int) -> int | None:
    """None for a hold-out, else the number of folds."""
    if kind == "holdout" and groups >= 2:
        return None
    number = kind.removesuffix("-fold")
    if kind.endswith("-fold") and number.isdecimal() and 2 <= int(number) <= groups:
        return int(number)
    raise SegVarianceError(
        f"Split {kind!r} cannot be made of {groups} cases or groups. Give 'holdout' (2 or more) or 'k-fold' with k from 2 to {groups}."
    )


def _fold(ids: Sequence[str], held_out: set[str]) -> Fold:
    return Fold(
        training=tuple(case_id for case_id in ids if case_id not in held_out),
        held_out=tuple(case_id for case_id in ids if case_id in held_out),
    )
