"""What moved, counted voxel by voxel, and when a reader is told to look twice."""

from __future__ import annotations

import numpy as np
import pytest

from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.evaluation.plausibility import moved, warnings_of
from SegVarianceLib.plan.adaptation_folder import Neighbour

LABELS = LabelSet((Structure("left", (1,)), Structure("right", (2,)), Structure("cyst", (3,))))
FEW = Neighbour("a", 0.9, 0.9, 0.9, 0.0)


def masks(before: int, after: int, overlap: int) -> tuple[np.ndarray, np.ndarray]:
    """Label 1 on so many voxels of a line of 4000 before and after, ``overlap`` of them the same; label 2 stays."""
    first, second = (np.zeros((1, 1, 4000), np.uint8) for _ in range(2))
    first[..., :before] = 1
    second[..., before - overlap : before - overlap + after] = 1
    first[..., 3500:3600] = second[..., 3500:3600] = 2
    return first, second


def test_volumes_come_from_voxels_and_their_size():
    left, right, cyst = moved(*masks(1000, 1200, 800), LABELS, 2.5)
    assert (left.initial_ml, left.adapted_ml, left.added_ml, left.removed_ml) == (2.5, 3.0, 1.0, 0.5)
    assert left.dice == pytest.approx(2 * 800 / 2200, abs=1e-4)
    assert (right.dice, right.added_ml, cyst.dice, cyst.initial_ml) == (1.0, 0.0, None, 0.0)


def test_a_small_move_passes_in_silence():
    assert warnings_of(moved(*masks(1000, 1050, 980), LABELS, 1.0), {"left": [0.9, 1.1]}, [FEW], {}) == ()


@pytest.mark.parametrize(
    ("before", "after", "overlap", "says"),
    [
        (1000, 1400, 1000, "became 40% larger"),
        (1000, 600, 600, "became 40% smaller"),
        (1000, 0, 0, "vanished"),
        (1000, 1000, 600, "by a Dice of 0.60 only"),
    ],
)
def test_what_departs_is_said_with_its_number(before, after, overlap, says):
    found = warnings_of(moved(*masks(before, after, overlap), LABELS, 1.0), {}, [FEW], {})
    assert any(says in sentence for sentence in found) and not any("right" in sentence for sentence in found)


def test_volumes_beyond_the_training_cases_and_masks_beyond_the_ensemble_are_said():
    found = moved(*masks(1000, 1100, 950), LABELS, 1.0)
    assert "training cases have 0.40 to 0.70 ml" in warnings_of(found, {"left": [0.4, 0.7]}, [FEW], {})[0]
    said = warnings_of(found, {}, [FEW], {"left": 0.97, "right": 0.9})
    assert len(said) == 1 and "than any of its members did (0.97)" in said[0]


def test_neighbours_that_could_not_be_aligned_are_said_from_half_of_them_on():
    out = Neighbour("b", 0.1, 0.1, 0.1, 0.0, "it lies elsewhere")
    assert warnings_of((), {}, [FEW, FEW, out], {}) == ()
    assert "1 of 2 neighbours" in warnings_of((), {}, [FEW, out], {})[0]
    assert "Not one of 2 neighbours" in (said := warnings_of((), {}, [out, out], {})[0]) and "it lies elsewhere" in said
