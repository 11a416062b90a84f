"""Component removal against nnU-Net's and MONAI's, and against cc3d, on 512 x 512 x 300 voxels with 24 labels.

    python Testing/benchmarks/clean_up_speed.py --nnunet-python PYTHON [--monai-python PYTHON] [--rounds 3]

Each peer runs in an interpreter that has it, on the same label map, keeps the largest component of each label, one thread.
CPU seconds, best of ``--rounds`` (peers once: they take a minute). The results are compared voxel by voxel: nnU-Net keeps
all of equally large components, so ours does (``ties="all"``); the map is made so that the largest of each label is one.
The label map: 24 noisy ellipsoids, clean, with 60 islands, or with 20,000 specks of single voxels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import ndimage

from SegVarianceLib.core.labels import Structure
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP

SHAPE, LABELS = (300, 512, 512), 24
SPECKS = {"clean": (0, 0), "60 islands": (60, 6), "20000 specks": (20_000, 1)}
PEERS = {
    "nnU-Net": """
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation as keep
def clean(label_map, labels):
    for label in range(1, labels + 1):
        label_map = keep(label_map, label)
    return label_map
""",
    "cc3d, one pass for all labels": """
import cc3d
def clean(label_map, labels):
    components = cc3d.connected_components(label_map, connectivity=26)
    sizes = np.bincount(components.ravel())
    label_of = np.zeros(len(sizes), dtype=label_map.dtype)
    label_of[components] = label_map
    keep = np.zeros(len(sizes), dtype=label_map.dtype)
    for label in range(1, labels + 1):
        own = np.flatnonzero(label_of == label)
        keep[own[sizes[own].argmax()]] = label
    return keep[components]
""",
    "MONAI": """
import torch
torch.set_num_threads(1)
from monai.transforms import KeepLargestConnectedComponent
def clean(label_map, labels):
    keep = KeepLargestConnectedComponent(applied_labels=list(range(1, labels + 1)), is_onehot=False, independent=True, connectivity=3)
    return keep(torch.from_numpy(label_map[None].copy()))[0].numpy()
""",
}
RUN = """
import json, sys, time
import numpy as np
{peer}
label_map = np.load(sys.argv[1])
clean(np.ascontiguousarray(label_map[:8, :64, :64]) * 0 + 1, 1)
start = time.process_time()
cleaned = clean(label_map, int(sys.argv[3]))
print(json.dumps(time.process_time() - start))
np.save(sys.argv[2], np.asarray(cleaned).astype(np.uint8))
"""


def draw(specks: int, largest: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    label_map = np.zeros(SHAPE, dtype=np.uint8)
    for value in range(1, LABELS + 1):
        radius = rng.uniform(12, 60, 3) * (0.6, 1, 1)
        centre = rng.uniform(radius + 6, np.array(SHAPE) - radius - 6)
        low, high = (centre - radius - 5).astype(int), (centre + radius + 6).astype(int)
        axes = [(np.arange(a, b) - c) / r for a, b, c, r in zip(low, high, centre, radius, strict=True)]
        z, y, x = np.ix_(*axes)
        coarse = np.maximum(2, (high - low) // 5)
        noise = ndimage.zoom(rng.normal(0, 0.15, coarse), (high - low) / coarse, order=1)
        label_map[tuple(map(slice, low, high))][z**2 + y**2 + x**2 + noise < 1] = value
    for _ in range(specks):
        corner = [rng.integers(0, size - 6) for size in SHAPE]
        box = tuple(slice(at, at + rng.integers(1, largest + 1)) for at in corner)
        label_map[box] = rng.integers(1, LABELS + 1)
    return label_map


def cpu_s(call: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", required=True, help="an interpreter that has nnunetv2 (and with it cc3d)")
    parser.add_argument("--monai-python", default=sys.executable, help="an interpreter that has monai")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pythons = {"MONAI": given.monai_python}
    structures = [Structure(str(value), (value,)) for value in range(1, LABELS + 1)]
    differing = []
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "label_map.npy", Path(folder) / "cleaned.npy"
        for name, specks in SPECKS.items():
            label_map = draw(*specks)
            np.save(source, label_map)
            print(f"{name}: {(label_map > 0).mean():.1%} foreground", flush=True)
            for step in CLEAN_UP.ids:
                settings = CLEAN_UP.settings(step, {"ties": "all"} if step.startswith("keep") else {})
                clean = CLEAN_UP.function(step)
                seconds = cpu_s(lambda: clean(label_map, structures, 1.0, **settings), given.rounds)  # noqa: B023
                print(f"  {'SegVariance ' + step:<40} {seconds:9.3f} CPU-s", flush=True)
            ours, seconds = (
                CLEAN_UP.function("keep_largest")(label_map, structures, 1.0, "all").label_map,
                cpu_s(lambda: CLEAN_UP.function("keep_largest")(label_map, structures, 1.0), given.rounds),  # noqa: B023
            )
            for peer, code in PEERS.items():
                python = pythons.get(peer, given.nnunet_python)
                arguments = [python, "-c", RUN.format(peer=code), str(source), str(result), str(LABELS)]
                done = subprocess.run(arguments, capture_output=True, text=True, check=True)
                taken = json.loads(done.stdout.strip().splitlines()[-1])
                differ = int((np.load(result) != ours).sum())
                differing += [peer] * (differ > 0)
                print(f"  {peer:<40} {taken:9.3f} CPU-s, {taken / seconds:7.1f} x, {differ} voxels differ", flush=True)
    return 2 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
