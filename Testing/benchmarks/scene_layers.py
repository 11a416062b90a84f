"""Fifty members of three structures at 240x240x155 as layers: time, memory and the switch to the next case.

    python Testing/benchmarks/scene_layers.py [--members 50] [--work FOLDER]

Needs the slicer-core wheel. Two cases of made-up nested structures (a large glioma), one .nii.gz label map for each member,
are opened one after the other. Beside it the way of the peers: for each member a label map node and Slicer's own
ImportLabelmapToSegmentationNode, the label map removed afterwards (with its display node, else it leaks). Each way is a
process of its own; both read files with the library, so reading is the same and told apart. Memory is the rise of the
resident set from before the first case is opened. Stops with an error where 50 members take more than 12 s or 100 MB, or
the switch more than 2 s.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map

GEOMETRY = Geometry((240, 240, 155), (1, 1, 1), (-120, -120, -70), (1, 0, 0, 0, 1, 0, 0, 0, 1))
LABELS = LabelSet((Structure("necrosis", (1,)), Structure("edema", (2,)), Structure("enhancing", (4,))))
RADII_MM = {2: (30, 38, 32), 4: (20, 24, 21), 1: (14, 17, 15)}  # z, y, x; 150 ml in all
LIMITS = {"open_s": 12.0, "memory_mb": 100.0, "switch_with_reading_s": 2.0}


def make_cases(folder: Path, members: int) -> None:
    """Two cases; a member's tumour is moved and stretched a little."""
    for case in range(2):
        for member in range(members):
            rng = np.random.default_rng((case, member))
            label_map = np.zeros(GEOMETRY.shape_zyx, dtype=np.uint8)
            axes = [np.arange(n, dtype=np.float32) for n in label_map.shape]
            middle = np.array([80.0, 110.0 + 20 * case, 100.0]) + rng.normal(0, 1.5, 3)
            for value, radii in RADII_MM.items():
                stretched = np.array(radii) * rng.normal(1, 0.04, 3)
                parts = [((a - m) / r) ** 2 for a, m, r in zip(axes, middle, stretched, strict=True)]
                label_map[parts[0][:, None, None] + parts[1][None, :, None] + parts[2] < 1] = value
            write_label_map(folder / f"case_{case}" / f"seed_{member}.nii.gz", label_map, GEOMETRY)


def read(folder: Path, seconds: list[float]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and label map of each member; the time of reading is added to ``seconds``."""
    for path in sorted(folder.glob("*.nii.gz")):
        start = time.perf_counter()
        label_map = read_label_map(path).array
        seconds.append(time.perf_counter() - start)
        yield path.name.split(".")[0], label_map


def ours(scene: Any, folder: Path, seconds: list[float]) -> Callable[[], None]:
    """Open a case as the library does; the returned function closes it."""
    from SegVarianceLib.scene.layers import MOST_SHOWN, CaseLayers, Folder

    layers = CaseLayers(scene, folder.name, GEOMETRY, LABELS)
    for number, (name, label_map) in enumerate(read(folder, seconds)):
        node = layers.add_labels(Folder.MEMBERS, name, label_map)
        if number < MOST_SHOWN:
            layers.show(node)
    return layers.close


def peers(scene: Any, folder: Path, seconds: list[float]) -> Callable[[], None]:
    """Open a case by Slicer's label map import, one node a member; the returned function closes it."""
    import slicer

    from SegVarianceLib.scene.arrays import fill_volume

    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    nodes = []
    for name, label_map in read(folder, seconds):
        labelled = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
        fill_volume(labelled, label_map, GEOMETRY)
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        logic.ImportLabelmapToSegmentationNode(labelled, node)
        for display in range(labelled.GetNumberOfDisplayNodes()):
            scene.RemoveNode(labelled.GetNthDisplayNode(display))
        scene.RemoveNode(labelled)
        nodes.append(node)

    def close() -> None:
        for node in nodes:
            scene.RemoveNode(node.GetDisplayNode())
            scene.RemoveNode(node)
        nodes.clear()

    return close


WAYS = {"cropped layers (SegVariance)": ours, "label map import (peers)": peers}


def measure(way: str, folder: Path) -> dict[str, float]:
    """Open the first case, then close it and open the second one."""
    import slicer

    scene, process = slicer.vtkMRMLScene(), psutil.Process()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(scene)
    for _ in read(folder / "case_1", []):  # what the reader itself keeps is no matter of the scene
        pass
    before, reading, start = process.memory_info().rss, [0.0], time.perf_counter()
    close = WAYS[way](scene, folder / "case_0", reading)
    opened, memory = time.perf_counter() - start, process.memory_info().rss - before
    reading_again, start = [0.0], time.perf_counter()
    close()
    WAYS[way](scene, folder / "case_1", reading_again)
    switched = time.perf_counter() - start
    return {
        "open_s": opened,
        "of_it_reading_s": sum(reading),
        "memory_mb": memory / 1e6,
        "switch_s": switched - sum(reading_again),
        "switch_with_reading_s": switched,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--way", choices=WAYS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, given.work)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        make_cases(work, given.members)
        found = {}
        for way in WAYS:
            command = [sys.executable, __file__, "--work", str(work), "--way", way]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way] = json.loads(done.stdout.splitlines()[-1])
    mine, theirs = found.values()
    print(f"{given.members} members x {len(LABELS.structures)} structures, 240x240x155")
    print(f"{'':24}{'ours':>10}{'peers':>10}{'ratio':>10}")
    for key in mine:
        print(f"{key:24}{mine[key]:>10.2f}{theirs[key]:>10.2f}{theirs[key] / mine[key]:>10.1f}")
    beyond = [f"{key} {mine[key]:.1f} > {limit}" for key, limit in LIMITS.items() if mine[key] > limit]
    if beyond:
        raise SystemExit("; ".join(beyond))


if __name__ == "__main__":
    main()
