"""What nnU-Net users do with predictions, by nnU-Net's commands and by ours: averaging, Dice; and votes beside SimpleITK's.

    python Testing/benchmarks/nnunet_tools.py --nnunet-python OTHER/bin/python [--surface-distance-python THIRD/bin/python]

OTHER is an environment with nnunetv2 2.8.1; THIRD one for ``surface_distance.py``, which is then run too. CPU seconds are those of
whole process trees (``wait4``), one thread and one worker each; "start-up" is the same command on a case of a few voxels, and
"without" is what is left without it. Data are made up: a brain of 155 x 240 x 240 voxels with four classes for averaging, an
abdomen of 300 x 512 x 512 with 24 labels for Dice. The labels of both averages must be the same in every voxel, and so must Dice.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK
from scipy import ndimage

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from SegVarianceLib.core.arrays import quantise_probabilities  # noqa: E402
from SegVarianceLib.core.files import write_json  # noqa: E402
from SegVarianceLib.core.geometry import Geometry  # noqa: E402
from SegVarianceLib.core.labels import LabelSet, Structure  # noqa: E402
from SegVarianceLib.dataset.image_io import read_label_map, write_label_map  # noqa: E402
from SegVarianceLib.dataset.nnunet_labels import READER, nnunet_description  # noqa: E402
from SegVarianceLib.dataset.nnunet_probabilities import write_nnunet_probabilities  # noqa: E402
from SegVarianceLib.dataset.probability_maps import write_probabilities  # noqa: E402
from SegVarianceLib.ensemble.probability_rules import labels_from_probabilities  # noqa: E402
from SegVarianceLib.ensemble.rules import RULES  # noqa: E402
from SegVarianceLib.metrics.overlap import confusion_matrix  # noqa: E402
from SegVarianceLib.review.nnunet_export import properties_file  # noqa: E402

BRAIN, TINY, ABDOMEN = (155, 240, 240), (8, 9, 10), (300, 512, 512)
LABELS = LabelSet(tuple(Structure(f"label_{value}", (value,)) for value in (1, 2, 3)))
ORGANS = 24
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "nnUNet_def_n_proc"), "1"),
}

IN_MEMORY = """
import sys, time
import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_tp_fp_fn_tn, region_or_label_to_mask
pair = np.load(sys.argv[1])
reference, prediction = (pair[name].astype(np.float32)[None] for name in ("reference", "prediction"))  # as its reader gives
start_s = time.process_time()
for value in range(1, int(sys.argv[2]) + 1):
    compute_tp_fp_fn_tn(region_or_label_to_mask(reference, value), region_or_label_to_mask(prediction, value))
print(time.process_time() - start_s)
"""


class Cost(NamedTuple):
    cpu_s: float
    peak_mib: float


def run(*command: object) -> Cost:
    """CPU of a command and of all processes it waited for, and the peak of the largest of them."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [str(each) for each in command], env=ENVIRONMENT, stdout=said, stderr=said, cwd=REPOSITORY
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            sys.exit(said.read().decode()[-3000:])
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def ours(*arguments: object) -> Cost:
    return run(sys.executable, "-m", "SegVarianceLib.study", *arguments)


def row(name: str, theirs: Cost, mine: Cost, start: tuple[Cost, Cost]) -> None:
    without = [max(cost.cpu_s - before.cpu_s, 1e-3) for cost, before in zip((theirs, mine), start, strict=True)]
    print(
        f"{name:34}{theirs.cpu_s:9.2f}{mine.cpu_s:9.2f}{theirs.cpu_s / mine.cpu_s:8.1f}"
        f"{without[0]:11.2f}{without[1]:9.2f}{without[0] / without[1]:8.1f}{theirs.peak_mib:10.0f}{mine.peak_mib:8.0f}",
        flush=True,
    )


def grid(shape: tuple[int, ...]) -> Geometry:
    return Geometry((shape[2], shape[1], shape[0]), (0.8, 0.8, 1.5), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def tumour(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Probabilities [c, z, y, x] of three nested parts of a tumour of 30 mm radius, 113 ml, as a network gives them.

    Far from it each class has a logit near -12, never exactly 0; beyond the brain, where nnU-Net predicts nothing, it is 0.
    """
    inside = tuple(slice(side // 10, side - side // 10) for side in shape)
    centre = np.multiply(shape, (0.5, 0.4, 0.6))
    axes = [(axis - c) / 30 for axis, c in zip(np.ogrid[tuple(map(slice, shape))], centre, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in axes))[inside].astype(np.float32)
    distance += _smooth(rng, distance.shape, 4, 0.1)
    logits = [np.zeros(distance.shape, np.float32)]
    for limit, steepness in ((1.0, 15), (0.7, 30), (0.4, 60)):
        logits.append(np.maximum(steepness * (limit - distance), -12) + _smooth(rng, distance.shape, 1, 0.5))
    probabilities = np.zeros((4, *shape), np.float32)
    probabilities[0] = 1
    exponents = np.exp(np.stack(logits))
    probabilities[(slice(None), *inside)] = exponents / exponents.sum(axis=0)
    return probabilities


def doubt_everywhere(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Probabilities [c, z, y, x] that are neither 0 nor 1 in half of all voxels: nothing that a box or packing could spare."""
    fields = [_smooth(rng, shape, 5, 4) - 6 for _ in range(3)]
    exponents = np.exp(np.stack([np.zeros(shape, dtype=np.float32), *fields]))
    return exponents / exponents.sum(axis=0)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], width: float, deviation: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), width)
    return field * (deviation / field.std())


