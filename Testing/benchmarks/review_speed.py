"""How long a reader waits: opening, voting with any k of N members, the preview of a clean-up, scores; peers' way beside it.

    python Testing/benchmarks/review_speed.py [--members 50] [--cases 20] [--data FOLDER]

Label maps of 240x240x155 voxels with three structures: nested ellipsoids whose surfaces every member displaces by smooth noise
of its own, and specks that only it has. Peers: a vote from all members' arrays by this library's own rule and by
``SimpleITK.LabelVoting``; components labelled again for each threshold by the clean-up itself and by SimpleITK. The peers find
their arrays and images in memory already. Times are the best of three; ``--data`` holds the folder ``brats_ensemble``.
Stops with an error where a limit is not met.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK
from scipy import ndimage

from SegVarianceLib.core.files import write_json
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import write_label_map
from SegVarianceLib.dataset.labelling import BRATS_REGIONS, labels_of_values
from SegVarianceLib.ensemble.label_votes import vote as vote_on
from SegVarianceLib.ensemble.postprocessing import CLEAN_UP
from SegVarianceLib.ensemble.running_votes import RunningVotes
from SegVarianceLib.review.case_scores import score_against
from SegVarianceLib.review.components import Components
from SegVarianceLib.review.open_case import OpenCase, read_case
from SegVarianceLib.review.opening import open_review

SHAPE = (155, 240, 240)
GRID = Geometry(SHAPE[::-1], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
VALUES = (0, 1, 2, 4)
RADII = {2: 1.0, 1: 0.75, 4: 0.5}
DECLARED = {"labels": {"background": 0, "necrosis": 1, "oedema": 2, "enhancing": 4}}

missed: list[str] = []


def draw(seed: int) -> np.ndarray:
    """One member: its surfaces lie about a twentieth of the tumour's radius from those of others; 200 specks."""
    rng = np.random.default_rng(seed)
    axes = [
        (np.arange(size) - at) / radius for size, at, radius in zip(SHAPE, (80, 110, 100), (32, 45, 40), strict=True)
    ]
    z, y, x = np.ix_(*axes)
    noise = ndimage.zoom(rng.normal(0, 0.05, (12, 18, 18)), np.divide(SHAPE, (12, 18, 18)), order=1)
    apart = np.sqrt(z**2 + y**2 + x**2) + noise
    label_map = np.zeros(SHAPE, dtype=np.uint8)
    for value, radius in RADII.items():
        label_map[apart < radius] = value
    label_map[tuple(rng.integers(0, size, 200) for size in SHAPE)] = 2
    return label_map


