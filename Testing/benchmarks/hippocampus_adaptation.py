"""What inference-specific learning is worth on hippocampus: a weak and a full start, each part switched off, and shifted images; as Markdown.

    python Testing/benchmarks/hippocampus_adaptation.py --folder FOLDER [--seeds 3] [--parts ...] > page.md

Trains a recipe on 10 and on 160 cases below FOLDER if that is not done, adapts every network to every held-out case, scores, and prints
tables. Goes on where it stood. ``--parts`` picks some of the tables.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)
from nnunet_reference import SEGVARIANCE, hippocampus_folder

from SegVarianceLib.core.files import read_json
from SegVarianceLib.core.seeding import generator
from SegVarianceLib.dataset.image_io import Volume, read_image, write_map
from SegVarianceLib.plan.adaptation import VARIANTS
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study.status import status_of

STEPS, WEAK_CASES = 1000, 10
TUNED_ON = 8
"""Neighbours, rounds, steps and learning rate were chosen on the first held-out cases (weak start, seed 0), which are left out here."""
PARTS = {
    "weak": ("weak", ("adapted",), 20),
    "full": ("full", ("adapted",), 20),
    "parts_switched_off": ("weak", VARIANTS, 6),
    "inverted": ("full", ("adapted", "no_intensity_matching"), 6),
    "bias": ("full", ("adapted",), 6),
    "anisotropic": ("full", ("adapted",), 6),
}
"""Which start, which variants, on how many cases."""


def starts(folder: Path, seeds: int) -> StudyFolder:
    """One recipe on 10 cases and on all of the training split, trained with a few seeds."""
    root = folder / "starts"
    if not (root / "plan.json").exists():
        wishes = ("--configuration", "full", "--seeds", seeds, "--budget", f"{STEPS} steps", "--split", "holdout")
        segvariance("plan", hippocampus_folder(), root, *wishes)
        study = StudyFolder.open(root)
        full = study.plan.configurations[0]
        weak = replace(full, name="weak", training_cases=WEAK_CASES)  # type: ignore[call-arg, type-var]
        replace(study.plan, configurations=(weak, full)).write(study.plan_path)
    if status_of(StudyFolder.open(root)).state != "finished":
        segvariance("run", root)
    return StudyFolder.open(root)


def inverted(volume: Volume, rng: np.random.Generator) -> np.ndarray:
    return volume.array.min() + volume.array.max() - volume.array


def bias(volume: Volume, rng: np.random.Generator) -> np.ndarray:
    """Times a smooth field between about 0.4 and 2.5, as a bad coil gives."""
    axes = [np.linspace(-1, 1, n) for n in volume.array.shape[1:]]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    a, b, c, d = rng.normal(0, 1, 4)
    field = a * z + b * y + c * x + d * (x * y + z * y)
    return volume.array * np.exp(0.9 * field / np.abs(field).max())[None].astype(np.float32)


def anisotropic(volume: Volume, rng: np.random.Generator) -> np.ndarray:
    """Sampled every 4 mm along one axis and brought back to the grid: thick slices."""
    axis = int(rng.integers(3))
    image = sitk.GetImageFromArray(volume.array[0])
    size, spacing = list(image.GetSize()), [1.0, 1.0, 1.0]
    size[axis], spacing[axis] = max(2, -(-size[axis] // 4)), 4.0
    blurred = sitk.RecursiveGaussian(image, 1.7, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    thick = sitk.Resample(
        blurred, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing, image.GetDirection(), 0.0
    )
    return sitk.GetArrayFromImage(sitk.Resample(thick, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0))[None]


SHIFTS: dict[str, Callable[[Volume, np.random.Generator], np.ndarray]] = {
    "inverted": inverted,
    "bias": bias,
    "anisotropic": anisotropic,
}


def images_of(study: StudyFolder, folder: Path, kind: str, cases: int) -> Path:
    """Held-out images on which nothing was tuned, as they are or shifted, in a folder of their own."""
    where = folder / "images" / f"{kind if kind in SHIFTS else 'as_they_are'}_{cases}"
    where.mkdir(parents=True, exist_ok=True)
    for case_id in study.folds[0].held_out[TUNED_ON : TUNED_ON + cases]:
        path = where / f"{case_id}.nii.gz"
        if not path.exists() and kind not in SHIFTS:
            shutil.copy(study.case(case_id).images[0], path)
        elif not path.exists():
            volume = read_image(study.case(case_id).images)
            write_map(path, SHIFTS[kind](volume, generator(0, kind, case_id))[0], volume.geometry)
    return where


def segvariance(*arguments: object) -> None:
    subprocess.run([*SEGVARIANCE, *map(str, arguments)], check=True, stdout=sys.stderr)


def campaign(study: StudyFolder, folder: Path, part: str) -> None:
    start, variants, cases = PARTS[part]
    references = Path(study.dataset.folder) / "labelsTr"
    what = ("--images", images_of(study, folder, part, cases), "--references", references)
    segvariance("adapt", study.root, "--configuration", start, *what, "--variant", *variants, "--output", folder / part)


def page(folder: Path, parts: Sequence[str]) -> str:
    lines = []
    for part in parts:
        gains = read_json(folder / part / "gains.json")
        names = [gain["treated"] for gain in gains]
        structure = gains[0]["structure"]
        costs = _csv(folder / part / "report_tables" / "adaptation_costs.csv")
        lines += [
            f"\n### {part}, from `{gains[0]['before']}`\n",
            "| Variant | Dice before | Dice after | Gain (95 %) | Verdict | Cases better / worse | CPU-s a case | Warned, their gain, gain of the others |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for gain in (gain for gain in gains if gain["structure"] == structure):
            cost = costs[gain["treated"].removeprefix(f"{gain['before']}_")]
            found = gain["gain"]
            lines.append(
                f"| {gain['treated']} | {gain['before_mean']:.4f} | {gain['treated_mean']:.4f} | {found['value']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f}) | "
                f"{gain['verdict']} | {gain['better_share']:.0%} / {gain['worse_share']:.0%} | {float(cost['CPU-s (median)']):.1f} | "
                f"{cost['With a warning']} of {cost['Adaptations']}, {_short(cost['Their mean gain'])}, {_short(cost['Mean gain of the others'])} |"
            )
        lines.append(f"\n{len(set(names))} variants, {gains[0]['networks']} networks, {len(gains[0]['cases'])} cases.")
    return "\n".join(lines)


def _csv(path: Path) -> dict[str, dict[str, str]]:
    import csv

    with open(path, encoding="utf-8", newline="") as file:
        return {row["Variant"]: row for row in csv.DictReader(file)}


def _short(number: str) -> str:
    return f"{float(number):+.4f}" if number else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="new, or with a campaign of this benchmark")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    folder = given.folder.resolve()
    study = starts(folder, given.seeds)
    for part in given.parts:
        campaign(study, folder, part)
    print(page(folder, given.parts))


if __name__ == "__main__":
    main()
