"""Where a run computes, and what a user reads where that is not possible."""

from __future__ import annotations

import json

import psutil
import pytest
import torch

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.model.device import Device, open_device, peak_memory_mib


@pytest.mark.parametrize("kind", ["tpu", "CPU", ""])
def test_an_unknown_device_is_refused_with_those_that_are_there(kind):
    with pytest.raises(SegVarianceError, match=rf"Device '{kind}' is not available.*Choose one of: auto, .*cpu"):
        open_device(kind, 1)


@pytest.mark.parametrize(
    ("kind", "there"), [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())]
)
def test_a_known_device_that_is_absent_is_refused_and_not_offered(kind, there):
    if there:
        pytest.skip(f"this machine has {kind}")
    with pytest.raises(SegVarianceError, match=f"Device '{kind}' is not available") as refused:
        open_device(kind, 1)
    assert kind not in str(refused.value).split("Choose one of")[1]


def test_the_cpu_opens_with_the_threads_that_were_asked_for():
    device = open_device("cpu", 1)
    assert torch.get_num_threads() == 1
    assert device.kind == "cpu"
    assert device.torch == torch.device("cpu")


def test_facts_tell_apart_what_changes_bytes():
    facts = [Device("cpu", half, threads).facts() for half in (False, True) for threads in (1, 2)]
    assert len({json.dumps(each, sort_keys=True) for each in facts}) == 4
    assert all(each["torch"] == torch.__version__ for each in facts)


def test_autocast_is_bfloat16_only_where_the_device_says_half():
    weight = torch.randn(4, 4)
    for half, expected in ((False, torch.float32), (True, torch.bfloat16)):
        with Device("cpu", half, 1).autocast():
            assert (weight @ weight).dtype == expected


def test_peak_memory_is_in_mib_at_least_what_is_held_now_and_never_falls():
    held = torch.ones(64 * 2**20 // 4)
    peak = peak_memory_mib()
    assert 0.99 * psutil.Process().memory_info().rss / 2**20 <= peak < psutil.virtual_memory().total / 2**20
    del held
    assert peak_memory_mib() >= peak
