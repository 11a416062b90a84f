"""What the ``plans.json`` beside nnU-Net's predictions says about them."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import Problem, SegVarianceError
from ..core.files import read_json

_TURNS_IMAGES = "WithReorient"
"""Readers called so (``SimpleITKIOWithReorient``) turn images to RAS: label maps are turned back, probabilities are not."""


def dataset_name(trainer: Path) -> str:
    """As the plans name it; without any, or one that leads elsewhere, the folder's name above a ``Trainer__Plans__Configuration``
    folder."""
    name = str(_plans(trainer).get("dataset_name") or "")
    return name if name and Path(name).name == name else trainer.parent.name


def turning_reader(folder: Path) -> str | None:
    """The reader that left probabilities in ``folder`` on other axes than the label maps beside them; None where none did.

    The plans lie in a folder of predictions itself, or two levels above a fold's validation.
    """
    plans = next((plans for each in (folder, *folder.parents[:2]) if (plans := _plans(each))), {})
    reader = str(plans.get("image_reader_writer", ""))
    return reader if reader.endswith(_TURNS_IMAGES) else None


def on_own_axes(probabilities: dict[str, Path], problems: list[Problem]) -> dict[str, Path]:
    """Those files of case id to ``.npz`` that lie in the axes of their label maps; a folder of others becomes a problem."""
    folders = dict.fromkeys(path.parent for path in probabilities.values() if path.suffix == ".npz")
    turned = {folder: reader for folder in folders if (reader := turning_reader(folder))}
    for folder, reader in turned.items():
        what = f"its probabilities lie on the turned axes of nnU-Net's {reader}, its label maps do not."
        remedy = "The probabilities are left out; label maps can be voted."
        problems.append(Problem(str(folder), what, remedy, fatal=False))
    return {case_id: path for case_id, path in probabilities.items() if path.parent not in turned}


def _plans(folder: Path) -> dict:
    """Empty where there are none, or none that can be read: label maps can be compared without."""
    try:
        content = read_json(folder / "plans.json") if (folder / "plans.json").is_file() else {}
    except SegVarianceError:
        return {}
    return content if isinstance(content, dict) else {}