def make_members(folder: Path, shape: tuple[int, ...], members: int, kind: str) -> list[Path]:
    """Folders of nnU-Net, and beside each one of ours with 8-bit probabilities; five are made, the others are links to them."""
    rng, made = np.random.default_rng(0), []
    for number in range(members):
        place, eight_bit = folder / f"member_{number}", folder / f"ours_{number}"
        made.append(place)
        if number >= 5:
            for of, to in ((folder / f"member_{number % 5}", place), (folder / f"ours_{number % 5}", eight_bit)):
                shutil.copytree(of, to, copy_function=os.link)
            continue
        probabilities = (tumour if kind == "tumour" else doubt_everywhere)(rng, shape)
        write_nnunet_probabilities(place / "case.npz", probabilities)
        label_map = labels_from_probabilities(probabilities, LABELS)
        write_label_map(place / "case.nii.gz", label_map, grid(shape))
        names = ("background", *(structure.name for structure in LABELS.structures))
        write_probabilities(eight_bit / "case.nrrd", quantise_probabilities(probabilities), grid(shape), names)
        properties_file(place / "case.pkl", grid(shape))
        description = nnunet_description(LABELS, ("T1",), 1, ".nii.gz")
        write_json(place / "dataset.json", description)
        write_json(eight_bit / "dataset.json", description)
        write_json(place / "plans.json", {"image_reader_writer": READER, "label_manager": "LabelManager"})
    return made


def differing_voxels(first: Path, second: Path) -> int:
    pair = (read_label_map(path).array for path in (first, second))
    return int(np.not_equal(*pair).sum())


def averaging(commands: Path, work: Path) -> None:
    # Elsewhere, or the peak of this process would be counted as that of its children.
    maker = ProcessPoolExecutor(1, get_context("spawn"))
    costs: dict[str, tuple[Cost, Cost, Cost]] = {}
    plan = [("start-up", TINY, 2, "tumour")]
    plan += [
        (f"{members}, {kind}", BRAIN, members, kind) for kind in ("tumour", "doubt everywhere") for members in (5, 50)
    ]
    for name, shape, members, kind in plan:
        folders = maker.submit(make_members, work / name, shape, members, kind).result()
        theirs, mine, eight = (work / name / each for each in ("theirs", "mine", "eight"))
        by_nnunet = run(commands / "nnUNetv2_ensemble", "-i", *folders, "-o", theirs, "-np", 1)
        by_us = ours("ensemble", *folders, "--rule", "mean_probability", "--output", mine)
        kept = [folder.with_name(folder.name.replace("member", "ours")) for folder in folders]
        eight_bit = ours("ensemble", *kept, "--rule", "mean_probability", "--output", eight)
        if differing := maker.submit(differing_voxels, theirs / "case.nii.gz", mine / "case.nii.gz").result():
            sys.exit(f"{name}: {differing} voxels differ")
        rounded = maker.submit(differing_voxels, theirs / "case.nii.gz", eight / "case.nrrd").result()
        costs[name] = by_nnunet, by_us, eight_bit
        if members == 5:
            sizes = [
                (place / f"case.{end}").stat().st_size / 1e6 for place, end in ((folders[0], "npz"), (kept[0], "nrrd"))
            ]
            print(
                f"a member, {kind}: {sizes[0]:.2f} MB as .npz, {sizes[1]:.2f} MB as ours; {rounded} voxels differ by 8 bits"
            )
        shutil.rmtree(work / name)
    maker.shutdown()
    started = costs.pop("start-up")
    head = (
        f"{'CPU s':34}{'nnU-Net':>9}{'ours':>9}{'ratio':>8}{'without':>11}{'ours':>9}{'ratio':>8}{'MiB':>10}{'ours':>8}"
    )
    print(head)
    row("start-up of averaging", started[0], started[1], (Cost(0, 0), Cost(0, 0)))
    for name, (by_nnunet, by_us, eight_bit) in costs.items():
        row(f"{name}, .npz", by_nnunet, by_us, started[:2])
        row(f"{name}, ours", by_nnunet, eight_bit, (started[0], started[2]))


