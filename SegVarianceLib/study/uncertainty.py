"""Disagreement of the members of every case: maps in files, numbers in ``uncertainty.csv``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.files import path_inside
from ..dataset.image_io import IMAGE_ENDINGS, write_map
from ..ensemble.running_votes import RunningVotes
from ..evaluation.uncertainty_table import Uncertainty, UncertaintyTable
from ..review.description import Review, ReviewMember
from ..review.open_case import OpenCase, read_case
from ..review.rules_of_case import maps_and_numbers, uncertainty_maps, uncertainty_numbers

AGREEMENT = "agreement"

Progress = Callable[[int, int], object]
"""Called with the number of cases done and of all cases."""


def write_uncertainty(review: Review, folder: Path, with_probabilities: bool, progress: Progress) -> UncertaintyTable:
    """Write ``folder/uncertainty.csv`` and ``folder/maps/<configuration>/<name>/<case>``, and return the table.

    From label maps alone: the agreement map and the numbers of disagreement. ``with_probabilities`` every map, and calibration,
    where all members of a case kept them. A case that a configuration has only once says nothing, and is passed over.

    Raises:
        SegVarianceError: a file cannot be read, or lies elsewhere than others of its case.
    """
    rows: list[Uncertainty] = []
    groups = list(groups_of(review))
    for done, (configuration, case_id, members) in enumerate(groups, start=1):
        opened = read_case(review, case_id, members)
        votes = RunningVotes(opened.maps)
        if with_probabilities:
            maps, numbers = maps_and_numbers(opened, votes)
        else:
            maps, numbers = (
                uncertainty_maps(opened, votes, with_probabilities=False),
                uncertainty_numbers(opened, votes),
            )
            maps = {AGREEMENT: maps[AGREEMENT]}
        for name, values in maps.items():
            like = opened.members[0].files[case_id]
            write_map(map_path(folder, configuration, name, case_id, opened), values, opened.geometry, like)
        rows += (Uncertainty(configuration, case_id, *number) for number in numbers)
        progress(done, len(groups))
    table = UncertaintyTable(tuple(rows))
    table.write(folder / "uncertainty.csv")
    return table


def groups_of(review: Review) -> Iterator[tuple[str, str, list[ReviewMember]]]:
    """Configuration, case and the members of that configuration that have the case, where these are two or more."""
    for configuration in dict.fromkeys(member.configuration for member in review.members):
        for case in review.cases:
            members = [each for each in review.members_of(case.id) if each.configuration == configuration]
            if len(members) > 1:
                yield configuration, case.id, members


def map_path(folder: Path, configuration: str, name: str, case_id: str, opened: OpenCase) -> Path:
    """``folder/maps/<configuration>/<name>/<case>``, in the format of the case's label maps."""
    file = opened.members[0].files[case_id].name
    ending = next((ending for ending in IMAGE_ENDINGS if file.endswith(ending)), ".nii.gz").replace(".seg", "")
    return path_inside(folder, f"maps/{configuration}/{name}/{case_id}{ending}", "map")
