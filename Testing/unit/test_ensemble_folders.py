from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import ProblemsFound, SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import find_images, read_geometry, read_label_map, write_label_map
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.ensemble.folders import ensemble_folders

GEOMETRY = Geometry((3, 2, 2), (0.7, 0.8, 2.5), (10.1, -7.3, 3.9), (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
LABELS = LabelSet((Structure("a", (1,)), Structure("b", (2,))))


def drawn(first: int) -> np.ndarray:
    label_map = np.zeros((2, 2, 3), dtype=np.uint8)
    label_map.flat[:3] = (first, 1, 2)
    return label_map


def member(folder: Path, geometry: Geometry = GEOMETRY, **label_maps: np.ndarray) -> dict[str, Path]:
    for name, label_map in label_maps.items():
        write_label_map(folder / f"{name}.nii.gz", label_map, geometry)
    return find_images(folder)


def test_a_vote_of_three_folders_lies_exactly_on_the_first_member_s_grid(tmp_path):
    folders = [member(tmp_path / str(i), x=drawn(first), y=drawn(2)) for i, first in enumerate((1, 2, 2))]
    steps: list[tuple[int, int]] = []
    written = ensemble_folders(
        "majority", folders, LABELS, tmp_path / "out", ".nii.gz", lambda done, all_: steps.append((done, all_))
    )
    assert written == find_images(tmp_path / "out")
    assert steps == [(1, 2), (2, 2)]
    np.testing.assert_array_equal(read_label_map(written["x"]).array, drawn(2))
    assert read_geometry(written["x"]) == read_geometry(folders[0]["x"])


@pytest.mark.parametrize("labels", [LABELS, LabelSet((Structure("all", (1, 2)), Structure("b", (2,))), None, (1, 2))])
def test_the_mean_of_label_probabilities_is_read_by_value_also_where_regions_are_scored(tmp_path, labels):
    mean = np.zeros((3, 2, 2, 3))
    mean[0] = 0.4
    mean[2] = 0.5
    folders = []
    for index, shift in enumerate((-0.2, 0.2)):
        path = tmp_path / str(index) / "x.nrrd"
        probabilities = mean + np.array([shift, 0.0, -shift]).reshape(3, 1, 1, 1)
        write_probabilities(path, quantise_probabilities(probabilities), GEOMETRY, ("background", "a", "b"))
        folders.append({"x": path})
    written = ensemble_folders("mean_probability", folders, labels, tmp_path / "out", ".nii.gz")
    assert set(np.unique(read_label_map(written["x"]).array)) == {2}


def test_probabilities_of_regions_are_thresholded_and_painted(tmp_path):
    labels = LabelSet((Structure("all", (1, 2)), Structure("b", (2,))), None, (1, 2))
    channels = np.zeros((2, 2, 2, 3), dtype=np.uint8)
    channels[0], channels[1, 0] = 200, 128
    write_probabilities(tmp_path / "0" / "x.nrrd", channels, GEOMETRY, ("all", "b"))
    written = ensemble_folders(
        "mean_probability", [{"x": tmp_path / "0" / "x.nrrd"}], labels, tmp_path / "out", ".nrrd"
    )
    assert read_label_map(written["x"]).array.tolist() == [[[2] * 3] * 2, [[1] * 3] * 2]


def test_members_whose_classes_differ_are_refused(tmp_path):
    zeros = np.zeros((3, 2, 2, 3), dtype=np.uint8)
    write_probabilities(tmp_path / "0.nrrd", zeros, GEOMETRY, ("background", "a", "b"))
    write_probabilities(tmp_path / "1.nrrd", zeros, GEOMETRY, ("background", "b", "a"))
    folders = [{"x": tmp_path / "0.nrrd"}, {"x": tmp_path / "1.nrrd"}]
    with pytest.raises(SegVarianceError, match="background, b, a"):
        ensemble_folders("mean_probability", folders, LABELS, tmp_path / "out", ".nii.gz")


def test_cases_that_not_all_members_have_are_all_listed_and_nothing_is_written(tmp_path):
    folders = [member(tmp_path / "0", x=drawn(1), y=drawn(1)), member(tmp_path / "1", x=drawn(1), z=drawn(1))]
    with pytest.raises(ProblemsFound) as found:
        ensemble_folders("majority", folders, LABELS, tmp_path / "out", ".nii.gz")
    assert [problem.what.split("'")[1] for problem in found.value.problems] == ["z", "y"]
    assert not (tmp_path / "out").exists()


def test_members_on_other_grids_are_refused_before_anything_is_written(tmp_path):
    moved = Geometry(GEOMETRY.size, GEOMETRY.spacing_mm, (0.0, 0.0, 0.0), GEOMETRY.direction)
    folders = [member(tmp_path / "0", x=drawn(1)), member(tmp_path / "1", moved, x=drawn(1))]
    with pytest.raises(ProblemsFound, match="origin"):
        ensemble_folders("majority", folders, LABELS, tmp_path / "out", ".nii.gz")
    assert not (tmp_path / "out").exists()


def test_an_unknown_value_nothing_to_combine_and_overwriting_are_refused(tmp_path):
    folders = [member(tmp_path / str(i), x=drawn(9)) for i in range(2)]
    with pytest.raises(SegVarianceError, match=r"\[9\]"):
        ensemble_folders("majority", folders, LABELS, tmp_path / "out", ".nii.gz")
    with pytest.raises(SegVarianceError, match="nothing to combine"):
        ensemble_folders("majority", [{}], LABELS, tmp_path / "out", ".nii.gz")
    with pytest.raises(ProblemsFound, match="overwrite"):
        ensemble_folders("majority", folders, LABELS, tmp_path / "1", ".nii.gz")
    with pytest.raises(SegVarianceError, match="leads out"):
        ensemble_folders("majority", [{"../x": folders[0]["x"]}], LABELS, tmp_path / "out", ".nii.gz")


def test_real_members_vote_as_counting_every_voxel_does(real_data, tmp_path):
    paths = list(find_images(real_data / "brats_ensemble" / "TCGA-DU-7294" / "members").values())
    labels = LabelSet((Structure("necrosis", (1,)), Structure("oedema", (2,)), Structure("enhancing", (4,))))
    written = ensemble_folders("majority", [{"glioma": path} for path in paths], labels, tmp_path, ".nii.gz")
    members = [read_label_map(path).array for path in paths]
    counts = [sum((m == value).astype(np.uint8) for m in members) for value in (0, 1, 2, 4)]
    np.testing.assert_array_equal(
        read_label_map(written["glioma"]).array, np.choose(np.argmax(counts, 0), (0, 1, 2, 4))
    )
