"""The nnU-Net half of the benchmarks: 160 hippocampus cases trained for a CPU budget, the 40 held-out ones predicted.

    python Testing/benchmarks/nnunet_reference.py --nnunet-python PYTHON --work FOLDER --trainer default --budget-s 1800

writes WORK/<trainer>_<budget>s/result.json; the benchmarks reuse it as long as data, split, trainer, budget and nnU-Net
version are those recorded in it. Everything is nnU-Net's default (plans, 3d_fullres, Dice + CE, SGD, its augmentation,
mirroring at test time) except what nnunet_budget_training.py says. One thread, augmentation in the training process
(nnUNet_n_proc_DA=0): the fewest CPU seconds an iteration, as nothing is pickled between processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from SegVarianceLib.core.files import read_json, sha256_of_file, sha256_of_json, write_json
from SegVarianceLib.dataset.splits import Fold, split

TRAINERS = {"default": "nnUNetTrainer", "nomirroring": "nnUNetTrainerNoMirroring"}
DATASET_ID = "4"
DATASET_NAME = "Dataset004_Hippocampus"
CONFIGURATION = "3d_fullres"
HELD_OUT_IMAGES = Path("raw") / DATASET_NAME / "imagesTs"
LABELS = {"Anterior": 1, "Posterior": 2}
SEGVARIANCE = (sys.executable, "-m", "SegVarianceLib.study")
TRAINING_SCRIPT = Path(__file__).with_name("nnunet_budget_training.py")


def hippocampus_folder() -> Path:
    """The Decathlon folder in SEGVARIANCE_DATA, or in ../shared/data beside the checkout (as Testing/conftest.py)."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("SEGVARIANCE_DATA", beside)) / "Task04_Hippocampus"


def hippocampus_fold(dataset: Path) -> Fold:
    """160 training and 40 held-out cases, the split of ``segvariance plan --split holdout --split-seed 0``."""
    entries = read_json(dataset / "dataset.json")["training"]
    return split([Path(entry["label"]).name.removesuffix(".nii.gz") for entry in entries], "holdout", 0)[0]


def plan_and_run(study: Path, seeds: int, steps: int, core: int) -> float:
    """Plan and run a hold-out study of ours through its command line, one thread; CPU seconds of both commands."""
    log = study.with_suffix(".log")
    plan = ("--seeds", seeds, "--split", "holdout", "--split-seed", 0, "--budget", f"{steps} steps")
    # nnU-Net writes label maps alone too
    planned_s = run_counted(
        [*SEGVARIANCE, "plan", hippocampus_folder(), study, *plan, "--threads", 1, "--no-probabilities"], core, log
    )
    return planned_s + run_counted([*SEGVARIANCE, "run", study, "--jobs", 1], core, log)


def run_counted(command: Sequence[object], core: int, log: Path, environment: Mapping[str, str] | None = None) -> float:
    """Run a command pinned to one core; return the CPU seconds of its whole process tree (every waited-for child).

    What it prints is appended to ``log``.

    Raises:
        subprocess.CalledProcessError: it ended with an error.
    """
    line = [str(part) for part in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a", encoding="utf-8") as output:
        process = subprocess.Popen(
            line, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
    os.sched_setaffinity(process.pid, {core})  # its threads and children start later and inherit this
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)
    return usage.ru_utime + usage.ru_stime


def mean_dice(predictions: Path, dataset: Path, cases: Sequence[str]) -> dict[str, float]:
    """Dice of each label, mean over cases, from label maps alone; ``mean`` is the mean of the labels' means."""
    dice: dict[str, list[float]] = {name: [] for name in LABELS}
    for case in cases:
        predicted, reference = (
            SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / f"{case}.nii.gz")))
            for folder in (predictions, dataset / "labelsTr")
        )
        for name, value in LABELS.items():
            ours, theirs = predicted == value, reference == value
            dice[name].append(2 * np.count_nonzero(ours & theirs) / (ours.sum() + theirs.sum()))
    means = {name: float(np.mean(values)) for name, values in dice.items()}
    return {**means, "mean": float(np.mean(list(means.values())))}


