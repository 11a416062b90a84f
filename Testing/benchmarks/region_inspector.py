"""From a region's slider to the picture in three slice views, at 240x240x155 voxels and 3 regions.

    VTK_DEFAULT_OPENGL_WINDOW=vtkEGLRenderWindow python Testing/benchmarks/region_inspector.py

Needs the slicer-core wheel and EGL. A step is everything that happens when the slider moves: new threshold, voxels that flip,
orphans, volumes, Dice of every step (there is a reference), nodes painted in place, and three views of 400 x 400 pixels with the
image, the region's probability over it, labels and outlines drawn anew. Views have no multi-sampling, as Slicer's have none by default. The members are
made up (``region_steps.volumes``): float32 probabilities of three nested ellipsoids with noise, moved by .02 forth and back.
Beside it: the same with a new segmentation node for each picture, which is how a script would do it. Wall-clock and processor time; a
busy machine shows in the first alone. Stops with an error where the median step takes longer than the limit.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import slicer
from region_steps import LABELS, LIMIT_S, STEPS, volumes

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING / "scene"), str(TESTING.parent / "SegVariance")]

from offscreen import OffscreenSlice  # noqa: E402 (needs the path above)
from SegVarianceSlicer.region_sources import painted_labels  # noqa: E402
from SegVarianceSlicer.region_words import described  # noqa: E402
from SegVarianceSlicer.state_regions import RegionsState  # noqa: E402
from started import start_scene  # noqa: E402

from SegVarianceLib.core.geometry import Geometry  # noqa: E402
from SegVarianceLib.ensemble.regions import Reconstruction  # noqa: E402
from SegVarianceLib.review.inspection import Inspection  # noqa: E402
from SegVarianceLib.scene.arrays import add_volume  # noqa: E402
from SegVarianceLib.scene.inspector import CHANGES, ORPHANS, InspectorScene  # noqa: E402
from SegVarianceLib.scene.maps import ENTROPY, add_map  # noqa: E402
from SegVarianceLib.scene.segmentations import add_segmentation  # noqa: E402

GEOMETRY = Geometry((240, 240, 155), (1, 1, 1), (-120, -120, -70), (1, 0, 0, 0, 1, 0, 0, 0, 1))
MIDDLE_RAS = (10.0, 0.0, 10.0)


def make_views(mrml: SimpleNamespace, probabilities: np.ndarray) -> list[OffscreenSlice]:
    """Axial, sagittal and coronal, with an image and a map over it, through the middle of the ellipsoids."""
    image = add_volume(mrml.scene, "image", 100 * probabilities[0], GEOMETRY)
    laid = add_map(mrml.scene, "probability", probabilities[0], GEOMETRY, ENTROPY)
    views = [OffscreenSlice(mrml, SimpleNamespace(tag=tag)) for tag in ("Red", "Yellow", "Green")]
    for view, orientation in zip(views, ("Axial", "Sagittal", "Coronal"), strict=True):
        view.window.SetMultiSamples(0)
        view.logic.GetSliceNode().SetOrientation(orientation)
        composite = view.logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(image.GetID())
        composite.SetForegroundVolumeID(laid.GetID())
        composite.SetForegroundOpacity(0.6)
        view.logic.FitSliceToBackground()
    slicer.vtkMRMLSliceNode.JumpAllSlices(mrml.scene, *MIDDLE_RAS)
    for view in views:
        view.picture()
    return views


def measured(what: str, step: Callable[[float], None], thresholds: list[float]) -> float:
    """Print what a step takes; its median in seconds of wall-clock time."""
    step(0.48)
    walls, processors = [], []
    for threshold in thresholds:
        wall, processor = time.perf_counter(), time.process_time()
        step(threshold)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    median, late = float(np.median(walls)), float(np.quantile(walls, 0.9))
    print(f"{what}: median {median:.3f} s, nine of ten within {late:.3f} s; processor {np.median(processors):.3f} s")
    return median


def main() -> None:
    probabilities, reference = volumes()
    with tempfile.TemporaryDirectory() as unpacked:
        mrml = start_scene(slicer.vtkMRMLScene(), Path(unpacked))
    views = make_views(mrml, probabilities)
    before_mb = psutil.Process().memory_info().rss / 2**20
    inspected = Inspection(Reconstruction.of_probabilities(probabilities, LABELS, 1.0, reference))
    labels, colours = painted_labels(LABELS, LABELS)
    scene = InspectorScene(mrml.scene)
    scene.open("case", GEOMETRY, labels, colours)

    def think(threshold: float) -> None:
        inspected.set_threshold("whole", threshold)
        described(RegionsState(), inspected, inspected.picture(), 0)
        inspected.shown.orphan_mask()

    def draw() -> None:
        for view in views:
            view.window.Render()

    def slide(threshold: float) -> None:
        inspected.set_threshold("whole", threshold)
        picture = inspected.picture()
        scene.show(picture.label_map, picture.changes, inspected.shown.orphan_mask())
        described(RegionsState(), inspected, picture, 0)
        draw()

    median = measured("slider to picture", slide, STEPS)
    held = psutil.Process().memory_info().rss / 2**20 - before_mb
    measured("  of it without scene and views", think, STEPS)
    measured("  drawing alone, nothing changed", lambda threshold: draw(), STEPS)
    print(f"memory held besides image, map, probabilities and reference: {held:.0f} MiB")
    scene.close()

    def anew(threshold: float) -> None:
        inspected.set_threshold("whole", threshold)
        picture = inspected.picture()
        orphans = inspected.shown.orphan_mask().astype(np.uint8)
        made = [
            add_segmentation(mrml.scene, name, array, GEOMETRY, of)
            for name, array, of in (
                ("result", picture.label_map, labels),
                ("changes", picture.changes, CHANGES),
                ("orphans", orphans, ORPHANS),
            )
        ]
        draw()
        for node in made:
            mrml.scene.RemoveNode(node.GetDisplayNode())
            mrml.scene.RemoveNode(node)

    measured("new nodes for each picture", anew, STEPS[::4])
    if median > LIMIT_S:
        sys.exit(f"From slider to picture took {median:.3f} s, longer than {LIMIT_S} s.")


if __name__ == "__main__":
    main()
