"""Fifty members of a real patient through the module itself, from the folder to what is drawn in three slice views.

    python Testing/benchmarks/module_many_members.py --data FOLDER [--members 50] [--work FOLDER]

Needs the slicer-core wheel and EGL. FOLDER holds ``brats_ensemble``: one glioma, 240 x 240 x 155, four channels, five
models. Member n of case c is model n modulo 5 with its borders bent by a smooth displacement of its own (seed (c, n),
1.5 mm standard deviation in each direction), a NIfTI file each; the labels are 1, 2 and 4.

The module's own presenters are asked, on a real MRML scene with three slice views: look into the folder and open it (vote
and five members shown, the image under them), the next case (unread; and after the user has looked at this one for as long
as the module takes, ``ahead``, to read the next one meanwhile), another half of the members, the components of a structure,
another minimum size for them. Times are medians of several; the time to draw the views, by software here, stands apart.
Beside it the way of the peers, in a process of its own: every label map read by Slicer's volume reader and imported by
vtkSlicerSegmentationsModuleLogic into a segmentation node, six of them shown in the same views; a vote by
SimpleITK.LabelVoting of half the members, which it finds in memory; components by SimpleITK.

Memory of the module is its resident set after opening (``ahead``: with the next case read, too) less that of another process with the same modules loaded, the same
views and the image alone; of the peers' way, less what it was with the image alone; ``peak`` is the same of the largest
resident set. Last, the five models themselves: opened, voted, all shown, and each scored against the vote. Stops with an
error where a limit is not met.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import ndimage

from SegVarianceLib.core.files import write_json
from SegVarianceLib.dataset.image_io import read_image, read_label_map, write_label_map

ROOT = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "SegVariance"), str(ROOT / "Testing" / "scene")]
LIMITS = {
    "open_s": 12.0,
    "more_mb": 100.0,
    "next_case_s": 2.0,
    "vote_s": 0.5,
    "list_s": 0.5,
    "components_s": 0.5,
    "glioma_s": 10.0,
}
LABELS = {"labels": {"background": 0, "necrosis": 1, "edema": 2, "enhancing": 4}}
BENT_VOXELS, COARSE, MARGIN = 1.5, 12, 12


def bent(label_map: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """The label map [z, y, x] with its borders displaced smoothly."""
    rng = np.random.default_rng(seed)
    (found,) = ndimage.find_objects((label_map > 0).astype(np.uint8))
    box = tuple(
        slice(max(side.start - MARGIN, 0), min(side.stop + MARGIN, size))
        for side, size in zip(found, label_map.shape, strict=True)
    )
    inner = label_map[box]
    coarse = [max(size // COARSE, 2) for size in inner.shape]
    moved = [
        at + ndimage.zoom(rng.normal(0, BENT_VOXELS, coarse), np.divide(inner.shape, coarse), order=1)
        for at in np.indices(inner.shape)
    ]
    drawn = np.zeros_like(label_map)
    drawn[box] = ndimage.map_coordinates(inner, moved, order=0)
    return drawn


def make_cases(patient: Path, folder: Path, members: int) -> None:
    models = [read_label_map(path) for path in sorted((patient / "members").iterdir())]
    for case in range(2):
        for path in (patient / "images").iterdir():
            number = ["flair", "t1", "t1c", "t2"].index(path.name.split(".")[0])
            target = folder / "imagesTr" / f"case_{case}_{number:04d}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for member in range(members):
            model = models[member % len(models)]
            drawn = bent(model.array, (case, member))
            write_label_map(folder / "members" / f"seed_{member:02d}" / f"case_{case}.nii.gz", drawn, model.geometry)
    write_json(folder / "dataset.json", LABELS)


def started(work: Path) -> SimpleNamespace:
    """A scene with its logics and the three slice views that Slicer begins with; ``draw`` draws them."""
    import slicer
    from offscreen import OffscreenSlice
    from started import start_scene

    unpacked = Path(tempfile.mkdtemp(dir=work))
    mrml = start_scene(slicer.vtkMRMLScene(), unpacked)
    views = [OffscreenSlice(mrml, SimpleNamespace(tag=tag)) for tag in ("Red", "Yellow", "Green")]
    for view, orientation in zip(views, ("Axial", "Sagittal", "Coronal"), strict=True):
        view.logic.GetSliceNode().SetOrientation(orientation)

    def draw() -> None:
        for view in views:
            view.picture()

    draw()
    return SimpleNamespace(**vars(mrml), views=views, draw=draw)


def memory_mb() -> dict[str, float]:
    """Resident set now and at its largest (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {"mb": int(kib["VmRSS"]) * 1024 / 1e6, "peak_mb": int(kib["VmHWM"]) * 1024 / 1e6}


def taken(act: Callable[[], object], mrml: SimpleNamespace) -> np.ndarray:
    """Seconds until it is done, CPU seconds of that, and seconds until the three views are drawn, by software, after it."""
    start, cpu = time.perf_counter(), time.process_time()
    act()
    done, cpu = time.perf_counter(), time.process_time() - cpu
    mrml.draw()
    return np.array((done - start, cpu, time.perf_counter() - done))


def median_of(steps: Iterable[Callable[[], object]], mrml: SimpleNamespace) -> list[float]:
    """``taken`` of the step in the middle."""
    return list(np.median([taken(step, mrml) for step in steps], axis=0))


def review_on(mrml: SimpleNamespace) -> SimpleNamespace:
    """The presenters of the module over the real scene."""
    from SegVarianceSlicer.presenter_ensemble import EnsemblePresenter
    from SegVarianceSlicer.presenter_look import LookPresenter
    from SegVarianceSlicer.presenter_open import OpenPresenter
    from SegVarianceSlicer.presenter_review import ReviewSession
    from SegVarianceSlicer.presenter_scores import ScoresPresenter, WorstSlices
    from SegVarianceSlicer.review_scene import ReviewScene

    idle: list[Callable[[], None]] = []
    session = ReviewSession(ReviewScene(mrml.scene, mrml.application), when_idle=idle.append)
    opening, look = OpenPresenter(session), LookPresenter(session)
    ensemble = EnsemblePresenter(session, look.result_changed)
    scores = ScoresPresenter(session, WorstSlices(session), lambda act: act())
    return SimpleNamespace(session=session, opening=opening, look=look, ensemble=ensemble, scores=scores, idle=idle)


def look_for_a_while(review: SimpleNamespace) -> None:
    """The user looks at the case; meanwhile the next one is read."""
    while review.idle:
        review.idle.pop(0)()


def open_folder(review: SimpleNamespace, folder: Path) -> None:
    review.opening.look_into((str(folder),))
    review.opening.confirm()
    problems = (*review.opening.state.problems, review.look.state.problem, review.ensemble.state.problem)
    assert not any(problems), problems


def module(work: Path) -> dict[str, Any]:
    mrml = started(work)
    review = review_on(mrml)
    found: dict[str, Any] = {"open_s": median_of([lambda: open_folder(review, work / "many")], mrml)}
    found |= memory_mb()
    look_for_a_while(review)
    found["ahead_mb"] = memory_mb()["mb"]
    ensemble, look = review.ensemble, review.look
    keys = [member.key for member in ensemble.state.members]
    assert len(keys) == len(list((work / "many" / "members").iterdir()))
    halves = [frozenset(np.random.default_rng(seed).permutation(keys)[: len(keys) // 2].tolist()) for seed in range(5)]
    found["vote_s"] = median_of([lambda half=half: ensemble.tick_all(half) for half in halves], mrml)

    def listed(member: str, structure: str) -> int:
        ensemble.tick_all(frozenset({member}))
        ensemble.cleaning.choose_structure(structure)
        return len(ensemble.state.clean.components)

    found["list_s"] = median_of(
        [lambda: ensemble.cleaning.choose_structure(ensemble.state.clean.structures[0])] * 3, mrml
    )
    most = max(product(keys[:5], ensemble.state.clean.structures), key=lambda one: listed(*one))
    found["components"] = listed(*most)
    ensemble.cleaning.choose_step("minimum_size")
    found["components_s"] = median_of(
        [lambda ml=ml: ensemble.cleaning.choose_minimum(ml) for ml in (0.02, 0.05, 0.2, 1.0)], mrml
    )
    ensemble.tick_all()
    review.idle.clear()
    found["next_unread_s"] = median_of([lambda: look.next_case(1)] * 4, mrml)
    found["ahead_s"], found["next_case_s"] = [], []
    for _ in range(4):
        found["ahead_s"].append(taken(lambda: look_for_a_while(review), mrml))
        found["next_case_s"].append(taken(lambda: look.next_case(1), mrml))
    found |= {key: list(np.median(found[key], axis=0)) for key in ("ahead_s", "next_case_s")}
    assert look.state.problem == ensemble.state.problem == ""
    return found


def image_alone(work: Path) -> dict[str, Any]:
    """The same modules loaded and the same views, with the image in them and no label map."""
    from SegVarianceLib.core.labels import LabelSet

    mrml = started(work)
    review = review_on(mrml)
    first = work / "many" / "imagesTr" / "case_0_0000.nii.gz"
    image = read_image([first])
    review.session.scene.open("case_0", image.geometry, LabelSet(()))
    review.session.scene.set_image("FLAIR", image.array[0])
    del image
    mrml.draw()
    return memory_mb()


def peers(work: Path) -> dict[str, Any]:
    mrml = started(work)
    nodes: list[Any] = []

    def close() -> None:
        for node in nodes:
            mrml.scene.RemoveNode(node.GetDisplayNode())
            mrml.scene.RemoveNode(node)
        nodes.clear()

    def open_image(case: str) -> None:
        close()
        image = mrml.volumes.AddArchetypeVolume(str(work / "many" / "imagesTr" / f"{case}_0000.nii.gz"), "image")
        nodes.append(image)
        for view in mrml.views:
            view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(image.GetID())
            view.logic.FitSliceToBackground()

    def open_case(case: str) -> None:
        open_image(case)
        for number, folder in enumerate(sorted((work / "many" / "members").iterdir())):
            # 1: as a label map, as "Add data" reads it before it is converted
            labelled = mrml.volumes.AddArchetypeVolume(str(folder / f"{case}.nii.gz"), folder.name, 1)
            node = mrml.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", folder.name)
            node.CreateDefaultDisplayNodes()
            mrml.segmentations.ImportLabelmapToSegmentationNode(labelled, node)
            node.GetDisplayNode().SetVisibility(number < 6)
            for display in range(labelled.GetNumberOfDisplayNodes()):
                mrml.scene.RemoveNode(labelled.GetNthDisplayNode(display))
            mrml.scene.RemoveNode(labelled)
            nodes.append(node)

    open_image("case_0")
    mrml.draw()
    alone = memory_mb()
    found = {"open_s": median_of([lambda: open_case("case_0")], mrml), "alone": alone} | memory_mb()
    assert len(nodes) == 1 + len(list((work / "many" / "members").iterdir()))
    cases = ("case_1", "case_0") * 2
    found["next_case_s"] = median_of([lambda case=case: open_case(case) for case in cases], mrml)
    return found | by_itk(work)


def by_itk(work: Path) -> dict[str, list[float]]:
    """A vote of every second member, and the components of one of them, from images in memory."""
    import SimpleITK

    files = sorted((work / "many" / "members").glob("*/case_0.nii.gz"))[::2]
    images = [SimpleITK.ReadImage(str(path), SimpleITK.sitkUInt8) for path in files]
    undrawn = SimpleNamespace(draw=lambda: None)
    vote, components = (
        median_of([act] * 3, undrawn)
        for act in (
            lambda: SimpleITK.LabelVoting(images),
            lambda: SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(images[0] == 2, True), 20),
        )
    )
    return {"vote_s": vote, "list_s": components, "components_s": components}


def glioma(work: Path) -> dict[str, Any]:
    """The five real models: open, vote, show all five and the vote, and the Dice of each against the vote."""
    mrml = started(work)
    review = review_on(mrml)

    def whole_story() -> None:
        open_folder(review, work / "brats_ensemble")
        review.scores.score_case(1.0)
        assert review.scores.state.problem == "", review.scores.state.problem

    found = {"glioma_s": median_of([whole_story], mrml)}
    ticked = [layer.title for layer in review.look.state.layers if layer.ticked]
    table = review.scores.table.where(metric="dice").scores
    dice = {f"{score.member} {score.structure}": score.value for score in table}
    assert len(ticked) == 6 and len(dice) == 15, (ticked, dice)
    return found | {"shown": ticked, "dice": dice}


WAYS = {"module": module, "image": image_alone, "peers": peers, "glioma": glioma}


def in_a_child(way: str, work: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--work", str(work), "--way", way]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--work", type=Path, help="keep the made members here, and use them again")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(WAYS[given.way](given.work)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        if not (work / "many" / "dataset.json").is_file():
            make_cases(given.data / "brats_ensemble" / "TCGA-DU-7294", work / "many", given.members)
            shutil.copytree(given.data / "brats_ensemble", work / "brats_ensemble")
        found = {way: in_a_child(way, work) for way in WAYS}
    tell(found)


def tell(found: dict[str, dict[str, Any]]) -> None:
    ours, theirs, five = found["module"], found["peers"], found["glioma"]
    ours["alone"] = found["image"]
    ours["glioma_s"] = five["glioma_s"]
    print(f"{'wall (CPU) + drawing, s':<24}{'module':>24}{'peers':>24}{'ratio':>8}{'limit':>8}")
    for key in ("open_s", "next_unread_s", "ahead_s", "next_case_s", "vote_s", "list_s", "components_s", "glioma_s"):
        ratio = f"{theirs[key][0] / ours[key][0]:>8.1f}" if key in theirs else " " * 8
        print(f"{key:<24}{_times(ours[key])}{_times(theirs.get(key))}{ratio}{LIMITS.get(key, ''):>8}")
    more = {"more_mb": "mb", "more_peak_mb": "peak_mb"}
    mine, peer = ({name: way[key] - way["alone"][key] for name, key in more.items()} for way in (ours, theirs))
    for name in more:
        print(
            f"{name:<24}{mine[name]:>24.0f}{peer[name]:>24.0f}{peer[name] / mine[name]:>8.1f}{LIMITS.get(name, ''):>8}"
        )
    print(f"{'more_ahead_mb':<24}{ours['ahead_mb'] - ours['alone']['mb']:>24.0f}")
    print(
        f"components in the list: {ours['components']}; the application with the image alone: {ours['alone']['mb']:.0f} MB"
    )
    for who, dice in five["dice"].items():
        print(f"    {who:<28} {'no value' if dice is None else f'{dice:.4f}'}")
    measured = {"more_mb": mine["more_mb"]} | {key: ours[key][0] for key in LIMITS if key in ours}
    beyond = [f"{key} {measured[key]:.2f} > {limit}" for key, limit in LIMITS.items() if measured[key] > limit]
    if beyond:
        raise SystemExit("; ".join(beyond))


def _times(measured: list[float] | None) -> str:
    if measured is None:
        return " " * 24
    wall, cpu, drawing = measured
    return f"{wall:>10.3f} ({cpu:.3f}) +{drawing:.2f}".rjust(24)


if __name__ == "__main__":
    main()
