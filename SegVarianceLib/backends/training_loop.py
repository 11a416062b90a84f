"""All the steps of one training: what it says of itself, when it saves, and how it stops."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..training.trainer import Trainer
from .backend import Report

_REPORT_EVERY_S = 0.5
_CHECKPOINT_EVERY_S = 60.0
_CHECKPOINTS_PER_RUN = 20
"""A kill loses at most a twentieth of a run, and at most a minute."""


def train_to_end(trainer: Trainer, save: Callable[[], None], report: Report, should_stop: Callable[[], bool]) -> bool:
    """All remaining steps, with checkpoints; False after a checkpoint if asked to stop.

    The events carry the loss of the step and, under the name that the task gives it, the mean score of the last 50.
    """
    steps, name = trainer.plan.steps, trainer.task.score
    often = max(1, steps // _CHECKPOINTS_PER_RUN)
    begun, first, reported, saved = time.perf_counter(), trainer.step, 0.0, time.perf_counter()
    recent: list[float] = []
    while not trainer.finished:
        result = trainer.train_step()
        recent = [*recent[-49:], result.score]
        now = time.perf_counter()
        if now - reported > _REPORT_EVERY_S or trainer.finished:
            left_s = (now - begun) / (result.step - first) * (steps - result.step)
            fields = {"loss": round(result.loss, 4), name: round(sum(recent) / len(recent), 4)}
            report("step", step=result.step, steps=steps, time_left_s=round(left_s, 1), **fields)
            reported = now
        stop = should_stop()
        if stop or result.step % often == 0 or now - saved > _CHECKPOINT_EVERY_S:
            save()
            saved = now
        if stop:
            return False
    return True
