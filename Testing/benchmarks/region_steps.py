"""How long a reader waits who moves a region's threshold, and how much memory it takes, at 240x240x155 voxels and 3 regions.

    python Testing/benchmarks/region_steps.py

Three nested ellipsoids whose probabilities fall off smoothly, with noise, as float32 and as 8 bit. A slider step is: the new
threshold, the voxels that flip, orphans, volumes, Dice of every step, and the new label map after the whole order. Times are of
40 steps of .02 on the largest region's slider, forth and back. Painting the label map anew, without anything else, stands beside. Memory is what ``tracemalloc`` counts above the probabilities themselves. Stops with an error where a limit is not met.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np

from SegVarianceLib.core.arrays import quantise_probabilities
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.ensemble.region_rules import largest_label, nested_probabilities, painted
from SegVarianceLib.ensemble.regions import Reconstruction
from SegVarianceLib.evaluation.region_steps import Borders, region_steps

SHAPE = (155, 240, 240)
LABELS = LabelSet(
    (Structure("whole", (1, 2, 4)), Structure("core", (1, 4)), Structure("enhancing", (4,))),
    regions_class_order=(2, 1, 4),
)
RADII = (60.0, 40.0, 25.0)
LIMIT_S = 0.15
STEPS = [float(each) for each in (*np.arange(0.46, 0.06, -0.02), *np.arange(0.1, 0.5, 0.02))]


def volumes() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 [region, z, y, x] and a reference [z, y, x] a little off them."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    apart = np.sqrt((z - 80.0) ** 2 + (y - 120.0) ** 2 + (x - 110.0) ** 2).astype(np.float32)
    noise = rng.standard_normal(SHAPE, dtype=np.float32)
    probabilities = np.stack([1 / (1 + np.exp((apart - radius) / 4 + noise)) for radius in RADII])
    reference = np.zeros(SHAPE, dtype=np.uint8)
    for value, radius in zip((2, 1, 4), RADII, strict=True):
        reference[apart < radius - 2] = value
    return probabilities, reference


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def slider(rebuilt: Reconstruction, borders: Borders | None, threshold: float) -> None:
    rebuilt.set_threshold("whole", threshold)
    _ = rebuilt.label_map, rebuilt.orphans_ml, rebuilt.volumes_ml()
    if borders is not None:
        region_steps(rebuilt, borders)


def measured(kind: str, probabilities: np.ndarray, reference: np.ndarray) -> bool:
    """Print what one kind of probabilities takes; whether nine steps of ten keep within the limit."""
    tracemalloc.start()
    rebuilt = Reconstruction.of_probabilities(probabilities, LABELS, 1.0, reference)
    held, opening = (each / 2**20 for each in tracemalloc.get_traced_memory())
    tracemalloc.reset_peak()
    borders = Borders(reference)
    slider(rebuilt, borders, 0.48)
    _, stepping = (each / 2**20 for each in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    opened = timed(lambda: Reconstruction.of_probabilities(probabilities, LABELS, 1.0, reference))
    scored = [timed(partial(slider, rebuilt, borders, threshold)) for threshold in STEPS]
    alone = [timed(partial(slider, rebuilt, None, threshold)) for threshold in STEPS]
    anew = [timed(lambda: painted(probabilities, LABELS, (0.4, 0.5, 0.5))) for _ in range(5)]
    order = [timed(lambda: rebuilt.step(2)) for _ in range(5)]
    nested = timed(lambda: nested_probabilities(probabilities, LABELS))
    largest = timed(lambda: largest_label(probabilities, LABELS))
    assert rebuilt.thresholds is not None
    np.testing.assert_array_equal(rebuilt.label_map, painted(probabilities, LABELS, rebuilt.thresholds))
    late = float(np.quantile(scored, 0.9))
    print(f"{kind}: probabilities {probabilities.nbytes / 2**20:.0f} MiB")
    print(f"  open                             {opened:6.3f} s")
    print(
        f"  slider step, Dice of every step  {np.median(scored):6.3f} s, nine of ten within {late:.3f} s (limit {LIMIT_S} s)"
    )
    print(
        f"  slider step, no reference        {np.median(alone):6.3f} s, nine of ten within {np.quantile(alone, 0.9):.3f} s"
    )
    print(f"  painting the label map anew      {np.median(anew):6.3f} s")
    print(f"  previous or next in the order    {np.median(order):6.3f} s")
    print(f"  nested probabilities             {nested:6.3f} s; largest label probability {largest:.3f} s")
    print(f"  memory held {held:.1f} MiB, at most {opening:.1f} MiB while opening and {stepping:.1f} MiB in a step")
    return late <= LIMIT_S


def main() -> None:
    fractions, reference = volumes()
    kinds = {"float32": fractions, "8 bit": quantise_probabilities(fractions)}
    kept = [measured(kind, probabilities, reference) for kind, probabilities in kinds.items()]
    if not all(kept):
        sys.exit(f"Slider steps took longer than {LIMIT_S} s.")


if __name__ == "__main__":
    main()
