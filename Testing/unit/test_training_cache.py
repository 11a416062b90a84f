"""Preprocessed cases on disk: made once, made again when anything changed, and exactly what the labels say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.dataset.case import Case
from SegVarianceLib.dataset.image_io import write_label_map, write_map
from SegVarianceLib.plan.study_plan import ChannelPlan, PreprocessingPlan
from SegVarianceLib.training.cache import cached_case, read_cache, write_cache
from SegVarianceLib.training.losses import IGNORED

LABELS = LabelSet((Structure("a", (1,)), Structure("b", (2,)), Structure("c", (4,))), ignore_value=9)
PLAN = PreprocessingPlan((1.0, 1.0, 1.0), (ChannelPlan("T1", "z_score", 0.0, 1.0, 0.0, 1.0),) * 2)
GEOMETRY = Geometry((7, 6, 5), (1.0, 1.0, 1.0), (3.0, -2.0, 8.0), (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def write_case(folder: Path, name: str, labels: np.ndarray | None = None, geometry: Geometry = GEOMETRY) -> Case:
    rng = np.random.default_rng(len(name))
    images = tuple(folder / f"{name}_000{channel}.nii.gz" for channel in range(2))
    for image in images:
        write_map(image, rng.normal(50, 9, GEOMETRY.shape_zyx), GEOMETRY)
    if labels is None:
        labels = rng.choice([0, 1, 2, 4, 9], GEOMETRY.shape_zyx)
    write_label_map(folder / f"{name}_label.nii.gz", labels.astype(np.uint8), geometry)
    return Case(name, images, folder / f"{name}_label.nii.gz")


@pytest.fixture
def cases(tmp_path) -> list[Case]:
    return [write_case(tmp_path, name) for name in ("a", "bb", "ccc")]


def write(
    folder: Path, cases: list[Case], plan: PreprocessingPlan = PLAN, digest: str = "d", stop_after: int = 99
) -> list:
    made: list[tuple[int, int]] = []
    write_cache(folder, cases, LABELS, plan, digest, lambda *done: made.append(done), lambda: len(made) >= stop_after)
    return made


def test_label_values_with_gaps_become_class_indices_and_the_ignore_label_counts_for_none(tmp_path):
    labels = np.zeros(GEOMETRY.shape_zyx)
    labels[0, 0, :5] = (0, 1, 2, 4, 9)
    found = cached_case(write_case(tmp_path, "a", labels), LABELS, PLAN)
    # The grid runs left to right against the canonical axes' direction, so x is turned.
    np.testing.assert_array_equal(found.label_map[0, 0, ::-1][:5], [0, 1, 2, 3, IGNORED])
    assert found.label_map.dtype == np.uint8
    assert [len(voxels) for voxels in found.foreground] == [1, 1, 1]


def test_images_are_normalised_two_channels_in_half_precision(cases):
    found = cached_case(cases[0], LABELS, PLAN)
    assert (found.image.dtype, found.image.shape) == (np.float16, (2, 5, 6, 7))
    np.testing.assert_allclose(found.image.astype(float).mean((1, 2, 3)), 0, atol=1e-2)
    np.testing.assert_allclose(found.image.astype(float).std((1, 2, 3)), 1, atol=1e-2)


def test_what_is_read_is_what_was_prepared_in_the_order_that_was_asked_for(tmp_path, cases):
    write(tmp_path / "cache", cases)
    found = read_cache(tmp_path / "cache", ["ccc", "a"], classes=4)
    assert [case.id for case in found] == ["ccc", "a"]
    for case in found:
        expected = cached_case(next(each for each in cases if each.id == case.id), LABELS, PLAN)
        np.testing.assert_array_equal(case.image, expected.image)
        np.testing.assert_array_equal(case.label_map, expected.label_map)
        for one, other in zip(case.foreground, expected.foreground, strict=True):
            np.testing.assert_array_equal(one, other)


def test_cases_that_do_not_fit_into_memory_are_mapped_with_the_same_content(tmp_path, cases):
    write(tmp_path / "cache", cases)
    in_memory = read_cache(tmp_path / "cache", ["a", "bb"], classes=4)
    mapped = read_cache(tmp_path / "cache", ["a", "bb"], classes=4, jobs=10**12)
    for one, other in zip(in_memory, mapped, strict=True):
        assert not isinstance(one.image, np.memmap)
        assert isinstance(other.image, np.memmap)
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.label_map, other.label_map)


def test_a_finished_cache_is_not_made_again_unless_plan_or_data_change(tmp_path, cases):
    folder = tmp_path / "cache"
    assert write(folder, cases) == [(1, 3), (2, 3), (3, 3)]
    assert write(folder, cases) == []
    assert len(write(folder, cases, digest="other")) == 3
    assert len(write(folder, cases, plan=replace(PLAN, spacing_zyx_mm=(2.0, 1.0, 1.0)))) == 3


def test_a_cache_half_made_for_another_plan_passes_for_neither(tmp_path, cases):
    folder, other = tmp_path / "cache", replace(PLAN, spacing_zyx_mm=(2.0, 1.0, 1.0))
    write(folder, cases)
    assert write(folder, cases, plan=other, stop_after=1) == [(1, 3)]
    assert len(write(folder, cases)) == 3
    assert {case.image.shape for case in read_cache(folder, ["a", "bb", "ccc"], 4)} == {(2, 5, 6, 7)}


def test_an_unknown_label_value_stops_with_file_and_value(tmp_path):
    case = write_case(tmp_path, "a", np.full(GEOMETRY.shape_zyx, 3))
    with pytest.raises(SegVarianceError, match=r"a_label.nii.gz holds the values \[3\]"):
        cached_case(case, LABELS, PLAN)


def test_a_reference_that_lies_elsewhere_stops_with_the_difference(tmp_path):
    case = write_case(tmp_path, "a", geometry=replace(GEOMETRY, origin_mm=(0.0, 0.0, 0.0)))
    with pytest.raises(SegVarianceError, match=r"does not lie where its image lies: origin"):
        cached_case(case, LABELS, PLAN)


def test_a_case_without_reference_or_with_a_channel_too_few_is_named(cases):
    with pytest.raises(SegVarianceError, match="Case a has no reference"):
        cached_case(replace(cases[0], label=None), LABELS, PLAN)
    with pytest.raises(SegVarianceError, match="has 1 channels, the plan expects 2"):
        cached_case(replace(cases[0], images=cases[0].images[:1]), LABELS, PLAN)
