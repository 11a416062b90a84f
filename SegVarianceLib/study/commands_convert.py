"""The command ``convert``: datasets between MSD and nnU-Net v2, and a study's predictions into folders of nnU-Net."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..core.errors import SegVarianceError
from ..core.words import counted
from ..dataset.convert import to_msd, to_nnunet
from ..dataset.dataset_json import open_dataset
from ..dataset.nnunet_labels import nnunet_values
from ..review.from_study import is_study
from ..review.nnunet_export import export_nnunet
from ..review.opening import open_review
from .terminal import out, progress_bar

LAYOUTS = {"nnunet": to_nnunet, "msd": to_msd}


def convert(arguments: Namespace) -> int:
    source, output = Path(arguments.source), Path(arguments.output)
    if is_study(source):
        return _export(source, output, arguments.to)
    dataset = open_dataset(source)
    with progress_bar() as progress:
        made = LAYOUTS[arguments.to](dataset, output, lambda done, of: progress("Cases", done, of))
    changed = {value: number for value, number in nnunet_values(dataset.labels).items() if value != number}
    if changed and arguments.to == "nnunet":
        pairs = ", ".join(f"{value} is {number}" for value, number in changed.items())
        out.print(f"Label values are counted up without gaps, as nnU-Net wants them: {pairs}.", markup=False)
    out.print(f"{counted(len(dataset.cases), 'case')}: {made}", markup=False)
    return 0


def _export(source: Path, output: Path, to: str) -> int:
    if to != "nnunet":
        raise SegVarianceError(f"{source} is a study; its predictions can become folders of nnU-Net: --to nnunet.")
    review = open_review(source)
    with progress_bar() as progress:
        made = export_nnunet(review, output, lambda done, of: progress("Members", done, of))
    out.print(
        f"{counted(len(made.members), 'member')} and {counted(len(made.ensembles), 'ensemble')}: {output}", markup=False
    )
    if made.references is not None:
        first = (*made.members, *made.ensembles)[0]
        out.print(
            f"For example: nnUNetv2_evaluate_folder {made.references} {first} -djfile {first / 'dataset.json'} "
            f"-pfile {first / 'plans.json'}",
            markup=False,
        )
    return 0
