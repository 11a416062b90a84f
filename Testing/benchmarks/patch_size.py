"""Patches as large as the median image against three quarters of it, on hippocampus, for the same CPU time.

    python Testing/benchmarks/patch_size.py [--cpu-s 100] [--core 0] [--work FOLDER]

160 training and 40 held-out cases, seed 0, one core, one thread. Network and recipe are the planned ones for both; only the patch
differs, and the number of steps, which is the budget divided by the measured CPU seconds of a training step. Printed beside
the Dice is what the training process really used (preparation and prediction included, which are the same for both).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from nnunet_reference import LABELS, SEGVARIANCE, hippocampus_fold, hippocampus_folder, mean_dice, run_counted

from SegVarianceLib.core.files import read_json
from SegVarianceLib.dataset.fingerprint import Fingerprint
from SegVarianceLib.model.device import open_device
from SegVarianceLib.plan.planning import plan_configuration
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.study_plan import Configuration
from SegVarianceLib.training.cache import cached_case
from SegVarianceLib.training.task import Segmentation
from SegVarianceLib.training.trainer import Trainer

PATCHES_ZYX = {1.0: (40, 56, 40), 0.75: (24, 40, 24)}
"""By share of the median image."""

WARM_UP, TIMED = 3, 12


def configuration(study: StudyFolder, patch_zyx: tuple[int, int, int], steps: int) -> Configuration:
    """The planned recipe for so many steps, with this patch."""
    fingerprint = Fingerprint.from_json(read_json(study.fingerprint_path))
    planned = plan_configuration("default", fingerprint, study.labels, steps)
    return replace(planned, network=replace(planned.network, patch_zyx=patch_zyx))


def cpu_s_per_step(study: StudyFolder, recipe: Configuration) -> float:
    cases = [study.case(case_id) for case_id in study.folds[0].training[:8]]
    cached = [cached_case(case, study.labels, recipe.preprocessing) for case in cases]
    trainer = Trainer(Segmentation(cached, recipe.network, recipe.training), recipe.training, 0, open_device("cpu", 1))
    times = []
    for _ in range(WARM_UP + TIMED):
        begun_s = time.process_time()
        trainer.train_step()
        times.append(time.process_time() - begun_s)
    return median(times[WARM_UP:])


def train(planned: Path, root: Path, share: float, budget_cpu_s: float, core: int) -> str:
    """One line of the result: a copy of the planned study with this patch, trained."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(planned, root)
    study, patch = StudyFolder.open(root), PATCHES_ZYX[share]
    step_cpu_s = cpu_s_per_step(study, configuration(study, patch, 1000))
    steps = max(1, int(budget_cpu_s / step_cpu_s))
    replace(study.plan, configurations=(configuration(study, patch, steps),)).write(study.plan_path)
    run_counted([*SEGVARIANCE, "run", root, "--jobs", 1], core, root.with_suffix(".log"))
    (run,) = study.runs
    dataset = hippocampus_folder()
    dice = mean_dice(study.run_folder(run) / "predictions", dataset, hippocampus_fold(dataset).held_out)
    used_cpu_s = study.record(run).cpu_s
    figures = "".join(f"{dice[name]:11.4f}" for name in (*LABELS, "mean"))
    return f"{share:5}  {patch!s:13}{1000 * step_cpu_s:12.1f}{steps:8}{used_cpu_s:11.1f}{figures}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-s", type=float, default=100.0, help="CPU seconds of training steps for each patch")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="the core to work on")
    parser.add_argument("--work", type=Path, default=None, help="folder for the studies (default: a temporary one)")
    a = parser.parse_args()
    os.sched_setaffinity(0, {a.core})
    work = (a.work or Path(tempfile.mkdtemp(prefix="patch_size_"))).resolve()
    planned = work / "planned"
    shutil.rmtree(planned, ignore_errors=True)
    wishes = ("--seeds", 1, "--split", "holdout", "--split-seed", 0, "--device", "cpu", "--threads", 1)
    line = [*SEGVARIANCE, "plan", hippocampus_folder(), planned, *wishes, "--budget", "1000 steps"]
    run_counted(line, a.core, work / "plan.log")
    print(f"{a.cpu_s:g} CPU-s of training steps each. Studies and logs in {work}")
    print("share  patch z y x  CPU-ms/step   steps  CPU-s used" + "".join(f"{name:>11}" for name in (*LABELS, "mean")))
    for share in PATCHES_ZYX:
        print(train(planned, work / f"share_{share:g}", share, a.cpu_s, a.core), flush=True)


if __name__ == "__main__":
    main()
