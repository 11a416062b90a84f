"""Reading and writing: what is written lies exactly where its image lies, and a bad file is refused in a sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own name in its documentation)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.geometry import Geometry
from SegVarianceLib.dataset.image_io import (
    find_images,
    read_case_images,
    read_geometry,
    read_image,
    read_label_map,
    write_label_map,
    write_map,
)
from SegVarianceLib.dataset.probability_maps import read_probabilities, write_probabilities

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((5, 4, 3), (0.8, 1.0, 2.5), (-12.5, 3.25, 7.0), IDENTITY)
LEFT_HANDED = Geometry((5, 4, 3), (0.8, 1.0, 2.5), (-12.5, 3.25, 7.0), (-1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def save(path: Path, array: np.ndarray, geometry: Geometry = GRID, vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def numbers(shape: tuple[int, ...] = GRID.shape_zyx) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any right- or left-handed, oblique grid."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if draw(st.booleans()):
        rotation = rotation[:, ::-1] * [1, -1, 1]
    spacing = draw(st.tuples(*[st.floats(0.125, 8, width=32) | st.sampled_from([0.8, 1 / 3, 0.9765625])] * 3))
    return Geometry((5, 4, 3), spacing, tuple(rng.normal(0, 200, 3)), tuple(rotation.ravel()))


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(geometry=geometries())
def test_a_written_label_map_has_the_geometry_of_its_image_to_the_last_bit(tmp_path, ending, geometry):
    image = save(tmp_path / f"image{ending}", numbers(), geometry)
    labels = np.arange(60, dtype=np.uint8).reshape(GRID.shape_zyx)

    write_label_map(tmp_path / f"labels{ending}", labels, read_image([image]).geometry, like=image)

    written = read_label_map(tmp_path / f"labels{ending}")
    assert written.geometry == read_image([image]).geometry == read_geometry(tmp_path / f"labels{ending}")
    assert written.array.dtype == np.uint8
    np.testing.assert_array_equal(written.array, labels)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("like_ending", [".nii.gz", ".nrrd", ".mha"])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(geometry=geometries())
def test_any_format_keeps_voxels_within_a_thousandth_of_their_place(tmp_path, ending, like_ending, geometry):
    image = save(tmp_path / f"image{like_ending}", numbers(), geometry)
    write_map(tmp_path / f"map{ending}", numbers(), read_geometry(image), like=image)
    assert read_geometry(tmp_path / f"map{ending}").difference(geometry) is None
    np.testing.assert_array_equal(read_image([tmp_path / f"map{ending}"]).array[0], numbers())


def test_a_left_handed_image_stays_left_handed_in_every_format(tmp_path):
    for ending in (".nii.gz", ".nrrd", ".mha"):
        write_map(tmp_path / f"map{ending}", numbers(), LEFT_HANDED)
        assert np.linalg.det(read_geometry(tmp_path / f"map{ending}").direction_matrix) == pytest.approx(-1)


def test_the_last_axis_of_a_4d_nifti_is_the_channel(tmp_path):
    channels = numbers((2, *GRID.shape_zyx))
    image = sitk.GetImageFromArray(channels, isVector=False)
    image.SetSpacing([0.8, 1.0, 2.5, 1.0])
    sitk.WriteImage(image, str(tmp_path / "image.nii.gz"))
    volume = read_image([tmp_path / "image.nii.gz"])
    np.testing.assert_array_equal(volume.array, channels)
    write_label_map(
        tmp_path / "labels.nii.gz",
        np.ones(GRID.shape_zyx, np.uint8),
        volume.geometry,
        like=tmp_path / "image.nii.gz",
    )
    assert read_label_map(tmp_path / "labels.nii.gz").geometry == volume.geometry


def test_a_vector_nrrd_and_one_file_per_channel_give_the_same_volume(tmp_path):
    channels = numbers((2, *GRID.shape_zyx))
    vector = save(tmp_path / "both.nrrd", np.moveaxis(channels, 0, -1).copy(), vector=True)
    single = [save(tmp_path / f"{c}.nrrd", channels[c]) for c in (0, 1)]
    np.testing.assert_array_equal(read_image([vector]).array, channels)
    np.testing.assert_array_equal(read_image(single).array, channels)
    assert read_image([vector]).geometry == read_image(single).geometry
    write_label_map(tmp_path / "labels.nrrd", channels[0] > 0, read_geometry(vector), like=vector)
    assert read_geometry(tmp_path / "labels.nrrd") == read_geometry(vector)


def test_a_big_endian_nifti_gives_its_header_and_its_voxels(tmp_path):
    oblique = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]]) * [0.7, 0.9, 1.1]
    image = tmp_path / "image.nii"
    image.write_bytes(big_endian_nifti(np.column_stack([oblique, [-30.1, 12.7, 5.3]])))
    before = read_image([image])
    assert before.geometry.spacing_mm == pytest.approx((0.7, 0.9, 1.1))
    assert before.geometry.origin_mm == pytest.approx((30.1, -12.7, 5.3))  # LPS
    write_label_map(tmp_path / "labels.nii", before.array[0], before.geometry, like=image)
    after = read_label_map(tmp_path / "labels.nii")
    assert after.geometry == before.geometry
    np.testing.assert_array_equal(after.array, np.arange(60).reshape(GRID.shape_zyx))


def big_endian_nifti(srow: np.ndarray) -> bytes:
    """An int16 image 0, 1, 2 ... on GRID.size, placed by an sform; SimpleITK writes none such."""
    fields = {
        0: ("i4", 348),
        40: ("i2", [3, *GRID.size, 1, 1, 1, 1]),
        70: ("i2", [4, 16]),
        76: ("f4", [1, *np.linalg.norm(srow[:, :3], axis=0)]),
        108: ("f4", 352),
        254: ("i2", 2),
        280: ("f4", srow),
        344: ("S4", b"n+1"),
    }
    content = bytearray(352)
    for offset, (kind, value) in fields.items():
        field = np.asarray(value).astype(np.dtype(kind).newbyteorder(">")).tobytes()
        content[offset : offset + len(field)] = field
    return bytes(content) + np.arange(60).astype(">i2").tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
    channels=st.sampled_from([None, 1, 3]),
    vector=st.booleans(),
)
def test_voxels_of_a_nifti_are_those_that_simpleitk_reads(tmp_path, kind, channels, vector):
    vector = vector and channels == 3
    shape = GRID.shape_zyx if channels is None else (channels, *GRID.shape_zyx)
    array = (np.random.default_rng(3).random(shape) * 100).astype(kind)
    image = sitk.GetImageFromArray(np.moveaxis(array, 0, -1) if vector else array, isVector=vector)
    sitk.WriteImage(image, str(tmp_path / "image.nii"))
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "image.nii")))
    expected = np.moveaxis(expected, -1, 0) if vector else expected
    expected = expected.reshape(-1, *GRID.shape_zyx).astype(np.float32)
    np.testing.assert_allclose(read_image([tmp_path / "image.nii"]).array, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("slope", "offset", "expected"), [(0, 7, 41), (1, 0, 41), (0.5, -1024, -1003.5), (np.nan, 0, 41)]
)
def test_stored_values_are_rescaled_as_the_header_says(tmp_path, slope, offset, expected):
    path = save(tmp_path / "image.nii", np.full(GRID.shape_zyx, 41, np.int16))
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([slope, offset], "<f4").tobytes()
    path.write_bytes(content)
    assert set(read_image([path]).array.ravel()) == {expected}


def test_channels_that_lie_elsewhere_are_refused_with_both_names(tmp_path):
    first, second = save(tmp_path / "t1.nrrd", numbers()), save(tmp_path / "t2.nrrd", numbers(), LEFT_HANDED)
    with pytest.raises(SegVarianceError, match=r"t1\.nrrd and .*t2\.nrrd .*direction"):
        read_image([first, second])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_an_image_with_a_value_that_is_no_number_is_refused(tmp_path, value):
    array = numbers().astype(np.float64)
    array[1, 2, 3] = value
    with pytest.raises(SegVarianceError, match="NaN or infinite"):
        read_image([save(tmp_path / "image.nrrd", array)])


@pytest.mark.parametrize(("value", "words"), [(0.5, "fractions"), (-1, "from -1"), (np.nan, "nan"), (70000, "70000")])
def test_a_label_map_holds_whole_numbers_that_fit_16_bits(tmp_path, value, words):
    array = np.zeros(GRID.shape_zyx)
    array[1, 2, 3] = value
    with pytest.raises(SegVarianceError, match=words):
        read_label_map(save(tmp_path / "labels.nii.gz", array))


def test_label_values_stored_as_float_are_read_as_whole_numbers(tmp_path):
    array = np.zeros(GRID.shape_zyx)
    array[1, 2, 3] = 300
    labels = read_label_map(save(tmp_path / "labels.nii.gz", array)).array
    assert labels.dtype == np.uint16
    assert labels[1, 2, 3] == 300 == labels.sum()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused_in_a_sentence(tmp_path, ending, share):
    path = save(tmp_path / f"image{ending}", numbers((12, 13, 14)), Geometry((14, 13, 12), *GRID_PLACE))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SegVarianceError, match="cut short") as caught:
        read_image([path])
    assert len(str(caught.value)) < 300


GRID_PLACE = (GRID.spacing_mm, GRID.origin_mm, GRID.direction)


def test_a_damaged_byte_in_a_compressed_nifti_is_noticed(tmp_path):
    path = save(tmp_path / "image.nii.gz", numbers((12, 13, 14)), Geometry((14, 13, 12), *GRID_PLACE))
    content = bytearray(gzip.decompress(path.read_bytes()))
    packed = bytearray(gzip.compress(bytes(content), compresslevel=0))
    packed[2000] ^= 255
    path.write_bytes(packed)
    with pytest.raises(SegVarianceError, match="damaged"):
        read_image([path])


def test_text_a_missing_file_and_a_flat_image_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.nii.gz").write_text("hello")
    sitk.WriteImage(sitk.GetImageFromArray(numbers()[0]), str(tmp_path / "flat.nrrd"))
    for name, words in (
        ("text.nii.gz", "not an image"),
        ("none.nrrd", "does not exist"),
        ("flat.nrrd", "Expected a 3-D"),
    ):
        with pytest.raises(SegVarianceError, match=words):
            read_image([tmp_path / name])
        with pytest.raises(SegVarianceError, match=words):
            read_geometry(tmp_path / name)


def test_nothing_reaches_the_terminal_when_a_nifti_is_not_orthonormal(tmp_path, capfd):
    sheared = np.column_stack([np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]), [0, 0, 0]])
    (tmp_path / "sheared.nii").write_bytes(big_endian_nifti(sheared))
    with pytest.raises(SegVarianceError):
        read_image([tmp_path / "sheared.nii"])
    assert capfd.readouterr() == ("", "")


def test_an_unknown_ending_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(SegVarianceError, match="cannot be written"):
        write_label_map(tmp_path / "labels.docx", np.zeros(GRID.shape_zyx, np.uint8), GRID)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_place_cannot_lend_its_header(tmp_path):
    image = save(tmp_path / "image.nii.gz", numbers(), LEFT_HANDED)
    with pytest.raises(ValueError, match="does not lie"):
        write_label_map(tmp_path / "labels.nii.gz", np.zeros(GRID.shape_zyx, np.uint8), GRID, like=image)


def test_the_same_label_map_gives_the_same_bytes(tmp_path):
    image = save(tmp_path / "image.nii.gz", numbers())
    for name in ("a.nii.gz", "b.nii.gz"):
        write_label_map(tmp_path / name, numbers() > 0, read_geometry(image), like=image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("names", [("whole",), ("background", "Anterior", "hinterer Teil é")])
def test_probabilities_come_back_with_their_class_names(tmp_path, names):
    quantised = np.random.default_rng(1).integers(0, 256, (len(names), *GRID.shape_zyx), dtype=np.uint8)
    write_probabilities(tmp_path / "case.nrrd", quantised, LEFT_HANDED, names)
    read, geometry, read_names = read_probabilities(tmp_path / "case.nrrd")
    np.testing.assert_array_equal(read, quantised)
    assert read_names == names
    assert geometry.difference(LEFT_HANDED) is None


def test_a_plain_nrrd_is_no_probability_map(tmp_path):
    with pytest.raises(SegVarianceError, match="not a probability map"):
        read_probabilities(save(tmp_path / "image.nrrd", numbers()))


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_images_are_found_by_id_and_other_files_passed_over(tmp_path):
    touch(tmp_path, "b.nrrd", "a.nii.gz", "c.seg.nrrd", "d.v2.mha", "notes.txt", "._a.nii.gz")
    found = find_images(tmp_path)
    assert {case: path.name for case, path in found.items()} == {
        "a": "a.nii.gz",
        "b": "b.nrrd",
        "c": "c.seg.nrrd",
        "d.v2": "d.v2.mha",
    }


def test_one_id_under_two_endings_is_refused(tmp_path):
    with pytest.raises(SegVarianceError, match="are both case 'a'"):
        find_images(touch(tmp_path, "a.nii.gz", "a.nrrd"))
    with pytest.raises(SegVarianceError, match="not a folder"):
        find_images(tmp_path / "absent")


def test_channel_suffixes_make_cases_of_several_files(tmp_path):
    touch(tmp_path, "a_0000.nrrd", "a_0001.nrrd", "b_0000.nrrd", "b_0001.nrrd")
    assert {case: [path.name for path in paths] for case, paths in read_case_images(tmp_path).items()} == {
        "a": ["a_0000.nrrd", "a_0001.nrrd"],
        "b": ["b_0000.nrrd", "b_0001.nrrd"],
    }


def test_plain_names_that_end_in_digits_are_no_channels(tmp_path):
    touch(tmp_path, "scan_2001.nrrd", "scan_2002.nrrd")
    assert list(read_case_images(tmp_path)) == ["scan_2001", "scan_2002"]


@pytest.mark.parametrize(
    "names", [("a_0000.mha", "b.mha"), ("a_0000.mha", "b_0001.mha"), ("a_0000.mha", "a_0001.mha", "b_0000.mha")]
)
def test_a_missing_channel_is_refused(tmp_path, names):
    with pytest.raises(SegVarianceError, match=r"b\.mha|b_0001|'b' has 1"):
        read_case_images(touch(tmp_path, *names))


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A label map that packs a hundredfold."""
    rng = np.random.default_rng(0)
    array = np.zeros((60, 200, 200), dtype=np.uint8)
    for number in range(60):
        z, y, x = rng.integers(0, 40), rng.integers(0, 150), rng.integers(0, 150)
        array[z : z + 20, y : y + 30, x : x + 30] = 1 + number % 20
    path = tmp_path / "large.nii.gz"
    geometry = Geometry((200, 200, 60), (0.8, 0.8, 1.5), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    write_label_map(path, np.concatenate([array[:30], array[30:]]), geometry)
    assert 8192 < path.stat().st_size < array.size / 8
    return path, array


def test_a_tightly_packed_label_map_is_read_as_written(packed):
    path, array = packed
    assert np.array_equal(read_label_map(path).array, array)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5000]) + gzip.compress(bytes(5000)))
    expected = array.copy()
    expected.ravel()[-5000:] = 0
    assert np.array_equal(read_label_map(path).array, expected)


@pytest.mark.parametrize("damage", ["cut", "flipped", "another checksum"])
def test_a_tightly_packed_label_map_that_is_damaged_is_refused(packed, damage):
    path, _ = packed
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2 if damage == "flipped" else -6] ^= 4
    path.write_bytes(content)
    with pytest.raises(SegVarianceError, match="cut short or damaged"):
        read_label_map(path)
