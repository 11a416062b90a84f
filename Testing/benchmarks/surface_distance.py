"""Dice, HD95 and surface Dice of one pair: SegVariance beside google-deepmind surface-distance, the same numbers, CPU time.

    python Testing/benchmarks/surface_distance.py --surface-distance-python OTHER/bin/python [--data FOLDER]

OTHER is an environment with surface-distance (``pip install surface-distance 'numpy<1.24' scipy``); it does not work with
the numpy that SegVariance needs. FOLDER holds Task04_Hippocampus and brats_ensemble (default: SEGVARIANCE_DATA, or
../shared/data). Both sides take turns on every pair, one thread each, in memory; a time is the best of ``--repeats``, but for the abdomen, which is
measured once (it takes the other side minutes and 4 GB).
Ours includes IoU; "kept" is ours with the reference prepared before, as for the second and every further seed of a study.
Stops with an error where a number differs by more than 1e-4 or where ours is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from SegVarianceLib.core.labels import LabelSet, Structure  # noqa: E402
from SegVarianceLib.dataset.image_io import find_images, read_label_map  # noqa: E402
from SegVarianceLib.evaluation.evaluate import ReferenceCase, score_case  # noqa: E402

TOLERANCE_MM = 1.0
ALLOWED_DIFFERENCE = 1e-4
_ONCE_FROM = 4
"""Number of the first pair that is measured once: the other side needs minutes for it."""
METRICS = ("dice", "hd95_mm", "surface_dice_1mm")


@dataclass(frozen=True)
class LabelPair:
    reference: np.ndarray
    prediction: np.ndarray
    spacing_zyx_mm: tuple[float, float, float]
    values: tuple[int, ...]


@dataclass
class Row:
    """Times summed and differences maximised over the pairs of one kind."""

    name: str
    pairs: int = 0
    structures: int = 0
    anchor_s: float = 0.0
    ours_s: float = 0.0
    kept_s: float = 0.0
    differences: np.ndarray = field(default_factory=lambda: np.zeros(len(METRICS)))


class Anchor:
    """The other environment's process; it answers one pair at a time."""

    def __init__(self, python: Path, folder: Path):
        script = Path(__file__).with_name("surface_distance_anchor.py")
        self._pair = folder / "pair.npz"
        # Isolated, or `import surface_distance` would find the benchmark beside the script instead of the package.
        self._process = subprocess.Popen(
            [python, "-I", "-W", "ignore", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def scores(self, pair: LabelPair, repeats: int) -> tuple[float, np.ndarray]:
        np.savez(
            self._pair, reference=pair.reference, prediction=pair.prediction, spacing_mm=np.array(pair.spacing_zyx_mm)
        )
        request = {
            "pair": str(self._pair),
            "values": pair.values,
            "tolerance_mm": TOLERANCE_MM,
            "repeats": repeats,
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit("surface-distance gave no answer: is it installed in that environment?")
        best_s, scores = json.loads(answer)
        return best_s, np.array(scores)

    def close(self) -> None:
        self._process.communicate()


def compare(anchor: Anchor, name: str, pairs: Iterator[LabelPair], repeats: int) -> Row:
    row = Row(name)
    for pair in pairs:
        anchor_s, expected = anchor.scores(pair, repeats)
        labels = LabelSet(tuple(Structure(str(value), (value,)) for value in pair.values))
        case = pair.prediction, pair.reference, labels, pair.spacing_zyx_mm, TOLERANCE_MM
        kept = ReferenceCase.of(pair.reference, labels, pair.spacing_zyx_mm)
        found = {(score.structure, score.metric): score.value for score in score_case(*case)}
        ours = np.array([[found[str(value), metric] for metric in METRICS] for value in pair.values], dtype=float)
        row.pairs += 1
        row.structures += len(pair.values)
        row.anchor_s += anchor_s
        row.ours_s += best_cpu_s(lambda case=case: score_case(*case), repeats)
        row.kept_s += best_cpu_s(lambda kept=kept, pair=pair: kept.score(pair.prediction, TOLERANCE_MM), repeats)
        row.differences = np.maximum(row.differences, np.abs(ours - expected).max(axis=0))
    return row


def best_cpu_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start_s = time.process_time()
        work()
        times.append(time.process_time() - start_s)
    return min(times)


def hippocampus(data: Path, cases: int) -> Iterator[LabelPair]:
    """Each label map against itself warped by a smooth field of 0.7 voxels (standard deviation)."""
    rng = np.random.default_rng(0)
    for path in list(find_images(data / "Task04_Hippocampus" / "labelsTr").values())[:cases]:
        label_map = read_label_map(path)
        warped = warp(label_map.array, 0.7, rng)
        yield LabelPair(label_map.array, warped, label_map.geometry.spacing_zyx_mm, (1, 2))


def glioma(data: Path) -> Iterator[LabelPair]:
    """Two challenge models on one patient, 240x240x155; both drew all three labels."""
    members = find_images(data / "brats_ensemble" / "TCGA-DU-7294" / "members")
    first, second = (read_label_map(members[name]) for name in ("hnfnetv1-20", "sanet0-20"))
    yield LabelPair(first.array, second.array, first.geometry.spacing_zyx_mm, (1, 2, 4))


def anisotropic(islands: int) -> Iterator[LabelPair]:
    """Five made organs on 3.0 x 0.8 x 0.7 mm voxels; ``islands`` strays widen every bounding box of the prediction."""
    rng = np.random.default_rng(1)
    z, y, x = np.indices((60, 192, 192))
    reference = np.zeros(z.shape, dtype=np.uint8)
    for value, (cz, cy, cx) in enumerate([(20, 60, 60), (40, 60, 130), (30, 96, 96), (20, 140, 60), (40, 140, 130)], 1):
        reference[((z - cz) / 9) ** 2 + ((y - cy) / 28) ** 2 + ((x - cx) / 30) ** 2 < 1] = value
    prediction = warp(reference, 1.0, rng)
    for _ in range(islands):
        a, b, c = (int(rng.integers(0, size - 4)) for size in reference.shape)
        prediction[a : a + 2, b : b + 4, c : c + 4] = rng.integers(1, 6)
    yield LabelPair(reference, prediction, (3.0, 0.8, 0.7), (1, 2, 3, 4, 5))


def abdomen(islands: int) -> Iterator[LabelPair]:
    """24 made organs in 300x512x512 voxels of 1.5 x 0.8 x 0.8 mm; ``islands`` strays as in ``anisotropic``."""
    rng = np.random.default_rng(1)
    shape = (300, 512, 512)
    reference, prediction = (np.zeros(shape, dtype=np.uint8) for _ in range(2))
    for value in range(1, 25):
        radii = rng.integers((15, 25, 25), (45, 60, 60))
        centre = rng.integers((50, 130, 130), (250, 380, 380))
        box = tuple(slice(c - r - 3, c + r + 4) for c, r in zip(centre, radii, strict=True))
        for image, shift in ((reference, 0.0), (prediction, 0.7)):
            axes = zip(np.ogrid[box], centre, radii, strict=True)
            away = sum(((axis - c - shift) / r) ** 2 for axis, c, r in axes)
            image[box][away + 0.05 * np.sin(np.ogrid[box][0] / 7 + value) < 1] = value
    for _ in range(islands):
        a, b, c = (int(rng.integers(0, size - 5)) for size in shape)
        prediction[a : a + 3, b : b + 5, c : c + 5] = rng.integers(1, 25)
    yield LabelPair(reference, prediction, (1.5, 0.8, 0.8), tuple(range(1, 25)))


def warp(label_map: np.ndarray, voxels: float, rng: np.random.Generator) -> np.ndarray:
    fields = [ndimage.gaussian_filter(rng.standard_normal(label_map.shape), 4) for _ in range(3)]
    places = [
        index + voxels * shift / shift.std() for index, shift in zip(np.indices(label_map.shape), fields, strict=True)
    ]
    return ndimage.map_coordinates(label_map, places, order=0, mode="nearest")


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surface-distance-python", type=Path, required=True, metavar="PYTHON")
    beside = os.environ.get("SEGVARIANCE_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(beside))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", type=int, default=200, help="hippocampus cases (default 200)")
    chosen = parser.parse_args()
    print(f"{cpu_model()}, Python {platform.python_version()}, numpy {np.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        anchor = Anchor(chosen.surface_distance_python, Path(folder))
        plan = [
            ("hippocampus 35x50x35", hippocampus(chosen.data, chosen.cases)),
            ("glioma 155x240x240", glioma(chosen.data)),
            ("anisotropic 60x192x192", anisotropic(0)),
            ("the same, 15 islands", anisotropic(15)),
            ("abdomen 300x512x512", abdomen(0)),
            ("the same, 60 islands", abdomen(60)),
        ]
        rows = [
            compare(anchor, name, pairs, 1 if number >= _ONCE_FROM else chosen.repeats)
            for number, (name, pairs) in enumerate(plan)
        ]
        anchor.close()
    head = f"{'CPU ms a pair':24}{'pairs':>6}{'struct.':>8}{'anchor':>9}{'ours':>8}{'ratio':>7}{'kept':>8}{'ratio':>7}"
    print(head + "   largest difference: Dice, HD95 mm, surface Dice 1 mm")
    for row in rows:
        anchor_ms, ours_ms, kept_ms = (1000 * t / row.pairs for t in (row.anchor_s, row.ours_s, row.kept_s))
        times = f"{anchor_ms:9.2f}{ours_ms:8.2f}{anchor_ms / ours_ms:7.1f}{kept_ms:8.2f}{anchor_ms / kept_ms:7.1f}"
        print(f"{row.name:24}{row.pairs:6}{row.structures:8}{times}   {'  '.join(f'{d:.1e}' for d in row.differences)}")
    wrong = [row.name for row in rows if not (row.differences <= ALLOWED_DIFFERENCE).all()]
    slower = [row.name for row in rows if row.ours_s >= row.anchor_s]
    if wrong or slower:
        sys.exit(f"Numbers differ by more than {ALLOWED_DIFFERENCE}: {wrong}. Slower: {slower}.")


if __name__ == "__main__":
    main()
