"""The loss against MONAI's, and voxels that do not count."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss, DiceLoss

from SegVarianceLib.training.losses import IGNORED, dice_and_binary_cross_entropy, dice_and_cross_entropy

monai_loss = DiceCELoss(
    include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
)


def batch(seed: int, classes: int, gain: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = gain * torch.randn(2, classes, 5, 6, 7, generator=draw)
    return logits, torch.randint(0, classes, (2, 1, 5, 6, 7), generator=draw)


@given(st.integers(0, 2**31), st.integers(2, 6), st.floats(0.01, 10))
@settings(max_examples=30)
def test_it_is_the_dice_and_cross_entropy_of_monai(seed, classes, gain):
    logits, target = batch(seed, classes, gain)
    assert float(dice_and_cross_entropy(logits, target)[0]) == pytest.approx(
        float(monai_loss(logits, target)), abs=1e-4
    )


def test_it_agrees_with_monai_where_a_class_is_absent_from_the_batch():
    logits, target = batch(0, 4)
    target[target == 3] = 1
    assert float(dice_and_cross_entropy(logits, target)[0]) == pytest.approx(
        float(monai_loss(logits, target)), abs=1e-4
    )


def test_its_gradient_is_that_of_monai():
    logits, target = batch(1, 3)
    gradients = []
    for loss in (lambda x: dice_and_cross_entropy(x, target)[0], lambda x: monai_loss(x, target)):
        leaf = logits.clone().requires_grad_()
        loss(leaf).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-7, rtol=1e-4)


def test_a_perfect_prediction_has_dice_one_and_no_loss():
    _, target = batch(0, 3)
    sure = 50.0 * torch.nn.functional.one_hot(target[:, 0], 3).movedim(-1, 1).float()
    loss, dice = dice_and_cross_entropy(sure, target)
    assert float(dice) == pytest.approx(1, abs=1e-5)
    assert float(loss) == pytest.approx(0, abs=1e-4)


def test_whatever_is_predicted_where_nothing_counts_changes_nothing():
    logits, target = batch(2, 3)
    target[:, :, :2] = IGNORED
    other = logits.clone()
    other[:, :, :2] = 30 * torch.randn(2, 3, 2, 6, 7)
    leaf = logits.clone().requires_grad_()
    loss, dice = dice_and_cross_entropy(leaf, target)
    assert (loss.item(), dice.item()) == tuple(value.item() for value in dice_and_cross_entropy(other, target))
    loss.backward()
    assert leaf.grad[:, :, :2].abs().max() == 0
    # And what does count is as if the rest had been cut away.
    cut = dice_and_cross_entropy(logits[:, :, 2:], target[:, :, 2:])
    assert loss.item() == pytest.approx(cut[0].item(), abs=1e-6)


def test_a_batch_in_which_nothing_counts_has_a_finite_loss_and_no_gradient():
    logits, target = batch(3, 3)
    leaf = logits.requires_grad_()
    loss, _ = dice_and_cross_entropy(leaf, torch.full_like(target, IGNORED))
    loss.backward()
    assert torch.isfinite(loss)
    assert leaf.grad.abs().max() == 0


def test_half_precision_logits_are_summed_in_single_precision():
    logits, target = batch(4, 3)
    loss, _ = dice_and_cross_entropy(logits.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(dice_and_cross_entropy(logits.bfloat16().float(), target)[0].item())


NESTED = torch.tensor([[False, True, True, True], [False, False, True, True], [False, False, False, True]])
region_dice = DiceLoss(sigmoid=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)


def of_regions(classes: torch.Tensor) -> torch.Tensor:
    """Each voxel's membership in each region, one region after the other."""
    return torch.cat([torch.isin(classes, torch.arange(first, 4)) for first in (1, 2, 3)], dim=1).float()


@given(st.integers(0, 2**31), st.floats(0.01, 10))
@settings(max_examples=30)
def test_the_loss_of_regions_is_the_dice_of_monai_and_the_binary_cross_entropy_of_torch(seed, gain):
    logits, classes = batch(seed, 4, gain)
    logits = logits[:, 1:]
    target = of_regions(classes)
    expected = region_dice(logits, target) + torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    found, dice = dice_and_binary_cross_entropy(logits, classes, NESTED)
    assert float(found) == pytest.approx(float(expected), abs=1e-4)
    assert float(dice) == pytest.approx(1 - float(region_dice(logits, target)), abs=1e-4)


def test_regions_where_nothing_counts_change_nothing():
    logits, classes = batch(3, 4)
    classes[0, 0, 0] = IGNORED
    logits = logits[:, 1:].clone().requires_grad_()
    loss = dice_and_binary_cross_entropy(logits, classes, NESTED)[0]
    loss.backward()
    assert (logits.grad[0, :, 0] == 0).all() and (logits.grad[0, :, 1] != 0).all()
    other = logits.detach().clone()
    other[0, :, 0] = 50.0
    assert float(dice_and_binary_cross_entropy(other, classes, NESTED)[0]) == pytest.approx(float(loss.detach()))
    everything = torch.full_like(classes, IGNORED)
    assert torch.isfinite(dice_and_binary_cross_entropy(other, everything, NESTED)[0])
