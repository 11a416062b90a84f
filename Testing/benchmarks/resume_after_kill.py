"""Kill -9 at 20 random moments of a tiny study, run it again: every byte that counts must equal the undisturbed study's.

    python Testing/benchmarks/resume_after_kill.py [--work FOLDER] [--kills 20] [--seed 0]

A phantom study (15 cases, 2 seeds, 2 trainings at once) is planned once, copied, and run once without disturbance. Each
further copy gets SIGKILL at a moment drawn uniformly from its own twentieth of the undisturbed duration, so that start-up,
preparation, training and prediction all have their turn; the steps after training are short, so every fourth copy is killed
at a moment drawn uniformly from them. It is run again at once, in about every third copy killed again at any moment, and run
to its end. Killed is the worker alone, the worker with all its children, or one training alone. A copy that had finished
before its moment is repeated. Weights, label maps, probabilities, ensembles, scores.csv and statistics.json are then
compared by SHA-256; half-written files that a kill left behind are counted. Exit code 1 where anything differs or hangs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import sha256_of_file
from SegVarianceLib.core.seeding import generator
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study.status import status_of

CASES, SEEDS, JOBS = 15, 2, 2
COMMAND = (sys.executable, "-m", "SegVarianceLib.study")
COMPARED = ("*.safetensors", "*.nii.gz", "*.nrrd", "scores.csv", "statistics.json", "removed.csv")
HALF_WRITTEN = ".*.writing.*"
VICTIMS = ("worker alone", "worker and trainings", "one training")
AFTER_TRAINING = "ensemble"
HANGS_AFTER = 10  # times the undisturbed duration


@dataclass(frozen=True)
class Kill:
    """Whom, and when: seconds after the start, or after ``after`` began; ``stage`` is what the study was at."""

    moment_s: float
    victim: str
    after: str = ""
    stage: str = ""

    def __str__(self) -> str:
        return f"{self.moment_s:.1f} s{' after training' if self.after else ''}, {self.victim}, at {self.stage}"


def plan_study(work: Path, steps: int) -> Path:
    dataset, study = make_phantom(work / "dataset", 0, CASES), work / "planned"
    wishes = ("--seeds", str(SEEDS), "--budget", f"{steps} steps", "--device", "cpu")
    subprocess.run([*COMMAND, "plan", dataset, study, *wishes], check=True, stdout=subprocess.DEVNULL)
    return study


def start(study: Path) -> subprocess.Popen:
    with open(study.with_suffix(".log"), "ab") as log:
        return subprocess.Popen([*COMMAND, "run", study, "--jobs", str(JOBS)], stdout=log, stderr=log)


def run_to_its_end(study: Path, patience_s: float) -> None:
    """Run a study that nobody disturbs.

    Raises:
        RuntimeError: it failed or did not end; what it said is in the log beside the study.
    """
    worker = start(study)
    try:
        code = worker.wait(patience_s)
    except subprocess.TimeoutExpired:
        kill(worker, "worker and trainings")
        raise RuntimeError(f"{study} did not end within {patience_s:.0f} s") from None
    if code:
        raise RuntimeError(f"{study} ended with exit code {code}")


def run_and_kill(study: Path, wanted: Kill) -> Kill | None:
    """Start the study and kill it as wanted; None if it had ended before."""
    worker = start(study)
    while wanted.after and worker.poll() is None and began_s(study, wanted.after) is None:
        time.sleep(0.02)
    try:
        worker.wait(wanted.moment_s)
        return None
    except subprocess.TimeoutExpired:
        stage = stage_of(study)
        return replace(wanted, victim=kill(worker, wanted.victim), stage=stage)


def kill(worker: subprocess.Popen, victim: str) -> str:
    """SIGKILL; where no training is alive, it is the worker. Returns who was killed, once the worker ended."""
    process = psutil.Process(worker.pid)
    trainings = process.children(recursive=True)
    if victim == "one training" and trainings:
        trainings[0].kill()
    else:
        victim = victim if trainings else "worker alone"
        for each in (process, *(trainings if victim == "worker and trainings" else ())):
            each.kill()
    worker.wait()
    return victim


def began_s(study: Path, stage: str) -> float | None:
    """When a stage of the study last began, Unix time."""
    times = [event["time_s"] for event in read_events(study / "events.jsonl") if event.get("stage") == stage]
    return times[-1] if times else None


def stage_of(study: Path) -> str:
    """What the study had last said that it does."""
    stage, detail = "starting", ""
    for event in read_events(study / "events.jsonl"):
        match event["kind"]:
            case "stage":
                stage, detail = event["stage"], ""
            case "run_started" | "run_message":
                detail = " (preparing)"
            case "step":
                detail = f" (step {event['step']} of {event['steps']})"
            case "predicted":
                detail = " (predicting)"
    return stage + detail


def resumed_from(study: Path) -> str:
    """The step from which each training went on in the last run; empty for one that was trained already."""
    first: dict[int, int] = {}
    for event in read_events(study / "events.jsonl"):
        if event["kind"] == "study_started":
            first = {}
        elif event["kind"] == "step":
            first.setdefault(event["seed"], event["step"] - 1)
    return ", ".join(f"{first[seed]}" if seed in first else "trained" for seed in range(SEEDS))


def digests(study: Path) -> dict[str, str]:
    """SHA-256 of every file that must not depend on what happened to the run."""
    files = {path for pattern in COMPARED for path in study.rglob(pattern)} - set(study.rglob(HALF_WRITTEN))
    return {path.relative_to(study).as_posix(): sha256_of_file(path) for path in sorted(files)}


@dataclass(frozen=True)
class Undisturbed:
    """The study that nobody killed: how long it took, how long of that after training, and the digests of its files."""

    duration_s: float
    after_training_s: float
    digests: dict[str, str]

    @classmethod
    def run(cls, study: Path) -> Undisturbed:
        begun = time.perf_counter()
        run_to_its_end(study, 3600)
        duration_s = time.perf_counter() - begun
        *_, last = read_events(study / "events.jsonl")
        return cls(duration_s, last["time_s"] - (began_s(study, AFTER_TRAINING) or 0), digests(study))


def disturbed(
    planned: Path, copy: Path, number: int, of: int, expected: Undisturbed, rng: np.random.Generator
) -> list[Kill]:
    """A fresh copy of the planned study, killed once or twice and then finished; the kills, in order."""
    kills: list[Kill] = []
    share = (number + rng.uniform()) / of
    while not kills:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(planned, copy)
        if number % 4 == 3:
            wanted = Kill(rng.uniform() * expected.after_training_s, "worker alone", AFTER_TRAINING)
        else:
            wanted = Kill(share * expected.duration_s, VICTIMS[rng.choice(len(VICTIMS), p=(0.4, 0.4, 0.2))])
        kills += filter(None, [run_and_kill(copy, wanted)])
        share = rng.uniform()
    if rng.uniform() < 1 / 3:
        again = Kill(rng.uniform() * expected.duration_s, VICTIMS[rng.choice(len(VICTIMS))])
        kills += filter(None, [run_and_kill(copy, again)])
    run_to_its_end(copy, HANGS_AFTER * expected.duration_s)
    return kills


def verdict(copy: Path, expected: Undisturbed) -> str:
    """``equal``, or what is not."""
    found = digests(copy)
    names = sorted(expected.digests.keys() | found.keys())
    differ = [name for name in names if expected.digests.get(name) != found.get(name)]
    state = status_of(StudyFolder.open(copy)).state
    return "equal" if not differ and state == "finished" else f"DIFFERENT: {', '.join(differ)}; the study is {state}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=None, help="empty folder to work in (default: a temporary one)")
    parser.add_argument("--kills", type=int, default=20, help="copies that are disturbed")
    parser.add_argument("--steps", type=int, default=60, help="of each training")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and victims")
    a = parser.parse_args()
    work = (a.work or Path(tempfile.mkdtemp(prefix="resume_after_kill_"))).resolve()
    rng = generator(a.seed, "resume after kill")

    planned = plan_study(work, a.steps)
    shutil.copytree(planned, work / "undisturbed")
    expected = Undisturbed.run(work / "undisturbed")
    print(
        f"Undisturbed: {expected.duration_s:.1f} s, of these {expected.after_training_s:.1f} s after training; "
        f"{len(expected.digests)} files to compare; {a.steps} steps a training. In {work}"
    )
    print("copy  verdict  half-written files left  resumed from steps  killed at")
    wrong = 0
    for number in range(a.kills):
        copy = work / f"killed_{number:02d}"
        try:
            kills = disturbed(planned, copy, number, a.kills, expected, rng)
            found = verdict(copy, expected)
        except RuntimeError as error:
            kills, found = [], f"FAILED: {error}"
        left = len(list(copy.rglob(HALF_WRITTEN)))
        killed = "; then at ".join(map(str, kills))
        print(f"{number:4}  {found:7}  {left:23}  {resumed_from(copy):18}  {killed}", flush=True)
        if found == "equal":
            shutil.rmtree(copy)
        else:
            wrong += 1
    print(f"{a.kills - wrong} of {a.kills} killed studies equal the undisturbed one, byte for byte.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
