"""Memory and minutes of adapting one network to a CT-sized image: 512 x 512 x 300 voxels, three structures.

    OMP_NUM_THREADS=1 python Testing/benchmarks/adaptation_memory.py --folder FOLDER [--training-cases 3] [--steps 40]

Makes training cases and one more image of that size, trains a network for a few steps only (what it draws is of no interest here, but
that it draws something is), and adapts it in one round with as many neighbours as there are training cases; prints what the adaptation's own record says.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from nnunet_reference import SEGVARIANCE

from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.seeding import generator
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.plan.adaptation_folder import AdaptationFolder

SHAPE = (300, 512, 512)
SPACING_MM = (0.8, 0.8, 1.0)
ORGANS = ((0.5, 0.35, 0.4, 0.22), (0.45, 0.6, 0.55, 0.1), (0.6, 0.5, 0.7, 0.06))
"""Centre (z, y, x) and radius as shares of each side."""


def make_case(folder: Path, number: int) -> None:
    """A body of water, three organs of other densities, each a little elsewhere in each case, and noise."""
    rng = generator(number, "ct phantom")
    geometry = Geometry(SHAPE[::-1], SPACING_MM, (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    image, labels = np.full(SHAPE, -1000, np.float32), np.zeros(SHAPE, np.uint8)
    z, y, x = (
        np.linspace(0, 1, n, dtype=np.float32).reshape(shape)
        for n, shape in zip(SHAPE, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    )
    image[((y - 0.5) / 0.4) ** 2 + ((x - 0.5) / 0.45) ** 2 + 0 * z < 1] = 0
    for value, (*centre, radius) in enumerate(ORGANS, start=1):
        at, size = np.array(centre) + rng.normal(0, 0.015, 3), radius * rng.uniform(0.85, 1.15, 3)
        inside = ((z - at[0]) / size[0]) ** 2 + ((y - at[1]) / size[1]) ** 2 + ((x - at[2]) / size[2]) ** 2 < 1
        image[inside], labels[inside] = 60 * value, value
    image += rng.normal(0, 15, SHAPE).astype(np.float32)
    name = f"body_{number:02d}"
    write_map(folder / "imagesTr" / f"{name}.nii.gz", np.rint(image), geometry)
    write_label_map(folder / "labelsTr" / f"{name}.nii.gz", labels, geometry)


def make_dataset(folder: Path, cases: int) -> None:
    for number in range(cases):
        if not (folder / "labelsTr" / f"body_{number:02d}.nii.gz").exists():
            make_case(folder, number)
    names = [f"body_{number:02d}.nii.gz" for number in range(cases)]
    content = {
        "name": "Bodies",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "first", "2": "second", "3": "third"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "numTraining": cases,
        "test": [],
    }
    write_json(folder / "dataset.json", content)


def segvariance(*arguments: object) -> None:
    subprocess.run([*SEGVARIANCE, *map(str, arguments)], check=True, stdout=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--training-cases", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    dataset, study, case = given.folder / "dataset", given.folder / "study", given.folder / "case"
    make_dataset(dataset, given.training_cases + 1)
    if not (study / "plan.json").exists():
        segvariance(
            "plan", dataset, study, "--seeds", 1, "--split", "holdout", "--budget", "60 steps", "--no-probabilities"
        )
    segvariance("run", study, "--jobs", 1)
    held_out = json.loads((study / "splits.json").read_text())[0]["held_out"][0]
    budget = ("--budget", f"{given.steps} steps", "--neighbours", given.training_cases, "--rounds", 1)
    segvariance("adapt", study, "--case", dataset / "imagesTr" / f"{held_out}.nii.gz", *budget, "--output", case)
    record = AdaptationFolder.open(case).record()
    print(
        f"{record.peak_memory_mib:.0f} MiB at most, {record.cpu_s / 60:.1f} CPU-min, {record.wall_s / 60:.1f} min; {len(record.neighbours)} neighbours"
    )


if __name__ == "__main__":
    main()
