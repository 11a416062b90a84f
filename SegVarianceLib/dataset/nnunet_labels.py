"""Labels as nnU-Net v2 wants them in its ``dataset.json``: values that count up without gaps, the ignored one last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.arrays import values_present
from ..core.errors import SegVarianceError
from ..core.labels import BACKGROUND, LabelSet

READER = "SimpleITKIO"
"""nnU-Net's reader for files of all ``ENDINGS``; arrays keep the axes that we read, [z, y, x]."""
ENDINGS = (".nii.gz", ".nrrd", ".mha")
"""What nnU-Net reads of what we read."""


def nnunet_values(labels: LabelSet) -> dict[int, int]:
    """Each value of the dataset to the one it has for nnU-Net."""
    ignored = () if labels.ignore_value is None else (labels.ignore_value,)
    return {value: number for number, value in enumerate((BACKGROUND, *labels.foreground_values, *ignored))}


def nnunet_description(labels: LabelSet, channels: Sequence[str], cases: int, file_ending: str) -> dict[str, Any]:
    """The content of ``dataset.json``; regions keep their order, for the i-th of ``regions_class_order`` is the i-th's."""
    values = nnunet_values(labels)
    named = {
        s.name: [values[v] for v in s.values] if len(s.values) > 1 else values[s.values[0]] for s in labels.structures
    }
    ignored = {} if labels.ignore_value is None else {"ignore": values[labels.ignore_value]}
    order = labels.regions_class_order
    return {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": BACKGROUND, **named, **ignored},
        **({} if order is None else {"regions_class_order": [values[value] for value in order]}),
        "numTraining": cases,
        "file_ending": file_ending,
        "overwrite_image_reader_writer": READER,
    }


def renumbered(label_map: np.ndarray, values: Mapping[int, int], where: object) -> np.ndarray:
    """A label map [z, y, x] in other values, uint8 or uint16.

    Raises:
        SegVarianceError: it holds a value that ``values`` does not name; ``where`` is named.
    """
    if unknown := sorted(set(values_present(label_map)) - values.keys()):
        raise SegVarianceError(f"{where} holds the label values {unknown}, expected only {sorted(values)}. Mend it.")
    table = np.zeros(max(values) + 1, dtype=np.uint8 if max(values.values()) < 256 else np.uint16)
    table[list(values)] = list(values.values())
    return table[label_map]
