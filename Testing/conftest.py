"""Where the real data lies, for every test that wants it; and patience for busy machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with ``Task04_Hippocampus`` and ``brats_ensemble``; the test is skipped, with the reason, where it is absent."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("SEGVARIANCE_DATA", beside))
    if not (folder / "Task04_Hippocampus" / "dataset.json").is_file():
        pytest.skip(f"no real data under {folder}: set SEGVARIANCE_DATA to the folder that holds Task04_Hippocampus")
    return folder
