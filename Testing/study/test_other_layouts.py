"""A study on what the phantom is not: MSD layout, 4-D images of two channels, regions, an ignore label, odd label values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own convention)

from SegVarianceLib.core.arrays import dequantise_probabilities
from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.dataset.probability_maps import read_probabilities
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder

pytestmark = pytest.mark.slow

VALUES = np.array([0, 1, 2, 4], np.uint8)  # as BraTS has them: 3 is missing
IGNORED = 7


@pytest.fixture(scope="module")
def msd_with_regions(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("msd") / "Task99_Regions"
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    entries = []
    for label_path in sorted((phantom / "labelsTr").iterdir()):
        case_id = label_path.name.removesuffix(".nii.gz")
        (image_path,) = (phantom / "imagesTr").glob(f"{case_id}*")
        image, label = sitk.ReadImage(str(image_path)), sitk.ReadImage(str(label_path))
        both = sitk.JoinSeries([sitk.Cast(image, sitk.sitkFloat32), sitk.Cast(image, sitk.sitkFloat32) * -2 + 5])
        sitk.WriteImage(both, str(folder / "imagesTr" / f"{case_id}.nii.gz"))
        values = VALUES[sitk.GetArrayFromImage(label)]
        values[:2] = IGNORED
        changed = sitk.GetImageFromArray(values)
        changed.CopyInformation(label)
        sitk.WriteImage(changed, str(folder / "labelsTr" / f"{case_id}.nii.gz"))
        entries.append({"image": f"./imagesTr/{case_id}.nii.gz", "label": f"./labelsTr/{case_id}.nii.gz"})
    content = {
        "name": "Regions",
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "whole": [1, 2, 4], "inner": [2, 4], "core": 4, "ignore": IGNORED},
        "regions_class_order": [1, 2, 4],
        "file_ending": ".nii.gz",
        "numTraining": len(entries),
        "training": entries,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_labels_and_regions_are_trained_side_by_side_and_the_ignore_label_is_neither_learnt_nor_scored(
    msd_with_regions: Path, segvariance: Callable, tmp_path: Path
) -> None:
    root = tmp_path / "study"
    wishes = ("--seeds", 2, "--budget", "60 steps", "--device", "cpu", "--train", "both")
    planned = segvariance("plan", msd_with_regions, root, *wishes)
    assert planned.returncode == 0, planned.stderr
    ran = segvariance("run", root)
    assert ran.returncode == 0, ran.stderr

    study = StudyFolder.open(root)
    of_labels, of_regions = study.plan.configurations
    assert (of_labels.name, of_regions.name) == ("default_labels", "default_regions")
    assert [recipe.network.out_channels for recipe in (of_labels, of_regions)] == [4, 3]
    assert of_labels.network.in_channels == 2 and of_labels.training == of_regions.training
    drawn = set()
    for run in study.runs:
        for case_id in study.folds[0].held_out:
            found = read_label_map(study.prediction(run, case_id)).array
            drawn |= set(np.unique(found).tolist())
            quantised, _, names = read_probabilities(study.probabilities(run, case_id))
            kept = dequantise_probabilities(quantised)
            if run.configuration == "default_regions":
                assert names == ("whole", "inner", "core")
                painted = np.select([kept[2] > 0.5, kept[1] > 0.5, kept[0] > 0.5], [4, 2, 1], 0)
                assert (painted != found).mean() < 0.01, "8-bit probabilities round near a half"
            else:
                assert len(names) == len(VALUES)
    assert drawn <= set(VALUES.tolist())
    assert len(drawn) > 1
    scores = ScoreTable.read(study.scores_path)
    levels = ("whole", "inner", "core", "label value 1", "label value 2", "label value 4")
    assert scores.unique("structure") == levels
    assert {score.configuration for score in scores.scores} >= {"default_labels", "default_regions"}
    compared = segvariance("compare", root)
    assert compared.returncode == 0 and "default_regions" in compared.stdout, compared.stderr

    written = segvariance("convert", root, tmp_path / "nnunet")
    assert written.returncode == 0, written.stderr
    for recipe in ("default_labels", "default_regions"):
        (path, *_) = sorted((tmp_path / "nnunet" / recipe / "seed_0").glob("*.npz"))
        assert len(np.load(path)["probabilities"]) == 3, "regions, as nnU-Net has them"
    best = segvariance("best", root, "--output", tmp_path / "best")
    assert "share 2 scored case(s)" in best.stderr, "labels and regions are judged, their pair is not made"

    run, case_id = study.runs[0], study.folds[0].held_out[0]
    found, reference = (
        read_label_map(path).array for path in (study.prediction(run, case_id), study.reference(case_id))
    )
    counted = reference != IGNORED
    a, b = np.isin(found, [1, 2, 4]) & counted, np.isin(reference, [1, 2, 4]) & counted
    (score,) = scores.where(
        configuration=run.configuration, member="seed_0", case=case_id, structure="whole", metric="dice"
    ).scores
    assert score.value == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()), abs=1e-12)
