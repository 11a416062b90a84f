"""Pictures of the views for Resources/docs/slicer_tutorial.md: the sample data as the module shows it, on the real scene.

    SEGVARIANCE_PICTURES=Resources/Screenshots pytest Testing/scene/test_tutorial_views.py

writes them anew; look at them before they are committed. Testing/widget/test_tutorial_pictures.py draws the panels.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicer
from offscreen import OffscreenSlice

from SegVarianceLib.scene.inspector import InspectorScene
from SegVarianceLib.scene.views import side_by_side

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "SegVariance"))
from SegVarianceSlicer.presenter_look import LookPresenter
from SegVarianceSlicer.presenter_open import OpenPresenter
from SegVarianceSlicer.presenter_regions import RegionsPresenter
from SegVarianceSlicer.presenter_review import VOTE, ReviewSession
from SegVarianceSlicer.review_scene import ReviewScene
from SegVarianceSlicer.sample import make_sample

PIXELS = (300, 300)
GAP = 4
MOST_BYTES = 150_000


@pytest.fixture
def save(tmp_path):
    """Writes pictures side by side as one PNG, small enough for the repository."""

    def saved(pictures: list[np.ndarray], name: str) -> None:
        folder = Path(os.environ.get("SEGVARIANCE_PICTURES", tmp_path))
        folder.mkdir(parents=True, exist_ok=True)
        gap = np.full((PIXELS[1], GAP, 3), 255, np.uint8)
        row = [part for picture in pictures for part in (gap, picture)][1:]
        path = folder / f"views_{name}.png"
        sitk.WriteImage(sitk.GetImageFromArray(np.concatenate(row, axis=1), isVector=True), str(path))
        assert path.stat().st_size < MOST_BYTES

    return saved


@pytest.fixture
def own_views(mrml):
    """Slicer's own three views."""
    views = [OffscreenSlice(mrml, SimpleNamespace(tag=tag), PIXELS) for tag in ("Red", "Yellow", "Green")]
    for view, orientation in zip(views, ("Axial", "Sagittal", "Coronal"), strict=True):
        view.logic.GetSliceNode().SetOrientation(orientation)
    return views


@pytest.fixture
def views_beside(mrml):
    """Those that the application makes when the module's layout names them."""
    layout = slicer.vtkMRMLLayoutLogic()
    layout.SetMRMLScene(mrml.scene)
    yield [OffscreenSlice(mrml, view, PIXELS) for view in side_by_side("abc")]
    layout.SetMRMLScene(None)


def opened(mrml, folder: Path) -> tuple[ReviewSession, LookPresenter]:
    """The first case of the sample data."""
    session = ReviewSession(ReviewScene(mrml.scene, mrml.application))
    opening, look = OpenPresenter(session), LookPresenter(session)
    opening.look_into((str(make_sample(folder / "SegVariancePhantom", cases=1)),))
    opening.confirm()
    assert opening.state.problems == () and look.state.problem == ""
    look.choose_structure("body")
    return session, look


def coloured(picture: np.ndarray) -> int:
    """How many pixels are not grey."""
    return int((np.ptp(picture.astype(int), axis=-1) > 30).sum())


def test_outlines_of_the_vote_the_reference_and_four_members_over_one_another(mrml, own_views, save, tmp_path):
    opened(mrml, tmp_path)
    pictures = [view.picture() for view in own_views]
    assert all(coloured(picture) > 500 for picture in pictures)
    save(pictures, "overlay")


def test_a_view_for_each_layer_and_the_agreement_map(mrml, views_beside, save, tmp_path):
    session, look = opened(mrml, tmp_path)
    wanted = {VOTE, *(member.key for member in session.opened.members[:2])}
    for layer in look.state.layers:
        if layer.ticked and layer.key not in wanted:
            look.tick(layer.key, False)
    look.arrange("beside")
    pictures = [view.picture() for view in views_beside]
    look.choose_map("agreement")
    pictures.append(views_beside[0].picture())
    assert all(coloured(picture) > 500 for picture in pictures)
    assert coloured(pictures[3]) > coloured(pictures[0]), "the map colours where they disagree"
    save(pictures, "beside")


def test_labels_rebuilt_from_regions_of_a_real_tumour(mrml, own_views, save, real_data):
    """Votes of five models: at one half; with other thresholds, what has changed and orphans; the probability of the core."""
    session = ReviewSession(ReviewScene(mrml.scene, mrml.application))
    opening, look = OpenPresenter(session), LookPresenter(session)
    regions = RegionsPresenter(session, InspectorScene(mrml.scene))
    opening.look_into((str(real_data / "brats_ensemble"),))
    opening.confirm()
    look.choose_image("t1c")
    regions.begin()
    axial = own_views[0].logic.GetSliceNode()
    axial.SetFieldOfView(*(side / 4 for side in axial.GetFieldOfView()[:2]), axial.GetFieldOfView()[2])
    regions.set_threshold("tumour core", 0.9)
    regions.set_threshold("enhancing tumour", 0.3)
    regions.look_at("orphans")
    pictures = [own_views[0].picture()]
    regions.choose_map("tumour core")
    pictures.append(own_views[0].picture())
    regions.choose_map("none")
    regions.reset()
    pictures.insert(0, own_views[0].picture())
    assert regions.state.problem == look.state.problem == ""
    assert all(coloured(picture) > 500 for picture in pictures)
    save(pictures, "regions")
