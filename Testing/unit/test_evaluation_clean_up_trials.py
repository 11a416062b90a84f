"""Which clean-up steps are accepted: crafted cases, and nnU-Net's own code on the same files."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import ProblemsFound, SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map
from SegVarianceLib.ensemble.clean_up import apply_steps
from SegVarianceLib.ensemble.postprocessing import FOREGROUND, keep_largest
from SegVarianceLib.evaluation.clean_up_trials import (
    CleanUpTrials,
    all_questions,
    choose_steps,
    nnunet_questions,
)

GRID = Geometry((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
ORGAN, LESION = Structure("organ", (1,)), Structure("lesion", (2,))
TWO = LabelSet((ORGAN, LESION))
NESTED = LabelSet((Structure("whole", (1, 2, 3)), Structure("core", (2, 3)), Structure("tip", (3,))), None, (1, 2, 3))


def organ_and_lesion() -> np.ndarray:
    label_map = np.zeros((12, 12, 12), dtype=np.uint8)
    label_map[2:9, 2:9, 2:9] = 1
    label_map[4:6, 4:6, 4:6] = 2
    return label_map


def island(label_map: np.ndarray, value: int) -> np.ndarray:
    label_map = label_map.copy()
    label_map[10:12, 10:12, 10:12] = value
    return label_map


def trials(folder: Path, predictions: list[np.ndarray], references: list[np.ndarray], labels=TWO, seeds=1):
    for where, maps in (("predicted", predictions), ("reference", references)):
        for number, label_map in enumerate(maps):
            write_label_map(folder / where / f"case_{number}.nii.gz", label_map, GRID)
    files = [
        {f"case_{n}": folder / where / f"case_{n}.nii.gz" for n in range(len(references))}
        for where in ("predicted", "reference")
    ]
    return CleanUpTrials([files[0]] * seeds, files[1], labels)


def said(choice) -> list[tuple[str, str]]:
    return [(step.step, ", ".join(step.structures)) for step in choice.steps]


def test_a_spurious_island_is_removed_and_a_real_one_stays(tmp_path):
    plain, spoiled = organ_and_lesion(), island(organ_and_lesion(), 1)
    spurious = choose_steps(trials(tmp_path / "a", [spoiled] * 3, [plain] * 3), nnunet_questions(TWO.structures))
    assert said(spurious) == [("keep_largest_foreground", "organ, lesion")]
    assert [answer.accepted for answer in spurious.answers] == [True, False, False]
    real = choose_steps(trials(tmp_path / "b", [spoiled] * 3, [spoiled] * 3), nnunet_questions(TWO.structures))
    assert real.steps == ()
    mostly_real = trials(tmp_path / "c", [spoiled] * 3, [spoiled, spoiled, plain])
    assert choose_steps(mostly_real, nnunet_questions(TWO.structures)).steps == ()


def test_the_foreground_step_is_refused_where_one_structure_falls(tmp_path):
    """An organ island that is wrong is large, a lesion island that is right is small: the mean rises and the lesion falls."""
    reference = organ_and_lesion()
    reference[0, 0, 0] = 2
    predicted = island(reference, 1)
    predicted[10:12, 0:6, 10:12] = 1
    found = choose_steps(trials(tmp_path, [predicted] * 2, [reference] * 2), nnunet_questions(TWO.structures))
    assert found.answers[0].about == FOREGROUND and found.answers[0].after > 0
    assert not found.answers[0].accepted
    assert said(found) == [("keep_largest", "organ")]


def test_a_minimum_size_keeps_two_real_bodies_that_the_largest_alone_would_lose(tmp_path):
    reference = island(np.where(organ_and_lesion() > 0, 1, 0).astype(np.uint8), 1)  # two bodies, 343 and 8 voxels
    reference[8:12, 10:12, 0:4] = 1
    predicted = reference.copy()
    predicted[0, 0, 0] = 1
    labels = LabelSet((ORGAN,))
    found = choose_steps(trials(tmp_path, [predicted] * 2, [reference] * 2, labels), all_questions(labels.structures))
    assert [(step.step, step.settings) for step in found.steps] == []  # 10 mm3 would take the body of 8 voxels
    predicted[10:12, 10:12, 10:12] = reference[10:12, 10:12, 10:12] = 0
    found = choose_steps(trials(tmp_path, [predicted] * 2, [reference] * 2, labels), all_questions(labels.structures))
    assert [(step.step, step.settings["minimum_mm3"]) for step in found.steps] == [("minimum_size", 10.0)]


def test_holes_are_filled_where_that_helps_and_what_goes_may_become_what_encloses_it(tmp_path):
    reference = organ_and_lesion()
    predicted = reference.copy()
    predicted[7, 7, 7] = 2  # a false lesion inside the organ
    predicted[3, 3, 3] = 0  # and a hole
    found = choose_steps(trials(tmp_path, [predicted] * 2, [reference] * 2), all_questions(TWO.structures))
    assert [(step.step, step.structures, step.settings) for step in found.steps] == [
        ("fill_holes", ("organ",), {}),
        ("keep_largest", ("lesion",), {"ties": "all", "becomes": "enclosing"}),  # 10 mm3 would take the true one of 8
    ]
    np.testing.assert_array_equal(apply_steps(found.steps, predicted, TWO.structures, 1.0).label_map, reference)


def test_a_structure_that_no_case_has_does_not_stop_the_choice(tmp_path):
    plain = np.where(organ_and_lesion() > 0, 1, 0).astype(np.uint8)
    found = choose_steps(trials(tmp_path, [island(plain, 1)] * 2, [plain] * 2), nnunet_questions(TWO.structures))
    assert said(found)[0] == (
        "keep_largest_foreground",
        "organ, lesion",
    )  # nnU-Net's mean is NaN here: it accepts nothing


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(SegVarianceError, match="nothing to choose on"):
        CleanUpTrials([], {}, TWO)
    trials(tmp_path, [organ_and_lesion()], [organ_and_lesion()])
    path = tmp_path / "predicted" / "case_0.nii.gz"
    with pytest.raises(SegVarianceError, match="'other' has a prediction or a reference"):
        CleanUpTrials([{"case_0": path}], {"case_0": path, "other": path}, TWO)
    write_label_map(tmp_path / "x.nii.gz", organ_and_lesion(), replace(GRID, origin_mm=(0.0, 0.0, 1.0)))
    with pytest.raises(ProblemsFound, match="does not lie where"):
        CleanUpTrials([{"case_0": tmp_path / "x.nii.gz"}], {"case_0": path}, TWO)
    write_label_map(tmp_path / "nine.nii.gz", np.full_like(organ_and_lesion(), 9), GRID)
    with pytest.raises(SegVarianceError, match=r"nine\.nii\.gz: .*label values \[9\]"):
        CleanUpTrials([{"case_0": tmp_path / "nine.nii.gz"}], {"case_0": path}, TWO).dice()


CHILD = """
import json, multiprocessing, sys, types
from multiprocessing.pool import ThreadPool
import numpy as np
from nnunetv2.postprocessing.remove_connected_components import (
    determine_postprocessing, remove_all_but_largest_component_from_segmentation)
