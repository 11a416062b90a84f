"""Held-out Dice on hippocampus for a given CPU time: one seed, 160 training and 40 held-out cases, one core, one thread.

    python Testing/benchmarks/hippocampus_dice.py [--steps 2000 5400] [--core 0] [--work FOLDER]

Each budget is a study of seed 0 of its own, through ``segvariance plan`` and ``segvariance run``. Dice is computed here from the
label maps alone: mean over the held-out cases for each label, then the mean of both labels. CPU seconds of ``run`` are those
of its whole process tree: imports, preparation, training, prediction, ensemble, scores and report; they are what the goals
are held against. ``training`` is the part of the training process from reading the cases to the last step (its CPU seconds
by share of its wall time: one thread on one core). Peak memory is that of the training process, prediction included.
Exit code 1 where a goal is missed: 0.865 within 120 CPU-s, 0.88 within 300 CPU-s.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nnunet_reference import LABELS, SEGVARIANCE, hippocampus_fold, hippocampus_folder, mean_dice, run_counted

from SegVarianceLib.core.events import read_events
from SegVarianceLib.plan.study_folder import StudyFolder

GOALS = {0.865: 120.0, 0.88: 300.0}
"""Mean Dice to reach, and the CPU seconds within which."""


@dataclass(frozen=True)
class Result:
    steps: int
    dice: dict[str, float]
    plan_cpu_s: float
    run_cpu_s: float
    training_cpu_s: float
    peak_memory_mib: float


def train(root: Path, steps: int, core: int) -> Result:
    dataset, log = hippocampus_folder(), root.with_suffix(".log")
    wishes = ("--seeds", 1, "--split", "holdout", "--split-seed", 0, "--device", "cpu", "--threads", 1)
    plan_cpu_s = run_counted([*SEGVARIANCE, "plan", dataset, root, *wishes, "--budget", f"{steps} steps"], core, log)
    run_cpu_s = run_counted([*SEGVARIANCE, "run", root, "--jobs", 1], core, log)
    study = StudyFolder.open(root)
    (run,) = study.runs
    record = study.record(run)
    return Result(
        steps=steps,
        dice=mean_dice(study.run_folder(run) / "predictions", dataset, hippocampus_fold(dataset).held_out),
        plan_cpu_s=plan_cpu_s,
        run_cpu_s=run_cpu_s,
        training_cpu_s=record.cpu_s * training_share(study.run_log(run), record.wall_s),
        peak_memory_mib=record.peak_memory_mib,
    )


def training_share(log: Path, wall_s: float) -> float:
    """Share of a training process's wall time up to its last step."""
    events = list(read_events(log))
    begun = next(event["time_s"] for event in events if event["kind"] == "run_message")
    return (max(event["time_s"] for event in events if event["kind"] == "step") - begun) / wall_s


def row(result: Result) -> str:
    dice = "".join(f"{result.dice[name]:11.4f}" for name in (*LABELS, "mean"))
    times = f"{result.plan_cpu_s:7.1f}{result.run_cpu_s:9.1f}{result.training_cpu_s:10.1f}"
    return f"{result.steps:6}{dice}{times}{result.peak_memory_mib:10.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[2000, 5400], help="budgets, one training each")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="the core to work on")
    parser.add_argument("--work", type=Path, default=None, help="folder for the studies (default: a temporary one)")
    a = parser.parse_args()
    work = (a.work or Path(tempfile.mkdtemp(prefix="hippocampus_dice_"))).resolve()
    print(f"Studies and logs in {work}")
    print(f"{'':6}{'held-out Dice':>33}{'CPU seconds':>26}{'peak':>10}")
    print(" steps" + "".join(f"{name:>11}" for name in (*LABELS, "mean")) + "   plan      run  training       MiB")
    results = []
    for steps in a.steps:
        results.append(train(work / f"{steps}_steps", steps, a.core))
        print(row(results[-1]), flush=True)
    missed = 0
    for dice, within_s in GOALS.items():
        best = max((r.dice["mean"] for r in results if r.run_cpu_s <= within_s), default=None)
        met = best is not None and best >= dice
        missed += not met
        reached = "no run within it" if best is None else f"{best:.4f}"
        print(f"Goal {dice} within {within_s:g} CPU-s: {'met' if met else 'not met'} ({reached})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
