"""The residual U-Net family: shapes, first weights, and which members may be built."""

from __future__ import annotations

import pytest
import torch

from SegVarianceLib.model.network import build_network
from SegVarianceLib.plan.study_plan import NetworkPlan

PLANS = [
    NetworkPlan(1, 3, (8, 8, 8), (2, 2, 2), ((2, 2, 2),), (4, 8)),
    NetworkPlan(4, 4, (4, 16, 16), (1, 2, 2), ((1, 2, 2), (2, 2, 2)), (4, 6, 8)),
    NetworkPlan(2, 2, (1, 16, 16), (1, 1, 1), ((1, 2, 2),), (4, 8)),
    NetworkPlan(1, 2, (6, 6, 6), (2, 2, 2), (), (4,)),
]


@pytest.mark.parametrize("plan", PLANS)
def test_logits_lie_on_the_input_grid_one_for_each_class(plan):
    network = build_network(plan, torch.Generator().manual_seed(0))
    image = torch.randn(2, plan.in_channels, *plan.patch_zyx)
    assert network(image).shape == (2, plan.out_channels, *plan.patch_zyx)
    larger = tuple(2 * length for length in plan.patch_zyx)
    assert network.eval()(torch.randn(1, plan.in_channels, *larger)).shape == (1, plan.out_channels, *larger)


@pytest.mark.parametrize("plan", PLANS)
def test_every_weight_learns(plan):
    """A part that is not wired in gets no gradient."""
    network = build_network(plan, torch.Generator().manual_seed(0))
    network(torch.randn(2, plan.in_channels, *plan.patch_zyx)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_first_weights_come_from_the_generator_alone():
    def drawn(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(torch.seed())  # another global state each time
        return [weight.detach() for weight in build_network(PLANS[1], torch.Generator().manual_seed(seed)).parameters()]

    assert all(torch.equal(a, b) for a, b in zip(drawn(1), drawn(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(drawn(1), drawn(2), strict=True))


def test_signals_neither_vanish_nor_explode_at_the_first_step():
    network = build_network(PLANS[1], torch.Generator().manual_seed(0))
    logits = network(torch.randn(2, 4, 8, 32, 32, generator=torch.Generator().manual_seed(1)))
    assert 0.1 < float(logits.detach().std()) < 10