# Threads for their worker processes, each of which would import torch.
multiprocessing.get_context = lambda kind: types.SimpleNamespace(Pool=ThreadPool)
plans = {"image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager", "plans_name": "p", "dataset_name": "d",
         "configurations": {}}
for folder in sys.argv[1:]:
    content = json.load(open(f"{folder}/dataset.json"))
    _, settings = determine_postprocessing(f"{folder}/predicted", f"{folder}/reference", plans, content, 1)
    json.dump([each["labels_or_regions"] for each in settings], open(f"{folder}/steps.json", "w"))
    maps = np.load(f"{folder}/maps.npy")
    for number, value in enumerate((1, (1, 2), [1, 2, 3])):
        cleaned = [remove_all_but_largest_component_from_segmentation(each, value) for each in maps]
        np.save(f"{folder}/largest_{number}.npy", np.stack(cleaned))
"""


def random_pair(rng: np.random.Generator, labels: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    """A reference of blobs, and a prediction with islands that are sometimes right."""
    reference = np.zeros((12, 12, 12), dtype=np.uint8)
    for value in labels.foreground_values:
        z, y, x = rng.integers(0, 6, 3)
        reference[z : z + 5, y : y + 5, x : x + 5] = value
    predicted = reference.copy()
    for value in labels.foreground_values:
        for _ in range(3):
            at = tuple(rng.integers(0, 12, 3))
            predicted[at] = value
            if rng.random() < 0.3:
                reference[at] = value
    return predicted, reference


def test_the_steps_and_voxels_are_those_of_nnunets_own_code(tmp_path):
    python = os.environ.get("SEGVARIANCE_NNUNET_PYTHON")
    if not python:
        pytest.skip("no nnU-Net: set SEGVARIANCE_NNUNET_PYTHON to the Python of an environment with nnunetv2")
    datasets = {
        f"{name}_{seed}": (labels, seed) for seed in range(6) for name, labels in (("labels", TWO), ("regions", NESTED))
    }
    made = {}
    for name, (labels, seed) in datasets.items():
        folder, rng = tmp_path / name, np.random.default_rng(seed)
        pairs = [random_pair(rng, labels) for _ in range(5)]
        found = trials(folder, [p for p, _ in pairs], [r for _, r in pairs], labels)
        (folder / "dataset.json").write_text(json.dumps(declaration(labels)))
        maps = rng.choice(np.array([0, 0, 0, 1, 2, 3], dtype=np.uint8), (40, 5, 5, 5))  # with many ties
        np.save(folder / "maps.npy", maps)
        made[name] = found, pairs, maps
    script = [python, "-c", CHILD, *(str(tmp_path / name) for name in datasets)]
    done = subprocess.run(script, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    accepted = 0
    for name, (found, pairs, maps) in made.items():
        structures, folder = found.labels.structures, tmp_path / name
        choice = choose_steps(found, nnunet_questions(structures))
        values = {each.name: each.values for each in structures}
        ours = [sorted({value for name in step.structures for value in values[name]}) for step in choice.steps]
        theirs = json.loads((folder / "steps.json").read_text())
        assert ours == [sorted(each) if isinstance(each, list) else [each] for each in theirs]
        accepted += len(ours)
        for number, (predicted, _) in enumerate(pairs):
            cleaned = read_label_map(folder / "predicted" / "postprocessed" / f"case_{number}.nii.gz").array
            np.testing.assert_array_equal(apply_steps(choice.steps, predicted, structures, 1.0).label_map, cleaned)
        for number, of in enumerate(((1,), (1, 2), (1, 2, 3))):
            expected = np.load(folder / f"largest_{number}.npy")
            for label_map, theirs_cleaned in zip(maps, expected, strict=True):
                ours_cleaned = keep_largest(label_map, [Structure("s", of)], 1.0, ties="all").label_map
                np.testing.assert_array_equal(ours_cleaned, theirs_cleaned)
    asked = sum(len(nnunet_questions(labels.structures)) for labels, _ in datasets.values())
    assert 0 < accepted < asked, "some steps accepted, some refused"


def declaration(labels: LabelSet) -> dict:
    """What nnU-Net's dataset.json says of them."""
    declared = {each.name: list(each.values) if labels.has_regions else each.values[0] for each in labels.structures}
    content = {"labels": {"background": 0, **declared}, "file_ending": ".nii.gz", "channel_names": {"0": "MRI"}}
    return content | ({"regions_class_order": list(labels.regions_class_order)} if labels.has_regions else {})
