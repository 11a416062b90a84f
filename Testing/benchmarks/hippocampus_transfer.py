"""What sources are worth for hippocampus: five sources, both trainings from scratch, few target cases and many, as a page of Markdown.

    python Testing/benchmarks/hippocampus_transfer.py --folder FOLDER [--quick] > page.md

Sources: on 100 other cases of the same dataset the whole hippocampus, whether it is a small or a large one (a class derived from the
reference's volume), masked volumes and positions of crops (the last two without any label), and a segmentation of the phantom. Plans
the study below FOLDER if there is none, runs it (goes on where it stood), and prints what came out. ``--quick`` is a small version that shows the way, not what sources are worth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from nnunet_reference import SEGVARIANCE, hippocampus_folder

from SegVarianceLib.core.events import read_events
from SegVarianceLib.core.files import read_json
from SegVarianceLib.dataset.dataset_json import open_dataset
from SegVarianceLib.dataset.image_io import read_label_map
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.evaluation.score_table import ScoreTable
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.report.transfer_section import OTHER_TITLES, Transfer
from SegVarianceLib.study.commands_transfer import in_words
from SegVarianceLib.study.facts import recipe_in_words, split_in_words, transfer_of
from SegVarianceLib.study.stages import compare

FULL = {"cases": (5, 10, 20, 40), "seeds": 4, "steps": 500}
QUICK = {"cases": (5, 20), "seeds": 3, "steps": 100}
SOURCE_CASES, PHANTOM_CASES = 100, 40


def plan_and_run(folder: Path, cases: Sequence[int], seeds: int, steps: int) -> StudyFolder:
    root, phantom, sizes = folder / "study", folder / "phantom", folder / "sizes.csv"
    if not (root / "plan.json").exists():
        make_phantom(phantom, 0, PHANTOM_CASES)
        write_sizes(hippocampus_folder(), sizes)
        alone = ("whole=segmentation", "size=case_classes", "masked=masked_volume", "position=position")
        sources = (*alone, f"phantom=segmentation:{phantom}")
        segvariance(
            *("plan-transfer", hippocampus_folder(), root, "--target-cases", *cases, "--seeds", seeds),
            *(part for source in sources for part in ("--source", source)),
            *(
                "--source-labels",
                "whole",
                "whole=1,2",
                "--source-classes",
                "size",
                sizes,
                "--source-cases",
                SOURCE_CASES,
            ),
            *("--budget", f"{steps} steps", "--source-budget", f"{steps} steps"),
        )
    segvariance("run", root)  # what is done stays done, and is scored anew where more is scored by now
    return StudyFolder.open(root)


def write_sizes(dataset: Path, path: Path) -> None:
    """A class for each case: whether its hippocampus is larger than the median one."""
    volumes_mm3 = {}
    for case in open_dataset(dataset).cases:
        assert case.label is not None, "a dataset's cases are those with a reference"
        reference = read_label_map(case.label)
        volumes_mm3[case.id] = np.count_nonzero(reference.array) * reference.geometry.voxel_volume_mm3
    middle = float(np.median(list(volumes_mm3.values())))
    lines = [f"{case_id},{'large' if size > middle else 'small'}" for case_id, size in volumes_mm3.items()]
    path.write_text("\n".join(("case,class", *lines, "")), encoding="utf-8")


def segvariance(*arguments: object) -> None:
    subprocess.run([*SEGVARIANCE, *map(str, arguments)], check=True, stdout=sys.stderr)


def page(study: StudyFolder, quick: bool) -> str:
    found = transfer_of(study, ScoreTable.read(study.scores_path), compare(study))
    assert found is not None, "planned as a transfer study"
    return "\n\n".join(
        (
            f"# Transfer to {study.dataset.name}{': a quick run' if quick else ''}",
            "\n".join(f"- {line}" for line in _how(study)),
            _cells(found),
            _costs(found),
        )
    )


def _how(study: StudyFolder) -> list[str]:
    machine, worked_s, begun = read_json(study.environment_path), 0.0, 0.0
    for event in read_events(study.events_path):
        if event["kind"] == "study_started":
            begun = event["time_s"]
        elif event["kind"] in ("study_finished", "study_stopped", "study_failed"):
            worked_s += event["time_s"] - begun
    first = study.plan.configurations[0]
    return [
        f"Target: {study.dataset.name}, {split_in_words(study)}; of the former as many are trained on as the table says",
        f"Recipe of {first.name}: {recipe_in_words(first)}",
        f"Machine: {machine['processor']}, {machine['cores']} core(s)",
        f"Trainings: {len(study.pretraining_runs)} pretrainings and {len(study.runs)} on the target, {worked_s / 60:.0f} minutes in all",
    ]


def _cells(found: Transfer) -> str:
    against = ("Against scratch, equal target budget", "Against scratch, equal total budget")
    rows = (
        (
            *(row.source, row.cases, f"{row.score.value:.4f} ({row.score.low:.4f} to {row.score.high:.4f})"),
            *(f"{row.others[name].value:.4f}" if name in row.others else "" for name in OTHER_TITLES),
            *(in_words(row.against_target), in_words(row.against_total)),
        )
        for row in found.rows
    )
    return _table(("Source", "Target cases", "Dice (95 %)", *OTHER_TITLES.values(), *against), rows)


def _costs(found: Transfer) -> str:
    head = ("Source", "Task", "Cases", "Steps", "Pretrainings", "CPU-s of all", "Trainings served")
    return _table(head, ((c.source, c.task, c.cases, c.steps, c.pretrainings, c.cpu_s, c.served) for c in found.costs))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="new, or with a study of this benchmark")
    parser.add_argument("--quick", action="store_true", help="a small version, for minutes")
    given = parser.parse_args()
    print(page(plan_and_run(given.folder.resolve(), **(QUICK if given.quick else FULL)), given.quick))


if __name__ == "__main__":
    main()
