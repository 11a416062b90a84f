"""Test-time augmentation: the mean prediction over turned, scaled, mirrored and re-toned copies of one image. The usual way to get more
out of a trained network for one case without learning, and so what inference-specific learning is measured against."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.seeding import generator
from ..model.sliding_window import Member, Rows
from ..model.trained import load_network
from ..training.augmentation import augment, draw_augmentation, sampling_grid
from .inference_learning import Work, predicted, shape_of
from .moving_average import write_average


def predict_augmented(work: Work) -> bool:
    """Average ``work.settings.augmented`` copies for each network, drawn as in its training; False if asked to stop."""
    whole = torch.from_numpy(work.image())[None]
    shape = shape_of(work)
    for member, path in enumerate(work.weights):
        if work.average(member, 1).exists():
            continue
        network = load_network(path, work.facts).to(work.device.torch).eval()
        total = np.zeros(shape, np.float32)
        for number in range(work.settings.augmented):
            if work.should_stop():
                return False
            work.report("stage_step", what="Predicting copies", done=number, of=work.settings.augmented)
            rng = generator(work.seed, "augmented", member, number)
            draw = draw_augmentation(work.training, 1, whole.shape[1], rng)
            copy, _ = augment(whole, torch.zeros(1, *shape[1:], dtype=torch.uint8), shape[1:], draw)
            total += _undone(_whole(work, np.ascontiguousarray(copy[0].numpy()), network.eval), draw.matrix)
        write_average(work.average(member, 1), iter([Rows(0, 0, total / work.settings.augmented)]), shape)
    return True


def _whole(work: Work, image: np.ndarray, member: Member) -> Tensor:
    found = np.zeros(shape_of(work), np.float32)
    for piece in predicted(work, image, member):
        np.moveaxis(found, 1 + piece.axis, 1)[:, piece.start : piece.start + piece.probabilities.shape[1]] = (
            piece.probabilities
        )
    return torch.from_numpy(found)


def _undone(probabilities: Tensor, matrix: np.ndarray) -> np.ndarray:
    """Back to where the copy was taken from; beyond its edge, as at its edge."""
    inverse = torch.from_numpy(np.linalg.inv(matrix)).float()
    _, z, y, x = probabilities.shape
    grid = sampling_grid(inverse, probabilities.shape[1:], (z, y, x))
    return F.grid_sample(probabilities[None], grid, padding_mode="border", align_corners=False)[0].numpy()
