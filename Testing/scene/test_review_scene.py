"""The whole review on a real MRML scene: what the presenters ask for is what stands in it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from offscreen import OffscreenSlice

from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.scene.views import side_by_side

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.review_scene import ReviewScene
from SegVarianceSlicer.sample import make_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make_sample(tmp_path_factory.mktemp("sample") / "SegVariancePhantom", cases=3)


@pytest.fixture
def layout(mrml):
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(mrml.scene)
    yield logic
    logic.SetMRMLScene(None)


@pytest.fixture
def views(mrml, layout):
    """Six slice views, which the application makes when a layout names them."""
    return [OffscreenSlice(mrml, view, (120, 120)) for view in side_by_side("abcdef")]


class Review:
    def __init__(self, mrml, folder):
        self.session = ReviewSession(ReviewScene(mrml.scene, mrml.application))
        self.open = OpenPresenter(self.session)
        self.look = LookPresenter(self.session)
        self.ensemble = EnsemblePresenter(self.session, self.look.result_changed)
        self.open.look_into((str(folder),))
        self.open.confirm()
        assert self.open.state.problems == () and self.look.state.problem == ""


def names(scene, kind="vtkMRMLSegmentationNode", only_shown=False):
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return sorted(node.GetName() for node in nodes if not only_shown or node.GetDisplayNode().GetVisibility())


def hierarchy_items(scene):
    """Names of everything in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    return sorted(hierarchy.GetItemName(found.GetId(number)) for number in range(found.GetNumberOfIds()))


def test_the_layers_of_a_case_stand_in_the_scene_and_go_when_it_is_closed(mrml, views, sample):
    review = Review(mrml, sample)
    members = [f"phantom_000 · SegVariancePhantom · seed {seed:02d}" for seed in range(1, 5)]
    assert names(mrml.scene, only_shown=True) == sorted([*members, "phantom_000 · reference", "phantom_000 · vote"])
    assert names(mrml.scene, "vtkMRMLScalarVolumeNode") == ["phantom_000 · MRI"]
    review.look.next_case(1)
    assert all(name.startswith("phantom_001") for name in names(mrml.scene))
    review.session.close()
    assert names(mrml.scene) == names(mrml.scene, "vtkMRMLScalarVolumeNode") == []


def test_a_view_for_each_layer_shows_that_layer_and_the_image_and_the_users_layout_comes_back(
    mrml, layout, views, sample
):
    node = layout.GetLayoutNode()
    node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    review = Review(mrml, sample)
    review.look.arrange("against")
    assert names(mrml.scene, only_shown=True) == [
        "phantom_000 · SegVariancePhantom · seed 01",
        "phantom_000 · vote",
    ]
    shown = mrml.scene.GetFirstNodeByName("phantom_000 · vote").GetDisplayNode()
    assert [shown.GetNthViewNodeID(n) for n in range(shown.GetNumberOfViewNodeIDs())] == [
        views[0].logic.GetSliceNode().GetID()
    ]
    image = mrml.scene.GetFirstNodeByName("phantom_000 · MRI")
    assert views[1].logic.GetSliceCompositeNode().GetBackgroundVolumeID() == image.GetID()
    review.look.arrange("overlay")
    assert node.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    assert shown.GetNumberOfViewNodeIDs() == 0


def test_maps_come_and_go_over_the_image(mrml, views, sample):
    review = Review(mrml, sample)
    for kind, title in (("agreement", "agreement"), ("vote_entropy", "entropy")):
        review.look.choose_map(kind)
        assert names(mrml.scene, "vtkMRMLScalarVolumeNode") == ["phantom_000 · MRI", f"phantom_000 · {title}"]
        composite = views[0].logic.GetSliceCompositeNode()
        assert composite.GetForegroundVolumeID() == mrml.scene.GetFirstNodeByName(f"phantom_000 · {title}").GetID()
    review.look.choose_map("none")
    assert names(mrml.scene, "vtkMRMLScalarVolumeNode") == ["phantom_000 · MRI"]


def test_voting_anew_replaces_the_layer_and_leaves_no_nodes_behind(mrml, views, sample):
    review = Review(mrml, sample)
    before = mrml.scene.GetNumberOfNodes()
    for key in [member.key for member in review.ensemble.state.members][:4]:
        review.ensemble.tick(key, False)
    assert mrml.scene.GetNumberOfNodes() == before
    assert "phantom_000 · vote" in names(mrml.scene, only_shown=True)


