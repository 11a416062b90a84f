"""An open case: read and checked, scored against reference or vote, averaged where probabilities were kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.errors import ProblemsFound, SegVarianceError
from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS
from SegVarianceLib.dataset.probability_maps import write_probabilities
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.evaluation.evaluate import Member, score_members
from SegVarianceLib.review.case_scores import score_against, score_against_reference
from SegVarianceLib.review.description import Review, ReviewMember
from SegVarianceLib.review.open_case import read_case
from SegVarianceLib.review.opening import open_review
from SegVarianceLib.review.probabilities import mean_of_probabilities

GRID = Geometry((8, 7, 6), (0.8, 1.0, 2.0), (5.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def ball(centre: tuple[int, int, int], radius: float, value: int = 1) -> np.ndarray:
    apart = sum((axis - middle) ** 2 for axis, middle in zip(np.indices(GRID.shape_zyx), centre, strict=True))
    return np.where(apart <= radius**2, value, 0).astype(np.uint8)


MEMBERS = {"seed_1": ball((3, 3, 3), 2), "seed_2": ball((3, 3, 4), 2), "seed_3": ball((2, 3, 3), 2.5)}
REFERENCE = ball((3, 4, 4), 2.5)


@pytest.fixture
def opened(tmp_path: Path) -> Review:
    """Three members and the reference of case p; label 1 is declared."""
    for name, label_map in MEMBERS.items():
        write_label_map(tmp_path / name / "p.nii.gz", label_map, GRID)
    write_label_map(tmp_path / "labels" / "p.nii.gz", REFERENCE, GRID)
    write_json(tmp_path / "dataset.json", {"labels": {"background": 0, "liver": 1}})
    return open_review(tmp_path)


def test_scores_of_a_case_are_those_of_the_whole_folder(opened):
    steps: list[tuple[int, int]] = []
    table = score_against_reference(read_case(opened, "p"), 1.0, progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    reference = opened.case("p").label
    assert reference is not None
    folders = {Member(m.configuration, m.name, m.seed): m.files for m in opened.members}
    assert table.scores == score_members(folders, {"p": reference}, opened.labels, 1.0)
    assert table.unique("metric") == ("dice", "iou", "hd95_mm", "surface_dice_1mm")


def test_members_are_scored_against_their_own_vote_also_where_it_reaches_further_than_they(opened):
    case = read_case(opened, "p")
    vote = RunningVotes(case.maps).label_map()
    for score in score_against(case, vote, 1.0).where(metric="dice").scores:
        drawn = MEMBERS[score.member]
        assert score.value == pytest.approx(2 * (drawn & vote).sum() / (drawn.sum() + vote.sum()))
    everywhere = np.ones(GRID.shape_zyx, dtype=np.uint8)
    dice = score_against(case, everywhere, 1.0).where(metric="dice", member="seed_1").scores[0].value
    assert dice == pytest.approx(2 * MEMBERS["seed_1"].sum() / (MEMBERS["seed_1"].sum() + everywhere.size))


def test_a_case_is_read_with_its_reference_and_tells_how_far_it_is(opened):
    steps: list[tuple[int, int]] = []
    case = read_case(opened, "p", progress=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert case.geometry.difference(GRID) is None
    np.testing.assert_array_equal(case.reference, REFERENCE)
    for member in case.members:
        np.testing.assert_array_equal(case.maps.member(member.key), MEMBERS[member.name])
    assert [m.name for m in read_case(opened, "p", opened.members[1:2]).members] == ["seed_2"]


def test_a_case_without_reference_nobody_has_or_unknown_is_one_sentence(opened, tmp_path):
    (tmp_path / "labels" / "p.nii.gz").unlink()
    review = open_review(tmp_path)
    with pytest.raises(SegVarianceError, match=r"has no reference\. Score against the vote"):
        score_against_reference(read_case(review, "p"), 1.0)
    with pytest.raises(SegVarianceError, match="There is no case 'q'"):
        read_case(review, "q")
    with pytest.raises(SegVarianceError, match="No member has case 'p' yet"):
        read_case(review, "p", [])


def test_values_that_were_not_declared_are_told_of_every_file_at_once(opened, tmp_path):
    for name in ("seed_1", "seed_3"):
        write_label_map(tmp_path / name / "p.nii.gz", MEMBERS[name] * 7, GRID)
    with pytest.raises(ProblemsFound) as told:
        read_case(opened, "p")
    assert [Path(problem.where).parent.name for problem in told.value.problems] == ["seed_1", "seed_3"]
    assert "holds the label values [7], expected only [0, 1]" in str(told.value)


def test_a_file_replaced_after_opening_by_one_elsewhere_is_refused_before_it_is_read(opened, tmp_path):
    write_label_map(tmp_path / "seed_2" / "p.nii.gz", MEMBERS["seed_2"], replace(GRID, origin_mm=(0.0, 0.0, 0.0)))
    with pytest.raises(ProblemsFound, match="it does not lie where"):
        read_case(opened, "p")


def test_values_of_gathered_labels_may_turn_up_later(tmp_path):
    for case_id, value in (("p", 1), ("q", 3)):
        write_label_map(tmp_path / "a" / f"{case_id}.nii.gz", ball((3, 3, 3), 2, value), GRID)
    review = open_review(tmp_path / "a")
    assert review.labels.foreground_values == (1,)
    assert read_case(review, "q").labels.foreground_values == (1, 3)


def kept(folder: Path, *label_maps: np.ndarray) -> list[ReviewMember]:
    """Members that are nine tenths sure of label 0 or 1 in 8-bit files, or as nnU-Net's where the index is odd."""
    members = []
    for number, label_map in enumerate(label_maps):
        probabilities = np.where([label_map == 0, label_map == 1], 0.9, 0.1).astype(np.float32)
        path = folder / str(number) / ("p.npz" if number % 2 else "p.nrrd")
        path.parent.mkdir(parents=True)
        if number % 2:
            np.savez_compressed(path, probabilities=probabilities)
        else:
            write_probabilities(path, quantise_probabilities(probabilities), GRID, ("background", "liver"))
        members.append(ReviewMember("default", str(number), {}, probabilities={"p": path}))
    return members


