"""Memory of an ensemble prediction, 512x512x300 voxels and 24 labels, by 5 and by 50 members: at most 3 GiB, and the same.

    python Testing/benchmarks/many_members_memory.py [--members 5 50] [--work FOLDER]

Each prediction is a process of its own: image file in (int16 NRRD), label map file out, one CPU thread, through the library's own
reading, preprocessing, sliding window, blending and writing, with the patch and the network that are planned for such images.
The arithmetic of the members is not what is measured: a member multiplies the window by one number per class. But at every
40th batch of windows the first member is the planned residual U-Net, read from its file, so that the peak holds a real
network at work. The peak is the process's largest resident memory as the operating system counts it, imports included.
Stops with an error where a peak is above 3 GiB or more than 5 % from the first one. 50 members take half an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK
import torch

from SegVarianceLib.dataset.fingerprint import ChannelFacts, Fingerprint
from SegVarianceLib.dataset.image_io import read_image, read_label_map, write_label_map
from SegVarianceLib.model.device import open_device, peak_memory_mib
from SegVarianceLib.model.network import build_network
from SegVarianceLib.model.sliding_window import Member
from SegVarianceLib.model.trained import SCHEMA, TrainedFacts, save_trained
from SegVarianceLib.plan.planning import plan_network
from SegVarianceLib.plan.study_plan import ChannelPlan, NetworkPlan, PreprocessingPlan
from SegVarianceLib.prediction.predict import Predictor, open_predictor

SHAPE_ZYX = (300, 512, 512)
SPACING_ZYX_MM = (1.0, 0.8, 0.8)
CLASSES = 25
LIMIT_MIB = 3 * 1024
ALLOWED_DIFFERENCE = 0.05
REAL_EVERY = 40


def planned_network() -> NetworkPlan:
    """The network that a dataset of such CT images gets."""
    facts = Fingerprint(
        digest="",
        cases={},
        spacing_zyx_mm=SPACING_ZYX_MM,
        shape_zyx=SHAPE_ZYX,
        channels=(ChannelFacts("CT", 0, 1, 0, 0, 0),),
        structures=(),
        mirror_axes=(),
        voxels_total=0,
        bytes_float32=0,
    )
    return plan_network(facts, CLASSES)


def write_image(path: Path) -> None:
    """Smooth blobs and noise, int16, in Hounsfield-like numbers."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.normal(0, 300, (1, 1, 10, 16, 16)))
    smooth = torch.nn.functional.interpolate(coarse, size=SHAPE_ZYX, mode="trilinear")[0, 0].numpy()
    image = SimpleITK.GetImageFromArray((smooth + rng.integers(-20, 20, SHAPE_ZYX)).astype(np.int16))
    image.SetSpacing(SPACING_ZYX_MM[::-1])
    SimpleITK.WriteImage(image, str(path))


def write_weights(path: Path, network: NetworkPlan) -> None:
    channel = ChannelPlan("CT", "z_score", 0, 0, 0, 1)
    names = ("background", *(f"label_{value}" for value in range(1, CLASSES)))
    facts = TrainedFacts(
        schema=SCHEMA,
        configuration="default",
        fold=0,
        seed=0,
        key="",
        preprocessing=PreprocessingPlan(SPACING_ZYX_MM, (channel,)),
        network=network,
        class_values=tuple(range(CLASSES)),
        class_names=names,
    )
    save_trained(path, build_network(network, torch.Generator().manual_seed(0)).state_dict(), facts)


class Stub(torch.nn.Module):
    """Logits = window x one number per class, channels-last as a network's, in a buffer that all stubs share.

    With ``real``, that network is asked instead for every 40th batch.
    """

    def __init__(self, seed: int, logits: dict[torch.Size, torch.Tensor], real: torch.nn.Module | None):
        super().__init__()
        self._factor = torch.randn((1, CLASSES, 1, 1, 1), generator=torch.Generator().manual_seed(seed))
        self._logits, self._real, self._batches = logits, real, 0

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        self._batches += 1
        if self._real is not None and self._batches % REAL_EVERY == 0:
            self._logits.clear()  # a real ensemble has one set of logits at a time
            return self._real(window)
        shape = torch.Size((len(window), CLASSES, *window.shape[2:]))
        if shape not in self._logits:
            self._logits[shape] = torch.empty(shape, memory_format=torch.channels_last_3d)
        return torch.mul(window, self._factor, out=self._logits[shape])


def members(count: int, real: Member) -> list[Member]:
    """``count`` members, the first of which is now and then the real one."""
    logits: dict[torch.Size, torch.Tensor] = {}
    stubs = [Stub(seed, logits, real() if seed == 0 else None).eval() for seed in range(count)]
    return [partial(_same, stub) for stub in stubs]


def _same(network: torch.nn.Module) -> torch.nn.Module:
    return network


def predict(image: Path, weights: Path, count: int, output: Path) -> None:
    """In the child: predict and tell memory and time on standard output."""
    opened = open_predictor([weights], open_device("cpu", 1))
    predictor = Predictor(opened.facts, members(count, opened.members[0]), opened.device)
    volume = read_image([image])
    prediction = predictor.predict(volume, keep_probabilities=False, progress=_tell)
    write_label_map(output, prediction.label_map, volume.geometry, like=image)
    print(json.dumps({"peak_mib": peak_memory_mib(), "cpu_s": time.process_time()}))


def _tell(done: float) -> None:
    print(
        f"{100 * done:5.1f} %  {time.process_time():7.1f} CPU-s  {peak_memory_mib():.0f} MiB",
        file=sys.stderr,
        flush=True,
    )


def measured(work: Path, count: int) -> dict[str, float]:
    output = work / f"members_{count}.nrrd"
    arguments = [str(work / "image.nrrd"), str(work / "weights.safetensors"), str(count), str(output)]
    child = subprocess.run(
        [sys.executable, __file__, "--child", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    written = read_label_map(output)
    if written.geometry.difference(read_image([work / "image.nrrd"]).geometry) or written.array.max() == 0:
        sys.exit(f"{output} does not lie on the image's grid, or holds nothing.")
    return json.loads(child.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[5, 50])
    parser.add_argument("--patch", type=int, nargs=3, default=None, help="z y x, instead of the planned one")
    parser.add_argument("--work", type=Path, default=None, help="folder to work in (default: a temporary one)")
    parser.add_argument("--child", nargs=4, default=None, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        image, weights, count, output = a.child
        predict(Path(image), Path(weights), int(count), Path(output))
        return
    work = (a.work or Path(tempfile.mkdtemp(prefix="many_members_"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    write_image(work / "image.nrrd")
    network = planned_network() if a.patch is None else replace(planned_network(), patch_zyx=tuple(a.patch))
    write_weights(work / "weights.safetensors", network)
    print(f"{SHAPE_ZYX} voxels, {CLASSES} classes, patch {network.patch_zyx}, {len(network.channels)} levels, 1 thread")
    peaks = []
    for count in a.members:
        result = measured(work, count)
        peaks.append(result["peak_mib"])
        print(f"{count:3} members: peak {result['peak_mib']:7.0f} MiB, {result['cpu_s']:7.1f} CPU-s", flush=True)
    apart = max(abs(peak / peaks[0] - 1) for peak in peaks)
    print(f"Limit {LIMIT_MIB} MiB; largest difference between numbers of members {100 * apart:.1f} %")
    if max(peaks) > LIMIT_MIB or apart > ALLOWED_DIFFERENCE:
        sys.exit("Not met.")


if __name__ == "__main__":
    main()
