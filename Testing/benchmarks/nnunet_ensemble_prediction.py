"""CPU time of an ensemble prediction, five members, from image file to label file: nnU-Net against SegVariance.

    python Testing/benchmarks/nnunet_ensemble_prediction.py --nnunet-python PYTHON --work FOLDER

The same hippocampus held-out cases for both, each side pinned to one core with one thread, alternating. One case is a command
called for a single image, start-up and imports included; a further case is what each of nine more adds to it.
nnU-Net: ``nnUNetv2_predict -f 0 1 2 3 4`` with its default mirroring, once without worker processes (-npp 0 -nps 0, the
fewest CPU seconds it can do with; the ratio is against this) and once with its default workers. The members of both sides
are trained for moments only: what a prediction costs does not depend on the values of the weights.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
from pathlib import Path

from nnunet_reference import (
    CONFIGURATION,
    DATASET_ID,
    HELD_OUT_IMAGES,
    SEGVARIANCE,
    TRAINERS,
    TRAINING_SCRIPT,
    NnunetFolders,
    hippocampus_fold,
    hippocampus_folder,
    plan_and_run,
    run_counted,
)

from SegVarianceLib.core.files import write_json

MEMBERS = 5
CASES = 10
STEPS = 20
GOAL = 50
SIDES = {
    "nnU-Net, no workers": ("-npp", 0, "-nps", 0),
    "nnU-Net, default workers": (),
    "SegVariance": None,
}


def write_images(work: Path) -> dict[int, tuple[Path, Path]]:
    """Folders with one case and with ten, for nnU-Net (channel in the name) and for us; by number of cases."""
    cases = hippocampus_fold(hippocampus_folder()).held_out[:CASES]
    folders = {}
    for count in (1, CASES):
        theirs, ours = work / f"images_{count}_nnunet", work / f"images_{count}"
        for folder in (theirs, ours):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        for case in cases[:count]:
            image = work / HELD_OUT_IMAGES / f"{case}_0000.nii.gz"
            shutil.copy(image, theirs / image.name)
            shutil.copy(image, ours / f"{case}.nii.gz")
        folders[count] = theirs, ours
    return folders


def train_members(nnunet: NnunetFolders, study: Path) -> None:
    """Five checkpoints on each side, by one nnU-Net iteration a fold (kept once made) and by a few steps a seed."""
    for fold in range(MEMBERS):
        report = nnunet.results / f"fold_{fold}.json"
        if not report.exists():
            nnunet.results.mkdir(parents=True, exist_ok=True)
            nnunet.run_script(TRAINING_SCRIPT, DATASET_ID, CONFIGURATION, fold, TRAINERS["default"], 1, report)
    shutil.rmtree(study, ignore_errors=True)
    plan_and_run(study, MEMBERS, STEPS, nnunet.core)


def predict(side: str, nnunet: NnunetFolders, study: Path, images: tuple[Path, Path]) -> float:
    """Predict a folder of images with five members, into an empty folder; CPU seconds.

    Raises:
        RuntimeError: not every image has its label map afterwards.
    """
    theirs, ours = images
    output = nnunet.work / "predicted"
    shutil.rmtree(output, ignore_errors=True)
    workers = SIDES[side]
    if workers is None:
        command = [*SEGVARIANCE, "predict", study, "--images", ours, "--output", output, "--threads", 1]
        cpu_s = run_counted(command, nnunet.core, study.with_suffix(".log"))
    else:
        cpu_s = nnunet.run(
            "nnUNetv2_predict",
            *("-i", theirs, "-o", output, "-d", DATASET_ID, "-c", CONFIGURATION, "-f", *range(MEMBERS)),
            *("-device", "cpu", *workers),
        )
    missing = [image.name for image in ours.iterdir() if not list(output.rglob(image.name))]
    if missing:
        raise RuntimeError(f"{side} wrote no label map for {missing}; its log is beside {output}.")
    return cpu_s


def measure(nnunet: NnunetFolders, study: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Median over the rounds of the CPU seconds for one case and for each further one; the sides take turns."""
    folders = write_images(nnunet.work)
    cpu_s: dict[tuple[str, int], list[float]] = {(side, count): [] for side in SIDES for count in folders}
    for _ in range(rounds):
        for side, count in cpu_s:
            cpu_s[side, count].append(predict(side, nnunet, study, folders[count]))
            print(f"{side:<26} {count:>2} cases {cpu_s[side, count][-1]:8.2f} CPU-s", flush=True)
    median = {key: statistics.median(values) for key, values in cpu_s.items()}
    return {
        side: {
            "one_case_cpu_s": median[side, 1],
            "further_case_cpu_s": (median[side, CASES] - median[side, 1]) / (CASES - 1),
        }
        for side in SIDES
    }


def show(result: dict[str, dict[str, float]]) -> None:
    print(f"\n{MEMBERS} members, CPU seconds          one case with start-up   each further case")
    for side, figures in result.items():
        print(f"{side:<26} {figures['one_case_cpu_s']:>26.2f} {figures['further_case_cpu_s']:>19.3f}")
    for side in result:
        if side != "SegVariance":
            ratios = {kind: result[side][kind] / result["SegVariance"][kind] for kind in result[side]}
            one, further = (math.floor(10 * ratio) / 10 for ratio in ratios.values())
            met = ", ".join("met" if ratio >= GOAL else "not met" for ratio in (one, further))
            print(f"Less CPU than {side}: one case {one}x, a further case {further}x (goal {GOAL}x: {met})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, required=True, help="Python of the environment with nnU-Net 2.8")
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), required=True, help="folder for both sides")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, of which the median is reported")
    a = parser.parse_args()
    nnunet = NnunetFolders(a.nnunet_python, a.work, a.work / "five_folds" / "results", max(os.sched_getaffinity(0)))
    dataset = hippocampus_folder()
    nnunet.prepare(dataset, hippocampus_fold(dataset))
    study = a.work / "five_members"
    train_members(nnunet, study)
    result = measure(nnunet, study, a.rounds)
    write_json(a.work / "ensemble_prediction.json", result)
    show(result)


if __name__ == "__main__":
    main()