def test_the_mean_probability_of_kept_files_is_their_mean(tmp_path):
    labels = LabelSet((Structure("liver", (1,)),))
    first, second, third = kept(tmp_path, *MEMBERS.values())
    silent = ReviewMember("default", "silent", {})
    mean = mean_of_probabilities([first, third, silent], "p", GRID, labels)
    assert mean.members == ("default/0", "default/2")
    expected = np.where(MEMBERS["seed_1"] + MEMBERS["seed_3"] == 2, 0.9, 0.5)
    drawn = (MEMBERS["seed_1"] + MEMBERS["seed_3"]) > 0
    np.testing.assert_allclose(mean.probabilities[1][drawn], expected[drawn], atol=0.002)
    of_nnunet = mean_of_probabilities([second], "p", GRID, labels)
    np.testing.assert_array_equal(of_nnunet.label_map, MEMBERS["seed_2"])
    with pytest.raises(SegVarianceError, match="holds the classes of nnU-Net, others background, liver"):
        mean_of_probabilities([first, second], "p", GRID, labels)


def test_classes_that_are_not_the_regions_are_background_and_values(tmp_path):
    regions = LabelSet((Structure("whole", (1,)), Structure("also", (1, 2))), regions_class_order=(1, 2))
    channels = np.zeros((3, *GRID.shape_zyx), dtype=np.uint8)
    channels[2] = 255
    write_probabilities(tmp_path / "p.nrrd", channels, GRID, ("background", "a", "b"))
    member = ReviewMember("default", "m", {}, probabilities={"p": tmp_path / "p.nrrd"})
    assert (mean_of_probabilities([member], "p", GRID, regions).label_map == 2).all()


def test_probabilities_that_are_missing_damaged_or_elsewhere_are_one_sentence(tmp_path):
    labels = LabelSet((Structure("liver", (1,)),))
    inside, nnunet = kept(tmp_path, *list(MEMBERS.values())[:2])
    with pytest.raises(SegVarianceError, match="No member kept probabilities of case 'q'"):
        mean_of_probabilities([inside], "q", GRID, labels)
    with pytest.raises(SegVarianceError, match="lies elsewhere"):
        mean_of_probabilities([inside], "p", replace(GRID, spacing_mm=(9.0, 1.0, 1.0)), labels)
    with pytest.raises(SegVarianceError, match="expected fractions"):
        mean_of_probabilities([nnunet], "p", replace(GRID, size=(9, 7, 6)), labels)
    nnunet.probabilities["p"].write_bytes(b"PK nothing")
    with pytest.raises(SegVarianceError, match="damaged"):
        mean_of_probabilities([nnunet], "p", GRID, labels)


def test_the_glioma_patient_is_voted_on_by_label_and_by_region(real_data):
    review = open_review(real_data / "brats_ensemble")
    case = read_case(review, "TCGA-DU-7294")
    votes = RunningVotes(case.maps)
    by_label, by_region = votes.label_map(), votes.label_map(BRATS_REGIONS)
    stack = np.array([read_label_map(path).array for member in review.members for path in member.files.values()])
    one_hot = np.array([(stack == value).sum(axis=0) for value in (0, 1, 2, 4)])
    np.testing.assert_array_equal(by_label, np.array([0, 1, 2, 4])[one_hot.argmax(axis=0)])
    differing = votes.differing(BRATS_REGIONS)
    np.testing.assert_array_equal(differing, by_label != by_region)
    assert differing.sum() == 146
    whole = np.isin(by_region, (1, 2, 4))
    np.testing.assert_array_equal(whole, (stack > 0).sum(axis=0) >= 3)
    dice = {(s.member, s.structure): s.value for s in score_against(case, by_label, 1.0).where(metric="dice").scores}
    assert dice["isen", "label_1"] == pytest.approx(0.95987, abs=1e-5)
    assert dice["isen", "label_4"] is None  # neither it nor the vote drew any
    assert dice["hnfnetv1", "label_4"] == 0