def test_a_cleaned_vote_stays_and_can_be_exported_both_ways(mrml, views, sample, tmp_path):
    review = Review(mrml, sample)
    review.ensemble.tick_all(frozenset({review.ensemble.state.members[0].key}))
    review.ensemble.cleaning.choose_step("keep_largest")
    assert review.ensemble.state.clean.components
    review.ensemble.apply()
    kept = "phantom_000 · plurality vote for each label of 1 · shell · keep largest"
    for ending in (".nii.gz", ".seg.nrrd"):
        review.ensemble.export(str(tmp_path / f"vote{ending}"))
        assert review.ensemble.state.problem == ""
        np.testing.assert_array_equal(read_label_map(tmp_path / f"vote{ending}").array > 0, review.session.result > 0)
    review.session.close()
    assert names(mrml.scene) == [kept]


def test_after_the_scene_was_cleared_the_folder_is_opened_again(mrml, views, sample):
    review = Review(mrml, sample)
    mrml.scene.Clear(False)
    review.session.scene_closed()
    assert names(mrml.scene) == []
    review.open.confirm()
    assert review.open.state.problems == () and "phantom_000 · vote" in names(mrml.scene)


def test_a_layer_that_the_user_removed_comes_back_when_it_is_ticked_and_breaks_nothing(mrml, views, sample):
    review = Review(mrml, sample)
    mrml.scene.RemoveNode(mrml.scene.GetFirstNodeByName("phantom_000 · vote"))
    mrml.scene.RemoveNode(mrml.scene.GetFirstNodeByName("phantom_000 · MRI"))
    review.ensemble.tick(review.ensemble.state.members[0].key, False)
    review.look.tick("vote", False)
    review.look.tick("vote", True)
    review.look.choose_image("MRI")
    assert review.look.state.problem == ""
    assert "phantom_000 · vote" in names(mrml.scene, only_shown=True)
    assert names(mrml.scene, "vtkMRMLScalarVolumeNode") == ["phantom_000 · MRI"]
    review.look.next_case(1)
    assert not any(name.startswith("phantom_000") for name in names(mrml.scene))


def test_other_views_look_at_the_same_place(mrml, views, sample):
    review = Review(mrml, sample)
    point = (4.0, -6.0, 3.0)
    review.session.go_to("phantom_000", "core", point)
    for arrangement in ("against", "overlay", "beside"):
        review.look.arrange(arrangement)
        matrix = views[0].logic.GetSliceNode().GetSliceToRAS()
        assert [matrix.GetElement(row, 3) for row in range(3)] == pytest.approx([-4.0, 6.0, 3.0], abs=0.51), arrangement


def test_a_case_of_a_saved_scene_is_opened_again_without_its_old_layers_beside(mrml, views, sample, tmp_path):
    review = Review(mrml, sample)
    review.ensemble.apply()
    layers, items = names(mrml.scene), hierarchy_items(mrml.scene)
    assert mrml.scene.WriteToMRB(str(tmp_path / "saved.mrb"))
    mrml.scene.Clear(False)
    review.session.scene_closed()
    assert mrml.scene.ReadFromMRB(str(tmp_path / "saved.mrb"), False)
    assert names(mrml.scene) == layers
    review.open.confirm()
    assert names(mrml.scene) == layers
    assert names(mrml.scene, "vtkMRMLScalarVolumeNode") == ["phantom_000 · MRI"]
    assert hierarchy_items(mrml.scene) == items


def test_a_closed_scene_and_one_that_was_saved_side_by_side_have_the_users_own_layout(
    mrml, layout, views, sample, tmp_path
):
    node, own = layout.GetLayoutNode(), slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    node.SetViewArrangement(own)
    review = Review(mrml, sample)
    review.look.arrange("beside")
    assert node.GetViewArrangement() != own
    for saved in ("beside", "overlay"):
        review.look.arrange(saved)
        assert mrml.scene.WriteToMRB(str(tmp_path / f"{saved}.mrb"))
    review.look.arrange("beside")
    mrml.scene.Clear(False)
    review.session.scene_closed()
    assert node.GetViewArrangement() == own
    other = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    for saved, shown in (("beside", other), ("overlay", own)):
        node.SetViewArrangement(other)
        assert mrml.scene.ReadFromMRB(str(tmp_path / f"{saved}.mrb"), False)
        assert node.GetViewArrangement() == shown, saved
        mrml.scene.Clear(False)


def test_without_a_main_window_there_are_layers_but_no_views_beside_each_other(mrml, sample):
    mrml.application.SetSliceLogics(None)
    review = Review(mrml, sample)
    shown = names(mrml.scene, only_shown=True)
    review.look.arrange("beside")
    assert "without its main window" in review.look.state.problem and review.look.state.arrangement == "overlay"
    review.look.next_structure(1)
    assert review.look.state.problem == "" and names(mrml.scene, only_shown=True) == shown
