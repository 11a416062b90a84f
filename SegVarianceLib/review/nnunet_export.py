"""Members and ensembles as folders that nnU-Net v2's own commands take: ``nnUNetv2_evaluate_folder``, ``nnUNetv2_ensemble``."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..core.arrays import dequantise_probabilities
from ..core.errors import SegVarianceError
from ..core.files import path_inside, safe_name, write_beside_and_rename, write_json
from ..core.geometry import Geometry
from ..core.labels import LabelSet
from ..dataset.convert import link, whole_or_nothing
from ..dataset.image_io import read_geometry, read_label_map, write_label_map
from ..dataset.nnunet_labels import ENDINGS, READER, nnunet_description, nnunet_values, renumbered
from ..dataset.nnunet_probabilities import write_nnunet_probabilities
from ..dataset.probability_maps import read_probabilities
from ..ensemble.region_rules import region_probabilities
from .description import Review

REFERENCES = "references"


class Exported(NamedTuple):
    """``members`` have probabilities where those were kept; ``references`` is None where the review has none."""

    members: tuple[Path, ...]
    ensembles: tuple[Path, ...]
    references: Path | None


def export_nnunet(review: Review, folder: Path, progress: Callable[[int, int], object] | None = None) -> Exported:
    """Write ``<configuration>/<member>/<case>`` with ``dataset.json`` and ``plans.json``, and ``references/<case>``.

    Label maps are hard links, unless values leave gaps or nnU-Net does not read their format: then they are written anew.
    Beside kept probabilities (``.npz``) lies a ``.pkl`` of the case's place, without which ``nnUNetv2_ensemble`` does not
    start; nothing here ever reads one.

    Raises:
        ProblemsFound, SegVarianceError: the review is not sound, a file cannot be read, the folder is not empty.
    """
    review.require_sound()
    if folder.exists() and any(folder.iterdir()):
        raise SegVarianceError(f"{folder} is not empty. Give another folder, or empty it.")
    with whole_or_nothing(folder):
        return _write(review, folder, progress)


def _write(review: Review, folder: Path, progress: Callable[[int, int], object] | None) -> Exported:
    ending = _ending(review)
    layers = [*review.members, *review.ensembles]
    made = []
    for done, layer in enumerate(layers, start=1):
        place = folder / safe_name(layer.configuration, "configuration") / safe_name(layer.name, "member's name")
        _label_maps(review, layer.files, place, ending)
        for case_id, path in layer.probabilities.items():
            _probabilities(path, path_inside(place, f"{case_id}.npz", "case id"), layer.files[case_id], review.labels)
        content = nnunet_description(review.labels, review.channels, len(layer.files), ending)
        write_json(place / "dataset.json", content)
        write_json(place / "plans.json", _plans(review.title))
        made.append(place)
        if progress is not None:
            progress(done, len(layers))
    references = {case.id: case.label for case in review.cases if case.label is not None}
    _label_maps(review, references, folder / REFERENCES, ending)
    return Exported(
        tuple(made[: len(review.members)]),
        tuple(made[len(review.members) :]),
        folder / REFERENCES if references else None,
    )


def _ending(review: Review) -> str:
    """The one of all label maps, or ``.nii.gz``."""
    paths = [path for layer in (*review.members, *review.ensembles) for path in layer.files.values()]
    fitting = (each for each in ENDINGS if all(path.name.endswith(each) for path in paths))
    return next(fitting, ENDINGS[0])


def _label_maps(review: Review, files: Mapping[str, Path], folder: Path, ending: str) -> None:
    values = nnunet_values(review.labels)
    gaps = any(value != number for value, number in values.items())
    for case_id, path in files.items():
        target = path_inside(folder, f"{case_id}{ending}", "case id")
        if path.name.endswith(ending) and not gaps:
            link(path, target)
        else:
            label_map = read_label_map(path)
            write_label_map(target, renumbered(label_map.array, values, path), label_map.geometry, like=path)


def _probabilities(source: Path, target: Path, label_map: Path, labels: LabelSet) -> None:
    if source.suffix == ".npz":
        link(source, target)
    else:
        quantised, _, names = read_probabilities(source)
        values, fractions = labels.foreground_values, dequantise_probabilities(quantised)
        of_regions = labels.has_regions and names == tuple(region.name for region in labels.structures)
        if not of_regions and len(names) != 1 + len(values):
            raise SegVarianceError(
                f"{source} holds the classes {', '.join(names)}; expected background and {len(values)} labels, or the regions. "
                "Predict again."
            )
        if (
            labels.has_regions and not of_regions
        ):  # a network of labels among those of regions: nnU-Net knows one kind a dataset
            fractions = region_probabilities(fractions, values, labels)
        write_nnunet_probabilities(target, fractions)
    properties_file(target.with_suffix(".pkl"), read_geometry(label_map))


def properties_file(path: Path, geometry: Geometry) -> None:
    """Write what nnU-Net's reader notes of an image, as far as its writer asks for it: a pickled dictionary of numbers.

    ``nnUNetv2_ensemble`` takes no other file. It is written only; nobody here reads a pickle.
    """
    place = {"spacing": geometry.spacing_mm, "origin": geometry.origin_mm, "direction": geometry.direction}
    content = pickle.dumps({"sitk_stuff": place, "spacing": list(geometry.spacing_zyx_mm)}, protocol=4)
    write_beside_and_rename(path, lambda beside: beside.write_bytes(content))


def _plans(title: str) -> dict[str, object]:
    """As much of a ``plans.json`` as nnU-Net's commands on predictions read: no network was planned with it."""
    return {
        "dataset_name": title,
        "plans_name": "SegVariance",
        "image_reader_writer": READER,
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {},
        "label_manager": "LabelManager",
    }