def abdomen(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """24 organs, and a prediction of them that is a voxel off here and there."""
    reference, prediction = (np.zeros(ABDOMEN, dtype=np.uint8) for _ in range(2))
    for value in range(1, ORGANS + 1):
        radii = rng.integers((15, 25, 25), (45, 60, 60))
        centre = rng.integers((50, 130, 130), (250, 380, 380))
        low, high = centre - radii - 3, centre + radii + 4
        z, y, x = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        for image, shift in ((reference, 0.0), (prediction, 0.7)):
            away = [(axis - c - shift) / r for axis, c, r in zip((z, y, x), centre, radii, strict=True)]
            image[box][sum(part**2 for part in away) + 0.05 * np.sin(z / 7 + value) < 1] = value
    return reference, prediction


def dice(commands: Path, work: Path) -> None:
    values = range(1, ORGANS + 1)
    started = None
    for name in ("start-up of Dice", "Dice and IoU, 24 labels"):
        folder = work / name.replace(" ", "_")
        pair = abdomen(np.random.default_rng(1))
        if started is None:
            pair = tuple(np.arange(np.prod(TINY), dtype=np.uint8).reshape(TINY) % (ORGANS + 1) for _ in range(2))
        for place, array in zip(("truth", "drawn"), pair, strict=True):
            write_label_map(folder / place / "case.nii.gz", array, grid(array.shape))
        labels = LabelSet(tuple(Structure(f"label_{value}", (value,)) for value in values))
        write_json(folder / "drawn" / "dataset.json", nnunet_description(labels, ("CT",), 1, ".nii.gz"))
        truth, drawn, table = folder / "truth", folder / "drawn", folder / "scores.csv"
        theirs = run(commands / "nnUNetv2_evaluate_simple", truth, drawn, "-l", *values, "-np", 1)
        mine = ours("score", drawn, "--references", truth, "--output", table, "--metrics", "dice", "iou")
        summary = json.loads((drawn / "summary.json").read_text())["mean"]
        with open(table, newline="") as file:
            for found in csv.DictReader(file):
                expected = summary[found["structure"].removeprefix("label_")][
                    "Dice" if found["metric"] == "dice" else "IoU"
                ]
                if float(found["value"]) != expected:
                    sys.exit(f"{found} but nnU-Net has {expected}")
        row(name, theirs, mine, started or (Cost(0, 0), Cost(0, 0)))
        started = started or (theirs, mine)


def dice_in_memory(python: Path, work: Path) -> None:
    reference, prediction = abdomen(np.random.default_rng(1))
    np.savez(work / "pair.npz", reference=reference, prediction=prediction)
    made = subprocess.run(
        [python, "-c", IN_MEMORY, work / "pair.npz", str(ORGANS)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    theirs_s, values = float(made.stdout), range(ORGANS + 1)
    mine_s = best_cpu_s(lambda: confusion_matrix(reference, prediction, values))
    print(f"{'the same, counts in memory':34}{theirs_s:9.3f}{mine_s:9.3f}{theirs_s / mine_s:8.1f}", flush=True)


def votes() -> None:
    rng = np.random.default_rng(2)
    z, y, x = np.indices(BRAIN)
    distance = np.sqrt(((z - 78) / 40) ** 2 + ((y - 120) / 55) ** 2 + ((x - 120) / 50) ** 2)
    made = []
    for _ in range(50):
        wobble = ndimage.zoom(rng.standard_normal((8, 8, 8)), np.divide(BRAIN, 8), order=1) * 0.06
        made.append(sum((distance + wobble < limit).astype(np.uint8) for limit in (1, 0.7, 0.4)))
    rule = RULES.function("majority")
    print(f"\n{'votes in memory, CPU s':34}{'SimpleITK':>9}{'ours':>9}{'ratio':>8}")
    for count in (5, 50):
        images = [SimpleITK.GetImageFromArray(each) for each in made[:count]]
        voting = SimpleITK.LabelVotingImageFilter()
        voting.SetNumberOfThreads(1)
        voting.SetLabelForUndecidedPixels(0)
        theirs_s = best_cpu_s(lambda images=images, voting=voting: voting.Execute(images))
        mine_s = best_cpu_s(lambda count=count: rule(iter(made[:count]), LABELS, None))
        print(f"{f'{count} members, 3 labels':34}{theirs_s:9.3f}{mine_s:9.3f}{theirs_s / mine_s:8.1f}")


def best_cpu_s(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start_s = time.process_time()
        work()
        times.append(time.process_time() - start_s)
    return min(times)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, required=True, metavar="PYTHON")
    parser.add_argument("--surface-distance-python", type=Path, default=None, metavar="PYTHON")
    parser.add_argument(
        "--work", type=Path, default=None, help="where 2 GB may be written (default: a temporary folder)"
    )
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.work) as folder:
        averaging(chosen.nnunet_python.parent, Path(folder))
        dice(chosen.nnunet_python.parent, Path(folder))
        dice_in_memory(chosen.nnunet_python, Path(folder))
    votes()
    if chosen.surface_distance_python is not None:
        script = Path(__file__).with_name("surface_distance.py")
        command = [sys.executable, script, "--surface-distance-python", chosen.surface_distance_python]
        subprocess.run(command, check=True, env=ENVIRONMENT)


if __name__ == "__main__":
    main()
