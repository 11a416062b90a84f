"""The inspector of regions on a real MRML scene: nodes painted in place, what has changed, orphans, and nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from offscreen import OffscreenSlice

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.review.inspection import Inspection
from SegVarianceLib.scene.arrays import add_volume
from SegVarianceLib.scene.inspector import CHANGES, ORPHANS, InspectorScene
from SegVarianceLib.scene.layers import remove_layers_left
from SegVarianceLib.scene.segmentations import add_segmentation, label_map_of, layer_voxels

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_regions import RegionsPresenter
from SegVarianceSlicer.presenter_review import ReviewSession
from SegVarianceSlicer.review_scene import ReviewScene
from SegVarianceSlicer.sample import make_sample

REGIONS = "whole=1,2,3; inner=2,3; core=3"


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return make_sample(tmp_path_factory.mktemp("sample") / "SegVariancePhantom", cases=2)


@pytest.fixture
def view(mrml):
    return OffscreenSlice(mrml, SimpleNamespace(tag="Red"), (150, 150))


@pytest.fixture
def review(mrml, view, sample):
    """The sample data open, its regions inspected."""
    session = ReviewSession(ReviewScene(mrml.scene, mrml.application))
    opening, look = OpenPresenter(session), LookPresenter(session)
    again: list[int] = []
    regions = RegionsPresenter(session, InspectorScene(mrml.scene), lambda: again.append(1))
    opening.look_into((str(sample),))
    opening.confirm()
    regions.define(REGIONS)
    regions.begin()
    assert regions.state.problem == "" and regions.state.is_open
    return SimpleNamespace(session=session, opening=opening, look=look, regions=regions, again=again)


def segmentations(scene) -> list:
    kind = "vtkMRMLSegmentationNode"
    return [scene.GetNthNodeByClass(number, kind) for number in range(scene.GetNumberOfNodesByClass(kind))]


def named(scene, title: str):
    (found,) = [node for node in segmentations(scene) if node.GetName().endswith(f"regions · {title}")]
    return found


def shown_names(scene) -> set[str]:
    return {node.GetName() for node in segmentations(scene) if node.GetDisplayNode().GetVisibility()}


def painted(labels: LabelSet) -> LabelSet:
    return LabelSet(tuple(Structure(f"label {value}", (value,)) for value in labels.regions_class_order))


def colours(labels: LabelSet) -> dict:
    return {structure.name: (1.0, 0.5, 0.0) for structure in labels.structures}


def test_layers_are_painted_where_they_are_on_every_grid(scene, geometry, regions, label_map):
    inspector, labels = InspectorScene(scene), painted(regions)
    inspector.open("case", geometry, labels, colours(labels))
    nodes = scene.GetNumberOfNodes()
    layers = [layer_voxels(named(scene, title))[0] for title in ("result", "changes", "orphans")]
    changes = np.where(label_map == 4, 3, 0).astype(np.uint8)
    for moved in (label_map, np.roll(label_map, 2, axis=2), label_map):
        inspector.show(moved, changes, moved == 1)
        np.testing.assert_array_equal(label_map_of(named(scene, "result"), geometry, labels), moved)
        np.testing.assert_array_equal(label_map_of(named(scene, "changes"), geometry, CHANGES), changes)
        np.testing.assert_array_equal(label_map_of(named(scene, "orphans"), geometry, ORPHANS), moved == 1)
    assert scene.GetNumberOfNodes() == nodes
    assert [layer_voxels(named(scene, title))[0] for title in ("result", "changes", "orphans")] == layers


def test_flips_and_orphans_of_moved_thresholds_are_those_of_the_probabilities(scene, geometry, regions):
    rng = np.random.default_rng(5)
    probabilities = rng.random((3, *geometry.shape_zyx), dtype=np.float32)
    inspected = Inspection(Reconstruction.of_probabilities(probabilities, regions, 1000.0))
    inspector, labels = InspectorScene(scene), painted(regions)
    inspector.open("case", geometry, labels, colours(labels))
    for name, threshold in (("whole", 0.3), ("enhancing", 0.8), ("whole", 0.6)):
        inspected.set_threshold(name, threshold)
    picture = inspected.picture()
    inspector.show(picture.label_map, picture.changes, inspected.shown.orphan_mask())
    whole, core, enhancing = (channel > t for channel, t in zip(probabilities, (0.6, 0.5, 0.8), strict=True))
    now = np.select([enhancing, core, whole], [4, 1, 2], 0)
    before = np.select([probabilities[2] > 0.5, probabilities[1] > 0.5, probabilities[0] > 0.5], [4, 1, 2], 0)
    expected = np.select([now == before, before == 0, now == 0], [0, 1, 2], 3)
    np.testing.assert_array_equal(label_map_of(named(scene, "result"), geometry, labels), now)
    np.testing.assert_array_equal(label_map_of(named(scene, "changes"), geometry, CHANGES), expected)
    orphans = (core & ~whole) | (enhancing & ~core)
    np.testing.assert_array_equal(label_map_of(named(scene, "orphans"), geometry, ORPHANS), orphans)
    assert picture.gained_ml == (expected == 1).sum() and picture.relabelled_ml == (expected == 3).sum()


def test_the_views_draw_what_was_painted_in_place_as_a_new_node_would_be_drawn(
    mrml, view, geometry, regions, label_map
):
    inspector, labels = InspectorScene(mrml.scene), painted(regions)
    image = add_volume(mrml.scene, "image", np.zeros(geometry.shape_zyx, np.float32), geometry)
    view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(image.GetID())
    view.logic.FitSliceToBackground()
    inspector.open("case", geometry, labels, colours(labels))
    nothing = np.zeros_like(label_map)
    empty = view.picture()
    inspector.show(label_map, nothing, nothing == 1)
    in_place = view.picture()
    inspector.show(nothing, nothing, nothing == 1)
    np.testing.assert_array_equal(view.picture(), empty)
    inspector.close()
    fresh = add_segmentation(mrml.scene, "fresh", label_map, geometry, labels, colours(labels))
    fresh.GetDisplayNode().SetOpacity2DFill(0.3)
    fresh.GetDisplayNode().SetSliceIntersectionThickness(2)
    np.testing.assert_array_equal(view.picture(), in_place)
    assert (in_place != empty).any()


def test_the_inspector_stands_in_place_of_the_layers_and_follows_to_the_next_case_without_leaving_anything(
    mrml, review
):
    scene = mrml.scene
    assert shown_names(scene) == {f"phantom_000 · regions · {title}" for title in ("result", "changes", "orphans")}
    nodes = scene.GetNumberOfNodes()
    review.regions.set_threshold("inner", 0.2)
    for _ in range(3):
        review.look.next_case(1)
        assert review.regions.state.is_open and review.regions.state.sliders[1].threshold == 0.2
        assert all(name.startswith(review.look.state.case) for name in shown_names(scene))
        assert scene.GetNumberOfNodes() == nodes
    review.regions.end()
    assert review.again and not any("regions" in name for name in shown_names(scene))
    review.session.close()
    assert not shown_names(scene)


def test_moving_sliders_and_steps_makes_no_nodes(mrml, review):
    nodes = mrml.scene.GetNumberOfNodes()
    for value in (0.1, 0.9, 0.5):
        review.regions.set_threshold("core", value)
        review.regions.step(-1)
        review.regions.step(1)
    for rule in ("nested", "label_probability", "paint"):
        review.regions.choose_rule(rule)
        assert review.regions.state.rule == rule and review.regions.state.problem == ""
    assert mrml.scene.GetNumberOfNodes() == nodes


def test_the_map_of_a_region_lies_over_the_image_and_goes(mrml, view, review):
    review.regions.choose_map("inner")
    composite = view.logic.GetSliceCompositeNode()
    node = mrml.scene.GetNodeByID(composite.GetForegroundVolumeID())
    assert node.GetName() == "phantom_000 · region probability"
    assert (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()) == (1.0, 0.5)
    review.regions.end()
    assert composite.GetForegroundVolumeID() is None


def test_volumes_of_the_scene_are_probabilities_and_a_missing_one_is_a_sentence(mrml, review):
    geometry = review.session.opened.geometry
    review.regions.choose_source("volumes")
    assert "No volume of the scene is called 'whole'" in review.regions.state.problem
    assert review.regions.state.source == "votes" and review.regions.state.is_open
    rng = np.random.default_rng(0)
    for name in ("whole", "inner", "core"):
        add_volume(mrml.scene, name, rng.random(geometry.shape_zyx, dtype=np.float32), geometry)
    review.regions.choose_source("volumes")
    assert review.regions.state.problem == "" and review.regions.state.source == "volumes"
    assert review.regions.state.rows[1].orphans_ml > 0
    add_volume(mrml.scene, "other", np.full(geometry.shape_zyx, 7, np.float32), geometry)
    review.regions.define("other=1,2,3; inner=2,3; core=3")
    assert "expected 0 to 1" in review.regions.state.problem


def test_a_scene_that_is_closed_or_saved_leaves_no_inspector(mrml, review, tmp_path):
    assert mrml.scene.WriteToMRB(str(tmp_path / "saved.mrb"))
    mrml.scene.Clear(False)
    review.session.scene_closed()
    assert not review.regions.state.is_open and not shown_names(mrml.scene)
    assert mrml.scene.ReadFromMRB(str(tmp_path / "saved.mrb"), False)
    remove_layers_left(mrml.scene)
    assert not shown_names(mrml.scene)


def test_what_the_user_takes_away_breaks_nothing(mrml, review):
    mrml.scene.RemoveNode(named(mrml.scene, "result"))
    review.regions.set_threshold("core", 0.3)
    review.regions.outline("orphans", False)
    assert review.regions.state.problem == ""
    review.regions.end()


def test_what_is_painted_is_kept_as_a_segmentation_that_stays(mrml, review):
    review.regions.set_threshold("core", 0.3)
    review.regions.keep()
    assert review.regions.state.problem == "" and "core 0.30" in review.regions.state.done
    review.session.close()
    (kept,) = shown_names(mrml.scene)
    assert kept.startswith("phantom_000 · regions · Vote of 6 members")


def test_probabilities_elsewhere_are_refused(scene, geometry):
    add_volume(
        scene,
        "whole",
        np.zeros((2, 2, 2), np.float32),
        type(geometry)((2, 2, 2), (1, 1, 1), (0, 0, 0), geometry.direction),
    )
    with pytest.raises(SegVarianceError, match="does not lie on the grid"):
        InspectorScene(scene).probabilities(["whole"], geometry)
