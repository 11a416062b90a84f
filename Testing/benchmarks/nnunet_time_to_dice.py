"""CPU time that SegVariance needs to pass the Dice which nnU-Net has after 15 minutes on two cores, side by side.

    python Testing/benchmarks/nnunet_time_to_dice.py --nnunet-python PYTHON --work FOLDER

Hippocampus, 160 training and 40 held-out cases. nnU-Net trains on one core (nnunet_reference.py says how); on the other,
at the same time, ``segvariance plan`` and ``segvariance run`` are called with longer and longer budgets, each an own fully
annealed run of seed 0, until the held-out Dice is above nnU-Net's. Charged to SegVariance: every CPU second of the two
commands and their children (imports, preparation, training, prediction, scores, report). Charged to nnU-Net: only the
budget of its training iterations. Both are judged by the same few lines on the written label maps. The figure compared is the
mean of the two labels' mean Dice.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path

from nnunet_reference import TRAINERS, hippocampus_fold, hippocampus_folder, mean_dice, plan_and_run, trained_reference

from SegVarianceLib.core.files import write_json

LADDER_STEPS = (100, 200, 300, 350, 400, 450, 500, 600, 800, 1000, 1300, 1700)
GOALS = {"default": 50, "nomirroring": 10}
ANCHOR = (
    "At its full 1000 epochs nnU-Net stays the accuracy anchor: Dice about 0.90 (anterior) and 0.89 (posterior). "
    "nnU-Net takes no seed: another run of it gives another figure."
)


def our_run(steps: int, study: Path, core: int) -> dict[str, object]:
    """A study of seed 0 from the dataset folder to the report; its CPU seconds and held-out Dice."""
    shutil.rmtree(study, ignore_errors=True)
    cpu_s = plan_and_run(study, 1, steps, core)
    dataset = hippocampus_folder()
    (predictions,) = study.glob("runs/*/fold_0/seed_0/predictions")
    dice = mean_dice(predictions, dataset, hippocampus_fold(dataset).held_out)
    return {"steps": steps, "cpu_s": cpu_s, "dice": dice}


def side_by_side(a: argparse.Namespace) -> tuple[dict[str, dict], list[dict]]:
    """nnU-Net's trainers one after the other on the last core, our ladder on the first, at the same time."""
    trainers = list(TRAINERS) if a.trainer == "both" else [a.trainer]
    cores = sorted(os.sched_getaffinity(0))
    ours: list[dict] = []
    with ThreadPoolExecutor(1) as pool:
        theirs = [
            pool.submit(trained_reference, a.nnunet_python, a.work, trainer, a.budget_s, cores[-1], a.fresh)
            for trainer in trainers
        ]
        for steps in LADDER_STEPS:
            ours.append(our_run(steps, a.work / "ours" / f"{steps}_steps", cores[0]))
            print(row(f"SegVariance, {steps} steps", ours[-1]["cpu_s"], ours[-1]["dice"]), flush=True)
            # two in a row: a single pass may be luck
            if len(ours) > 1 and all(
                side.done() and passes(run, side.result()) for side in theirs for run in ours[-2:]
            ):
                break
        return {trainer: side.result() for trainer, side in zip(trainers, theirs, strict=True)}, ours


def passes(run: dict, reference: dict) -> bool:
    return run["dice"]["mean"] > reference["dice"]["mean"]


def row(name: str, cpu_s: float, dice: dict[str, float]) -> str:
    labels = "  ".join(f"{value:.4f}" for value in dice.values())
    return f"{name:<44}{cpu_s:>9.2f} CPU-s   Dice {' / '.join(dice)}: {labels}"


def verdict(trainer: str, reference: dict, ours: list[dict]) -> dict[str, object]:
    """Our first run that is above nnU-Net's Dice, as all longer ones are; how many times less CPU time, rounded down."""
    passing = list(takewhile(lambda run: passes(run, reference), reversed(ours)))
    if not passing:
        return {"trainer": trainer, "ratio": None, "goal": GOALS[trainer], "met": False}
    first = passing[-1]
    ratio = math.floor(10 * reference["inputs"]["budget_s"] / first["cpu_s"]) / 10
    return {"trainer": trainer, "ratio": ratio, "by": first, "goal": GOALS[trainer], "met": ratio >= GOALS[trainer]}


def show(theirs: dict[str, dict], ours: list[dict], verdicts: list[dict]) -> None:
    print()
    for trainer, side in theirs.items():
        name = f"nnU-Net {side['inputs']['nnunetv2']} {trainer}, {side['iterations']} iterations"
        print(row(name, side["inputs"]["budget_s"], side["dice"]))
        beyond_s = side["training_process_cpu_s"] - side["inputs"]["budget_s"]
        print(
            f"  not charged: {beyond_s:.1f} CPU-s around the iterations, {side['prediction_cpu_s']:.1f} of prediction"
        )
    for run in ours:
        print(row(f"SegVariance, {run['steps']} steps", run["cpu_s"], run["dice"]))
    for v in verdicts:
        less = "never passed" if v["ratio"] is None else f"{v['ratio']}x less CPU, by {v['by']['cpu_s']:.2f} CPU-s"
        print(f"Against {v['trainer']}: {less} (goal {v['goal']}x: {'met' if v['met'] else 'not met'})")
    print(ANCHOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet-python", type=Path, required=True, help="Python of the environment with nnU-Net 2.8")
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), required=True, help="folder for both sides")
    parser.add_argument("--trainer", choices=[*TRAINERS, "both"], default="both")
    parser.add_argument("--budget-s", type=float, default=1800.0, help="CPU seconds for nnU-Net (15 minutes, 2 cores)")
    parser.add_argument("--fresh", action="store_true", help="train nnU-Net again although its result is there")
    a = parser.parse_args()
    theirs, ours = side_by_side(a)
    verdicts = [verdict(trainer, side, ours) for trainer, side in theirs.items()]
    write_json(a.work / "time_to_dice.json", {"nnunet": theirs, "segvariance": ours, "verdicts": verdicts})
    show(theirs, ours, verdicts)


if __name__ == "__main__":
    main()
