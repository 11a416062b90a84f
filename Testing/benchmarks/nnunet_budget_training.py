"""Train one of nnU-Net's own trainers for a given CPU time. Run by the Python that has nnunetv2 and the nnUNet_* folders.

The trainer object is nnU-Net's, untouched. Only the loop of its ``run_training`` is replaced: it stops at the budget
instead of after 1000 epochs, the poly learning rate follows the fraction of the budget that is used (as it follows the
fraction of the epochs), and the validation iterations are left out, in nnU-Net's favour. The clock starts at the first
iteration: imports, dataset and network set-up are not charged either. nnU-Net takes no seed, so two runs differ.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from nnunetv2.run.run_training import get_trainer_from_args
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

REPORT_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset_id")
    parser.add_argument("configuration")
    parser.add_argument("fold", help="'all', or a number of nnU-Net's own 5-fold split")
    parser.add_argument("trainer")
    parser.add_argument("budget_s", type=float)
    parser.add_argument("report", type=Path)
    arguments = parser.parse_args()

    fold = arguments.fold if arguments.fold == "all" else int(arguments.fold)
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    trainer = get_trainer_from_args(
        arguments.dataset_id, arguments.configuration, fold, arguments.trainer, device=torch.device("cpu")
    )
    trainer.on_train_start()
    setup_cpu_s = time.process_time()
    iterations, training_cpu_s = train(trainer, arguments.budget_s)
    trainer.on_train_end()
    report = {
        "iterations": iterations,
        "batch_size": trainer.batch_size,
        "training_cpu_s": training_cpu_s,
        "setup_cpu_s": setup_cpu_s,
        "torch": torch.__version__,
    }
    arguments.report.write_text(json.dumps(report, indent=1), encoding="utf-8")


def train(trainer, budget_s: float) -> tuple[int, float]:
    """Iterate until the process has used ``budget_s`` CPU seconds; return the iterations and the CPU seconds used."""
    trainer.lr_scheduler = PolyLRScheduler(trainer.optimizer, trainer.initial_lr, budget_s)
    trainer.network.train()
    start = time.process_time()
    iterations, used_s = 0, 0.0
    while used_s < budget_s:
        trainer.lr_scheduler.step(used_s)
        loss = trainer.train_step(next(trainer.dataloader_train))["loss"]
        iterations += 1
        used_s = time.process_time() - start
        if iterations % REPORT_EVERY == 0:
            print(f"{used_s:8.1f} of {budget_s:g} CPU-s  iteration {iterations}  loss {float(loss):.4f}", flush=True)
    return iterations, used_s


if __name__ == "__main__":
    main()
