"""What a structure is called in SNOMED CT, as Slicer writes it beside a segment: DICOM SEG export needs it.

Codes and names of lists are those of Slicer's own "General Anatomy" list, the same in 5.10 and 5.12.
"""

from __future__ import annotations

import re

_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_TISSUE = ("85756007", "Tissue")
_ANATOMY = ("123037004", "Anatomical Structure")
_ALTERED = ("49755003", "Morphologically Altered Structure")

_FINDINGS = (
    (r"edema", ("79654002", "Edema")),
    (r"necro", ("6574001", "Necrosis")),
    (r"tumou?r|lesion|cancer|enhancing|\b(core|mass)\b", ("4147007", "Mass")),
)
"""A finding wherever it stands in a name: a liver tumour is a mass."""

_ORGANS = {
    name.lower(): (code, name)
    for code, name in (
        ("10200004", "Liver"),
        ("64033007", "Kidney"),
        ("78961009", "Spleen"),
        ("15776009", "Pancreas"),
        ("12738006", "Brain"),
        ("39607008", "Lung"),
        ("41216001", "Prostate"),
    )
}
"""An organ only where it is the whole name: liver vessels are no liver, and the brain stem is not the brain."""


def terminology_entry(structure: str) -> str:
    """Slicer's serialised entry for a structure's name; a name that nothing is known of is called tissue."""
    name = re.sub(r"[\W_]+", " ", structure.lower()).strip()
    organ = _ORGANS.get(re.sub(r"\b(left|right|whole)\b", "", name).strip())
    finding = next((kind for pattern, kind in _FINDINGS if re.search(pattern, name)), None)
    category, kind = (_ALTERED, finding) if finding else (_ANATOMY, organ) if organ else (_TISSUE, _TISSUE)
    return f"{_CONTEXT}~{_code(category)}~{_code(kind)}~^^~{_REGIONS}~^^~^^"


def _code(pair: tuple[str, str]) -> str:
    return f"SCT^{pair[0]}^{pair[1]}"
