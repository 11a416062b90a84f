"""What a structure is called in SNOMED CT, as Slicer writes it beside a segment: DICOM SEG export needs it."""

from __future__ import annotations

import re

_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_TISSUE = ("85756007", "Tissue")
_ANATOMY = ("123037004", "Anatomical Structure")
_ALTERED = ("49755003", "Morphologically Altered Structure")

_ENTRIES: tuple[tuple[str, tuple[str, str], tuple[str, str]], ...] = (
    (r"o?edema", _ALTERED, ("79654002", "Edema")),
    (r"necro", _ALTERED, ("6574001", "Necrosis")),
    (r"tumou?r|lesion|core|mass|cancer|enhancing", _ALTERED, ("4147007", "Mass")),
    (r"liver", _ANATOMY, ("10200004", "Liver")),
    (r"kidney", _ANATOMY, ("64033007", "Kidney")),
    (r"spleen", _ANATOMY, ("78961009", "Spleen")),
    (r"pancreas", _ANATOMY, ("15776009", "Pancreas")),
    (r"brain", _ANATOMY, ("12738006", "Brain")),
    (r"prostate", _ANATOMY, ("41216001", "Prostate")),
)


def terminology_entry(structure: str) -> str:
    """Slicer's serialised entry for a structure's name; a name that nothing is known of is called tissue."""
    known = (found for pattern, *found in _ENTRIES if re.search(pattern, structure, re.IGNORECASE))
    category, kind = next(known, (_TISSUE, _TISSUE))
    return f"{_CONTEXT}~{_code(category)}~{_code(kind)}~^^~{_REGIONS}~^^~^^"


def _code(pair: tuple[str, str]) -> str:
    return f"SCT^{pair[0]}^{pair[1]}"
