"""What a structure is called in SNOMED CT; the real scene reads it back in Testing/scene."""

from __future__ import annotations

import pytest

from SegVarianceLib.scene.terminology import terminology_entry


@pytest.mark.parametrize(
    ("name", "category", "kind"),
    [
        ("liver", "Anatomical Structure", "Liver"),
        ("Right kidney", "Anatomical Structure", "Kidney"),
        ("lung_left", "Anatomical Structure", "Lung"),
        ("whole brain", "Anatomical Structure", "Brain"),
        ("peritumoral oedema", "Morphologically Altered Structure", "Edema"),
        ("necrotic core", "Morphologically Altered Structure", "Necrosis"),
        ("liver tumour", "Morphologically Altered Structure", "Mass"),
        ("core", "Morphologically Altered Structure", "Mass"),
        ("TumorCore", "Morphologically Altered Structure", "Mass"),
        ("liver vessels", "Tissue", "Tissue"),
        ("brain stem", "Tissue", "Tissue"),
        ("midbrain", "Tissue", "Tissue"),
        ("encore", "Tissue", "Tissue"),
        ("label 3", "Tissue", "Tissue"),
    ],
)
def test_a_name_says_no_more_than_it_is_sure_of(name, category, kind):
    context, said_category, said_kind, modifier, regions, region, region_modifier = terminology_entry(name).split("~")
    assert said_category.split("^")[2] == category and said_kind.split("^")[2] == kind
    assert all(part.startswith("SCT^") and part.split("^")[1].isdigit() for part in (said_category, said_kind))
    assert (modifier, region, region_modifier) == ("^^", "^^", "^^")
    assert context.endswith("General Anatomy list") and regions.endswith("DICOM master list")