class NnunetFolders:
    """nnU-Net's raw, preprocessed and results folders below ``work``, and its commands run in them on one core."""

    def __init__(self, python: Path, work: Path, results: Path, core: int):
        self.python = python
        self.work = work
        self.results = results
        self.core = core

    def run(self, program: str, *arguments: object) -> float:
        """Run a console script that lies beside nnU-Net's Python; return its CPU seconds."""
        # its planning does not accept 0 augmentation workers
        return self._run([self.python.parent / program, *arguments], augmentation_workers=1)

    def run_script(self, script: Path, *arguments: object) -> float:
        """Run a script by nnU-Net's Python, augmentation in the same process; return its CPU seconds."""
        return self._run([self.python, script, *arguments], augmentation_workers=0)

    def _run(self, command: Sequence[object], augmentation_workers: int) -> float:
        environment = {
            "nnUNet_raw": str(self.work / "raw"),
            "nnUNet_preprocessed": str(self.work / "preprocessed"),
            "nnUNet_results": str(self.results),
            "nnUNet_n_proc_DA": str(augmentation_workers),
            # nnU-Net asks torch for as many threads as the machine has cores; on one core they would only spin.
            "OMP_THREAD_LIMIT": "1",
            "OMP_NUM_THREADS": "1",
        }
        return run_counted(command, self.core, self.results.parent / "log.txt", environment)

    def prepare(self, dataset: Path, fold: Fold) -> dict[str, str]:
        """Convert and preprocess once; return what every result depends on: data and split (a digest) and version."""
        files = [dataset / kind / f"{case}.nii.gz" for case in fold.training for kind in ("imagesTr", "labelsTr")]
        files += [dataset / kind / f"{case}.nii.gz" for case in fold.held_out for kind in ("imagesTr", "labelsTr")]
        query = "import importlib.metadata as m; print(m.version('nnunetv2'), end='')"
        inputs = {
            "data": sha256_of_json([[file.name, sha256_of_file(file)] for file in files] + [list(fold.held_out)]),
            "nnunetv2": subprocess.check_output([self.python, "-c", query], text=True),
        }
        marker = self.work / "prepared.json"
        if not (marker.exists() and read_json(marker).get("inputs") == inputs):
            for folder in ("raw", "preprocessed"):
                shutil.rmtree(self.work / folder, ignore_errors=True)
            write_raw(self.work / "raw" / DATASET_NAME, dataset, fold)
            cpu_s = self.run(
                "nnUNetv2_plan_and_preprocess", *("-d", DATASET_ID, "-c", CONFIGURATION, "-np", 1, "-npfp", 1)
            )
            write_json(marker, {"inputs": inputs, "plan_and_preprocess_cpu_s": cpu_s})
        return inputs


def write_raw(raw: Path, dataset: Path, fold: Fold) -> None:
    """nnU-Net's raw layout: the training cases with labels, the held-out ones as test images without."""
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / folder).mkdir(parents=True)
    for cases, images in ((fold.training, "imagesTr"), (fold.held_out, "imagesTs")):
        for case in cases:
            shutil.copy(dataset / "imagesTr" / f"{case}.nii.gz", raw / images / f"{case}_0000.nii.gz")
    for case in fold.training:
        shutil.copy(dataset / "labelsTr" / f"{case}.nii.gz", raw / "labelsTr" / f"{case}.nii.gz")
    write_json(
        raw / "dataset.json",
        {
            "channel_names": {"0": "MRI"},
            "labels": {"background": 0, **LABELS},
            "numTraining": len(fold.training),
            "file_ending": ".nii.gz",
        },
    )


def trained_reference(
    python: Path, work: Path, trainer: str, budget_s: float, core: int, fresh: bool = False
) -> dict[str, object]:
    """nnU-Net's Dice after ``budget_s`` CPU seconds: read from the work folder if made of the same inputs, else made."""
    dataset = hippocampus_folder()
    fold = hippocampus_fold(dataset)
    folder = work / f"{trainer}_{budget_s:g}s"
    nnunet = NnunetFolders(python, work, folder / "results", core)
    inputs = {**nnunet.prepare(dataset, fold), "trainer": TRAINERS[trainer], "budget_s": budget_s}
    result_file = folder / "result.json"
    if result_file.exists() and not fresh and read_json(result_file)["inputs"] == inputs:
        return read_json(result_file)

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    report = folder / "training.json"
    whole_s = nnunet.run_script(TRAINING_SCRIPT, DATASET_ID, CONFIGURATION, "all", TRAINERS[trainer], budget_s, report)
    predict_s = nnunet.run(
        "nnUNetv2_predict",
        *("-i", work / HELD_OUT_IMAGES, "-o", folder / "predictions", "-d", DATASET_ID),
        *("-c", CONFIGURATION, "-tr", TRAINERS[trainer], "-f", "all", "-device", "cpu", "-npp", 0, "-nps", 0),
    )
    result = {
        "inputs": inputs,
        **read_json(report),
        "training_process_cpu_s": whole_s,
        "prediction_cpu_s": predict_s,
        "dice": mean_dice(folder / "predictions", dataset, fold.held_out),
        "held_out_cases": len(fold.held_out),
        "seed": "none: nnU-Net takes no seed",
    }
    write_json(result_file, result)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and judge nnU-Net for a CPU budget on one core.")
    parser.add_argument("--nnunet-python", type=Path, required=True, help="Python of the environment with nnU-Net 2.8")
    parser.add_argument("--work", type=Path, required=True, help="folder for nnU-Net's data and results")
    parser.add_argument("--trainer", choices=TRAINERS, default="default")
    parser.add_argument("--budget-s", type=float, default=1800.0, help="CPU seconds of training")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--fresh", action="store_true", help="train again although a result is there")
    a = parser.parse_args()
    print(
        json.dumps(
            trained_reference(a.nnunet_python, a.work.resolve(), a.trainer, a.budget_s, a.core, a.fresh), indent=1
        )
    )


if __name__ == "__main__":
    main()