def best_of(call: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def tell(what: str, seconds: float, limit: float | None = None, peer: float | None = None, by: str = "") -> None:
    against = f"{by} {peer:8.3f} s, {peer / seconds:7.1f} x" if peer is not None else ""
    allowed = f"limit {limit:g} s" if limit is not None else ""
    print(f"{what:<58} {seconds:8.3f} s  {allowed:<13} {against}", flush=True)
    if limit is not None and seconds > limit:
        missed.append(what)


def peak_mib() -> float:
    """Largest resident memory of this process; ``getrusage`` would begin with that of the parent (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def opening(work: Path, members: int, cases: int) -> None:
    first = work / "many" / "seed_0" / "case_0.nii.gz"
    write_label_map(first, draw(0), GRID)
    paths = [work / "many" / f"seed_{m}" / f"case_{c}.nii.gz" for m in range(members) for c in range(cases)]
    for path in paths[1:]:
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(first, path)
    tell(f"open {members} members x {cases} cases, labels gathered", best_of(lambda: open_review(work / "many")))
    write_json(work / "many" / "dataset.json", DECLARED)
    by_itk = best_of(lambda: itk_headers(paths), 1)
    seconds = best_of(lambda: open_review(work / "many"))
    tell(f"open {members} members x {cases} cases, labels declared", seconds, 1, by_itk, "SimpleITK headers")


def itk_headers(paths: list[Path]) -> None:
    for path in paths:
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()


def reading(work: Path, members: int) -> OpenCase:
    for seed in range(members):
        write_label_map(work / "one" / f"seed_{seed}" / "case.nii.gz", draw(seed), GRID)
    write_json(work / "one" / "dataset.json", DECLARED)
    child = [sys.executable, __file__, "--child", str(work / "one")]
    seconds, more_mib = map(float, subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout.split())
    tell(f"open the case's {members} members and count their votes", seconds, 12)
    case = read_case(open_review(work / "one"), "case")
    kept = sum(array.nbytes for array in (case.maps.drawn, case.maps.places, case.maps.shared))
    print(
        f"    {case.maps.places.size} voxels differ; {kept / 2**20:.0f} MiB are kept, {members * np.prod(SHAPE) / 2**20:.0f} "
        f"as arrays; the process's peak is {more_mib:.0f} MiB above that of two members (limit 100)"
    )
    if more_mib > 100:
        missed.append("memory of a case")
    return case


def read_in_child(folder: Path) -> None:
    """Tell the seconds for opening and counting all members, and by how many MiB that raised the peak of two of them."""
    review = open_review(folder)
    RunningVotes(read_case(review, "case", review.members[:2]).maps)
    before = peak_mib()
    start = time.perf_counter()
    votes = RunningVotes(read_case(open_review(folder), "case").maps)
    print(time.perf_counter() - start, peak_mib() - before)
    assert len(votes.selected) == len(review.members)


def voting(case: OpenCase) -> None:
    votes, names = RunningVotes(case.maps), case.maps.names
    rng = np.random.default_rng(0)

    def half() -> list[str]:
        return [names[i] for i in rng.choice(len(names), len(names) // 2, replace=False)]

    def choose(chosen: list[str]) -> np.ndarray:
        votes.select(chosen)
        return votes.label_map()

    choose(list(names[1:]))
    others = iter([list(names), list(names[1:])] * 3)
    tell("one member comes or goes, vote by label", best_of(lambda: choose(next(others))), 0.5)
    chosen = half()
    arrays = [case.maps.member(name) for name in chosen]
    labels = labels_of_values(VALUES)
    again = best_of(lambda: vote_on(arrays, labels), 1)
    tell("another half of them, vote by label", best_of(lambda: choose(half())), 0.5, again, "from scratch")
    images = [SimpleITK.GetImageFromArray(array) for array in arrays]
    peer = best_of(lambda: SimpleITK.LabelVoting(images), 1)
    tell("another half of them, vote by label", best_of(lambda: choose(half())), 0.5, peer, "SimpleITK.LabelVoting")
    voted = SimpleITK.GetArrayFromImage(SimpleITK.LabelVoting(images, 255))
    choose(chosen)
    unequal = (voted != votes.label_map()) & (voted != 255)  # SimpleITK leaves draws undecided
    if unequal.any():
        sys.exit(f"SimpleITK.LabelVoting decides {unequal.sum()} voxels otherwise.")
    again = best_of(lambda: vote_on(arrays, BRATS_REGIONS), 1)

    def by_region() -> None:
        votes.select(half())
        votes.label_map(BRATS_REGIONS)

    tell("another half of them, vote by region", best_of(by_region), 0.5, again, "from scratch")
    tell("where label and region vote differ", best_of(lambda: votes.differing(BRATS_REGIONS)), 0.5)
    tell("agreement and entropy maps", best_of(lambda: (votes.agreement(), votes.entropy())), 0.5)


def cleaning(case: OpenCase) -> None:
    label_map = case.maps.member(case.maps.names[0])
    structure = BRATS_REGIONS.structures[0]
    components = Components(label_map, structure, case.geometry)
    tell("list the components of a structure", best_of(lambda: Components(label_map, structure, case.geometry)), 2)
    settings = {"minimum_mm3": 20.0}
    step = CLEAN_UP.function("minimum_size")
    whole = best_of(lambda: step(label_map, [structure], 1.0, **settings), 1)
    image = SimpleITK.GetImageFromArray(structure.mask(label_map).astype(np.uint8))
    peer = best_of(lambda: SimpleITK.RelabelComponent(SimpleITK.ConnectedComponent(image, True), 20), 1)

    def preview() -> None:
        components.goes("minimum_size", settings)
        components.gone_mask("minimum_size", settings)

    what = f"preview another minimum size ({len(components.listed)} components)"
    tell(what, best_of(preview), 0.5, whole, "cleaning again")
    tell(what, best_of(preview), 0.5, peer, "SimpleITK")


def glioma(folder: Path) -> None:
    start = time.perf_counter()
    review = open_review(folder)
    case = read_case(review, review.cases[0].id)
    vote = RunningVotes(case.maps).label_map()
    table = score_against(case, vote, 1.0)
    tell("glioma patient: open, five members, vote, all scores", time.perf_counter() - start, 10)
    for score in table.where(metric="dice").scores:
        print(
            f"    {score.member:<10} {score.structure:<8} {'-' if score.value is None else f'{score.value:.4f}'} {score.note}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child is not None:
        read_in_child(a.child)
        return
    with tempfile.TemporaryDirectory(prefix="review_speed_") as work:
        opening(Path(work), a.members, a.cases)
        case = reading(Path(work), a.members)
        voting(case)
        cleaning(case)
    if a.data is not None:
        glioma(a.data / "brats_ensemble")
    if missed:
        sys.exit(f"Not met: {', '.join(missed)}.")


if __name__ == "__main__":
    main()
